package kube

import (
	"context"
	"fmt"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// Selection is which objects are listed and watched. The zero value is all.
type Selection struct {
	Namespaces []string
	Labels     string // a label selector, for Applications
}

// Applications lists and watches the Applications of a selection, and the
// ImageUpdaters of the same namespaces. Each Application is reduced to a T
// before the next page is asked for: what Argo CD stores can be a hundred times
// as large as what is read of it.
type Applications[T metav1.Object] struct {
	cluster   *Cluster
	selection Selection
	trim      func(data []byte) T

	// lacksResource reports whether the cluster did not know ImageUpdaters when
	// it was last asked.
	lacksResource atomic.Bool
	// stores are what Watch keeps; nil until it has seen all Applications once.
	stores atomic.Pointer[[]cache.Store]
	// first is what the first List found. Watch continues from there.
	first handover
}

// NewApplications returns the Applications of a cluster. trim reads what is kept
// of one, in JSON; it must return at least its name, whatever the JSON holds.
func NewApplications[T metav1.Object](c *Cluster, s Selection, trim func(data []byte) T) *Applications[T] {
	return &Applications[T]{cluster: c, selection: s, trim: trim, first: handover{done: make(chan struct{})}}
}

// namespaces returns the namespaces to ask for; the empty one is all of them.
func (a *Applications[T]) namespaces() []string {
	if len(a.selection.Namespaces) > 0 {
		return a.selection.Namespaces
	}

	return []string{metav1.NamespaceAll}
}

// List returns the Applications: those that Watch keeps, while it runs, else
// those that the API server returns. They must not be changed. The error says
// what to do.
func (a *Applications[T]) List(ctx context.Context) ([]T, error) {
	if stores := a.stores.Load(); stores != nil {
		return stored[T](*stores), nil
	}

	var all []T
	lists := map[string]*keptList{}
	for _, namespace := range a.namespaces() {
		list, err := a.list(ctx, namespace)
		if err != nil {
			return nil, listError(namespace, err)
		}

		lists[namespace] = list
		for i := range list.Items {
			if one, ok := list.Items[i].Object.(T); ok {
				all = append(all, one)
			}
		}
	}
	a.first.give(lists)

	return all, nil
}

func stored[T metav1.Object](stores []cache.Store) []T {
	var all []T
	for _, store := range stores {
		for _, object := range store.List() {
			if one, ok := trimmed[T](object); ok {
				all = append(all, one)
			}
		}
	}

	return all
}

// trimmed returns what is kept in an object of an informer.
func trimmed[T metav1.Object](object any) (T, bool) {
	if k, ok := object.(*kept); ok {
		one, ok := k.Object.(T)
		return one, ok
	}

	var none T
	return none, false
}

// list asks the API server for the Applications of a namespace.
func (a *Applications[T]) list(ctx context.Context, namespace string) (*keptList, error) {
	found, version, err := pages[kept]{
		cluster: a.cluster, resource: applications, namespace: namespace, labels: a.selection.Labels,
		trim: func(data []byte) kept { return kept{a.trim(data)} },
	}.list(ctx)
	if err != nil {
		return nil, err
	}

	all := &keptList{Items: found}
	all.ResourceVersion = version

	return all, nil
}

func listError(namespace string, err error) error {
	return fmt.Errorf("listing Applications %s: %w%s", inNamespace(namespace), err, remedy(err))
}

func watchError(namespace string, err error) error {
	return fmt.Errorf("watching Applications %s: %w%s; until that succeeds, changes are not noticed",
		inNamespace(namespace), err, remedy(err))
}

func inNamespace(namespace string) string {
	if namespace == metav1.NamespaceAll {
		return "in all namespaces"
	}

	return "in namespace " + namespace
}

// remedy returns what to do about an error of the API server, or nothing.
func remedy(err error) string {
	switch {
	case apierrors.IsNotFound(err):
		return "; is Argo CD installed? Its Application resource is not there"
	case apierrors.IsForbidden(err):
		return "; grant list and watch on " + applications.GroupResource().String() + " to this account"
	case apierrors.IsUnauthorized(err):
		return "; the credentials of the kubeconfig are not accepted"
	}

	return ""
}
