package kube

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ForbiddenError is for what this account may not read. Waiting does not help.
type ForbiddenError struct {
	What  string // what is being done, such as listing AppProjects
	Grant string // what to grant to this account
	Err   error
}

// Error returns what is being done, and what to grant.
func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("%s: %v; grant %s to this account, as the chart does", e.What, e.Err, e.Grant)
}

// Unwrap returns the error of the API server.
func (e *ForbiddenError) Unwrap() error { return e.Err }

// MissingError is for a resource that the cluster does not have.
type MissingError struct {
	What string // what is being done, such as listing AppProjects
	Err  error
}

// Error returns what is being done, and what is missing.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: %v; is Argo CD installed? Its AppProject resource is not there", e.What, e.Err)
}

// Unwrap returns the error of the API server.
func (e *MissingError) Unwrap() error { return e.Err }

// projectTimeout limits the reading of projects, and of the list of global ones.
const projectTimeout = 30 * time.Second

// AppProjects lists the AppProjects of a namespace, each reduced by trim, which gets it
// in JSON. The error is a [ForbiddenError] or a [MissingError] if another attempt would
// fail as well.
func AppProjects[T any](ctx context.Context, c *Cluster, namespace string, trim func(data []byte) T) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, projectTimeout)
	defer cancel()

	what := "listing AppProjects in namespace " + namespace
	all, _, err := pages[T]{cluster: c, resource: appProjects, namespace: namespace, trim: trim}.list(ctx)
	switch {
	case apierrors.IsForbidden(err):
		return nil, &ForbiddenError{what, "list on " + appProjects.GroupResource().String(), err}
	case apierrors.IsNotFound(err):
		return nil, &MissingError{what, err}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	}

	return all, nil
}

// GlobalProjects returns what the ConfigMap argocd-cm of a namespace says about global
// projects, in YAML; empty if it says nothing. The error is a [ForbiddenError] if
// another attempt would fail as well.
func (c *Cluster) GlobalProjects(ctx context.Context, namespace string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, projectTimeout)
	defer cancel()

	const name = "argocd-cm"
	what := fmt.Sprintf("reading the ConfigMap %s/%s", namespace, name)
	found, err := c.core.ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case apierrors.IsForbidden(err):
		return "", &ForbiddenError{what, "get on it", err}
	case err != nil:
		return "", fmt.Errorf("%s: %w", what, err)
	}

	return found.Data["globalProjects"], nil
}
