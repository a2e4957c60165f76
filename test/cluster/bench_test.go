package cluster

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/fleet"
	"github.com/liverty-music/image-writeback/test/harness"
)

// BenchmarkTenThousandApplications runs the service on a real API server with
// 10,000 Applications, each with a status of 20 KB, in one git repository. It
// prints the time of the first cycle, the resident memory once it has ended,
// and the highest that there was before.
func BenchmarkTenThousandApplications(b *testing.B) {
	const applications = 10_000
	f, err := fleet.New(context.Background(), b.TempDir(), "../../bin", fleet.Options{Applications: applications,
		Repositories: 100, Tags: 1, Strategy: "semver", StatusKB: 20, UpToDate: true})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	binary := harness.Program(b)
	for b.Loop() {
		var log sandbox.Log
		command := exec.Command(binary, "run", "--config", f.Config, "--kubeconfig",
			f.Kubernetes.Kubeconfig) //nolint:gosec // what was built above
		command.Stdout, command.Stderr = &log, &log
		begin := time.Now()
		if err := command.Start(); err != nil {
			b.Fatal(err)
		}
		harness.AwaitWithin(b, 5*time.Minute, "the first cycle",
			func() bool { return strings.Contains(log.String(), "cycle done") })
		b.ReportMetric(time.Since(begin).Seconds(), "s/first-cycle")
		b.ReportMetric(harness.Resident(b, command.Process.Pid, "VmRSS"), "MB-resident")
		b.ReportMetric(harness.Resident(b, command.Process.Pid, "VmHWM"), "MB-peak")
		if n := strings.Count(log.String(), "image is up to date"); n != applications {
			b.Errorf("%d Applications are up to date", n)
		}
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
	}
}
