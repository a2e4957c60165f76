package gitwrite

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/liverty-music/image-writeback/internal/giturl"
)

// TestSpellingsOfOneRepository opens one repository for all spellings of an
// address, as long as the same credentials are used for it.
func TestSpellingsOfOneRepository(t *testing.T) {
	options := Options{
		Login: func(address giturl.Address) Login {
			if address.Host() == "github.com" {
				return func(context.Context, string) (user, password string, err error) { return "", "", nil }
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

// TestALoginThatIsRefused has the password of a forge's login replaced: what was refused
// is sent again with the new one, in reads and in pushes. If there is no other, it is an
// error.
func TestALoginThatIsRefused(t *testing.T) {
	git := startGit(t, true, 1)
	valid := atomic.Value{}
	valid.Store("one")
	git.Allow = func(_, password string) bool { return password == valid.Load() }
	current := "one"
	s := newService(t, Options{Login: func(giturl.Address) Login {
		return func(_ context.Context, refused string) (user, password string, err error) {
			if refused == current && valid.Load() != "gone" {
				current, _ = valid.Load().(string)
			}
			return "git", current, nil
		}
	}})

	r := open(t, s, git.URLOf(repo))
	noError(t, writeAll(r, setTag("f0/k.yaml", "v0", "v1")))
	for i, tag := range []string{"v2", "v3"} {
		valid.Store("token-" + tag)
		if i == 0 { // otherwise the push is refused first
			mustRead(t, r, map[string]string{"f0/k.yaml": ""})
		}
		noError(t, writeAll(r, setTag("f0/k.yaml", fmt.Sprintf("v%d", i+1), tag)))
	}

	valid.Store("gone")
	const want = "rejected the login that config.yaml has for it"
	if _, err := r.Refresh(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
}
