package writeback

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/cli"
	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

// story plays testdata/writeback/month.txt: the updater in the example's world, with
// people, CI and GitHub around it.
type story struct {
	t       *testing.T
	world   *world.World
	service *cli.Service
	log     bytes.Buffer
	builds  int
	forge   forgeOfPeople
	pulls   string // what the forge calls them in its URLs
	fault   *func(w http.ResponseWriter, r *http.Request) bool
	head    string // remembered
}

const prodBranch = "image-writeback/argocd/backend-prod"

// forgeOfPeople is what people do at a forge, and see there.
type forgeOfPeople interface {
	Pulls(repository string) []forge.Pull
	ClosePull(repository string, number int, merged bool) error
	ReopenPull(repository string, number int) error
	EditBody(repository string, number int, words string) error
	Count(kind string) int
}

// TestMonth ends with exactly the pull requests that a careful person would
// have left, at GitHub and at GitLab.
func TestMonth(t *testing.T) {
	t.Run("GitHub", func(t *testing.T) {
		w := harness.NewWorld(t)
		(&story{t: t, world: w, forge: w.GitHub, pulls: "pulls", fault: &w.GitHub.Fault}).play()
	})

	t.Run("GitLab", func(t *testing.T) {
		w := harness.NewWorld(t)
		lab := forge.NewGitLab(w.Git)
		t.Cleanup(lab.Close)
		token := harness.Write(t, filepath.Join(t.TempDir(), "token"), forge.GitLabToken)
		harness.Edit(t, w.Config, "github:\n", fmt.Sprintf("gitlab: {url: %s, tokenFile: %s}\ngithub:\n",
			lab.URL, token))
		harness.Edit(t, w.Config, fmt.Sprintf("  app: {id: %d, privateKeyFile:", forge.AppID), "  # ")
		(&story{t: t, world: w, forge: lab, pulls: "merge_requests", fault: &lab.Fault}).play()
	})
}

func (s *story) play() {
	t := s.t
	script, err := os.ReadFile("../../testdata/writeback/month.txt")
	if err != nil {
		t.Fatal(err)
	}

	s.restart()
	lines := s.lines()
	for number, line := range strings.Split(string(script), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := play(lines, line); err != nil {
			t.Fatalf("month.txt:%d: %s: %v\n%s", number+1, line, err, s.log.String())
		}
	}
}

// step is one kind of line, and what it does with the words that it takes.
type step struct {
	pattern *regexp.Regexp
	do      func(words []string) error
}

func play(steps []step, line string) error {
	for _, one := range steps {
		if words := one.pattern.FindStringSubmatch(line); words != nil {
			return one.do(words[1:])
		}
	}
	return fmt.Errorf("nobody knows how to do this")
}

// addStep adds a kind of line.
type addStep func(pattern string, do func(words []string) error)

// lines are all kinds of lines.
func (s *story) lines() []step {
	var steps []step
	add := func(pattern string, do func(words []string) error) {
		steps = append(steps, step{regexp.MustCompile("^" + pattern + "$"), do})
	}
	s.machines(add)
	s.people(add)
	s.faults(add)
	s.expectPulls(add)
	s.expectOthers(add)

	return steps
}

func number(word string) int {
	n, _ := strconv.Atoi(word)
	return n
}

// machines are what CI and the updater do.
func (s *story) machines(add addStep) {
	hub := s.forge
	add(`release (\S+)`, func(w []string) error { s.builds++; s.world.Build(w[0]); return nil })
	add(`build`, func([]string) error { s.builds++; s.world.Build(); return nil })
	add(`builds: (\d+)`, func(w []string) error { return same(strconv.Itoa(s.builds), w[0]) })
	add(`cycle`, func([]string) error { return s.cycle("") })
	add(`cycle fails: (.+)`, func(w []string) error { return s.cycle(w[0]) })
	add(`restart`, func([]string) error { s.restart(); return nil })
	add(`nothing more to do`, func([]string) error {
		pushes, requests := s.world.Git.Count("push"), hub.Count("GET "+s.pulls)
		if err := s.cycle(""); err != nil {
			return err
		}
		return same(fmt.Sprintf("%d pushes, %d listings", s.world.Git.Count("push")-pushes,
			hub.Count("GET "+s.pulls)-requests), "0 pushes, 0 listings")
	})
}

// people are what people do.
func (s *story) people(add addStep) {
	hub, repository := s.forge, world.Repository
	add(`merge (\d+)`, func(w []string) error { return hub.ClosePull(repository, number(w[0]), true) })
	add(`close (\d+)`, func(w []string) error { return hub.ClosePull(repository, number(w[0]), false) })
	add(`reopen (\d+)`, func(w []string) error { return hub.ReopenPull(repository, number(w[0])) })
	add(`a person edits the text of (\d+)`,
		func(w []string) error { return hub.EditBody(repository, number(w[0]), "Mine.") })
	add(`the text of (\d+) is (theirs|ours)`, func(w []string) error {
		return same(strconv.FormatBool(strings.HasPrefix(s.pull(w[0]).Body, "Mine.")),
			strconv.FormatBool(w[1] == "theirs"))
	})

	add(`a person pushes to the branch`, func([]string) error {
		return s.world.Git.Commit(repository, prodBranch, "Try more memory",
			map[string]string{"k8s/namespaces/backend/overlays/prod/memory.yaml": "1Gi\n"})
	})

	add(`a person deletes the branch`, func([]string) error {
		return s.git("update-ref", "-d",
			"refs/heads/"+prodBranch)
	})

	add(`a colleague edits README.md on main`, func([]string) error {
		return s.world.Git.Commit(repository, "main", "Say more",
			map[string]string{"README.md": "# cloud-provisioning\n\nMore.\n"})
	})

	add(`a colleague sets the replicas of prod to (\d+)`,
		func(w []string) error { return s.edit(`count: \d+`, "count: "+w[0]) })
	add(`a colleague sets prod to (\S+)`, func(w []string) error { return s.edit(`newTag: \S+`, "newTag: "+w[0]) })
}

// faults are what goes wrong at the forge.
func (s *story) faults(add addStep) {
	add(`the forge is down`, func([]string) error {
		*s.fault = down(
			func(*http.Request) bool { return true })
		return nil
	})

	add(`pull requests cannot be opened`, func([]string) error {
		*s.fault = down(func(r *http.Request) bool {
			return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/"+s.pulls)
		})
		return nil
	})

	add(`the forge is back|pull requests can be opened`, func([]string) error { *s.fault = nil; return nil })
	add(`the forge asks to wait for a second`, func([]string) error {
		asked := false
		*s.fault = func(w http.ResponseWriter, _ *http.Request) bool {
			if asked {
				return false
			}
			asked = true
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		return nil
	})
}

// expectPulls are what can be seen of one pull request.
func (s *story) expectPulls(add addStep) {
	const repository = world.Repository
	add(`pull (\d+) is open: (.+)`, func(w []string) error {
		p := s.pull(w[0])
		return same(p.State+": "+p.Title,
			"open: "+w[1])
	})

	add(`pull (\d+) is closed`, func(w []string) error {
		p := s.pull(w[0])
		return same(fmt.Sprint(p.State, p.Merged),
			"closedfalse")
	})

	add(`pull (\d+) has the label (\S+)`,
		func(w []string) error { return same(fmt.Sprint(s.pull(w[0]).Labels), "["+w[1]+"]") })
	add(`pull (\d+) has (\d+) commits`, func(w []string) error {
		out, err := s.world.Git.Run(repository, "rev-list", "--count", "main.."+s.pull(w[0]).HeadSHA)
		if err != nil {
			return err
		}
		return same(strings.TrimSpace(out), w[1])
	})
}

// expectOthers are what else can be seen.
func (s *story) expectOthers(add addStep) {
	hub, repository := s.forge, world.Repository
	add(`pull (\d+) has (\d+) comments`,
		func(w []string) error { return same(strconv.Itoa(len(s.pull(w[0]).Comments)), w[1]) })
	add(`pull (\d+) has a comment: (.+)`,
		func(w []string) error { return contains(fmt.Sprint(s.pull(w[0]).Comments), w[1]) })
	add(`pull (\d+) can be merged`, func(w []string) error {
		return s.git("merge-tree", "--write-tree", "main",
			s.pull(w[0]).HeadSHA)
	})

	add(`there are (\d+) pulls`, func(w []string) error {
		return same(
			strconv.Itoa(len(hub.Pulls(repository))), w[0])
	})

	add(`the pulls were: (.+)`, func(w []string) error {
		var all []string
		for _, p := range hub.Pulls(repository) {
			state := p.State
			if p.Merged {
				state = "merged"
			}
			all = append(all, fmt.Sprintf("%d %s", p.Number, state))
		}
		return same(strings.Join(all, ", "), w[0])
	})

	add(`branch is gone`, func([]string) error { return same(s.branch(), "") })
	add(`remember the branch`, func([]string) error { s.head = s.branch(); return nil })
	add(`the branch is as it was`, func([]string) error { return same(s.branch(), s.head) })
	add(`the branch has moved`, func([]string) error {
		if s.branch() == s.head {
			return fmt.Errorf("it has not")
		}
		return nil
	})

	add(`prod runs (\S+)`, func(w []string) error {
		return contains(harness.Show(s.t, s.world.Git, repository, world.ProdFile), "newTag: "+w[0]+"\n")
	})

	add(`dev runs the newest build`, func([]string) error {
		return contains(harness.Show(s.t, s.world.Git, repository, world.DevFile), s.world.Newest)
	})
}

// restart begins a new process: nothing is remembered.
func (s *story) restart() {
	if s.service != nil {
		s.service.Close()
	}

	var err error
	s.service, err = cli.NewService(cli.Build{}, []string{"--config", s.world.Config, "--applications",
		s.world.Applications}, &s.log)
	if err != nil {
		s.t.Fatal(err)
	}

	s.t.Cleanup(s.service.Close)
}

// cycle runs one; failing with a message where one is given.
func (s *story) cycle(failing string) error {
	before := s.log.Len()
	failed, err := s.service.Cycle(context.WithoutCancel(s.t.Context()))
	switch {
	case err != nil:
		return err
	case failed != (failing != ""):
		return fmt.Errorf("it failed: %v", failed)
	}

	return contains(s.log.String()[before:], failing)
}

func (s *story) pull(number string) forge.Pull {
	all := s.forge.Pulls(world.Repository)
	n, _ := strconv.Atoi(number)
	if n > len(all) {
		return forge.Pull{State: "not there"}
	}
	return all[n-1]
}

func (s *story) branch() string {
	head, _ := s.world.Git.Head(world.Repository, prodBranch)
	return head
}

func (s *story) git(args ...string) error {
	_, err := s.world.Git.Run(world.Repository, args...)
	return err
}

// edit has a colleague change the file of prod on main.
func (s *story) edit(pattern, to string) error {
	content := harness.Show(s.t, s.world.Git, world.Repository, world.ProdFile)
	edited := regexp.MustCompile(pattern).ReplaceAllString(content, to)
	return s.world.Git.Commit(world.Repository, "main", "By hand", map[string]string{world.ProdFile: edited})
}

// down has GitHub fail for some requests.
func down(which func(*http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !which(r) {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
}

func same(got, want string) error {
	if got != want {
		return fmt.Errorf("it is %q", got)
	}
	return nil
}

func contains(got, want string) error {
	if !strings.Contains(got, want) {
		return fmt.Errorf("it is %q", got)
	}
	return nil
}
