package kube

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// typeLabel is the label by which Argo CD finds its Secrets, and the values
// for those of one repository, and of all repositories with a URL's prefix.
const (
	typeLabel      = "argocd.argoproj.io/secret-type"
	repositoryType = "repository"
	templateType   = "repo-creds"
)

// RepositorySecret is a Secret by which Argo CD reads repositories.
type RepositorySecret struct {
	Name     string // namespace/name
	Template bool   // for all repositories whose URL begins with its url
	Data     map[string][]byte
}

// RepositorySecrets lists the Secrets by which Argo CD reads repositories, and
// its credential templates. Those without data are left out.
func (c *Cluster) RepositorySecrets(ctx context.Context, namespace string) ([]RepositorySecret, error) {
	selector := fmt.Sprintf("%s in (%s, %s)", typeLabel, repositoryType, templateType)
	list, err := c.core.Secrets(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing Argo CD's repository Secrets in namespace %s: %w; grant list on secrets there",
			namespace, err)
	}

	var all []RepositorySecret
	for _, secret := range list.Items {
		if secret.Data != nil {
			all = append(all, RepositorySecret{
				Name:     namespace + "/" + secret.Name,
				Template: secret.Labels[typeLabel] == templateType,
				Data:     secret.Data,
			})
		}
	}

	return all, nil
}

// Trust returns Argo CD's known SSH hosts, in the format of known_hosts, and by
// host the certificates that it trusts. What cannot be read is empty.
func (c *Cluster) Trust(ctx context.Context, namespace string) (knownHosts string, certificates map[string]string) {
	maps := c.core.ConfigMaps(namespace)

	if hosts, err := maps.Get(ctx, "argocd-ssh-known-hosts-cm", metav1.GetOptions{}); err == nil {
		knownHosts = hosts.Data["ssh_known_hosts"]
	}
	if trusted, err := maps.Get(ctx, "argocd-tls-certs-cm", metav1.GetOptions{}); err == nil {
		certificates = trusted.Data
	}

	return knownHosts, certificates
}
