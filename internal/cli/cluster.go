package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/liverty-music/image-writeback/internal/argo"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/registry"
)

// watchFunc watches Applications until ctx ends. It calls changed when a cycle
// should begin, and failed with what goes wrong.
type watchFunc func(ctx context.Context, changed func(), failed func(error))

// fromCluster returns the Applications of a cluster as a source, and what
// watches them.
func fromCluster(cluster *kube.Cluster, selection argo.Selection, defaults argo.Defaults) (*argo.Cluster, watchFunc) {
	where := kube.Selection{Namespaces: selection.Namespaces, Labels: selection.LabelSelector()}
	applications := kube.NewApplications(cluster, where, argo.Trim)
	source := &argo.Cluster{Lister: applications, Selection: selection, Defaults: defaults}

	return source, func(ctx context.Context, changed func(), failed func(error)) {
		applications.Watch(ctx, kube.Changes[*argo.Stored]{
			New: source.Concerns, Differ: source.Differs, Changed: changed, Failed: failed,
		})
	}
}

// projectReader reads what Argo CD has of its projects, in the namespace where it runs.
type projectReader struct {
	cluster   *kube.Cluster
	namespace string
	secrets   *gitwrite.ArgoSecrets
}

// AppProjects lists the AppProjects of Argo CD's namespace. Argo CD always has the project
// default, so a namespace without AppProjects is not that of Argo CD.
func (r projectReader) AppProjects(ctx context.Context) ([]*argo.StoredProject, error) {
	all, err := kube.AppProjects(ctx, r.cluster, r.namespace, argo.TrimProject)
	if err == nil && len(all) == 0 {
		return nil, &argo.UnreadableError{Err: fmt.Errorf("namespace %s has no AppProjects, so it is not that of "+
			"Argo CD; set argocd.namespace in config.yaml", r.namespace)}
	}

	return all, unreadable(err)
}

// GlobalProjects returns the list of global projects.
func (r projectReader) GlobalProjects(ctx context.Context) (string, error) {
	globals, err := r.cluster.GlobalProjects(ctx, r.namespace)

	return globals, unreadable(err)
}

// ProjectRepositories returns the repositories of Secrets that belong to a project.
func (r projectReader) ProjectRepositories(ctx context.Context) (map[string][]string, error) {
	return r.secrets.ProjectRepositories(ctx)
}

// unreadable marks an error of the cluster after which another attempt would fail as well.
func unreadable(err error) error {
	var forbidden *kube.ForbiddenError
	var missing *kube.MissingError
	if errors.As(err, &forbidden) || errors.As(err, &missing) {
		return &argo.UnreadableError{Err: err}
	}

	return err
}

// secretsOf reads Secrets of a cluster. It connects when the first is asked for.
func secretsOf(connect func() (*kube.Cluster, error)) registry.SecretReader {
	return func(ctx context.Context, namespace, name string) (map[string][]byte, error) {
		cluster, err := connect()
		if err != nil {
			return nil, err
		}

		return cluster.Secret(ctx, namespace, name)
	}
}

// gitCredentials finds the credentials of repositories in the Secrets of
// namespace, where Argo CD runs; cluster is nil if Applications come from files.
func gitCredentials(cluster *kube.Cluster, namespace string, secrets registry.SecretReader) *gitwrite.ArgoSecrets {
	credentials := &gitwrite.ArgoSecrets{Secret: secrets}
	if cluster == nil {
		return credentials
	}

	credentials.Repositories = func(ctx context.Context) ([]gitwrite.RepositorySecret, error) {
		found, err := cluster.RepositorySecrets(ctx, namespace)
		if err != nil {
			return nil, fmt.Errorf("%w, or set github.app in config.yaml", err)
		}

		all := make([]gitwrite.RepositorySecret, len(found))
		for i, secret := range found {
			all[i] = gitwrite.RepositorySecret(secret)
		}

		return all, nil
	}

	credentials.Trust = func(ctx context.Context) (string, map[string]string) {
		return cluster.Trust(ctx, namespace)
	}

	return credentials
}
