package plan

import (
	"github.com/bmatcuk/doublestar/v4"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// Settings are what the operator configures about decisions.
type Settings struct {
	DefaultDelivery string
	Rules           []DeliveryRule
	PullRequests    PullRequests
}

// DeliveryRule chooses a delivery. All globs that are not empty must match;
// they are valid globs of doublestar.
type DeliveryRule struct {
	Path, Application, Namespace, Project, Repository string
	Labels                                            map[string]string
	Use                                               string
}

// delivery is that of the Application's annotation, otherwise of the first
// rule that matches, otherwise the default. It is empty for an Application
// that is written to itself.
func (s Settings) delivery(c *Case) string {
	app := c.Application
	if app.Target.Delivery != "" || c.inApplication() {
		return app.Target.Delivery
	}

	for _, rule := range s.Rules {
		if rule.matches(app, c.Place.Repository, c.Place.Base.Path) {
			return rule.Use
		}
	}

	return s.DefaultDelivery
}

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
