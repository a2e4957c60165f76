//go:build tools

// Package tools pins the programs that the tests start: a real Kubernetes API
// server and the etcd behind it. It is a module of its own so that none of
// their dependencies reach the product.
package tools

import (
	_ "go.etcd.io/etcd/server/v3/embed"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
