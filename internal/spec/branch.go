package spec

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/liverty-music/image-writeback/internal/image"
)

// BranchTemplate makes the name of a branch from the changes that go there. Its
// fields are those of Argo CD Image Updater. Whoever may write an Application
// writes the template, so it can use few words ([BranchTemplateUsage]): none of
// them loops for long or makes a long text.
type BranchTemplate struct {
	template        *template.Template
	namespace, name string
}

// branchImage is one change, as branch templates see it.
type branchImage struct {
	Name   string // without registry
	Alias  string
	OldTag string // the digest alone, if there is one
	NewTag string
}

// LongestBranch is how long the name of a branch may be, in bytes: git keeps
// branches as files. Argo CD Image Updater cuts names there.
const LongestBranch = 255

// ParseBranchTemplate reads the template of an Application's git-branch
// annotation. The error is for a template that cannot be read, that uses other
// words than [BranchTemplateUsage] says, that fails, or that makes a name which git
// does not allow.
func ParseBranchTemplate(text, namespace, name string) (*BranchTemplate, error) {
	if len(text) > longestTemplate {
		return nil, fmt.Errorf("the template is longer than %d characters", longestTemplate)
	}
	parsed, err := template.New("git-branch").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the template cannot be read: %w", err)
	}
	if err := checkBranchTemplate(parsed.Tree); err != nil {
		return nil, fmt.Errorf("the template cannot be used: %w", err)
	}

	t := &BranchTemplate{parsed, namespace, name}
	example := image.Change{
		Image: "image", Alias: "alias", Old: image.Version{Tag: "1.0"}, New: image.Version{Tag: "2.0"},
	}
	if _, err := t.Branch("0a1b2c3d", []image.Change{example}); err != nil {
		return nil, err
	}

	return t, nil
}

func newBranchImage(change image.Change) (branchImage, error) {
	ref, err := image.ParseName(change.Image)
	if err != nil {
		return branchImage{}, err
	}

	name := ref.Repository
	if ref.Registry == image.DockerHub {
		name = ref.Name
	}

	return branchImage{
		Name: name, Alias: change.Alias, OldTag: digestOrTag(change.Old), NewTag: digestOrTag(change.New),
	}, nil
}

func digestOrTag(v image.Version) string { return cmp.Or(v.Digest, v.Tag) }

// Branch returns the name for a target ([Target.Key]) and the changes that go
// there, in which Alias is empty if image-list gives none. Images whose name
// cannot be read are left out. The error is for a template that fails, or a name
// that git does not allow.
func (t *BranchTemplate) Branch(targetKey string, changes []image.Change) (string, error) {
	var images []branchImage
	sum := sha256.New()
	for _, change := range changes {
		i, err := newBranchImage(change)
		if err != nil {
			continue
		}

		images = append(images, i)
		_, _ = fmt.Fprintf(sum, "%s-%s-%s,", i.Name, i.OldTag, i.NewTag)
	}

	data := struct {
		Images                           []branchImage
		SHA256                           string
		AppName, AppNamespace, TargetKey string
	}{images, hex.EncodeToString(sum.Sum(nil)), t.name, t.namespace, targetKey}

	name, err := Execute(t.template, data, LongestBranch)
	if err != nil {
		return "", fmt.Errorf("the template fails: %w", err)
	}

	if !ValidBranch(name) {
		return "", fmt.Errorf("the template makes %q, which git does not allow as the name of a branch", name)
	}

	return name, nil
}

// ValidBranch reports whether git allows a name for a branch. It follows git
// check-ref-format.
func ValidBranch(name string) bool {
	if len(name) > LongestBranch || !utf8.ValidString(name) {
		return false
	}
	for component := range strings.SplitSeq(name, "/") {
		if component == "" || strings.HasPrefix(component, ".") || strings.HasSuffix(component, ".lock") {
			return false
		}
	}

	return !strings.ContainsAny(name, " ~^:?*[\\\x7f") &&
		!strings.Contains(name, "..") && !strings.Contains(name, "@{") &&
		!strings.HasSuffix(name, ".") && !strings.HasPrefix(name, "-") && name != "@" &&
		strings.IndexFunc(name, func(c rune) bool { return c < ' ' }) < 0
}
