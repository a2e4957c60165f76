package permission

import (
	"fmt"
	"strings"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Signing is how commits are signed.
type Signing struct {
	// Method is that of git.signing, or SignedByGitHub; empty: they are not signed.
	Method string
	// KeyID is the ID of the OpenPGP key, 16 capital hexadecimal digits; empty: it is
	// not known.
	KeyID string
}

// SignedByGitHub is the method of commits that GitHub makes, and GitHubKeyID the key
// with which github.com signs them. A GitHub Enterprise Server has a key of its own.
const (
	SignedByGitHub = "github-api"
	GitHubKeyID    = "B5690EEEBB952194"
)

const signedByOpenPGP = "openpgp"

// SignatureAdvice is [Projects.SignatureAdvice] about the commits that are made.
func (r *Rules) SignatureAdvice(app spec.Application, delivery string) string {
	if r.Projects == nil {
		return ""
	}

	var signing Signing
	if r.Signing != nil {
		signing = r.Signing(giturl.Parse(app.Target.Repository))
	}

	return r.Projects.SignatureAdvice(app, signing, delivery)
}

// SignatureAdvice returns why Argo CD would not sync a commit that is made for an
// Application, and what to do; empty if it would, or if that is not known. delivery is
// how the commit gets to the branch: of a pull request, Argo CD may see nothing but
// the commit that merges it, which is not ours.
func (p *Projects) SignatureAdvice(app spec.Application, signing Signing, delivery string) string {
	target := giturl.Parse(app.Target.Repository).Key()
	if !app.Bounds.Known || !app.Target.InGit() {
		return ""
	}

	for _, source := range app.Sources {
		if source.Chart || giturl.Parse(source.Repository).Key() != target {
			continue
		}

		policies := p.policies(app.Bounds.Project, source.Repository)
		if len(policies) > 1 {
			return fmt.Sprintf("Argo CD would not sync the commit: %d policies of spec.sourceIntegrity of the "+
				"AppProject %s are about this repository; leave one of them", len(policies), app.Project)
		}
		for _, policy := range policies {
			if demanded(policy, delivery) && !signing.satisfies(policy) {
				return signing.advice(app.Project)
			}
		}
	}

	return ""
}

// policies returns the policies of a project that are about a repository, which Argo
// CD compares as the source spells it.
func (p *Projects) policies(project spec.Project, repository string) []spec.SignaturePolicy {
	p.mu.Lock()
	defer p.mu.Unlock()

	var found []spec.SignaturePolicy
	left := expressions
	for _, policy := range project.Signatures {
		included := false
		for _, entry := range policy.Repositories {
			pattern, excludes := strings.CutPrefix(entry, "!")
			if g, _ := p.compile(globKey{pattern, noSeparator}, &left); g == nil || !g.match(repository) {
				continue
			}
			if included = !excludes; excludes {
				break
			}
		}
		if included {
			found = append(found, policy)
		}
	}

	return found
}

// demanded reports whether a policy is about commits that are delivered in this way.
func demanded(policy spec.SignaturePolicy, delivery string) bool {
	switch policy.Mode {
	case spec.VerifyHead:
		return delivery != spec.DeliverPullRequest
	case spec.VerifyStrict:
		return true
	}

	return false
}

// satisfies reports whether the signature is one that a policy accepts, as far as the
// key is known.
func (s Signing) satisfies(policy spec.SignaturePolicy) bool {
	if s.Method != signedByOpenPGP && s.Method != SignedByGitHub {
		return false
	}

	const digits, fingerprint = 16, 40
	for _, key := range policy.Keys {
		if len(key) == fingerprint {
			key = key[fingerprint-digits:]
		}
		if key == s.KeyID {
			return true
		}
	}

	return s.KeyID == ""
}

// advice returns what to do about a signature that a project does not accept.
func (s Signing) advice(project string) string {
	is, remedy := "is not signed", "set git.signing in config.yaml to method: openpgp and a key that the project lists"
	switch s.Method {
	case signedByOpenPGP:
		is, remedy = "is signed with the key "+s.KeyID, "add this key to the project, in capital letters"
	case SignedByGitHub:
		is, remedy = "is signed with GitHub's key "+s.KeyID, "add this key to the project"
	case "":
	default:
		is = "is signed by the method " + s.Method
	}

	return fmt.Sprintf("Argo CD would not sync the commit: the AppProject %s demands the signature of an OpenPGP key "+
		"that it lists, and the commit %s; %s", project, is, remedy)
}
