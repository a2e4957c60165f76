package report

import (
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Running holds which Applications run an image, by registry and repository.
type Running map[string][]instance

// instance is one image as it runs.
type instance struct {
	application string // namespace/name
	version     image.Version
	health      spec.Health
}

// RunningIn returns what runs in Applications.
func RunningIn(apps []spec.Application) Running {
	found := Running{}

	for _, app := range apps {
		for _, one := range app.Running {
			if ref, err := image.ParseRunning(one); err == nil {
				key := ref.Registry + "/" + ref.Repository
				found[key] = append(found[key], instance{app.String(), ref.Version, app.Health})
			}
		}
	}

	return found
}

// of returns where else than in one Application the candidate of an image runs.
func (r Running) of(img *plan.Image, application string) []instance {
	ref, err := image.ParseName(img.Image)
	if err != nil || img.Candidate == "" {
		return nil
	}

	want := image.Version{Tag: img.Choice.Tag.Name, Digest: img.Choice.Tag.Digest}
	var found []instance
	for _, i := range r[ref.Registry+"/"+ref.Repository] {
		if i.application != application && img.Spec.Policy.Runs(i.version, want) {
			found = append(found, i)
		}
	}

	return found
}

// healthText is the health of an Application, with the sign that Argo CD's users
// know.
func healthText(h spec.Health) string {
	signs := map[string]string{
		"Healthy": "💚", "Progressing": "🔵", "Degraded": "💔", "Suspended": "⏸️", "Missing": "👻",
	}
	text := strings.TrimSpace(signs[h.Status] + " " + h.Status)

	switch {
	case h.Status == "":
		return "health unknown"
	case h.Since.IsZero():
		return text
	}

	return text + " since " + timeText(h.Since)
}
