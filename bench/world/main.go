// World starts an environment for any updater: a real Kubernetes API server with
// many Applications, a registry that lists tags as Google Artifact Registry does,
// and git over HTTP. The registry and git respond with the given latency. World
// prints the addresses; at the end, or after the given command has ended, it
// prints a table of requests, time and memory.
//
//	go run ./bench/world --applications 500 -- updater run --once
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox/fleet"
)

func main() {
	var o fleet.Options
	flag.IntVar(&o.Applications, "applications", 500, "how many Applications")
	flag.IntVar(&o.Repositories, "repositories", 60, "number of image repositories that the Applications share")
	flag.IntVar(&o.Tags, "tags", 30, "number of tags of each image repository")
	flag.DurationVar(&o.RegistryLatency, "registry-latency", 20*time.Millisecond,
		"delay of each response of the registry")
	flag.DurationVar(&o.GitLatency, "git-latency", 30*time.Millisecond, "delay of each response of git")
	flag.StringVar(&o.Strategy, "strategy", "newest-build", "newest-build, semver or alphabetical")
	flag.IntVar(&o.History, "history", 500, "number of commits in the git repository")
	flag.IntVar(&o.StatusKB, "status", 0, "size of each Application's status in KB")
	flag.IntVar(&o.PerFolder, "per-folder", 50, "number of Applications whose folders share one parent folder")
	bin := flag.String("bin", "bin", "directory of kube-apiserver and etcd, as make tools builds them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	log.SetFlags(0)
	err := run(ctx, o, *bin, flag.Args())
	stop()
	if err != nil {
		log.Fatalf("world: %v", err)
	}
}

func run(ctx context.Context, o fleet.Options, bin string, command []string) error {
	dir, err := os.MkdirTemp("", "image-writeback-world-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Printf("creating an environment with %d Applications …\n", o.Applications)
	f, err := fleet.New(ctx, dir, bin, o)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Printf("  kubeconfig     %s\n  registry       %s   images are named reg.example.com/p/appN\n  git         "+
		"   %s\n  configuration  %s\n", f.Kubernetes.Kubeconfig, f.Registry.URL, f.Git.URLOf(
		fleet.Repository), f.Config)
	emulator, address := f.PubSub.Environment()
	fmt.Printf("  %s=%s\n", emulator, address)
	begin := time.Now()
	var usage *syscall.Rusage
	if len(command) == 0 {
		fmt.Println("\nCtrl-C ends it.")
		<-ctx.Done()
	} else {
		c := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // what the caller asks for
		c.Env = append(os.Environ(), "KUBECONFIG="+f.Kubernetes.Kubeconfig, emulator+"="+address,
			"IMAGE_WRITEBACK_CONFIG="+f.Config)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		usage, _ = c.ProcessState.SysUsage().(*syscall.Rusage)
	}

	elapsed := time.Since(begin)
	r := f.Requests()
	updated, err := f.Updated()
	if err != nil {
		updated = 0
	}

	fmt.Printf("\n  time             %.2f s\n", elapsed.Seconds())
	if usage != nil {
		cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		fmt.Printf("  CPU              %.2f s\n  memory           %d MB at most\n", cpu.Seconds(), usage.Maxrss/1000)
	}

	fmt.Printf("  registry         %d × list, %d × ping, %d × manifest\n  git              %d × advertise, %d × "+
		"fetch, %d × push\n  manifests        %d of %d have the newest tag\n",
		r.List, r.Ping, r.Manifest, r.Advertise, r.Fetch, r.Push, updated, o.Applications)
	return nil
}
