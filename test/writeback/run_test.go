package writeback

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	sandboxregistry "github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

// TestACacheFolderThatIsNone has a file where git.cacheDir should be: everything is done
// in memory, with a word.
func TestACacheFolderThatIsNone(t *testing.T) {
	w := harness.NewWorld(t)
	file := harness.Write(t, filepath.Join(t.TempDir(), "cache"), "")
	harness.Edit(t, w.Config, "git:\n", "git:\n  cacheDir: "+file+"\n")
	got := harness.Run(t, harness.In(w, "run", "--once")...).MustEnd(t, 0)
	if commits := harness.Commits(t, w.Git, world.Repository); len(commits) != 2 {
		t.Errorf("commits: %q", commits)
	}
	for _, want := range []string{
		"git.cacheDir: what is known about images cannot be kept there", "its mirror cannot be used",
		"it is in memory until the next start; check git.cacheDir",
	} {
		if strings.Count(got.Stderr, want) != 1 {
			t.Errorf("%q is not said once:\n%s", want, got.Stderr)
		}
	}
}

// TestTheMainJob is the story of the README: a dev commit and a prod pull
// request, then nothing more to do, in a second run with git.cacheDir.
func TestTheMainJob(t *testing.T) {
	w := harness.NewWorld(t)
	harness.Edit(t, w.Config, "git:\n", "git:\n  cacheDir: "+t.TempDir()+"\n")
	harness.Run(t, harness.In(w, "run", "--once")...).MustEnd(t, 0)
	if got := harness.Commits(t, w.Git, world.Repository); len(got) != 2 ||
		got[0] != "build: automatic update of backend-dev" {
		t.Errorf("commits: %q", got)
	}

	diff, err := w.Git.Run(world.Repository, "show", "--format=", "--unified=0", "main")
	if err != nil || strings.Count(diff, "\n+ ") != 1 || strings.Count(diff, "\n- ") != 1 ||
		!strings.Contains(diff, "# the newest build of main") {
		t.Errorf("the dev commit (%v):\n%s", err, diff)
	}

	pulls := w.GitHub.Pulls(world.Repository)
	if len(pulls) != 1 || pulls[0].Title != "backend-prod: server v1.2.3 → v1.3.0" || pulls[0].State != "open" ||
		pulls[0].Base != "main" {
		t.Fatalf("pull requests: %+v", pulls)
	}

	diff, err = w.Git.Run(world.Repository, "diff", "--unified=0", "main^", pulls[0].Head)
	if err != nil || !strings.Contains(diff, "-  newTag: v1.2.3\n+  newTag: v1.3.0\n") ||
		strings.Count(diff, "@@") != 2 {
		t.Errorf("the prod pull request (%v):\n%s", err, diff)
	}

	fetches, pushes := w.Git.Count("fetch"), w.Git.Count("push")
	second := harness.Run(t, harness.In(w, "run", "--once")...).MustEnd(t, 0)
	if w.Git.Count("fetch") != fetches || w.Git.Count("push") != pushes ||
		len(w.GitHub.Pulls(world.Repository)) != 1 {
		t.Errorf("the second run: %d fetches, %d pushes, %d pull requests\n%s", w.Git.Count("fetch")-fetches,
			w.Git.Count("push")-pushes,
			len(w.GitHub.Pulls(world.Repository)), second.Stderr)
	}

	if !strings.Contains(second.Stderr, "waits on branch image-writeback/argocd/backend-prod") {
		t.Errorf("the second run does not say what it waits for:\n%s", second.Stderr)
	}

	// Merged: the Application is up to date, and the next release opens another.
	if err := w.GitHub.ClosePull(world.Repository, 1, true); err != nil {
		t.Fatal(err)
	}

	harness.Run(t, harness.In(w, "run", "--once")...).MustEnd(t, 0)
	w.Build("v1.4.0")
	harness.Run(t, harness.In(w, "run", "--once")...).MustEnd(t, 0)
	if pulls := w.GitHub.Pulls(world.Repository); len(pulls) != 2 ||
		pulls[1].Title != "backend-prod: server v1.3.0 → v1.4.0" {
		t.Errorf("pull requests: %+v", pulls)
	}
}

// TestTheService runs the real program: a new build becomes a commit without
// a restart, an idle cycle fetches nothing, and SIGTERM ends it with status 0.
func TestTheService(t *testing.T) {
	w := harness.NewWorld(t)
	harness.Edit(t, w.Config, "interval: 1s", "interval: 50ms")
	binary := harness.Program(t)
	var stderr bytes.Buffer
	command := exec.Command(binary, harness.In(w, "run")...)
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = command.Process.Kill() }()
	harness.Await(t, "the pull request", func() bool { return len(w.GitHub.Pulls(world.Repository)) == 1 })
	build := w.Build()
	harness.Await(t, "the next commit", func() bool {
		return strings.Contains(harness.Show(t, w.Git, world.Repository, world.DevFile), build)
	})

	fetches, advertised := w.Git.Count("fetch"), w.Git.Count("advertise")
	harness.Await(t, "three idle cycles", func() bool { return w.Git.Count("advertise") >= advertised+3 })
	if w.Git.Count("fetch") != fetches || len(harness.Commits(t, w.Git, world.Repository)) != 3 {
		t.Errorf("%d fetches in idle cycles, %d commits", w.Git.Count("fetch")-fetches,
			len(harness.Commits(t, w.Git, world.Repository)))
	}

	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}

	if err := command.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, stderr.String())
	}

	if n := strings.Count(stderr.String(), "waits on branch"); n != 1 {
		t.Errorf("the same reason was logged %d times:\n%s", n, stderr.String())
	}

	if strings.Contains(stderr.String(), w.GitHub.Token()) {
		t.Error("the log holds the token")
	}
}

// TestKilledAtAnyMoment kills the program at many moments of its first cycle;
// in the end each update is there once.
func TestKilledAtAnyMoment(t *testing.T) {
	w := harness.NewWorld(t)
	harness.Edit(t, w.Config, "git:\n", "git:\n  cacheDir: "+t.TempDir()+"\n")
	binary := harness.Program(t)
	for i := range 15 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(40+i*25)*time.Millisecond)
		_ = exec.CommandContext(ctx, binary, harness.In(w, "run", "--once")...).Run() // killed, or done
		cancel()
	}

	if out, err := exec.Command(binary, harness.In(w, "run", "--once")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	if got := harness.Commits(t, w.Git, world.Repository); len(got) != 2 {
		t.Errorf("commits: %q", got)
	}

	if pulls := w.GitHub.Pulls(world.Repository); len(pulls) != 1 {
		t.Errorf("pull requests: %+v", pulls)
	}
}

// fleet is many Applications over fewer image repositories, in one git repository.
func fleet(t *testing.T, applications, images int) (git *git.Server, registry *sandboxregistry.Server,
	args []string) {
	t.Helper()
	git = harness.NewGit(t)
	registry = harness.NewRegistry(t)
	for i := range images {
		created := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		repository := fmt.Sprintf("p/team/app%d", i)
		registry.Push(repository, sandboxregistry.Build{Created: created}, "v1.0.0")
		registry.Push(repository, sandboxregistry.Build{Created: created.Add(time.Hour)}, "v1.1.0", "latest")
	}
	files := map[string]string{}
	var manifests strings.Builder
	for i := range applications {
		name, folder := fmt.Sprintf("app-%03d", i), fmt.Sprintf("apps/app-%03d/overlays/dev", i)
		image := fmt.Sprintf("%s/p/team/app%d", registry.Host(), i%images)
		files[folder+"/kustomization.yaml"] = fmt.Sprintf("resources:\n- ../../base\nimages:\n- name: %s\n  "+
			"newTag: v1.0.0\n", image)
		url := git.URLOf("o/fleet")
		if i%2 == 1 { // another spelling of the same repository
			url = strings.TrimSuffix(url, ".git") + "/"
		}
		manifests.WriteString(harness.Manifest(name, url, folder, "image-list: app="+image+":^1.0"))
	}
	if err := git.Create("o/fleet", true, files); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := harness.Write(t, filepath.Join(dir, "config.yaml"), sandbox.Network+
		"registries: [{prefix: "+registry.Host()+", api_url: "+registry.URL+", limit: 1000}]\n")
	return git, registry, []string{"run", "--once", "--config", config, "--applications",
		harness.Write(t, filepath.Join(dir, "apps.yaml"), manifests.String())}
}

func TestTwoHundredApplications(t *testing.T) {
	git, registry, args := fleet(t, 200, 20)
	harness.Run(t, args...).MustEnd(t, 0)
	if registry.Count("list") != 20 || registry.Count("manifest") != 0 || git.Count("fetch") > 2 ||
		git.Count("push") != 1 {
		t.Errorf("%d lists, %d manifests, %d fetches, %d pushes", registry.Count("list"), registry.Count("manifest"),
			git.Count("fetch"), git.Count("push"))
	}

	got := harness.Commits(t, git, "o/fleet")
	if len(got) != 201 {
		t.Errorf("%d commits", len(got)-1)
	}

	t.Logf("%d registry list requests, %d fetch requests, %d push, %d commits", registry.Count("list"),
		git.Count("fetch"), git.Count("push"), len(got)-1)
	if out, err := git.Run("o/fleet", "fsck", "--strict"); err != nil {
		t.Errorf("fsck: %s %v", out, err)
	}

	// Each commit changes one line of one file.
	stat, err := git.Run("o/fleet", "log", "--format=", "--numstat", "-200", "main")
	if err != nil || strings.Count(stat, "1\t1\t") != 200 {
		t.Errorf("%v\n%s", err, stat)
	}
}

// TestTwoUpdatersAtOnce runs two of them on the same Applications, beside a
// person: every update lands once, and nothing of anybody is lost.
func TestTwoUpdatersAtOnce(t *testing.T) {
	git, _, args := fleet(t, 60, 5)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			if got := harness.RunUntil(t.Context(), args...); got.Status != 0 {
				t.Errorf("status %d\n%s", got.Status, got.Stderr)
			}
		})
	}

	const byHand = 20
	group.Go(func() {
		for i := range byHand {
			var err error
			for range 100 { // fast-import refuses to drop what came in between
				if err = git.Commit("o/fleet", "main", fmt.Sprintf("By hand %d", i),
					map[string]string{"hand": fmt.Sprint(i)}); err == nil {
					break
				}
			}
			if err != nil {
				t.Error(err)
			}
		}
	})

	group.Wait()
	count := map[string]int{}
	for _, subject := range harness.Commits(t, git, "o/fleet") {
		count[subject]++
	}

	for i := range 60 {
		if n := count[fmt.Sprintf("build: automatic update of app-%03d", i)]; n != 1 {
			t.Errorf("app-%03d has %d commits", i, n)
		}
	}

	for i := range byHand {
		if count[fmt.Sprintf("By hand %d", i)] != 1 {
			t.Errorf("the person's commit %d is not there", i)
		}
	}
}

func TestInterrupted(t *testing.T) {
	w := harness.NewWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	harness.RunUntil(ctx, harness.In(w, "run", "--once")...).MustEnd(t, 130)
}

func TestDryRunWritesNothing(t *testing.T) {
	w := harness.NewWorld(t)
	got := harness.Run(t, harness.In(w, "run", "--once", "--dry-run")...).MustEnd(t, 0)
	if strings.Count(got.Stderr, "would be updated") != 2 || w.Git.Count("push") != 0 ||
		len(w.GitHub.Pulls(world.Repository)) != 0 {
		t.Errorf("%d pushes\n%s", w.Git.Count("push"), got.Stderr)
	}
}

func TestFlagsBeatTheEnvironment(t *testing.T) {
	w := harness.NewWorld(t)
	t.Setenv("IMAGE_WRITEBACK_CONFIG", w.Config)
	t.Setenv("IMAGE_WRITEBACK_APPLICATIONS", w.Applications)
	t.Setenv("IMAGE_WRITEBACK_LOG_FORMAT", "json")
	if got := harness.Run(t, "run", "--once", "--dry-run").MustEnd(t, 0); !strings.Contains(got.Stderr,
		`"msg":"cycle done"`) {
		t.Errorf("the environment is not read:\n%s", got.Stderr)
	}

	if got := harness.Run(t, "run", "--once", "--dry-run", "--log-format", "text").MustEnd(t, 0); !strings.Contains(
		got.Stderr, `msg="cycle done"`) {
		t.Errorf("the flag does not beat it:\n%s", got.Stderr)
	}

	t.Setenv("IMAGE_WRITEBACK_DRY_RUN", "maybe")
	if got := harness.Run(t, "run", "--once").MustEnd(t, 2); !strings.Contains(got.Stderr,
		"IMAGE_WRITEBACK_DRY_RUN") {
		t.Errorf("stderr: %s", got.Stderr)
	}
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	bad := harness.Write(t, filepath.Join(dir, "bad.yaml"), "intervall: 1m\ngit: {commits: all}\n")
	hub := harness.Write(t, filepath.Join(dir, "hub.yaml"), "github: {app: {id: 1, privateKeyFile: "+bad+"}}\n")
	api := harness.Write(t, filepath.Join(dir, "api.yaml"),
		"git: {commitVia: github-api}\ngithub: {tokenFile: "+bad+"}\n")
	apps := harness.Write(t, filepath.Join(dir, "apps.yaml"), "{}")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"runn"}, `unknown command "runn"`},
		{[]string{"run", "--onc"}, "unknown flag: --onc"},
		{[]string{"run", "--once", "--log-level", "loud"}, "use debug, info, warn or error"},
		{[]string{"run", "--once", "--config", filepath.Join(dir, "none.yaml")}, "none.yaml: no such file"},
		{[]string{"run", "--once", "--config", bad, "--applications", apps},
			"bad.yaml:1: unknown key intervall; did you mean interval?"},
		{[]string{"run", "--once", "--config", hub, "--applications", apps}, "does not hold an RSA private key"},
		{[]string{"run", "--once", "--config", api, "--applications", apps, "--git-commit-user", "ada"},
			"leave out --git-commit-user"},
		{[]string{"run", "--once"}, "--applications"},
		{[]string{"plan", "-o", "xml"}, "use table, json or yaml"},
		{[]string{"explain"}, "accepts 1 arg"},
		{[]string{"test", "Nginx"}, "invalid image reference"},
		{[]string{"test", "nginx", "--allow-tags", "v"}, "--allow-tags"},
		{[]string{"test", "nginx:^one"}, "is not a version range"},
	} {
		if got := harness.Run(t, c.args...); got.Status != 2 || !strings.Contains(got.Stderr, c.want) ||
			got.Stdout != "" {
			t.Errorf("%q: status %d, stdout %q, stderr %q; want %q", c.args, got.Status, got.Stdout,
				got.Stderr, c.want)
		}
	}

	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a file was made")
	}
}

// TestATagThatVanishesForAMoment has a registry that leaves a tag out of its list for some
// cycles: the pull request that proposes it stays, with the reason, and is the same when
// the tag is back.
func TestATagThatVanishesForAMoment(t *testing.T) {
	w := harness.NewWorld(t)
	config := strings.Replace(harness.ReadFile(t, w.Config), "interval: ", "interval: 300ms # ", 1)
	if !strings.Contains(config, "300ms") {
		config = "interval: 300ms\n" + config
	}
	service := harness.Serve(t, config, "--applications", w.Applications)
	harness.Await(t, "the pull request", func() bool { return len(w.GitHub.Pulls(world.Repository)) == 1 })

	show := w.Registry.Hide(strings.TrimPrefix(world.Image, "asia-northeast2-docker.pkg.dev/"), "v1.3.0")
	service.Says("waits for tag v1.3.0, which was chosen and is missing from the list since ", 1)
	lists := w.Registry.Count("list")
	harness.Await(t, "more cycles", func() bool { return w.Registry.Count("list") > lists+4 })
	show()
	lists = w.Registry.Count("list")
	harness.Await(t, "more cycles", func() bool { return w.Registry.Count("list") > lists+4 })

	if pulls := w.GitHub.Pulls(world.Repository); len(pulls) != 1 || pulls[0].State != "open" {
		t.Errorf("pull requests: %+v", pulls)
	}
}
