package kube

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// ArgoCD is Argo CD itself, its repository server and its application
// controller, in a cluster whose Deployments become pods: Kubernetes' own
// controllers and scheduler run, and kwok makes the pods that they place Ready,
// though nothing runs in them.
type ArgoCD struct {
	Log       *sandbox.Log
	processes []*exec.Cmd
}

// argoCD is what its installation puts into the cluster, as far as the two
// programs need it. It looks for changes every few seconds.
const argoCD = `apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm, labels: {app.kubernetes.io/part-of: argocd}}
data: {timeout.reconciliation: 5s}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-rbac-cm, labels: {app.kubernetes.io/part-of: argocd}}
---
apiVersion: v1
kind: Secret
metadata: {name: argocd-secret, labels: {app.kubernetes.io/part-of: argocd}}
stringData: {server.secretkey: "%s"}`

const node = `apiVersion: v1
kind: Node
metadata:
  name: node-0
  annotations: {kwok.x-k8s.io/node: fake}
  labels: {kubernetes.io/os: linux, kubernetes.io/arch: amd64}
status:
  allocatable: {cpu: "8", memory: 32Gi, pods: "100"}
  capacity: {cpu: "8", memory: 32Gi, pods: "100"}`

// NewArgoCD starts Argo CD and what it needs in a cluster, with files below
// dir. Beside what "make tools" builds, it needs what "make e2e" does, and
// redis-server.
func NewArgoCD(ctx context.Context, dir string, k *Cluster) (*ArgoCD, error) {
	secret := make([]byte, 16)
	_, _ = rand.Read(secret) // it never fails
	if err := k.Create(ctx, "argocd", fmt.Sprintf(argoCD, hex.EncodeToString(secret))); err != nil {
		return nil, err
	}

	if err := k.Create(ctx, "", node); err != nil {
		return nil, err
	}

	for _, folder := range []string{"tls", "ssh", "home"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o750); err != nil {
			return nil, err
		}
	}

	if err := os.WriteFile(filepath.Join(dir, "ssh", "ssh_known_hosts"), nil, 0o600); err != nil {
		return nil, err
	}

	bin, err := filepath.Abs(k.bin)
	if err != nil {
		return nil, err
	}

	ports := freePorts(4)
	for i := range ports {
		ports[i] = ports[i][strings.LastIndex(ports[i], ":")+1:]
	}

	environment := append(os.Environ(), "KUBECONFIG="+k.Kubeconfig, "HOME="+filepath.Join(dir, "home"),
		"PATH="+bin+":"+os.Getenv("PATH"), "TMPDIR="+dir, "GIT_CONFIG_NOSYSTEM=1",
		"ARGOCD_GPG_ENABLED=false", "ARGOCD_FAKE_IN_CLUSTER=true",
		"ARGOCD_TLS_DATA_PATH="+filepath.Join(dir, "tls"), "ARGOCD_SSH_DATA_PATH="+filepath.Join(dir, "ssh"))
	a := &ArgoCD{Log: &sandbox.Log{}}
	for _, p := range programs(dir, bin, k.Kubeconfig, ports) {
		command := exec.Command(p.file, p.args...)
		command.Dir, command.Env = dir, append(slices.Clip(environment), "ARGOCD_BINARY_NAME="+p.role)
		command.Stdout, command.Stderr = a.Log, a.Log
		if err := command.Start(); err != nil {
			a.Close()
			return nil, err
		}
		a.processes = append(a.processes, command)
	}

	return a, nil
}

// program is one to start. role is what Argo CD's program is called as.
type program struct {
	file, role string
	args       []string
}

// programs are Argo CD and what it needs, on four ports.
func programs(dir, bin, kubeconfig string, ports []string) []program {
	const loopback = "127.0.0.1"
	redis, server := loopback+":"+ports[0], loopback+":"+ports[1]
	tool := func(name, role string, args ...string) program { return program{filepath.Join(bin, name), role, args} }

	return []program{
		{"redis-server", "", []string{"--port", ports[0], "--bind", loopback, "--save", "", "--dir", dir}},
		tool("kube-controller-manager", "", "--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port=0",
			"--controllers=deployment-controller,replicaset-controller,garbage-collector-controller,"+
				"namespace-controller,node-lifecycle-controller"),
		tool("kube-scheduler", "", "--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port=0"),
		tool("kwok", "", "--kubeconfig", kubeconfig, "--manage-all-nodes=true", "--node-lease-duration-seconds=40"),
		tool("argocd", "argocd-repo-server", "--disable-tls", "--redis", redis, "--address", loopback,
			"--port", ports[1], "--metrics-address", loopback, "--metrics-port", ports[2],
			"--revision-cache-expiration", "1s"),
		tool("argocd", "argocd-application-controller", "--kubeconfig", kubeconfig, "--namespace", "argocd",
			"--repo-server", server, "--repo-server-plaintext", "--redis", redis, "--metrics-port", ports[3],
			"--app-resync", "5"),
	}
}

// Close stops it all.
func (a *ArgoCD) Close() {
	for _, p := range a.processes {
		kill(p)
	}
}
