package argo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"text/template"

	"github.com/liverty-music/image-writeback/internal/image"
)

// BranchTemplate makes the name of a branch of the changes that go there. Its
// fields are those of Argo CD Image Updater.
type BranchTemplate struct {
	template        *template.Template
	namespace, name string
}

// BranchImage is one change, as branch templates see it.
type BranchImage struct {
	Name   string // without registry
	Alias  string
	OldTag string // the digest alone, where there is one
	NewTag string
}

// longestBranch is where Argo CD Image Updater cuts names.
const longestBranch = 255

func parseBranchTemplate(text, namespace, name string) (*BranchTemplate, error) {
	parsed, err := template.New(gitBranch).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the template cannot be read: %w", err)
	}
	t := &BranchTemplate{parsed, namespace, name}
	if _, err := t.Branch("0a1b2c3d", []BranchImage{{"image", "alias", "1.0", "2.0"}}); err != nil {
		return nil, err
	}
	return t, nil
}

// NewBranchImage is the change of one image from a version to another.
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

// Key is short and the same for Applications that write to one place of one
// branch, as in Argo CD Image Updater 1.x.
func (t Target) Key() string {
	place := t.File
	if t.Form == FormKustomization {
		place = t.Folder
	}
	sum := sha256.Sum256([]byte(t.Repository + "|" + t.BaseBranch + "|" + place))
	return hex.EncodeToString(sum[:])[:8]
}

// Branch renders the name. The error is for a template that fails, or a name
// that git does not allow.
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
