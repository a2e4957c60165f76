package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// git makes the part that opens git repositories.
func (s *setup) git(forges forges, credentials *gitwrite.ArgoSecrets) *gitwrite.Service {
	credentials.Servers = s.gitServers()
	credentials.Remedy = func(secret, host string) string { return permission.AllowSecret(secret, host, "") }

	return gitwrite.New(gitwrite.Options{
		CacheDir:    s.config.Git.CacheDir,
		Login:       forges.login,
		Credentials: credentials.Find,
		Scoped:      credentials.Scoped,
		Guard:       s.guard,
		Limits:      s.gitLimits(),
	})
}

// login returns how a forge signs in to a repository; nil if none of them has it. Its
// login is sent nowhere else.
func (f forges) login(address giturl.Address) gitwrite.Login {
	for _, client := range f {
		at := client.Repository(address)
		if at == nil {
			continue
		}
		if err := client.CheckLogin(address); err != nil {
			return func(context.Context) (string, string, error) { return "", "", err }
		}
		return at.Login
	}

	return nil
}

// delivery makes the part that carries out plans. cluster is nil if Applications
// come from files.
func (s *setup) delivery(forges forges, cluster *kube.Cluster) (*delivery.Service, error) {
	c := s.config.Git
	if c.CommitVia == "github-api" && (c.Author != config.Author{} || c.Signing != config.Signing{}) {
		return nil, errors.New("git.commitVia: github-api: GitHub makes and signs the commits itself; " +
			"leave out --git-commit-user, --git-commit-email and --git-commit-signing-key, or use commitVia: push")
	}

	message, err := delivery.ParseMessage(c.Message)
	if err != nil {
		return nil, fmt.Errorf("git.message: %w", err)
	}

	var signer *gitwrite.Signer
	if c.Signing.Method != "" {
		if signer, err = gitwrite.NewSigner(c.Signing.Method, c.Signing.KeyFile); err != nil {
			return nil, fmt.Errorf("git.signing: %w", err)
		}
	}

	options := delivery.Options{
		Author:       gitwrite.Signature{Name: c.Author.Name, Email: c.Author.Email},
		SignOff:      c.SignOff,
		Signer:       signer,
		Combined:     c.Commits == "combined",
		CommitViaAPI: c.CommitVia == "github-api",
		Message:      message,
		Forge:        forges.repository,
	}
	if cluster != nil { // a nil *kube.Cluster in an interface is not nil
		options.Applications = cluster
	}

	return delivery.New(options), nil
}

// settings are what the configuration says about deliveries and pull requests.
func settings(c config.Config) (plan.Settings, error) {
	pulls, err := pullRequests(c.GitHub.PullRequest)
	s := plan.Settings{DefaultDelivery: c.Git.Delivery.Default, PullRequests: pulls}
	for _, r := range c.Git.Delivery.Rules {
		s.Rules = append(s.Rules, plan.DeliveryRule{
			Path: r.When.Path, Application: r.When.Application, Namespace: r.When.Namespace,
			Project: r.When.Project, Repository: r.When.Repository, Labels: r.When.Labels, Use: r.Use,
			Enforce: r.Enforce,
		})
	}

	return s, err
}
