package plan

import (
	"github.com/bmatcuk/doublestar/v4"

	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Settings are what the operator configures about decisions.
type Settings struct {
	DefaultDelivery string
	Rules           []DeliveryRule
	PullRequests    PullRequests
	Permission      permission.Rules
}

// DeliveryRule chooses a delivery. All globs that are not empty must match;
// they are valid globs of doublestar.
type DeliveryRule struct {
	Path, Application, Namespace, Project, Repository string
	Labels                                            map[string]string
	Use                                               string
	Enforce                                           bool // annotations cannot ask for less
}

// delivery is that of the Application's annotation, otherwise of the first
// rule that matches, otherwise the default. If that rule enforces pull requests,
// the annotation does not count. It is empty for an Application that is written to
// itself.
func (s Settings) delivery(c *Case) (delivery string, enforced bool) {
	app := c.Application
	if c.inApplication() {
		return app.Target.Delivery, false
	}

	rule := DeliveryRule{Use: s.DefaultDelivery}
	for _, r := range s.Rules {
		if r.matches(app, c.Place.Repository, c.Place.Base.Path) {
			rule = r
			break
		}
	}
	enforced = rule.Enforce && opensPullRequest(rule.Use)
	if app.Target.Delivery == "" || enforced {
		return rule.Use, enforced
	}

	return app.Target.Delivery, false
}

func opensPullRequest(delivery string) bool { return delivery == spec.DeliverPullRequest }

func (r DeliveryRule) matches(app spec.Application, repository, file string) bool {
	for _, pair := range [][2]string{
		{r.Path, file}, {r.Application, app.Name}, {r.Namespace, app.Namespace},
		{r.Project, app.Project}, {r.Repository, repository},
	} {
		if ok, _ := doublestar.Match(pair[0], pair[1]); pair[0] != "" && !ok {
			return false
		}
	}

	for key, value := range r.Labels {
		if ok, _ := doublestar.Match(value, app.Labels[key]); !ok {
			return false
		}
	}

	return true
}
