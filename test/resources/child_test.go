package resources

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/test/harness"
)

// What the program may use, and what it must never hold, in megabytes.
const (
	memory      = "256MiB"
	maxResident = 400
)

// child is the program while it runs.
type child struct {
	t     *testing.T
	begin time.Time
	log   sandbox.Log

	process *os.Process
}

// startChild starts the program; the test's end kills it.
func startChild(t *testing.T, args ...string) *child {
	t.Helper()
	c := &child{t: t}
	command := exec.Command(harness.Program(t), args...) //nolint:gosec // what was built
	command.Env = append(os.Environ(), "GOMEMLIMIT="+memory, "TMPDIR="+t.TempDir())
	command.Stdout, command.Stderr = &c.log, &c.log
	c.begin = time.Now()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c.process = command.Process
	t.Cleanup(func() {
		_ = c.process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("the log of the program:\n%s", c.log.String())
		}
	})

	return c
}

// await waits for what the program brings about, as long as it holds no more than it
// may.
func (c *child) await(within time.Duration, what string, there func() bool) {
	c.t.Helper()
	c.awaitOr(within, what, there, func() {})
}

// awaitOr is [child.await] with something to do if it was in vain.
func (c *child) awaitOr(within time.Duration, what string, there func() bool, vain func()) {
	c.t.Helper()
	ok := false
	defer func() {
		if !ok {
			vain()
		}
	}()
	harness.AwaitWithin(c.t, within, what, func() bool {
		c.resident()
		ok = there()

		return ok
	})
}

// resident is the most memory that the program has held so far, in megabytes. It ends
// the test if that is too much.
func (c *child) resident() float64 {
	c.t.Helper()
	most := harness.Resident(c.t, c.process.Pid, "VmHWM")
	if most > maxResident {
		c.t.Fatalf("%.0f MB are resident, %s after the start", most, time.Since(c.begin).Round(time.Millisecond))
	}

	return most
}

// errorsOf are the errors that the program has logged of an Application.
func (c *child) errorsOf(application string) (own []string) {
	for line := range strings.Lines(c.log.String()) {
		if strings.Contains(line, "application=argocd/"+application+" ") && strings.Contains(line, "level=ERROR") {
			own = append(own, strings.ReplaceAll(line, `\"`, `"`))
		}
	}

	return own
}
