package delivery

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// refuseCommits makes the server refuse updates whose commits change a file with a
// name that matches an expression of grep.
func refuseCommits(t *testing.T, git *git.Server, expression string) {
	t.Helper()
	hook := fmt.Sprintf("#!/bin/sh\nif git diff --name-only $2 $3 | grep -q '%s'; then "+
		"echo 'this path is not allowed' >&2; exit 1; fi\n", expression)
	if err := os.WriteFile(filepath.Join(git.Root, repo+".git", "hooks", "update"), []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
}

// works sets n files, each of a project of its own.
func works(n int, from, to string) []plan.Work {
	all := make([]plan.Work, n)
	for i := range all {
		all[i] = setTag(fmt.Sprintf("f%d/k.yaml", i), from, to)
		all[i].Project = fmt.Sprintf("team-%d", i%4)
	}

	return all
}

// failedOf returns the files that were not written.
func failedOf(outcomes []Outcome) string {
	var files []string
	for i, o := range outcomes {
		if o.Kind == Failed {
			files = append(files, fmt.Sprintf("f%d", i))
		}
	}

	return strings.Join(files, " ")
}

// TestARefusedPushIsDivided has one commit among many that the server refuses: the
// others land in the same cycle, and it does not cost them a push in the next ones.
func TestARefusedPushIsDivided(t *testing.T) {
	git := startGit(t, true, 20)
	refuseCommits(t, git, "^f7/")
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	r := open(t, newService(t, Options{Now: func() time.Time { return now }}), git.URLOf(repo))

	outcomes := writeAll(t, r, works(20, "v0", "v1")...)
	if failed := failedOf(outcomes); failed != "f7" {
		t.Fatalf("failed: %s", failed)
	}
	if err := outcomes[7].Err.Error(); !strings.Contains(err, "this path is not allowed") {
		t.Errorf("the error: %s", err)
	}
	for _, i := range []int{0, 6, 8, 19} {
		if got := show(t, git, "main", fmt.Sprintf("f%d/k.yaml", i)); got != "tag: v1\n" {
			t.Errorf("f%d has %q", i, got)
		}
	}
	if n := git.Count("push"); n > 12 {
		t.Errorf("%d pushes", n)
	}

	// It is set aside, for longer each time.
	cycle := func(from, to string) (pushes int, err error) {
		t.Helper()
		before := git.Count("push")
		outcomes := writeAll(t, r, append(works(7, from, to), setTag("f7/k.yaml", "v0", to))...)
		if failed := failedOf(outcomes); failed != "f7" {
			t.Fatalf("failed: %s", failed)
		}
		return git.Count("push") - before, outcomes[7].Err
	}
	pushes, err := cycle("v1", "v2")
	if pushes != 1 || !strings.Contains(err.Error(), "set aside until 2026-11-01T12:05:00Z") {
		t.Errorf("%d pushes, %v", pushes, err)
	}
	now = now.Add(5 * time.Minute)
	if pushes, err := cycle("v2", "v3"); pushes < 3 || strings.Contains(err.Error(), "set aside") {
		t.Errorf("after the pause: %d pushes, %v", pushes, err)
	}
	if pushes, err := cycle("v3", "v4"); pushes != 1 || !strings.Contains(err.Error(), "until 2026-11-01T12:15:00Z") {
		t.Errorf("after the second time: %d pushes, %v", pushes, err)
	}

	// What the server accepts again is forgotten.
	refuseCommits(t, git, "nothing")
	now = now.Add(10 * time.Minute)
	if outcomes := writeAll(t, r, setTag("f7/k.yaml", "v0", "v5")); outcomes[0].Err != nil {
		t.Errorf("once it is accepted: %v", outcomes[0].Err)
	}
}

// TestACheckedPushIsDivided has a server that checks objects, and refuses to unpack
// the push of everybody for one file.
func TestACheckedPushIsDivided(t *testing.T) {
	git := startGit(t, true, 4)
	if _, err := git.Run(repo, "config", "receive.fsckObjects", "true"); err != nil {
		t.Fatal(err)
	}
	bad := setTag(".gitmodules", "v0", "v1")
	bad.Create, bad.Project = true, "stranger"
	bad.Edit = constant("[submodule \"a\"]\n\tpath = a\n\turl = -x\n")

	r := open(t, newService(t, Options{}), git.URLOf(repo))
	outcomes := writeAll(t, r, append(works(4, "v0", "v1"), bad)...)
	if failed := failedOf(outcomes); failed != "f4" {
		t.Fatalf("failed: %s, %v", failed, outcomes)
	}
	if got := show(t, git, "main", "f3/k.yaml"); got != "tag: v1\n" {
		t.Errorf("f3 has %q", got)
	}
}

// TestAServerThatRefusesEverything is not asked about each part in each cycle.
func TestAServerThatRefusesEverything(t *testing.T) {
	git := startGit(t, true, 40)
	refuseCommits(t, git, "yaml")
	r := open(t, newService(t, Options{}), git.URLOf(repo))

	outcomes := writeAll(t, r, works(40, "v0", "v1")...)
	if n := git.Count("push"); n != hopeless {
		t.Errorf("%d pushes", n)
	}
	for _, o := range outcomes {
		if o.Kind != Failed || !strings.Contains(o.Err.Error(), "this path is not allowed") {
			t.Fatalf("%+v", o)
		}
	}

	before := git.Count("push")
	writeAll(t, r, works(40, "v0", "v1")...)
	if n := git.Count("push") - before; n != 1 {
		t.Errorf("the next cycle: %d pushes", n)
	}
}

// constant is an edit that writes the same content whatever a file holds.
func constant(content string) plan.Edit {
	return func(old []byte) ([]byte, []image.Change, error) {
		if string(old) == content {
			return old, nil, nil
		}
		return []byte(content), []image.Change{{File: "x", Image: "ghcr.io/o/app", New: image.ParseVersion("v1")}}, nil
	}
}
