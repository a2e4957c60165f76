package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"text/template"

	"github.com/liverty-music/image-writeback/internal/image"
)

// BranchTemplate makes the name of a branch from the changes that go there. Its
// fields are those of Argo CD Image Updater.
type BranchTemplate struct {
	template        *template.Template
	namespace, name string
}

// BranchImage is one change, as branch templates see it.
type BranchImage struct {
	Name   string // without registry
	Alias  string
	OldTag string // the digest alone, if there is one
	NewTag string
}

// longestBranch is the length at which Argo CD Image Updater cuts names.
const longestBranch = 255

// ParseBranchTemplate reads the template of an Application's git-branch
// annotation. The error is for a template that cannot be read, that fails, or
// that makes a name which git does not allow.
func ParseBranchTemplate(text, namespace, name string) (*BranchTemplate, error) {
	parsed, err := template.New("git-branch").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the template cannot be read: %w", err)
	}

	t := &BranchTemplate{parsed, namespace, name}
	if _, err := t.Branch("0a1b2c3d", []BranchImage{{"image", "alias", "1.0", "2.0"}}); err != nil {
		return nil, err
	}

	return t, nil
}

// NewBranchImage returns the change of one image from a version to another.
func NewBranchImage(ref image.Ref, alias, from, to string) BranchImage {
	name := ref.Repository
	if ref.Registry == image.DockerHub {
		name = ref.Name
	}

	return BranchImage{Name: name, Alias: alias, OldTag: digestAlone(from), NewTag: digestAlone(to)}
}

func digestAlone(version string) string {
	if _, digest, ok := strings.Cut(version, "@"); ok {
		return digest
	}

	return version
}

// Branch returns the name for a target ([Target.Key]) and its changes. The
// error is for a template that fails, or a name that git does not allow.
func (t *BranchTemplate) Branch(targetKey string, images []BranchImage) (string, error) {
	sum := sha256.New()
	for _, i := range images {
		_, _ = fmt.Fprintf(sum, "%s-%s-%s,", i.Name, i.OldTag, i.NewTag)
	}

	data := struct {
		Images                           []BranchImage
		SHA256                           string
		AppName, AppNamespace, TargetKey string
	}{images, hex.EncodeToString(sum.Sum(nil)), t.name, t.namespace, targetKey}

	var b strings.Builder
	if err := t.template.Execute(&b, data); err != nil {
		return "", fmt.Errorf("the template fails: %w", err)
	}

	name := b.String()
	if len(name) > longestBranch {
		name = name[:longestBranch]
	}

	if !ValidBranch(name) {
		return "", fmt.Errorf("the template makes %q, which git does not allow as the name of a branch", name)
	}

	return name, nil
}

// ValidBranch reports whether git allows a name for a branch. It follows git
// check-ref-format.
func ValidBranch(name string) bool {
	for component := range strings.SplitSeq(name, "/") {
		if component == "" || strings.HasPrefix(component, ".") || strings.HasSuffix(component, ".lock") {
			return false
		}
	}

	return !strings.ContainsAny(name, " ~^:?*[\\\x7f") && !strings.Contains(name, "..") && !strings.Contains(name, "@{") &&
		!strings.HasSuffix(name, ".") && !strings.HasPrefix(name, "-") && name != "@" &&
		strings.IndexFunc(name, func(c rune) bool { return c < ' ' }) < 0
}
