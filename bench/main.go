// Bench measures the updater in environments of several sizes: cold, with an
// update for every Application; idle; and with an update for every Application
// again. For comparison, git itself does the same git work. Bench prints the
// figures and writes them into docs/performance.md, between the two markers
// there, together with the benchmarks of the packages that decide and edit.
//
//	make bench
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/fleet"
)

func main() {
	sizes := flag.String("sizes", "100,500,2000,10000,10000/20",
		"numbers of Applications, each optionally with the KB of status of each Application: N[/KB]")
	updater := flag.String("updater", "bin/updater", "the updater to measure")
	bin := flag.String("bin", "bin", "directory of kube-apiserver and etcd, as make tools builds them")
	document := flag.String("document", "docs/performance.md", "the file to write the figures into; empty: none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	log.SetFlags(0)
	err := run(ctx, strings.Split(*sizes, ","), *updater, *bin, *document)
	stop()
	if err != nil {
		log.Fatalf("bench: %v", err)
	}
}

// result has the figures of one size.
type result struct {
	applications, status int
	cold, idle, warm     phase
	ready                time.Duration // from start to the end of the first cycle
	git                  time.Duration
	event, slowest       time.Duration // from a message to its commit: median and slowest
	events               fleet.Requests
	resident, peak       float64 // MB
}

// phase has the figures of one cycle.
type phase struct {
	took     time.Duration
	requests fleet.Requests
}

func run(ctx context.Context, sizes []string, updater, bin, document string) error {
	var results []result
	for _, size := range sizes {
		r := result{}
		if _, err := fmt.Sscanf(size+"/0", "%d/%d", &r.applications, &r.status); err != nil {
			return fmt.Errorf("--sizes: %s: %w", size, err)
		}
		fmt.Printf("%s Applications …\n", r.name())
		if err := r.measure(ctx, updater, bin); err != nil {
			return fmt.Errorf("%s Applications: %w", r.name(), err)
		}
		fmt.Print(r.lines())
		results = append(results, r)
	}

	small, err := benchmarks(ctx)
	if err != nil {
		return err
	}

	itself, err := program(ctx, updater)
	if err != nil {
		return err
	}

	small = itself + "\n" + small
	fmt.Print(small)
	if document == "" {
		return nil
	}

	return write(document, figures(results)+"\n"+small)
}

// program returns a sentence with the size of the updater, its number of packages
// and its start time.
func program(ctx context.Context, updater string) (string, error) {
	file, err := os.Stat(updater)
	if err != nil {
		return "", err
	}

	packages, err := exec.CommandContext(ctx, "go", "list", "-deps", "./cmd/updater").Output()
	if err != nil {
		return "", fmt.Errorf("go list -deps: %w", err)
	}

	const starts = 10
	begin := time.Now()
	for range starts {
		if err := exec.CommandContext(ctx,
			updater, "version").Run(); err != nil { //nolint:gosec // what the caller asks for
			return "", err
		}
	}

	return fmt.Sprintf("The program is %.0f MB, of %d packages; `updater version` takes %.2f s.\n",
		float64(file.Size())/1e6, strings.Count(string(packages), "\n"), time.Since(begin).Seconds()/starts), nil
}

var benchmark = regexp.MustCompile(`(?m)^Benchmark(\S+?)-\d+\s+\d+\s+(\d+) ns/op\s+(\d+) B/op\s+(\d+) allocs/op`)

// benchmarks runs the benchmarks of the packages that decide and edit, and returns
// a table of their results.
func benchmarks(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", ".", "-benchmem", "./internal/policy",
		"./internal/manifest", "./internal/plan").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go test -bench: %w: %s", err, out)
	}

	var b strings.Builder
	b.WriteString("| `go test -bench` | time | memory | allocations |\n| --- | ---: | ---: | ---: |\n")
	for _, m := range benchmark.FindAllStringSubmatch(string(out), -1) {
		ns, _ := strconv.ParseFloat(m[2], 64)
		bytes, _ := strconv.ParseFloat(m[3], 64)
		fmt.Fprintf(&b, "| %s | %.1f ms | %.1f MB | %s |\n", m[1], ns/1e6, bytes/1e6, m[4])
	}

	return b.String(), nil
}

// name is the name of a size in the tables.
func (r *result) name() string {
	if r.status > 0 {
		return fmt.Sprintf("%d, %d KB of status each", r.applications, r.status)
	}
	return strconv.Itoa(r.applications)
}

func (r *result) measure(ctx context.Context, updater, bin string) error {
	dir, err := os.MkdirTemp("", "image-writeback-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	f, err := fleet.New(ctx, dir, bin, fleet.Options{Applications: r.applications, Repositories: 60, Tags: 30,
		Strategy: "newest-build", History: 500, StatusKB: r.status,
		RegistryLatency: 20 * time.Millisecond, GitLatency: 30 * time.Millisecond})
	if err != nil {
		return err
	}
	defer f.Close()
	if r.git, err = gitItself(ctx, f, filepath.Join(dir, "clone"), r.applications); err != nil {
		return err
	}

	var said sandbox.Log
	service := exec.CommandContext(ctx, updater, "run", "--config", f.Config, "--kubeconfig",
		f.Kubernetes.Kubeconfig) //nolint:gosec // what the caller asks for
	service.Stdout, service.Stderr = &said, &said
	name, value := f.PubSub.Environment()
	service.Env = append(os.Environ(), name+"="+value)

	return r.measureService(ctx, f, service, &said)
}

// measureService starts the updater, whose output is said, and measures its cycles.
func (r *result) measureService(
	ctx context.Context, f *fleet.Fleet, service *exec.Cmd, said *sandbox.Log,
) (err error) {
	begin := time.Now()
	if err := service.Start(); err != nil {
		return err
	}
	defer func() { _ = service.Process.Kill(); _ = service.Wait() }()

	cycles := 0
	cycle := func() (phase, error) {
		before := f.Requests()
		if cycles > 0 {
			if err := quiet(ctx, service.Process.Pid); err != nil {
				return phase{}, err
			}
			if err := f.Touch(ctx); err != nil {
				return phase{}, err
			}
		}
		took, err := await(ctx, said, cycles+1)
		cycles++
		return phase{took, f.Requests().Since(before)}, err
	}

	if r.cold, err = cycle(); err != nil {
		return err
	}

	r.ready = time.Since(begin)
	if r.idle, err = cycle(); err != nil {
		return err
	}

	r.resident = memory(service.Process.Pid, "VmRSS")
	f.Release()
	if r.warm, err = cycle(); err != nil {
		return err
	}

	if updated, err := f.Updated(); err != nil || updated != r.applications {
		return fmt.Errorf("%d of %d manifests have the newest tag: %w", updated, r.applications, err)
	}

	if err := quiet(ctx, service.Process.Pid); err != nil {
		return err
	}

	if err := r.measureEvents(ctx, f); err != nil {
		return fmt.Errorf("%w; the updater said:\n%s", err, said.String())
	}

	r.peak = memory(service.Process.Pid, "VmHWM")

	return nil
}

// quiet waits until the updater is idle: it still creates Events for Applications
// after a cycle has ended.
func quiet(ctx context.Context, pid int) error {
	last, still := "", 0
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for still < 3 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return err
		}
		fields := strings.Fields(string(data))
		if now := strings.Join(fields[13:15], " "); now == last { // its CPU time
			still++
		} else {
			last, still = now, 0
		}
	}

	return nil
}

// messages is the number of messages that are sent, one after the other.
const messages = 50

func (r *result) measureEvents(ctx context.Context, f *fleet.Fleet) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	before := f.Requests()
	all := make([]time.Duration, messages)
	for i := range all {
		begin := time.Now()
		if err := f.ReleaseOne(ctx, i); err != nil {
			return err
		}
		all[i] = time.Since(begin)
	}

	slices.Sort(all)
	r.event, r.slowest, r.events = all[messages/2], all[messages-1], f.Requests().Since(before)

	return nil
}

var done = regexp.MustCompile(`msg="cycle done".* took=(\S+)`)

// await waits for the n-th cycle, and returns how long it took.
func await(ctx context.Context, said *sandbox.Log, n int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if all := done.FindAllStringSubmatch(said.String(), n); len(all) == n {
			return time.ParseDuration(all[n-1][1])
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("cycle %d has not ended; the updater said:\n%s", n, said)
		case <-tick.C:
		}
	}
}

// gitItself measures git doing the same git work: a shallow bare clone, a commit
// for each Application with fast-import, one push. It uses a separate branch.
func gitItself(ctx context.Context, f *fleet.Fleet, clone string, n int) (time.Duration, error) {
	var stream strings.Builder
	for i := range n {
		content := fmt.Sprintf("resources:\n- ../../base\nimages:\n- name: reg.example.com/p/app%d\n  newTag: %s\n",
			i%60, f.Newest())
		fmt.Fprintf(&stream, "commit refs/heads/bench\ncommitter Ada <ada@example.com> now\ndata 6\nUpdate\n")
		if i == 0 {
			stream.WriteString("from refs/heads/main^0\n")
		}
		fmt.Fprintf(&stream, "M 100644 inline %s/kustomization.yaml\ndata %d\n%s\n", f.Folder(i),
			len(content), content)
	}

	stream.WriteString("done\n")
	begin := time.Now()
	for _, step := range []struct {
		in   string
		args []string
	}{
		{"", []string{"clone", "--quiet", "--bare", "--depth", "1", f.Git.URLOf(fleet.Repository), clone}},
		{stream.String(), []string{"-C", clone, "fast-import", "--quiet", "--date-format=now", "--done"}},
		// CGI does not support chunked requests
		{"", []string{"-C", clone, "-c", "http.postBuffer=1000000000", "push", "--quiet", "origin", "bench"}},
	} {
		command := exec.CommandContext(ctx, "git", step.args...) //nolint:gosec // our own arguments
		command.Stdin = strings.NewReader(step.in)
		if out, err := command.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("git %s: %w: %s", step.args[0], err, out)
		}
	}

	return time.Since(begin), nil
}

// memory returns a line of a process's status, in megabytes; 0 if it is missing.
func memory(pid int, line string) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}

	for l := range strings.Lines(string(data)) {
		if fields := strings.Fields(l); len(fields) > 1 && fields[0] == line+":" {
			kilobytes, _ := strconv.ParseFloat(fields[1], 64)
			return kilobytes / 1000
		}
	}

	return 0
}

func (r *result) lines() string {
	row := func(name string, took time.Duration, q fleet.Requests) string {
		return fmt.Sprintf("  %-22s %7.2f s   registry %d × list, %d × ping; git %d × advertise, %d × fetch, %d × "+
			"push\n", name, took.Seconds(), q.List, q.Ping, q.Advertise, q.Fetch, q.Push)
	}

	return row("cold, all to update", r.cold.took, r.cold.requests) + row("idle", r.idle.took, r.idle.requests) +
		row("warm, all to update", r.warm.took, r.warm.requests) +
		row(fmt.Sprintf("%d messages, median", messages), r.event, r.events) +
		fmt.Sprintf("  %-22s %7.2f s\n  %-22s %7.2f s\n  %-22s %7.2f s\n  %-22s %7.0f MB, at most %.0f MB\n",
			"… slowest", r.slowest.Seconds(), "from start to ready", r.ready.Seconds(), "git itself", r.git.Seconds(),
			"memory, idle", r.resident, r.peak)
}

const (
	markBegin = "<!-- what make bench printed -->\n"
	markEnd   = "<!-- end -->\n"
)

// write replaces the figures in the document.
func write(document, figures string) error {
	data, err := os.ReadFile(document)
	if err != nil {
		return err
	}

	head, rest, found := strings.Cut(string(data), markBegin)
	_, tail, ended := strings.Cut(rest, markEnd)
	if !found || !ended {
		return errors.New(document + " has no markers for the figures")
	}

	text := head + markBegin + figures + markEnd + tail
	return os.WriteFile(document, []byte(text), 0o600) //nolint:gosec // the file that the caller names
}

func figures(results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s on %s, by `make bench`.\n\n", time.Now().UTC().Format("2006-01-02"), machine())
	b.WriteString("| Applications | cold, all to update | git itself | idle | warm, all to update | message to " +
		"commit: median (slowest) | from start to ready | memory, idle (at most) |\n| ---: | ---: | ---: | ---: | " +
		"---: | ---: | ---: | ---: |\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %.2f s | %.2f s | %.2f s | %.2f s | %.2f s (%.2f s) | %.1f s | %.0f MB (%.0f MB) |\n",
			r.name(), r.cold.took.Seconds(), r.git.Seconds(), r.idle.took.Seconds(), r.warm.took.Seconds(),
			r.event.Seconds(), r.slowest.Seconds(), r.ready.Seconds(), r.resident, r.peak)
	}

	fmt.Fprintf(&b, "\n| Applications | what | list | ping | advertise | fetch | push |\n| ---: | --- | ---: | "+
		"---: | ---: | ---: | ---: |\n")
	for _, r := range results {
		for _, p := range []struct {
			name string
			q    fleet.Requests
		}{{"cold", r.cold.requests}, {"idle", r.idle.requests}, {"warm",
			r.warm.requests}, {fmt.Sprintf("%d messages", messages), r.events}} {
			fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d |\n", r.name(), p.name, p.q.List, p.q.Ping,
				p.q.Advertise, p.q.Fetch, p.q.Push)
		}
	}

	results = slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.status > 0 })
	b.WriteString("\n```mermaid\nxychart-beta\n  title \"Seconds over Applications: cold, git itself, warm, idle\"\n")
	series := func(value func(result) float64) string {
		all := make([]string, len(results))
		for i, r := range results {
			all[i] = strconv.FormatFloat(math.Round(value(r)*100)/100, 'f', -1, 64)
		}
		return strings.Join(all, ", ")
	}
	names := make([]string, len(results))
	for i, r := range results {
		names[i] = strconv.Quote(r.name())
	}
	fmt.Fprintf(&b, "  x-axis [%s]\n  y-axis \"s\"\n", strings.Join(names, ", "))
	for _, value := range []func(result) float64{
		func(r result) float64 { return r.cold.took.Seconds() }, func(r result) float64 { return r.git.Seconds() },
		func(r result) float64 { return r.warm.took.Seconds() },
		func(r result) float64 { return r.idle.took.Seconds() },
	} {
		fmt.Fprintf(&b, "  line [%s]\n", series(value))
	}
	fmt.Fprintf(&b, "```\n\n```mermaid\nxychart-beta\n  title \"Requests over Applications: cold, warm, idle\"\n  "+
		"x-axis [%s]\n  y-axis \"requests\" 0 --> 80\n", strings.Join(names, ", "))
	for _, value := range []func(result) fleet.Requests{
		func(r result) fleet.Requests { return r.cold.requests },
		func(r result) fleet.Requests { return r.warm.requests },
		func(r result) fleet.Requests { return r.idle.requests },
	} {
		fmt.Fprintf(&b, "  line [%s]\n", series(func(r result) float64 { return float64(value(r).All()) }))
	}
	b.WriteString("```\n")

	return b.String()
}

// machine returns the name and the number of the processors.
func machine() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	model := regexp.MustCompile(`model name\s*:\s*(.+)`).FindSubmatch(data)
	name := "an unknown processor"
	if model != nil {
		name = strings.TrimSpace(string(model[1]))
	}

	return fmt.Sprintf("%d × %s, with all components on this machine",
		strings.Count(string(data), "processor\t"), name)
}
