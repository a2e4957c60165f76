package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Run runs a program that "make tools" built, such as kubectl or helm, as the
// administrator, and returns what it printed.
func (k *Cluster) Run(program string, args ...string) (string, error) {
	command := exec.Command(filepath.Join(k.bin, program), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+k.Kubeconfig, "HOME="+k.dir, "HELM_CACHE_HOME="+k.dir,
		"HELM_CONFIG_HOME="+k.dir, "HELM_DATA_HOME="+k.dir)
	var out, stderr bytes.Buffer
	command.Stdout, command.Stderr = &out, &stderr
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err,
			strings.TrimSpace(stderr.String()))
	}

	return out.String(), nil
}

// auditPolicy keeps what ServiceAccounts ask for.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
- {level: None}
`

func (k *Cluster) auditLog() string { return filepath.Join(k.dir, "audit.log") }

// Request is one that a ServiceAccount made of the API server.
type Request struct {
	Verb, Group, Resource, Namespace, Name string
	Status                                 int
}

// Requests are those of a ServiceAccount so far.
func (k *Cluster) Requests(namespace, account string) ([]Request, error) {
	data, err := os.ReadFile(k.auditLog())
	if err != nil {
		return nil, err
	}

	var all []Request
	for line := range bytes.Lines(data[:bytes.LastIndexByte(data, '\n')+1]) { // the last one may be under way
		var event struct {
			Verb           string
			User           struct{ Username string }
			ObjectRef      struct{ APIGroup, Resource, Namespace, Name string }
			ResponseStatus struct{ Code int }
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, err
		}
		if event.User.Username == "system:serviceaccount:"+namespace+":"+account {
			at := event.ObjectRef
			all = append(all, Request{event.Verb, at.APIGroup, at.Resource, at.Namespace, at.Name,
				event.ResponseStatus.Code})
		}
	}

	return all, nil
}
