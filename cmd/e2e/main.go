// E2e runs the whole workflow once, with every part real: Kubernetes, Argo CD,
// the chart installed by helm, the updater with the rights that the chart
// grants, a registry and a git server. A new image becomes a commit, and Argo
// CD brings it live. Only containers do not run: kwok reports that they do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
	"github.com/liverty-music/image-writeback/internal/sandbox/kube"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
)

func main() {
	bin := flag.String("bin", "bin", "folder of the programs that make builds")
	flag.Parse()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *bin)
	stop()
	if err != nil {
		log.Fatalf("e2e: %v", err)
	}

	fmt.Println("\nThe end: everything happened as told.")
}

// patience is how long a step of the story may take before something is wrong.
const patience = 2 * time.Minute

// application follows every build of main, for dev. Argo CD brings live
// whatever git says.
const application = `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: backend-dev
  namespace: argocd
  annotations:
    argocd-image-updater.argoproj.io/image-list: server=` + world.Image + `
    argocd-image-updater.argoproj.io/server.update-strategy: newest-build
    argocd-image-updater.argoproj.io/server.allow-tags: regexp:^[0-9a-f]{40}$
spec:
  project: default
  source:
    repoURL: %s
    targetRevision: main
    path: k8s/namespaces/backend/overlays/dev
  destination: {server: https://kubernetes.default.svc, namespace: backend}
  syncPolicy:
    automated: {prune: true, selfHeal: true}
    syncOptions: [CreateNamespace=true]
`

// gitLogin lets Argo CD read the repository.
const gitLogin = `apiVersion: v1
kind: Secret
metadata:
  name: cloud-provisioning
  namespace: argocd
  labels: {argocd.argoproj.io/secret-type: repository}
stringData: {type: git, url: %q, username: x-access-token, password: %q}
`

// values are those of the chart beside the three that every set-up needs: the
// servers of this story instead of Google's and GitHub's, and shorter waits.
// Its own pod is not wanted, since no container runs here.
const values = `replicas: 0
config:
  ` + sandbox.Network + `  interval: 2s
  web: {listen: %q}
  registries: [{name: GAR Osaka, prefix: asia-northeast2-docker.pkg.dev, api_url: %q}]
  github: {apiURL: %q}
  leaderElection: {leaseDuration: 3s}
`

type story struct {
	dir, bin string
	world    *world.World
	cluster  *kube.Cluster
	argo     *kube.ArgoCD
	log      sandbox.Log // of the updater
	begin    time.Time   // of the chapter
	number   int
}

func run(ctx context.Context, bin string) (err error) {
	dir, err := os.MkdirTemp("", "image-writeback-e2e-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s := &story{dir: dir, bin: bin}
	defer func() {
		if err != nil && ctx.Err() == nil {
			s.confess()
		}
	}()

	s.chapter("The parts start, all of them on this machine")
	if s.world, err = world.New(dir); err != nil {
		return err
	}
	defer s.world.Close()
	s.tell("registry    answers as Google Artifact Registry; the newest build of main is there")
	s.tell("git         %s, on a GitHub of its own", world.Repository)
	cluster := filepath.Join(dir, "cluster")
	if err = os.Mkdir(cluster, 0o750); err != nil {
		return err
	}

	if s.cluster, err = kube.New(ctx, cluster, bin); err != nil {
		return err
	}
	defer s.cluster.Close()
	s.tell("Kubernetes  API server and etcd")
	argo := filepath.Join(dir, "argocd")
	if err = os.Mkdir(argo, 0o750); err != nil {
		return err
	}

	if s.argo, err = kube.NewArgoCD(ctx, argo, s.cluster); err != nil {
		return err
	}
	defer s.argo.Close()
	s.tell("Argo CD     repository server and application controller; Kubernetes' own controllers")

	return s.tellAll(ctx)
}

func (s *story) tellAll(ctx context.Context) error {
	stop, err := s.install(ctx)
	if err != nil {
		return err
	}

	s.chapter("An annotated Application is applied")
	url := s.world.Git.URLOf(world.Repository)
	if err := s.apply(fmt.Sprintf(gitLogin, url, s.world.GitHub.Token())); err != nil {
		return err
	}

	if err := s.apply(fmt.Sprintf(application, url)); err != nil {
		return err
	}

	s.tell("$ kubectl apply -f backend-dev.yaml")
	if err := s.await(ctx, "Argo CD to bring live what git says", func() bool { return s.live() != "" }); err != nil {
		return err
	}

	s.tell("Argo CD     has synced what git said, server:%s", s.live())
	newest := s.world.Newest
	if err := s.follow(ctx, newest); err != nil {
		return err
	}

	s.chapter("Nothing is new")
	if err := s.idle(ctx); err != nil {
		return err
	}

	s.chapter("CI pushes a newer build")
	newest = s.world.Build()
	s.tell("pushed      server:%s", newest)
	if err := s.follow(ctx, newest); err != nil {
		return err
	}

	shown, err := s.world.Git.Run(world.Repository, "log", "--format=%h %an: %s", "refs/heads/main")
	if err != nil {
		return err
	}

	s.chapter("What git says in the end")
	fmt.Print(indent(shown))

	return stop()
}

// install installs the chart with helm, and starts the updater as its pod
// would: with its configuration, and as its ServiceAccount.
func (s *story) install(ctx context.Context) (stop func() error, _ error) {
	s.chapter("Image Writeback is installed")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	address := listener.Addr().String()
	_ = listener.Close()
	file := filepath.Join(s.dir, "values.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, values, address, s.world.Registry.URL,
		s.world.GitHub.URL+"/"), 0o600); err != nil {
		return nil, err
	}

	key := filepath.Join(s.dir, "app.pem")
	if _, err := s.cluster.Run("kubectl", "-n", "argocd", "create", "secret", "generic", "image-writeback-github",
		"--from-file=privateKey="+key); err != nil {
		return nil, err
	}

	three := fmt.Sprintf(
		"github.app.id=%d,github.app.installationID=%d,github.app.privateKeySecret=image-writeback-github",
		forge.AppID, forge.InstallationID)
	if _, err := s.cluster.Run("helm", "install", "image-writeback", "charts/image-writeback", "--namespace",
		"argocd", "--values", file, "--set", three); err != nil {
		return nil, err
	}

	s.tell("$ kubectl -n argocd create secret generic image-writeback-github --from-file=privateKey=app.pem")
	s.tell("$ helm install image-writeback charts/image-writeback -n argocd --set %s", three)

	return s.start(ctx, key)
}

// start runs the updater with the chart's configuration and the App's key from a file.
func (s *story) start(ctx context.Context, key string) (stop func() error, _ error) {
	config, err := s.cluster.Run("kubectl", "-n", "argocd", "get", "configmap", "image-writeback", "-o",
		"jsonpath={.data.config\\.yaml}")
	if err != nil {
		return nil, err
	}

	file := filepath.Join(s.dir, "updater.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(config, "/etc/image-writeback/github/privateKey", key, 1)),
		0o600); err != nil {
		return nil, err
	}

	kubeconfig, err := s.cluster.KubeconfigOf(ctx, "argocd", "image-writeback")
	if err != nil {
		return nil, err
	}

	command := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(s.bin, "updater"), "run", "--config",
		file, "--kubeconfig", kubeconfig)
	command.Stderr = &s.log
	if err := command.Start(); err != nil {
		return nil, err
	}

	if err := s.await(ctx, "the updater's first cycle", func() bool { return s.said("cycle done") > 0 }); err != nil {
		return nil, err
	}

	s.tell("updater     runs with the chart's configuration, as the chart's ServiceAccount")
	return func() error {
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		if err := command.Wait(); err != nil {
			return fmt.Errorf("the updater: %w", err)
		}
		if s.said("level=ERROR") > 0 {
			return errors.New("the updater has logged errors")
		}
		return nil
	}, nil
}

// follow waits for a build on its way from the registry into the cluster.
func (s *story) follow(ctx context.Context, build string) error {
	err := s.await(ctx, "the commit", func() bool {
		content, err := s.world.Git.Show(world.Repository, "main", world.DevFile)
		return err == nil && strings.Contains(content, build)
	})

	if err != nil {
		return err
	}

	shown, err := s.world.Git.Run(world.Repository, "show", "--format=%h %an: %s", "--unified=0", "refs/heads/main")
	if err != nil {
		return err
	}

	title, _, _ := strings.Cut(shown, "\n")
	s.tell("committed   %s", title)
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, "-  ") || strings.HasPrefix(line, "+  ") {
			fmt.Printf("                       %s", line)
		}
	}

	deployed := func() string {
		out, _ := s.cluster.Run("kubectl", "-n", "backend", "get", "deployment", "server", "-o",
			"jsonpath={.spec.template.spec.containers[0].image} "+
				"{.status.updatedReplicas}/{.status.availableReplicas}")
		return out
	}

	if err := s.await(ctx, "Argo CD's sync",
		func() bool { return strings.HasSuffix(deployed(), ":"+build+" 1/1") }); err != nil {
		return err
	}

	s.tell("Argo CD     has synced: the Deployment's pods run server:%.10s…", build)
	if err := s.await(ctx, "the image in status.summary.images",
		func() bool { return s.live() == build }); err != nil {
		return err
	}

	health, err := s.cluster.Run("kubectl", "-n", "argocd", "get", "application", "backend-dev", "-o",
		"jsonpath={.status.sync.status}, {.status.health.status}")
	if err != nil {
		return err
	}

	s.tell("live        status.summary.images of backend-dev is server:%.10s…; it is %s", build, health)

	return nil
}

// idle waits for two more cycles and counts what they asked for.
func (s *story) idle(ctx context.Context) error {
	git := s.world.Git
	if err := s.await(ctx, "the update to be seen live",
		func() bool { return s.said("image is up to date") > 0 }); err != nil {
		return err
	}

	cycles, pushes, lists := s.said("cycle done"), git.Count("push"), s.world.Registry.Count("list")
	before, err := git.Head(world.Repository, "main")
	if err != nil {
		return err
	}

	if err := s.await(ctx, "two idle cycles", func() bool { return s.said("cycle done") >= cycles+2 }); err != nil {
		return err
	}

	after, err := git.Head(world.Repository, "main")
	if err != nil {
		return err
	}

	pushes = git.Count("push") - pushes
	s.tell("two cycles  %d pushes; the registry was asked %d times for its tags", pushes,
		s.world.Registry.Count("list")-lists)
	if pushes != 0 || before != after {
		return fmt.Errorf("an idle cycle wrote something: %d pushes, main was %s and is %s", pushes, before, after)
	}

	return nil
}

// live is the tag in status.summary.images of the Application.
func (s *story) live() string {
	out, err := s.cluster.Run("kubectl", "-n", "argocd", "get", "application", "backend-dev", "-o",
		"jsonpath={.status.summary.images[*]}")
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(strings.TrimSpace(out), world.Image+":")
}

func (s *story) said(what string) int { return strings.Count(s.log.String(), what) }

func (s *story) apply(manifest string) error {
	file := filepath.Join(s.dir, "apply.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		return err
	}
	_, err := s.cluster.Run("kubectl", "apply", "-f", file)
	return err
}

func (s *story) chapter(title string) {
	s.number++
	s.begin = time.Now()
	fmt.Printf("\n%d. %s\n", s.number, title)
}

// tell prints what has happened, and how long after the chapter began.
func (s *story) tell(format string, args ...any) {
	fmt.Printf("  %5.1f s  %s\n", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...))
}

// confess prints the logs of all parts when the story fails.
func (s *story) confess() {
	log.Printf("\nThe updater said:\n%s", s.log.String())
	if s.argo != nil {
		said := s.argo.Log.String()
		if len(said) > 20_000 {
			said = said[len(said)-20_000:]
		}
		log.Printf("\nArgo CD said, at the end:\n%s", said)
	}
}

// await asks until something holds.
func (s *story) await(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return errors.New("timed out waiting for " + what)
		case <-ticker.C:
		}
	}

	return nil
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ") + "\n"
}
