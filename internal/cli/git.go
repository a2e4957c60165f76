package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/liverty-music/image-writeback/internal/config"
	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/forge"
	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/kube"
	"github.com/liverty-music/image-writeback/internal/permission"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// git makes the part that opens git repositories.
func (p *program) git(forges forges, credentials *gitwrite.ArgoSecrets) *gitwrite.Service {
	s := p.setup
	credentials.Servers = s.gitServers()
	credentials.Remedy = permission.AllowSecret

	return gitwrite.New(gitwrite.Options{
		CacheDir:    s.config.Git.CacheDir,
		Login:       forges.login,
		Credentials: credentials.Find,
		Scoped:      credentials.Scoped,
		Guard:       s.guard,
		Limits:      s.gitLimits(),
		OnCacheTrouble: func(trouble gitwrite.CacheTrouble) {
			s.noteCacheError(p.log, trouble.String())
		},
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
			return func(context.Context, string) (string, string, error) { return "", "", err }
		}
		return at.Login
	}

	return nil
}

// viaAPI is the value of git.commitVia with which GitHub makes the commits.
const viaAPI = "github-api"

// signer signs commits as git.signing says; nil: they are not signed.
func (s *setup) signer() (*gitwrite.Signer, error) {
	c := s.config.Git.Signing
	if c.Method == "" {
		return nil, nil
	}

	signer, err := gitwrite.NewSigner(c.Method, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("git.signing: %w", err)
	}

	return signer, nil
}

// signing tells how the commits in a repository are signed.
func (s *setup) signing(forges forges, signer *gitwrite.Signer) func(giturl.Address) permission.Signing {
	c := s.config.Git

	return func(address giturl.Address) permission.Signing {
		_, committer := forges.repository(address).(forge.Committer)
		switch {
		case committer && c.CommitVia == viaAPI && address.Host() == "github.com":
			return permission.Signing{Method: permission.SignedByGitHub, KeyID: permission.GitHubKeyID}
		case committer && c.CommitVia == viaAPI:
			return permission.Signing{Method: permission.SignedByGitHub}
		case signer == nil:
			return permission.Signing{}
		}

		return permission.Signing{Method: c.Signing.Method, KeyID: signer.KeyID()}
	}
}

// delivery makes the part that carries out plans. cluster is nil if Applications
// come from files, and signer if commits are not signed.
func (s *setup) delivery(
	forges forges, signer *gitwrite.Signer, cluster *kube.Cluster,
) (*delivery.Service, error) {
	c := s.config.Git
	if c.CommitVia == viaAPI && (c.Author != config.Author{} || c.Signing != config.Signing{}) {
		return nil, errors.New("git.commitVia: github-api: GitHub makes and signs the commits itself; " +
			"leave out --git-commit-user, --git-commit-email and --git-commit-signing-key, or use commitVia: push")
	}

	message, err := delivery.ParseMessage(c.Message)
	if err != nil {
		return nil, fmt.Errorf("git.message: %w", err)
	}

	options := delivery.Options{
		Author:       gitwrite.Signature{Name: c.Author.Name, Email: c.Author.Email},
		SignOff:      c.SignOff,
		Signer:       signer,
		Combined:     c.Commits == "combined",
		CommitViaAPI: c.CommitVia == viaAPI,
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
