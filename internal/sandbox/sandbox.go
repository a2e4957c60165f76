// Package sandbox is the world around the updater, on loopback and made of real
// parts. Each part is a package of its own, so that a test links only what it
// starts:
//
//   - registry: a container registry that lists tags as Google's do
//   - git: git servers over smart HTTP and over SSH
//   - forge: the APIs of GitHub and GitLab, with pull requests
//   - kube: a Kubernetes API server, kubectl, and Argo CD
//   - pubsub: Google's Pub/Sub
//   - world: the example of the README, with everything but a cluster
//   - fleet: any number of Applications in a cluster
//
// Every part counts the requests that it serves ([Counter]), so that a test can check
// the cost of a cycle, and can be made to fail. This package is what the parts share.
package sandbox

import "fmt"

// Network is the line of config.yaml that permits connections to the servers of the
// sandbox.
const Network = "network: {allow: [127.0.0.0/8]}\n"

// Must and Check end the program: the sandbox is broken, not what runs in it.
func Must[T any](value T, err error) T {
	Check(err)
	return value
}

// Check ends the program where there is an error.
func Check(err error) {
	if err != nil {
		panic(fmt.Sprintf("sandbox: %v", err))
	}
}
