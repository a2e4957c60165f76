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
// itself. enforcedBy is the number of such a rule; 0: there is none.
func (s Settings) delivery(c *Case) (delivery string, enforcedBy int) {
	app := c.Application
	if c.inApplication() {
		return app.Target.Delivery, 0
	}

	rule, number := DeliveryRule{Use: s.DefaultDelivery}, 0
	for i, r := range s.Rules {
		if r.matches(app, c.Place.Repository, c.Place.Base.Path) {
			rule, number = r, i+1
			break
		}
	}
	if rule.Enforce && opensPullRequest(rule.Use) {
		return rule.Use, number
	}
	if app.Target.Delivery == "" {
		return rule.Use, 0
	}

	return app.Target.Delivery, 0
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
