// Demo runs the real updater in a world of its own on this machine: a
// container registry that lists as Google Artifact Registry does, a git server
// over HTTP, and GitHub's REST API. It prints what happens as it happens.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
)

func main() {
	updater := flag.String("updater", "bin/updater", "the updater to run")
	once := flag.Bool("once", false, "end when the story has been told")
	screens := flag.String("screens", "", "a folder: put pictures of the pages into it, taken by a browser")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	log.SetFlags(0)
	err := run(ctx, *updater, *once, *screens)
	interrupted := ctx.Err() != nil
	stop()
	if err != nil && !interrupted {
		log.Fatalf("demo: %v", err)
	}
}

// patience is how long a step of the story may take before something is wrong.
const patience = 30 * time.Second

type demo struct {
	world   *world.World
	dir     string
	updater string
	log     *sandbox.Log
}

func run(ctx context.Context, updater string, once bool, screens string) error {
	dir, err := os.MkdirTemp("", "image-writeback-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	world, err := world.New(dir)
	if err != nil {
		return err
	}
	defer world.Close()
	d := &demo{world: world, dir: dir, updater: updater, log: &sandbox.Log{}}
	d.introduce()
	if err := d.plan(ctx); err != nil {
		return err
	}

	stopped, err := d.start(ctx)
	if err != nil {
		return err
	}

	if err := d.tell(ctx); err != nil {
		_, _ = fmt.Fprint(os.Stderr, d.log)
		return err
	}

	if screens != "" {
		if err := d.takeScreens(ctx, screens); err != nil {
			return err
		}
	}

	if !once {
		d.goOn(ctx)
	}

	return stopped()
}

// heading stands out on a terminal, and is plain text elsewhere.
func heading(text string) {
	if term.IsTerminal(int(os.Stdout.Fd())) { //nolint:gosec // a file descriptor fits
		text = "\033[1m" + text + "\033[0m"
	}
	fmt.Printf("\n%s\n", text)
}

func (d *demo) introduce() {
	heading("The world of this demo, all of it on this machine")
	fmt.Printf(`  registry   %s   answers as Google Artifact Registry
  git        %s   the repository %s
  GitHub     %s   its REST API, with an App installed on that repository

  Two Argo CD Applications are annotated:
    backend-dev    newest-build of the commit hashes, committed to main at once
    backend-prod   semver ^1.0, by pull request
`, d.world.Registry.URL, d.world.Git.URL, world.Repository, d.world.GitHub.URL)
}

func (d *demo) arguments(command string, more ...string) []string {
	return append([]string{command, "--config", d.world.Config, "--applications", d.world.Applications}, more...)
}

// plan shows what the updater finds, by its own command.
func (d *demo) plan(ctx context.Context) error {
	heading("1. What it finds:  updater plan")
	command := exec.CommandContext(ctx, d.updater, d.arguments("plan")...)
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("updater plan: %w", err)
	}

	fmt.Print(indent(string(out)))

	return nil
}

// start runs the updater as a service; the function it returns stops it.
func (d *demo) start(ctx context.Context) (stop func() error, _ error) {
	heading("2. It runs:  updater run")
	command := exec.CommandContext(context.WithoutCancel(ctx), d.updater, d.arguments("run")...)
	command.Stderr = d.log
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting the updater: %w", err)
	}

	return func() error {
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		if err := command.Wait(); err != nil {
			return fmt.Errorf("updater run: %w", err)
		}
		fmt.Println("\nThe updater was asked to stop, and ended with status 0.")
		return nil
	}, nil
}

func (d *demo) tell(ctx context.Context) error {
	git := d.world.Git
	before, err := git.Head(world.Repository, "main")
	if err != nil {
		return err
	}

	// The first cycle may have been faster than this question.
	if subjects, err := git.Subjects(world.Repository, "main"); err == nil && len(subjects) > 1 {
		before = ""
	}

	if err := d.showCommit(ctx, "The new build is on main, for dev. git show:", before); err != nil {
		return err
	}

	if err := d.showPull(ctx); err != nil {
		return err
	}

	heading("4. CI pushes another build")
	if before, err = git.Head(world.Repository, "main"); err != nil {
		return err
	}

	fmt.Printf("  pushed %s:%s\n", world.Image, d.world.Build())

	return d.showCommit(ctx, "The next commit, without a restart. git show:", before)
}

// showCommit waits until main has left a commit, and shows the new one.
func (d *demo) showCommit(ctx context.Context, title, before string) error {
	start := time.Now()
	err := await(ctx, "a commit on main", func() (bool, error) {
		head, err := d.world.Git.Head(world.Repository, "main")
		return head != before, err
	})

	if err != nil {
		return err
	}

	shown, err := d.world.Git.Run(world.Repository, "show", "refs/heads/main")
	if err != nil {
		return err
	}

	fmt.Printf("\n  %s (%.1f s)\n\n%s", title, time.Since(start).Seconds(), indent(shown))

	return nil
}

func (d *demo) showPull(ctx context.Context) error {
	var pull forge.Pull
	err := await(ctx, "a pull request", func() (bool, error) {
		pulls := d.world.GitHub.Pulls(world.Repository)
		if len(pulls) > 0 {
			pull = pulls[0]
		}
		return len(pulls) > 0, nil
	})

	if err != nil {
		return err
	}

	diff, err := d.world.Git.Run(world.Repository, "diff", "refs/heads/"+pull.Base+"..."+"refs/heads/"+pull.Head)
	if err != nil {
		return err
	}

	heading("3. The new release waits in a pull request, for prod")
	fmt.Printf("  #%d %s\n  %s\n  from %s into %s\n\n%s", pull.Number, pull.Title, pull.URL, pull.Head,
		pull.Base, indent(diff))
	return nil
}

// goOn keeps the world for a person to look around in.
func (d *demo) goOn(ctx context.Context) {
	heading("It goes on until you press Ctrl-C")
	fmt.Printf("  Open the pull request:   %s/%s/pull/1\n  Look at the history:     git -C %s log --patch main\n  "+
		"Push another build:      press Enter\n",
		d.world.GitHub.URL, world.Repository, filepath.Join(d.dir, "git", world.Repository+".git"))
	lines := make(chan struct{})
	go func() {
		for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); {
			lines <- struct{}{}
		}
	}()

	for {
		select {
		case <-ctx.Done():
			return
		case <-lines:
			before, err := d.world.Git.Head(world.Repository, "main")
			if err != nil {
				log.Print(err)
				continue
			}
			fmt.Printf("  pushed %s\n", d.world.Build())
			if err := d.showCommit(ctx, "git show:", before); err != nil {
				log.Print(err)
			}
		}
	}
}

// await asks until something is there.
func await(ctx context.Context, what string, there func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := there()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("timed out waiting for " + what + "; the updater's log follows")
		case <-ticker.C:
		}
	}
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ") + "\n"
}
