package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/liverty-music/image-writeback/test/harness"
)

var update = flag.Bool("update", false, "write what the chart grants into testdata/chart")

// TestWhatTheChartGrants compares what the chart grants, with and without each of its
// features, with testdata/chart, whose README says how to read it.
func TestWhatTheChartGrants(t *testing.T) {
	files, err := filepath.Glob("../../testdata/chart/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}

	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			values, want, ok := strings.Cut(harness.ReadFile(t, file), "---\n")
			if !ok {
				t.Fatal("the file has no line ---")
			}

			got := grantsOf(t, values).String()
			if *update {
				want = got
				if err := os.WriteFile(file, []byte(values+"---\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != want {
				t.Errorf("the chart grants\n%s\nwant\n%s\nIf this is right, run "+
					"go test ./test/install -run WhatTheChartGrants -update", got, want)
			}
		})
	}
}

// TestContainer checks what the container may do on its node, and that Go knows its
// memory.
func TestContainer(t *testing.T) {
	found := false
	for _, document := range render(t, "") {
		var deployment appsv1.Deployment
		if err := json.Unmarshal(document, &deployment); err != nil {
			t.Fatal(err)
		}
		if deployment.Kind != "Deployment" {
			continue
		}
		found = true

		pod := deployment.Spec.Template.Spec
		container := pod.Containers[0]
		own := container.SecurityContext
		if !*own.ReadOnlyRootFilesystem || *own.AllowPrivilegeEscalation || own.Capabilities.Drop[0] != "ALL" ||
			!*pod.SecurityContext.RunAsNonRoot ||
			pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%+v, %+v", own, pod.SecurityContext)
		}
		passed := slices.ContainsFunc(container.Env, func(e corev1.EnvVar) bool {
			return e.Name == "MEMORY_LIMIT" && e.ValueFrom.ResourceFieldRef.Resource == "limits.memory"
		})
		if limit := container.Resources.Limits.Memory(); !passed || limit.String() != "512Mi" {
			t.Errorf("of %s, the program knows %v", limit, container.Env)
		}
	}
	if !found {
		t.Error("there is no Deployment")
	}
}

// grants are what the manifests of an installed chart grant to its pods.
type grants struct {
	rights      map[string][]string // by where they are
	connections []string            // nil: all
}

// render returns the manifests of the chart with values.
func render(t *testing.T, values string) []json.RawMessage {
	t.Helper()
	file := harness.Write(t, filepath.Join(t.TempDir(), "values.yaml"), values)
	command := exec.Command("../../bin/helm", "template", "image-writeback", chart, "--namespace", "argocd",
		"--kube-version", "1.31.0", "--values", file)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}

	var all []json.RawMessage
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 1<<16)
	for {
		var document json.RawMessage
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, document)
	}
}

// grantsOf reads what the chart grants with values.
func grantsOf(t *testing.T, values string) grants {
	t.Helper()
	all := grants{rights: map[string][]string{}}
	bound := map[string]bool{}
	for _, document := range render(t, values) {
		all.add(t, document, bound)
	}
	for where := range all.rights {
		if !bound[where] {
			t.Errorf("nobody has the rights of %s", where)
		}
	}

	return all
}

// add reads one manifest. bound gets the roles that the pods have.
func (g *grants) add(t *testing.T, document json.RawMessage, bound map[string]bool) {
	t.Helper()
	read := func(into any) {
		if err := json.Unmarshal(document, into); err != nil {
			t.Fatal(err)
		}
	}
	var object metav1.PartialObjectMetadata
	read(&object)

	switch object.Kind {
	case "Role", "ClusterRole":
		var role rbacv1.Role // a ClusterRole has the same fields
		read(&role)
		for _, rule := range role.Rules {
			where := place(object.Kind, role.Namespace, role.Name)
			g.rights[where] = append(g.rights[where], describeRule(rule))
		}
	case "RoleBinding", "ClusterRoleBinding":
		var binding rbacv1.RoleBinding
		read(&binding)
		pods := rbacv1.Subject{Kind: "ServiceAccount", Name: "image-writeback", Namespace: "argocd"}
		if !slices.Equal(binding.Subjects, []rbacv1.Subject{pods}) {
			t.Errorf("%s %s is for %v", object.Kind, object.Name, binding.Subjects)
		}
		bound[place(binding.RoleRef.Kind, binding.Namespace, binding.RoleRef.Name)] = true
	case "NetworkPolicy":
		var policy networkingv1.NetworkPolicy
		read(&policy)
		g.connections = describePolicy(policy.Spec)
	}
}

func place(kind, namespace, name string) string {
	if kind == "ClusterRole" {
		return "in all namespaces (" + name + ")"
	}

	return "in " + namespace + " (" + name + ")"
}

func describeRule(r rbacv1.PolicyRule) string {
	resources := make([]string, len(r.Resources))
	for i, resource := range r.Resources {
		resources[i] = strings.TrimSuffix(resource+"."+r.APIGroups[0], ".")
	}

	line := strings.Join(r.Verbs, ", ") + ": " + strings.Join(resources, ", ")
	if len(r.ResourceNames) > 0 {
		line += " " + strings.Join(r.ResourceNames, ", ")
	}
	for _, group := range r.APIGroups[1:] {
		line += " and of " + group
	}

	return line
}

func describePolicy(p networkingv1.NetworkPolicySpec) []string {
	lines := []string{}
	for _, rule := range p.Ingress {
		lines = append(lines, "from "+describePeers(rule.From)+" to "+describePorts(rule.Ports))
	}
	for _, rule := range p.Egress {
		lines = append(lines, "to "+describePeers(rule.To)+", "+describePorts(rule.Ports))
	}
	if len(p.PolicyTypes) != 2 {
		lines = append(lines, fmt.Sprintf("only %v is limited", p.PolicyTypes))
	}

	return lines
}

func describePeers(peers []networkingv1.NetworkPolicyPeer) string {
	if len(peers) == 0 {
		return "anywhere"
	}

	all := make([]string, len(peers))
	for i, peer := range peers {
		switch {
		case peer.IPBlock != nil:
			all[i] = peer.IPBlock.CIDR
			if len(peer.IPBlock.Except) > 0 {
				all[i] += " but not " + strings.Join(peer.IPBlock.Except, ", ")
			}
		case peer.NamespaceSelector != nil:
			all[i] = "pods of all namespaces"
			if labels := metav1.FormatLabelSelector(peer.NamespaceSelector); labels != "<none>" {
				all[i] = "pods of namespaces with " + labels
			}
		default:
			all[i] = "pods " + metav1.FormatLabelSelector(peer.PodSelector)
		}
	}

	return strings.Join(all, "; ")
}

func describePorts(ports []networkingv1.NetworkPolicyPort) string {
	if len(ports) == 0 {
		return "any port"
	}

	all := make([]string, len(ports))
	for i, port := range ports {
		all[i] = port.Port.String()
		if port.Protocol != nil {
			all[i] += "/" + string(*port.Protocol)
		}
	}

	return "port " + strings.Join(all, ", ")
}

// String is what a person reads.
func (g grants) String() string {
	var text strings.Builder
	text.WriteString("rights\n")
	for _, where := range slices.Sorted(maps.Keys(g.rights)) {
		fmt.Fprintf(&text, "  %s\n", where)
		for _, line := range g.rights[where] {
			fmt.Fprintf(&text, "    %s\n", line)
		}
	}
	if len(g.rights) == 0 {
		text.WriteString("  none\n")
	}

	text.WriteString("connections\n")
	for _, line := range g.connections {
		fmt.Fprintf(&text, "  %s\n", line)
	}
	if g.connections == nil {
		text.WriteString("  all\n")
	}

	return text.String()
}
