// Package kube is a real Kubernetes API server for tests and stories, with kubectl
// and, where a story needs it, Argo CD itself.
package kube

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// Cluster is a Kubernetes API server with its etcd, Argo CD's resources, and the project
// that Argo CD creates. Nothing runs in it: it stores and serves.
type Cluster struct {
	Kubeconfig string // of an administrator
	Dynamic    dynamic.Interface
	Config     *rest.Config

	dir, bin     string
	etcd, server *exec.Cmd
	etcdArgs     []string
	serverArgs   []string
	address      string
	log          *sandbox.Log
}

const adminToken = "sandbox-admin" //nolint:gosec // of a server on loopback that lives as long as a test

// New starts an API server below dir. bin holds kube-apiserver and
// etcd, as "make tools" builds them.
func New(ctx context.Context, dir, bin string) (*Cluster, error) {
	for _, program := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(bin, program)); err != nil {
			return nil, fmt.Errorf("%s is not built; run make tools: %w", program, err)
		}
	}

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}

	keyFile, tokenFile := filepath.Join(dir, "sa.key"), filepath.Join(dir, "tokens.csv")
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	auditFile := filepath.Join(dir, "audit.yaml")
	for file, content := range map[string]string{keyFile: string(private), tokenFile: adminToken +
		",admin,admin,system:masters\n", auditFile: auditPolicy} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}

	ports := freePorts(3)
	client, peer, secure := ports[0], ports[1], ports[2]
	certs := filepath.Join(dir, "certs")
	k := &Cluster{dir: dir, bin: bin, log: &sandbox.Log{}, address: "https" + strings.TrimPrefix(secure, "http")}
	k.etcdArgs = []string{"--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer}
	k.serverArgs = []string{"--etcd-servers", client, "--cert-dir", certs, "--bind-address", "127.0.0.1",
		"--secure-port", secure[strings.LastIndex(secure, ":")+1:], "--service-account-issuer",
		"https://sandbox.localhost",
		"--service-account-key-file", keyFile, "--service-account-signing-key-file", keyFile, "--authorization-mode",
		"RBAC",
		"--token-auth-file", tokenFile, "--service-cluster-ip-range", "10.96.0.0/16", "--disable-admission-plugins",
		"ServiceAccount",
		"--audit-policy-file", auditFile, "--audit-log-path", k.auditLog()}
	if err := k.StartEtcd(); err != nil {
		return nil, err
	}

	if err := k.StartServer(ctx); err != nil {
		k.Close()
		return nil, err
	}

	return k, k.connect(ctx, dir, k.address, filepath.Join(certs, "apiserver.crt"))
}

func (k *Cluster) start(program string, args ...string) (*exec.Cmd, error) {
	command := exec.Command(filepath.Join(k.bin, program), args...)
	command.Stdout, command.Stderr = k.log, k.log
	return command, command.Start()
}

// StartEtcd starts etcd, again after StopEtcd.
func (k *Cluster) StartEtcd() (err error) {
	k.etcd, err = k.start("etcd", k.etcdArgs...)
	return err
}

// StartServer starts the API server, again after StopServer, and waits until it
// is ready.
func (k *Cluster) StartServer(ctx context.Context) (err error) {
	if k.server, err = k.start("kube-apiserver", k.serverArgs...); err != nil {
		return err
	}

	if err := k.ready(ctx, k.address); err != nil {
		return fmt.Errorf("%w; it said:\n%s", err, k.log)
	}

	return nil
}

// StopEtcd and StopServer kill a program: what it has stored stays.
func (k *Cluster) StopEtcd() { kill(k.etcd) }

// StopServer kills the API server.
func (k *Cluster) StopServer() { kill(k.server) }

func kill(command *exec.Cmd) {
	if command != nil && command.Process != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
	}
}

func (k *Cluster) ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	anyCertificate := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // its certificate is only just being made
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: anyCertificate}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/readyz", nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+adminToken)
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the API server did not become ready")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (k *Cluster) connect(ctx context.Context, dir, address, ca string) error {
	k.Kubeconfig = filepath.Join(dir, "kubeconfig")
	config := clientcmdapi.NewConfig()
	config.Clusters["sandbox"] = &clientcmdapi.Cluster{Server: address, CertificateAuthority: ca}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: adminToken}
	config.Contexts["sandbox"] = &clientcmdapi.Context{Cluster: "sandbox", AuthInfo: "admin"}
	config.CurrentContext = "sandbox"
	if err := clientcmd.WriteToFile(*config, k.Kubeconfig); err != nil {
		return err
	}

	var err error
	if k.Config, err = clientcmd.BuildConfigFromFlags("", k.Kubeconfig); err != nil {
		return err
	}

	k.Config.QPS, k.Config.Burst = 200, 400
	if k.Dynamic, err = dynamic.NewForConfig(k.Config); err != nil {
		return err
	}

	return k.installArgoCD(ctx)
}

// installArgoCD makes Argo CD's own definitions of the Application and the AppProject
// known, and creates its namespace with its first project.
func (k *Cluster) installArgoCD(ctx context.Context) error {
	for kind, file := range map[string]string{
		"Application": "application-crd.yaml", "AppProject": "appproject-crd.yaml",
	} {
		if err := k.installCRD(ctx, file); err != nil {
			return err
		}
		if err := k.known(ctx, kind); err != nil {
			return err
		}
	}

	if err := k.Create(ctx, "", "apiVersion: v1\nkind: Namespace\nmetadata: {name: argocd}\n"); err != nil {
		return err
	}

	return k.SetProject(ctx, "default", `{sourceRepos: ["*"], destinations: [{server: "*", namespace: "*"}],
  clusterResourceWhitelist: [{group: "*", kind: "*"}]}`)
}

// SetProject creates an AppProject of Argo CD, or replaces it. Its spec is in YAML, in one
// line or indented.
func (k *Cluster) SetProject(ctx context.Context, name, spec string) error {
	var object unstructured.Unstructured
	manifest := fmt.Sprintf("apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: %q}\nspec: %s\n",
		name, spec)
	if err := yaml.Unmarshal([]byte(manifest), &object.Object); err != nil {
		return err
	}

	_, err := k.Dynamic.Resource(resourceOf("AppProject")).Namespace("argocd").Apply(ctx, name, &object,
		metav1.ApplyOptions{FieldManager: "sandbox", Force: true})

	return err
}

// installCRD creates a resource as a file of Argo CD's module defines it.
func (k *Cluster) installCRD(ctx context.Context, file string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}",
		"github.com/argoproj/argo-cd/v2").Output()
	if err != nil {
		return fmt.Errorf("finding Argo CD's module: %w", err)
	}

	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "manifests", "crds", file))
	if err != nil {
		return err
	}

	return k.Create(ctx, "", string(data))
}

// known waits until the API server serves a kind.
func (k *Cluster) known(ctx context.Context, kind string) error {
	for {
		if _, err := k.Dynamic.Resource(resourceOf(kind)).List(ctx, metav1.ListOptions{}); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// imageUpdaters defines the resource of Argo CD Image Updater 1.x, with any
// fields: whoever reads it must cope with what is there.
const imageUpdaters = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: imageupdaters.argocd-image-updater.argoproj.io}
spec:
  group: argocd-image-updater.argoproj.io
  scope: Namespaced
  names: {kind: ImageUpdater, plural: imageupdaters, singular: imageupdater}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

// InstallImageUpdaters makes the ImageUpdater resource known.
func (k *Cluster) InstallImageUpdaters(ctx context.Context) error {
	if err := k.Create(ctx, "", imageUpdaters); err != nil {
		return err
	}
	return k.known(ctx, "ImageUpdater")
}

// resourceOf maps the few kinds that tests create to their resources.
func resourceOf(kind string) schema.GroupVersionResource {
	return map[string]schema.GroupVersionResource{
		"Application": {Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"},
		"AppProject":  {Group: "argoproj.io", Version: "v1alpha1", Resource: "appprojects"},
		"Node":        {Version: "v1", Resource: "nodes"},
		"ImageUpdater": {Group: "argocd-image-updater.argoproj.io", Version: "v1alpha1",
			Resource: "imageupdaters"},
		"CustomResourceDefinition": {Group: "apiextensions.k8s.io", Version: "v1",
			Resource: "customresourcedefinitions"},
		"Namespace":      {Version: "v1", Resource: "namespaces"},
		"Secret":         {Version: "v1", Resource: "secrets"},
		"ConfigMap":      {Version: "v1", Resource: "configmaps"},
		"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
		"ClusterRole":    {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
		"ClusterRoleBinding": {Group: "rbac.authorization.k8s.io", Version: "v1",
			Resource: "clusterrolebindings"},
		"Lease":      {Group: "coordination.k8s.io", Version: "v1", Resource: "leases"},
		"Deployment": {Group: "apps", Version: "v1", Resource: "deployments"},
	}[kind]
}

// Create creates the objects of a manifest, in a namespace where they need one.
func (k *Cluster) Create(ctx context.Context, namespace, manifest string) error {
	for document := range strings.SplitSeq(manifest, "\n---\n") {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			return err
		}
		resource := k.Dynamic.Resource(resourceOf(object.GetKind()))
		var err error
		if where := object.GetNamespace(); where != "" || namespace != "" {
			if where == "" {
				where = namespace
			}
			_, err = resource.Namespace(where).Create(ctx, &object,
				metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
		} else {
			_, err = resource.Create(ctx, &object,
				metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
		}
		if err != nil {
			return fmt.Errorf("creating %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}

	return nil
}

// KubeconfigOf writes a kubeconfig that signs in as a ServiceAccount, with what
// RBAC lets it do and no more.
func (k *Cluster) KubeconfigOf(ctx context.Context, namespace, account string) (string, error) {
	client, err := kubernetes.NewForConfig(k.Config)
	if err != nil {
		return "", err
	}

	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account,
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}

	config, err := clientcmd.LoadFromFile(k.Kubeconfig)
	if err != nil {
		return "", err
	}

	config.AuthInfos["admin"].Token = token.Status.Token
	config.Contexts["sandbox"].Namespace = namespace
	file := k.Kubeconfig + "-" + account

	return file, clientcmd.WriteToFile(*config, file)
}

// Halt stops the API server in its tracks until Resume: it takes connections
// and answers none.
func (k *Cluster) Halt() { sandbox.Check(k.server.Process.Signal(syscall.SIGSTOP)) }

// Resume ends Halt.
func (k *Cluster) Resume() { sandbox.Check(k.server.Process.Signal(syscall.SIGCONT)) }

// Close stops both programs.
func (k *Cluster) Close() {
	k.StopServer()
	k.StopEtcd()
}

// freePorts returns addresses on loopback that nothing listens on now.
func freePorts(n int) []string {
	var addresses []string
	for range n {
		listener := sandbox.Must(net.Listen("tcp", "127.0.0.1:0"))
		defer func() { _ = listener.Close() }()
		addresses = append(addresses, "http://"+listener.Addr().String())
	}

	return addresses
}
