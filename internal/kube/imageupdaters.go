package kube

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ImageUpdaters lists the ImageUpdaters of the selected namespaces; none if the
// cluster does not have the resource. The error says what to do.
func (a *Applications[T]) ImageUpdaters(ctx context.Context) ([]unstructured.Unstructured, error) {
	if exist, err := a.hasImageUpdaters(); err != nil || !exist {
		return nil, err
	}

	var all []unstructured.Unstructured
	for _, namespace := range a.namespaces() {
		list, err := a.cluster.dynamic.Resource(imageUpdaters).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("listing ImageUpdaters: %w; grant list and watch on %s to this account",
				err, imageUpdaters.GroupResource())
		}
		all = append(all, list.Items...)
	}

	return all, nil
}

// hasImageUpdaters reports whether the cluster has the resource, which any
// account can ask. If the API server does not answer, that is an error, unless
// the cluster did not have the resource before: an ImageUpdater must not be
// forgotten for one cycle, in which old annotations would count.
func (a *Applications[T]) hasImageUpdaters() (bool, error) {
	found, err := a.cluster.discovery.ServerResourcesForGroupVersion(imageUpdaters.GroupVersion().String())
	switch {
	case err == nil:
		exist := slices.ContainsFunc(found.APIResources, func(r metav1.APIResource) bool {
			return r.Name == imageUpdaters.Resource
		})
		a.lacksResource.Store(!exist)
		return exist, nil
	case apierrors.IsNotFound(err):
		a.lacksResource.Store(true)
		return false, nil
	case apierrors.IsForbidden(err):
		return true, nil // listing them will show
	case a.lacksResource.Load():
		return false, nil
	case apierrors.IsUnauthorized(err):
		return false, fmt.Errorf("asking the cluster for its resources: %w%s", err, remedy(err))
	}

	return false, fmt.Errorf("asking the cluster for its resources: %w; "+
		"check that the API server can be reached from here", err)
}
