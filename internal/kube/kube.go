// Package kube is the cluster: it lists and watches Argo CD's Applications,
// trimmed to what is read of them, and AppProjects, reads Secrets by name, changes
// one list of an Application, and creates Kubernetes Events. It knows no annotations and
// takes no decisions.
//
// Use [New] to connect, and [NewApplications] to list and watch. Use package argo
// to turn what is listed into what is asked for.
package kube

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// apiVersion is the version of all these resources.
const apiVersion = "v1alpha1"

var (
	applications = schema.GroupVersionResource{
		Group: application.Group, Version: apiVersion, Resource: application.ApplicationPlural,
	}
	appProjects = schema.GroupVersionResource{
		Group: application.Group, Version: apiVersion, Resource: application.AppProjectPlural,
	}
	// imageUpdaters are the resources of Argo CD Image Updater 1.x.
	imageUpdaters = schema.GroupVersionResource{
		Group: "argocd-image-updater.argoproj.io", Version: apiVersion, Resource: "imageupdaters",
	}
)

// fieldManager is the name under which changes are made.
const fieldManager = "image-writeback"

// Cluster is a connection to the Kubernetes API.
type Cluster struct {
	namespace string
	dynamic   dynamic.Interface
	// There is one client for each group that is used: the set of all groups
	// makes the program twice as large.
	core         corev1.CoreV1Interface
	coordination coordinationv1.CoordinationV1Interface
	discovery    discovery.DiscoveryInterface
}

// New connects by a kubeconfig and one of its contexts. If they are empty, it
// finds them as kubectl does, or uses the pod's own credentials. wrap can count
// the requests; it can be nil.
func New(kubeconfig, kubecontext string, wrap func(http.RoundTripper) http.RoundTripper) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: kubecontext}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)

	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w; set --kubeconfig, "+
			"or set --applications to read Applications from files", err)
	}

	// The API server limits requests itself, and the callers of this package
	// limit how many they make at a time.
	config.QPS = -1
	if wrap != nil {
		config.Wrap(wrap)
	}

	c := &Cluster{}
	if c.namespace, _, err = loader.Namespace(); err == nil {
		err = c.connect(config)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}

	return c, nil
}

func (c *Cluster) connect(config *rest.Config) (err error) {
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	if c.core, err = corev1.NewForConfig(config); err != nil {
		return err
	}
	if c.coordination, err = coordinationv1.NewForConfig(config); err != nil {
		return err
	}
	c.discovery, err = discovery.NewDiscoveryClientForConfig(config)

	return err
}

// Namespace returns the namespace of the kubeconfig's context, or of the pod.
func (c *Cluster) Namespace() string { return c.namespace }

// Leases returns access to the Leases of a namespace.
func (c *Cluster) Leases(namespace string) coordinationv1.LeaseInterface {
	return c.coordination.Leases(namespace)
}

// secretTimeout limits the reading of one Secret.
const secretTimeout = 10 * time.Second

// Secret returns the data of a Secret. The error names the Secret and what to
// do, and never quotes its content.
func (c *Cluster) Secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()

	secret, err := c.core.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("the Secret %s/%s does not exist; create it", namespace, name)
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("the Secret %s/%s may not be read; grant get on it to this account", namespace, name)
	case err != nil:
		return nil, fmt.Errorf("reading the Secret %s/%s: %w", namespace, name, err)
	}

	return secret.Data, nil
}
