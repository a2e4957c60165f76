package gitwrite

import (
	"context"
	"testing"

	"github.com/liverty-music/image-writeback/internal/giturl"
)

// TestSpellingsOfOneRepository opens one repository for all spellings of an
// address, as long as the same credentials are used for it.
func TestSpellingsOfOneRepository(t *testing.T) {
	options := Options{
		Login: func(address giturl.Address) Login {
			if address.Host() == "github.com" {
				return func(context.Context) (user, password string, err error) { return "", "", nil }
			}
			return nil
		},
		Scoped: func(_ context.Context, url string) bool { return url == "https://git.corp/scoped/r" },
	}
	service := newService(t, options)

	const corp, hub = "https://git.corp/o/r", "https://github.com/o/r"
	for _, c := range []struct {
		what string
		a, b Access
		same bool
	}{
		{"case of the host, .git and slash", Access{URL: corp}, Access{URL: "https://Git.Corp/o/r.git/"}, true},
		{"case of the path", Access{URL: corp}, Access{URL: "https://git.corp/O/r"}, false},
		{"forms of SSH", Access{URL: "git@git.corp:o/r"}, Access{URL: "ssh://git@git.corp:22/o/r.git"}, true},
		{"protocols, each with credentials", Access{URL: corp}, Access{URL: "git@git.corp:o/r"}, false},
		{"protocols at the forge", Access{URL: hub}, Access{URL: "git@github.com:O/R.git"}, true},
		{"credentials at the forge", Access{URL: hub}, Access{URL: "https://ada:s3cret@github.com/o/r"}, true},
		{"a Secret at the forge", Access{URL: hub}, Access{URL: hub, From: "secret:a/b"}, false},
		{"credentials", Access{URL: corp}, Access{URL: "https://ada:s3cret@git.corp/o/r"}, false},
		{"users of SSH", Access{URL: "git@git.corp:o/r"}, Access{URL: "bob@git.corp:o/r"}, false},
		{"projects", Access{URL: corp, Project: "a"}, Access{URL: corp, Project: "b"}, true},
		{"projects with credentials", Access{URL: "https://git.corp/scoped/r", Project: "a"},
			Access{URL: "https://git.corp/scoped/r", Project: "b"}, false},
		{"ports", Access{URL: "https://git.corp:8443/o/r"}, Access{URL: corp}, false},
	} {
		one, err := service.Open(t.Context(), c.a)
		if err != nil {
			t.Fatal(err)
		}
		other, err := service.Open(t.Context(), c.b)
		if err != nil {
			t.Fatal(err)
		}
		if (one == other) != c.same {
			t.Errorf("%s: one repository is %t, want %t", c.what, one == other, c.same)
		}
	}
}
