// Package harness runs the updater for the tests of the whole program: a command
// line in the process of the test ([Run], [Serve]) or the built program ([Program]),
// in a world of the sandbox ([NewWorld]). Its paths are relative to the folder of
// such a test, two levels below the root. Do not use it to test a single package.
package harness

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/liverty-music/image-writeback/internal/cli"
	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// Root is the root of the module, and Bin what "make tools" builds.
const (
	Root = "../.."
	Bin  = Root + "/bin"
)

// Result is what a command line did.
type Result struct {
	Status         int
	Stdout, Stderr string
}

// Run executes a command line as the program does.
func Run(t *testing.T, args ...string) Result {
	t.Helper()
	return RunUntil(t.Context(), args...)
}

// RunUntil executes a command line, and interrupts it once ctx ends.
func RunUntil(ctx context.Context, args ...string) Result {
	var stdout, stderr bytes.Buffer
	status := cli.Execute(ctx, cli.Build{}, args, &stdout, &stderr)

	return Result{status, stdout.String(), stderr.String()}
}

// MustEnd ends the test unless the command line ended with a status.
func (r Result) MustEnd(t *testing.T, status int) Result {
	t.Helper()
	if r.Status != status {
		t.Fatalf("status %d, want %d\nstdout:\n%s\nstderr:\n%s", r.Status, status, r.Stdout, r.Stderr)
	}

	return r
}

// Go runs a command line until ctx ends. The channel gets its status.
func Go(ctx context.Context, log *sandbox.Log, args ...string) <-chan int {
	ended := make(chan int, 1)
	go func() { ended <- cli.Execute(ctx, cli.Build{}, args, log, log) }()

	return ended
}

// programDir holds the built program, for tests that signal or kill it.
var programDir string

// Main is the TestMain of packages that use [Program].
func Main(m *testing.M) int {
	var err error
	if programDir, err = os.MkdirTemp("", "updater-test-"); err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(programDir) }()

	return m.Run()
}

// build builds it as "make build" does, so that the build cache serves both.
var build = sync.OnceValues(func() ([]byte, error) {
	command := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(programDir, "updater"),
		Root+"/cmd/updater")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")

	return command.CombinedOutput()
})

// Program is the file of the program, which is built when it is first asked for.
func Program(t testing.TB) string {
	t.Helper()
	if programDir == "" {
		t.Fatal("this package needs a TestMain with harness.Main")
	}

	if out, err := build(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	return filepath.Join(programDir, "updater")
}
