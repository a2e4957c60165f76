// Package install holds what people install: the chart, the container image, the
// examples and the guides.
package install

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/forge"
	"github.com/liverty-music/image-writeback/internal/sandbox/kube"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

const (
	chart       = "../../charts/image-writeback"
	loginSecret = "secret:argocd/registry-login#creds"
)

// threeValues are all that a set-up on GitHub needs.
var threeValues = []string{"--set", fmt.Sprintf(
	"github.app.id=%d,github.app.installationID=%d,github.app.privateKeySecret=image-writeback-github", forge.AppID,
	forge.InstallationID)}

// helm runs helm in the namespace argocd.
func helm(t *testing.T, k *kube.Cluster, args ...string) string {
	t.Helper()
	out, err := k.Run("helm", append(args, "--namespace", "argocd")...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// install installs the chart with the three values and those of a file.
func install(t *testing.T, k *kube.Cluster, values string) {
	t.Helper()
	file := harness.Write(t, filepath.Join(t.TempDir(), "values.yaml"), values)
	helm(t, k, append([]string{"install", "image-writeback", chart, "--values", file}, threeValues...)...)
}

// installed is the configuration that an installed chart gives to the updater,
// with the App's key where it lies on this machine.
func installed(t *testing.T, k *kube.Cluster, w *world.World) string {
	t.Helper()
	config, err := k.Run("kubectl", "-n", "argocd", "get", "configmap", "image-writeback", "-o",
		"jsonpath={.data.config\\.yaml}")
	if err != nil {
		t.Fatal(err)
	}

	const mounted = "/etc/image-writeback/github/privateKey"
	if !strings.Contains(config, mounted) {
		t.Fatalf("the App's key is not named:\n%s", config)
	}

	key := harness.Write(t, filepath.Join(t.TempDir(), "app.pem"), string(w.GitHub.PrivateKey))

	return harness.Write(t, filepath.Join(t.TempDir(), "config.yaml"), strings.Replace(config, mounted, key, 1))
}

// forWorld are the values that the sandbox's servers need, with more keys of
// config and of the chart.
func forWorld(w *world.World, credentials, more string) string {
	return fmt.Sprintf("config:\n  "+sandbox.Network+`  interval: 1h
  registries: [{name: GAR Osaka, prefix: asia-northeast2-docker.pkg.dev, api_url: %q, credentials: %q}]
  git:
    delivery:
      rules: [{when: {path: "**/overlays/prod*/**"}, use: pull-request}]
  github: {apiURL: %q}
%s`, w.Registry.URL, credentials, w.GitHub.URL+"/", more)
}

// objects are all that a cluster holds, by kind and name, with what they say.
func objects(t *testing.T, k *kube.Cluster) map[string]string {
	t.Helper()
	kinds, err := k.Run("kubectl", "api-resources", "--verbs=list", "-o", "name")
	if err != nil {
		t.Fatal(err)
	}

	found := map[string]string{}
	for kind := range strings.FieldsSeq(kinds) {
		if strings.HasPrefix(kind, "events") || kind == "componentstatuses" || strings.HasPrefix(kind, "leases") ||
			strings.HasPrefix(kind, "apiservices") ||
			strings.Contains(kind, "flowcontrol") || kind == "endpoints" ||
			strings.HasPrefix(kind, "endpointslices") {
			continue // the API server's own, which change by themselves
		}
		out, err := k.Run("kubectl", "get", kind, "-A", "-o", "json")
		if err != nil {
			t.Fatal(err)
		}
		var list unstructured.UnstructuredList
		if err := list.UnmarshalJSON([]byte(out)); err != nil {
			t.Fatal(err)
		}
		for _, object := range list.Items {
			object.SetManagedFields(nil)
			object.SetResourceVersion("")
			said, err := yaml.Marshal(object.Object)
			if err != nil {
				t.Fatal(err)
			}
			found[fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())] = string(said)
		}
	}

	return found
}

// everything turns on everything that the chart has.
const everything = `replicas: 3
writeBackMethods: [git, argocd]
repositorySecrets: true
secrets: [{namespace: team, name: pull}]
serviceAccount:
  annotations:
    iam.gke.io/gcp-service-account: updater@p.iam.gserviceaccount.com
    eks.amazonaws.com/role-arn: "arn:aws:iam::1:role/updater"
events:
  types: [ghcr.io, github]
  secret: webhooks
  service: {annotations: {a: b}}
  ingress: {enabled: true, className: nginx, annotations: {a: b}, host: updater.example.com, tlsSecret: tls}
networkPolicy: {enabled: true, ingressFrom: [{namespaceSelector: {}}], eventsFrom: [{namespaceSelector: {}}]}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
podAnnotations: {a: b}
podLabels: {c: d}
priorityClassName: system-cluster-critical
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{operator: Exists}]
affinity: {nodeAffinity: {}}
topologySpreadConstraints:
- {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {c: d}}}
extraArgs: [--log-format, json]
extraEnv: [{name: HTTPS_PROXY, value: "http://proxy.example.com"}]
extraVolumes: [{name: ca, configMap: {name: ca}}]
extraVolumeMounts: [{name: ca, mountPath: /etc/ca}]
imagePullSecrets: [{name: pull}]
`

// installedObjects are what the chart then makes.
var installedObjects = []string{"ConfigMap argocd/image-writeback", "Deployment argocd/image-writeback",
	"Ingress argocd/image-writeback", "NetworkPolicy argocd/image-writeback",
	"PodDisruptionBudget argocd/image-writeback",
	"Role argocd/image-writeback", "Role argocd/image-writeback-argocd", "Role argocd/image-writeback-leases",
	"Role argocd/image-writeback-secrets", "Role team/image-writeback", "Role team/image-writeback-secrets",
	"RoleBinding argocd/image-writeback", "RoleBinding argocd/image-writeback-argocd",
	"RoleBinding argocd/image-writeback-leases", "RoleBinding argocd/image-writeback-secrets",
	"RoleBinding team/image-writeback", "RoleBinding team/image-writeback-secrets",
	"Secret argocd/sh.helm.release.v1.image-writeback.v1", "Service argocd/image-writeback",
	"Service argocd/image-writeback-events", "ServiceAccount argocd/image-writeback",
	"ServiceMonitor argocd/image-writeback"}

// TestHelm installs the chart with everything turned on, upgrades it, and
// uninstalls it: each step leaves what it should and nothing else.
func TestHelm(t *testing.T) {
	k := harness.NewKubernetes(t)
	if _, err := k.Run("kubectl", "apply", "--server-side", "-f", "../../bin/servicemonitors.yaml"); err != nil {
		t.Fatal(err)
	}

	if _, err := k.Run("kubectl", "create", "namespace", "team"); err != nil {
		t.Fatal(err)
	}

	if _, err := k.Run("kubectl", "wait", "--for=condition=Established",
		"crd/servicemonitors.monitoring.coreos.com"); err != nil {
		t.Fatal(err)
	}

	before := objects(t, k)
	first := installsEverything(t, k, before)
	upgradesWhatChanged(t, k, first)

	helm(t, k, "uninstall", "image-writeback")
	after := objects(t, k)
	maps.DeleteFunc(after, func(name, said string) bool { return before[name] == said })
	if len(after) > 0 {
		t.Errorf("left behind are %v", slices.Sorted(maps.Keys(after)))
	}
}

// installsEverything installs the chart with everything turned on, checks which
// objects it makes, and returns all objects that are there now.
func installsEverything(t *testing.T, k *kube.Cluster, before map[string]string) map[string]string {
	t.Helper()
	w := harness.NewWorld(t)
	install(t, k, forWorld(w, loginSecret, "  web: {metricsListen: \":9090\"}\n  applications: {namespaces: "+
		"[argocd, team]}\n"+everything))
	manifest := harness.Write(t, filepath.Join(t.TempDir(), "manifest.yaml"),
		helm(t, k, "get", "manifest", "image-writeback"))
	if out, err := k.Run("kubectl", "apply", "--dry-run=server", "--validate=strict", "-f", manifest); err != nil ||
		strings.Contains(out, "created") {
		t.Errorf("the API server does not take the manifests as they are: %v\n%s", err, out)
	}

	harness.Run(t, "validate", installed(t, k, w)).MustEnd(t, 0)
	first := objects(t, k)
	var made []string
	for name := range first {
		if _, old := before[name]; !old {
			made = append(made, name)
		}
	}

	slices.Sort(made)
	if !slices.Equal(made, installedObjects) {
		t.Errorf("installed are\n%s\nwant\n%s", strings.Join(made, "\n"), strings.Join(installedObjects, "\n"))
	}

	return first
}

// upgradesWhatChanged upgrades to another interval: only the configuration changes,
// and the Deployment, which is rolled out.
func upgradesWhatChanged(t *testing.T, k *kube.Cluster, first map[string]string) {
	t.Helper()
	helm(t, k, "upgrade", "image-writeback", chart, "--reuse-values", "--set", "config.interval=5m")
	var changed []string
	for name, said := range objects(t, k) {
		if first[name] != said && !strings.HasPrefix(name, "Secret argocd/sh.helm") {
			changed = append(changed, name)
			if name == "Deployment argocd/image-writeback" && !strings.Contains(said, "generation: 2") {
				t.Error("a changed configuration is not rolled out")
			}
		}
	}

	slices.Sort(changed)
	if !slices.Equal(changed, []string{"ConfigMap argocd/image-writeback", "Deployment argocd/image-writeback"}) {
		t.Errorf("an upgrade with another interval changed %q", changed)
	}
}

// TestThreeValues installs the chart with what a set-up on GitHub needs: nothing can
// be written in the cluster but Leases and Events, and no Secret be read through
// the API. Values that are wrong are refused.
func TestThreeValues(t *testing.T) {
	k := harness.NewKubernetes(t)
	install(t, k, "")
	roles := helm(t, k, "get", "manifest", "image-writeback")
	if strings.Contains(roles, "secrets]") || strings.Contains(roles, "patch") ||
		strings.Contains(roles, "PodDisruptionBudget") || !strings.Contains(roles, "kind: ClusterRole\n") {
		t.Errorf("the rights of the three values are\n%s", roles)
	}

	restricted(t, k)
	for _, wrong := range [][2]string{{"config.intervall=5m", "additional properties 'intervall' not allowed"},
		{"replicas=two", "got string, want integer"},
		{"config.leaderElection.enabled=false,replicas=2", "several replicas need config.leaderElection.enabled"},
		{"github.app.privateKeySecret=", "github.app.privateKeySecret is needed"},
		{"events.types={github}", "events.secret is needed"}, {"events.ingress.enabled=true",
			"events.ingress is enabled, but no webhooks are served"}} {
		if _, err := k.Run("helm", "upgrade", "image-writeback", chart, "--namespace", "argocd", "--reuse-values",
			"--set", wrong[0]); err == nil || !strings.Contains(err.Error(), wrong[1]) {
			t.Errorf("--set %s: %v", wrong[0], err)
		}
	}
}

// restricted creates a pod as the Deployment would, in a namespace that takes
// only what the Pod Security Standard "restricted" allows.
func restricted(t *testing.T, k *kube.Cluster) {
	t.Helper()
	deployment, err := k.Dynamic.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1",
		Resource: "deployments"}).Namespace("argocd").Get(t.Context(), "image-writeback", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	template, _, err := unstructured.NestedMap(deployment.Object, "spec", "template")
	if err != nil {
		t.Fatal(err)
	}

	pod := &unstructured.Unstructured{Object: template}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetName("image-writeback")
	if _, err := k.Run("kubectl", "create", "namespace", "restricted"); err != nil {
		t.Fatal(err)
	}

	if _, err := k.Run("kubectl", "label", "namespace", "restricted",
		"pod-security.kubernetes.io/enforce=restricted"); err != nil {
		t.Fatal(err)
	}

	pods := k.Dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace("restricted")
	if _, err := pods.Create(t.Context(), pod.DeepCopy(), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}

	unstructured.RemoveNestedField(pod.Object, "spec", "securityContext", "runAsNonRoot")
	pod.SetName("loose")
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err == nil {
		t.Error("the namespace takes any pod")
	}
}

// TestRights runs the service with just what the chart grants, under a Role
// and under a ClusterRole, and has it do all that rights are granted for: every
// verb is used, and none is missing.
func TestRights(t *testing.T) {
	for _, scope := range []string{"", "  applications: {namespaces: [argocd]}\n"} {
		t.Run(map[bool]string{true: "cluster", false: "namespaces"}[scope == ""],
			func(t *testing.T) { useRights(t, scope) })
	}
}

func useRights(t *testing.T, scope string) {
	k := harness.NewKubernetes(t)
	if err := k.InstallImageUpdaters(t.Context()); err != nil {
		t.Fatal(err)
	}

	w := harness.NewWorld(t)
	stageRights(t, k, w, scope)
	config := installed(t, k, w)
	harness.Edit(t, config, "leaderElection:\n", "web: {listen: \"\"}\nleaderElection:\n  leaseDuration: 1s\n")
	kubeconfig, err := k.KubeconfigOf(t.Context(), "argocd", "image-writeback")
	if err != nil {
		t.Fatal(err)
	}

	// A replica that has crashed leaves a Lease to clear away.
	if err := k.Create(t.Context(), "argocd", crashedLease); err != nil {
		t.Fatal(err)
	}

	var log sandbox.Log
	service, stop := context.WithCancel(t.Context())
	ended := harness.Go(service, &log, "run", "--config", config, "--kubeconfig", kubeconfig)
	t.Cleanup(func() { stop(); <-ended })
	harness.Await(t, "three updates; the log:\n"+log.String(),
		func() bool { return strings.Count(log.String(), "v1.2.3 → v1.3.0") == 3 })
	unused := grantedAndUnused(t, k)
	harness.Await(t, "every verb that is granted to be used",
		func() bool { unused = grantedAndUnused(t, k); return len(unused) == 0 || t.Context().Err() != nil })
	requests, err := k.Requests("argocd", "image-writeback")
	if err != nil {
		t.Fatal(err)
	}

	for _, r := range requests {
		if r.Status == 403 {
			t.Errorf("a right is missing: %+v", r)
		}
	}

	if strings.Contains(log.String(), "level=ERROR") || strings.Contains(log.String(), "level=WARN") {
		t.Errorf("the log:\n%s", log.String())
	}
}

// stageRights installs the chart, and creates Applications and Secrets that use
// everything it grants rights for.
func stageRights(t *testing.T, k *kube.Cluster, w *world.World, scope string) {
	t.Helper()
	w.Registry.User, w.Registry.Password = "ada", "s3cret"
	other := harness.NewGit(t)
	other.Allow = func(user, password string) bool { return user == "ada" && password == "s3cret" }
	var applications strings.Builder
	for _, method := range []string{"argocd", "git:repocreds", "git:secret:argocd/git-login"} {
		name := "a-" + strings.NewReplacer(":", "-", "/", "-").Replace(method)
		if err := other.Create("o/"+name, true, map[string]string{"app/kustomization.yaml": "images:\n- name: " +
			world.Image + "\n  newTag: v1.2.3\n"}); err != nil {
			t.Fatal(err)
		}
		one := harness.Manifest(name, other.URLOf("o/"+name), "app",
			"image-list: "+world.Image+":^1.0\nwrite-back-method: "+method)
		applications.WriteString(strings.Replace(one, "spec:", `status:
  sourceType: Kustomize
  summary: {images: ["`+world.Image+`:v1.2.3"]}
spec:
  project: default
  destination: {server: "https://kubernetes.default.svc"}`, 1))
	}

	if err := k.Create(t.Context(), "argocd", strings.TrimSuffix(applications.String(), "---\n")+"\n---"+loginSecrets+
		other.URL+"\"}"); err != nil {
		t.Fatal(err)
	}

	if err := k.Create(t.Context(), "argocd",
		"apiVersion: argocd-image-updater.argoproj.io/v1alpha1\nkind: ImageUpdater\nmetadata: {name: none}\nspec: "+
			"{applicationRefs: [{namePattern: none}]}"); err != nil {
		t.Fatal(err)
	}

	install(t, k, forWorld(w, loginSecret, scope+"writeBackMethods: [git, argocd]\nrepositorySecrets: "+
		"true\nsecrets: [{namespace: argocd, name: git-login}]\n"))
}

// loginSecrets are Secrets with a login; the address of the git server is missing.
const loginSecrets = `
apiVersion: v1
kind: Secret
metadata: {name: registry-login}
stringData: {creds: "ada:s3cret"}
---
apiVersion: v1
kind: Secret
metadata: {name: git-login}
stringData: {username: ada, password: s3cret}
---
apiVersion: v1
kind: Secret
metadata: {name: repositories, labels: {argocd.argoproj.io/secret-type: repo-creds}}
stringData: {username: ada, password: s3cret, url: "`

const crashedLease = `apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: dead, labels: {image-writeback.liverty-music.github.io/replicas-of: image-writeback}}
spec: {leaseDurationSeconds: 1}`

// grantedAndUnused are the verbs of the chart's Roles that its ServiceAccount
// has not used yet.
func grantedAndUnused(t *testing.T, k *kube.Cluster) (unused []string) {
	t.Helper()
	core, err := kubernetes.NewForConfig(k.Config)
	if err != nil {
		t.Fatal(err)
	}

	requests, err := k.Requests("argocd", "image-writeback")
	if err != nil {
		t.Fatal(err)
	}

	of := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=image-writeback"}
	roles, err := core.RbacV1().Roles("").List(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}

	clusterRoles, err := core.RbacV1().ClusterRoles().List(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}

	check := func(namespace string, rules []rbacv1.PolicyRule) {
		for _, rule := range rules {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, verb := range rule.Verbs {
				for _, name := range names {
					if !slices.ContainsFunc(requests, func(r kube.Request) bool {
						return r.Verb == verb && slices.Contains(rule.APIGroups, r.Group) &&
							slices.Contains(rule.Resources, r.Resource) &&
							(namespace == "" || r.Namespace == namespace) && (name == "" || r.Name == name)
					}) {
						unused = append(unused, fmt.Sprintf("%s %v %s in %q", verb, rule.Resources, name, namespace))
					}
				}
			}
		}
	}

	for _, role := range roles.Items {
		check(role.Namespace, role.Rules)
	}

	for _, role := range clusterRoles.Items {
		check("", role.Rules)
	}

	if len(roles.Items) == 0 {
		t.Fatal("there are no Roles")
	}

	return unused
}
