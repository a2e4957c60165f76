package spec

import (
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/policy"
)

// Image is what an Application asks for one image.
type Image struct {
	Alias string    // empty if image-list gives none
	Ref   image.Ref // without tag or digest

	// KustomizeName is the name: of the image in a kustomization, if it
	// differs from the image itself.
	KustomizeName string

	// HelmName, HelmTag and HelmSpec are keys of Helm values or parameters. If
	// HelmSpec is set, the other two are ignored.
	HelmName, HelmTag, HelmSpec string

	Policy      policy.Policy
	Platforms   []string // os/arch[/variant]; empty: the platform that the updater runs on
	Credentials string   // the pull-secret annotation; empty: as config.yaml says

	// Live is the image as it runs; empty if that is not known.
	Live image.Ref

	// NotLive is why the image is skipped: it does not run and is not forced.
	// Otherwise it is empty.
	NotLive  string
	Problems []Problem
}

// Key identifies the image within its Application, for people: the alias, or
// the name of the image if it has no alias.
func (i Image) Key() string {
	if i.Alias != "" {
		return i.Alias
	}

	return i.Ref.Name
}
