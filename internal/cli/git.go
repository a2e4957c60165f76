package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// git makes the part that reads and writes git repositories. cluster is nil if
// Applications come from files.
func (s *setup) git(forges forges, cluster *kube.Cluster) (*gitwrite.Service, error) {
	c := s.config
	if c.Git.CommitVia == "github-api" && (c.Git.Author != config.Author{} || c.Git.Signing != config.Signing{}) {
		return nil, errors.New("git.commitVia: github-api: GitHub makes and signs the commits itself; " +
			"leave out --git-commit-user, --git-commit-email and --git-commit-signing-key, or use commitVia: push")
	}

	message, err := gitwrite.ParseMessage(c.Git.Message)
	if err != nil {
		return nil, fmt.Errorf("git.message: %w", err)
	}

	var signer *gitwrite.Signer
	if c.Git.Signing.Method != "" {
		if signer, err = gitwrite.NewSigner(c.Git.Signing.Method, c.Git.Signing.KeyFile); err != nil {
			return nil, fmt.Errorf("git.signing: %w", err)
		}
	}

	argoCD := ""
	if cluster != nil {
		argoCD = s.namespace(cluster.Namespace())
	}

	credentials := gitCredentials(cluster, argoCD, secretsOf(s.connect))

	return gitwrite.New(gitwrite.Options{
		CacheDir:     c.Git.CacheDir,
		Author:       gitwrite.Signature{Name: c.Git.Author.Name, Email: c.Git.Author.Email},
		SignOff:      c.Git.SignOff,
		Signer:       signer,
		Combined:     c.Git.Commits == "combined",
		CommitViaAPI: c.Git.CommitVia == "github-api",
		Message:      message,
		Forge:        forges.repository,
		Credentials:  credentials.Find,
		Scoped:       credentials.Scoped,
		Now:          time.Now,
	}), nil
}

// settings are what the configuration says about deliveries and pull requests.
func settings(c config.Config) (plan.Settings, error) {
	pulls, err := pullRequests(c.GitHub.PullRequest)
	s := plan.Settings{DefaultDelivery: c.Git.Delivery.Default, PullRequests: pulls}
	for _, r := range c.Git.Delivery.Rules {
		s.Rules = append(s.Rules, plan.DeliveryRule{
			Path: r.When.Path, Application: r.When.Application, Namespace: r.When.Namespace,
			Project: r.When.Project, Repository: r.When.Repository, Labels: r.When.Labels, Use: r.Use,
		})
	}

	return s, err
}
