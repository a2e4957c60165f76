// Package forge stands in for the APIs of GitHub and GitLab over the repositories
// of a git server, for tests and stories: pull requests, and what people do with
// them. It can hold what it is asked against GitHub's own description.
package forge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// pullStore holds the pull requests of a forge, and what people do with them.
type pullStore struct {
	git    *git.Server
	pageOf func(*Pull) string // for people

	mu    sync.Mutex
	pulls map[string][]*Pull // by owner/name
}

// Pull is a pull request.
type Pull struct {
	Number     int
	Title      string
	Body       string
	Head, Base string
	HeadSHA    string
	State      string // open or closed
	Merged     bool
	Draft      bool
	AutoMerge  bool
	Labels     []string
	Reviewers  []string // teams as team:name
	Assignees  []string
	Comments   []Comment
	Repository string
	URL        string

	created, updated time.Time
}

// Comment is one on a pull request.
type Comment struct{ Author, Body string }

// touch notes that something has happened. GitHub counts whole seconds.
func (p *Pull) touch() { p.updated = p.updated.Add(time.Second) }

// Pulls lists a repository's pull requests, oldest first.
func (h *pullStore) Pulls(repository string) []Pull {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follow(repository)
	var all []Pull
	for _, p := range h.pulls[repository] {
		all = append(all, *p)
	}

	return all
}

// follow does what GitHub does on a push: a pull request whose head is gone is
// closed, and one whose commits are all in its base counts as merged.
func (h *pullStore) follow(repository string) {
	if !slices.ContainsFunc(h.pulls[repository], func(p *Pull) bool { return p.State == "open" }) {
		return
	}

	out, err := h.git.Run(repository, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads")
	sandbox.Check(err)
	heads := map[string]string{}
	for line := range strings.Lines(out) {
		branch, sha, _ := strings.Cut(strings.TrimSpace(line), " ")
		heads[branch] = sha
	}

	merged := map[string]map[string]bool{} // by base
	for _, p := range h.pulls[repository] {
		if p.State != "open" {
			continue
		}
		if merged[p.Base] == nil {
			merged[p.Base] = map[string]bool{}
			out, _ := h.git.Run(repository, "branch", "--format=%(refname:short)", "--merged", "refs/heads/"+p.Base)
			for line := range strings.Lines(out) {
				merged[p.Base][strings.TrimSpace(line)] = true
			}
		}
		switch sha := heads[p.Head]; {
		case sha == "":
			p.State = "closed"
		case merged[p.Base][p.Head]:
			p.State, p.Merged, p.HeadSHA = "closed", true, sha
		case sha != p.HeadSHA:
			p.HeadSHA = sha
			p.touch()
		}
	}
}

// ClosePull closes a pull request as a person does, by merging it or without.
func (h *pullStore) ClosePull(repository string, number int, merged bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pulls[repository][number-1]
	if p.State != "open" {
		return fmt.Errorf("pull request #%d is closed", number)
	}

	if merged {
		if err := h.merge(p); err != nil {
			return err
		}
	}

	p.State, p.Merged = "closed", merged
	p.touch()

	return nil
}

func (h *pullStore) merge(p *Pull) error {
	base, head := "refs/heads/"+p.Base, "refs/heads/"+p.Head
	tree, err := h.git.Run(p.Repository, "merge-tree", "--write-tree", base, head)
	if err != nil {
		return err
	}

	merge, err := h.git.Run(p.Repository, "commit-tree", strings.TrimSpace(tree), "-p", base, "-p", head, "-m",
		"Merge pull request #"+strconv.Itoa(p.Number))
	if err != nil {
		return err
	}

	_, err = h.git.Run(p.Repository, "update-ref", base, strings.TrimSpace(merge))

	return err
}

// ReopenPull opens again what a person has closed.
func (h *pullStore) ReopenPull(repository string, number int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pulls[repository][number-1]
	if p.State != "closed" || p.Merged {
		return fmt.Errorf("pull request #%d is not closed", number)
	}

	p.State = "open"
	p.touch()

	return nil
}

// SetBody replaces the text of a pull request.
func (h *pullStore) SetBody(repository string, number int, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pulls[repository][number-1].Body = body
}

// EditBody puts a person's words before the text of a pull request.
func (h *pullStore) EditBody(repository string, number int, words string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pulls[repository][number-1]
	p.Body = words + "\n\n" + p.Body
	p.touch()
	return nil
}

// OpenPull opens a pull request as a person does.
func (h *pullStore) OpenPull(repository, head, base, title string) (Pull, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sha, err := h.git.Head(repository, head)
	if err != nil {
		return Pull{}, err
	}

	return *h.add(&Pull{Title: title, Head: head, HeadSHA: sha, Base: base, Repository: repository}), nil
}

// add gives a new pull request its number.
func (h *pullStore) add(p *Pull) *Pull {
	p.Number, p.State = len(h.pulls[p.Repository])+1, "open"
	p.URL = h.pageOf(p)
	p.created = time.Now().UTC().Truncate(time.Second)
	p.updated = p.created
	h.pulls[p.Repository] = append(h.pulls[p.Repository], p)
	return p
}
