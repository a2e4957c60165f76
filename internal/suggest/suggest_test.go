package suggest

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"interval", "cacheDir", "path", "github", "gitlab"}
	for name, want := range map[string]string{
		"intervall":         "interval",
		"cachedir":          "cacheDir",
		"pth":               "path",
		"githab":            "github", // as near as gitlab, and first
		"priorityClassName": "",
		"x":                 "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
