// Package forgetest holds the tests of the contract of package forge. Each
// implementation runs [Run] against a stand-in of its forge, and keeps only the
// tests that are about that forge alone.
package forgetest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
	sandboxforge "github.com/liverty-music/image-writeback/internal/sandbox/forge"
	sandboxgit "github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// Name is the repository of every fixture.
const Name = "o/manifests"

// Fault may answer a request in the forge's stead; it then returns true.
type Fault func(http.ResponseWriter, *http.Request) bool

// Fixture is a forge with the repository [Name] as [StartGit] makes it, and without
// pull requests.
type Fixture struct {
	Client forge.Client
	Git    *sandboxgit.Server
	Pulls  func() []sandboxforge.Pull // as the forge has them
	Break  func(Fault)                // nil: it works again
	Close  func()                     // nobody answers any more
	Secret func() string              // what no message may quote

	// Replace puts another token into the file of the account; nil: it makes its own.
	Replace func(token string)

	AuthorName, AuthorEmail string // of the account
	CompareURL              string // how the page of a comparison of main and head ends
	PullRequests            string // how the path of a request about pull requests ends
	Setting                 string // which remedies name where nobody answers
}

// Repository returns the repository of the fixture.
func (f *Fixture) Repository(t *testing.T) forge.Repository {
	t.Helper()
	r := f.Client.Repository(giturl.Parse(f.Git.URLOf(Name)))
	if r == nil {
		t.Fatalf("%s is not at this forge", f.Git.URLOf(Name))
	}
	return r
}

// Proposal asks for what every forge has.
func Proposal() forge.Proposal {
	return forge.Proposal{Title: "Newer", Body: "body", Head: "head", Base: "main", Labels: []string{"deploy"},
		Assignees: []string{"ada"}, Reviewers: []string{"bob"}}
}

// StartGit serves a repository with a branch "head" that is one commit, "Newer" by
// Ada, ahead of main.
func StartGit(t *testing.T) *sandboxgit.Server {
	t.Helper()
	git, err := sandboxgit.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(git.Close)

	if err := git.Create(Name, true, map[string]string{"k.yaml": "tag: v0\n"}); err != nil {
		t.Fatal(err)
	}
	if _, err := git.Run(Name, "branch", "head", "main"); err != nil {
		t.Fatal(err)
	}
	if err := git.Commit(Name, "head", "Newer", map[string]string{"k.yaml": "tag: v1\n"}); err != nil {
		t.Fatal(err)
	}
	return git
}

// WriteFile writes a file that only this test has, and returns its name.
func WriteFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Refuse answers requests whose method and a part of whose path are those of
// request, such as "POST /pulls". Headers are names and values in turn.
func Refuse(request string, status int, body string, headers ...string) Fault {
	method, part, _ := strings.Cut(request, " ")
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.Path, part) {
			return false
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
		return true
	}
}

// Must returns a value, or ends the test.
func Must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
