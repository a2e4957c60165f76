// Package manifest reads and sets images in files: bytes in, bytes out. Each
// format is a file here, and a row in the table of formats ([For], [Named]).
// A row says which files the format is for, so that nobody else has to know.
//
// Package yamledit makes the edits: an edit changes only the bytes of the
// values that must change, and is an error where it would change anything
// else. Package manifest does no I/O, and does not know why an image is set.
//
// To add a format, write a file with a type that implements [Format], and add
// a row to the table.
package manifest

import (
	"path"
	"slices"
	"strings"
)

// Format reads and sets images in files of one format. All methods are pure.
// Errors wrap [yamledit.ErrUnreadable] for a file that cannot be parsed, and
// [yamledit.ErrShape] for a file in which an image cannot be read or set; the
// message says what to change by hand. It never quotes what a file holds: whoever
// may read the message may not be allowed to read the file.
type Format interface {
	// Open parses a file, which may be empty.
	Open(src []byte) (Images, error)

	// Set returns a file with all entries set, in one step. The file may be
	// empty. It comes back as it was where everything is set already; reading
	// the result returns the versions that were set. It is an error to set
	// different versions under one key.
	Set(src []byte, entries ...Entry) ([]byte, error)

	// Key is what holds the version of an entry in a file: the key or the name
	// that people see there. Entries with the same key share one version.
	Key(e Entry) string
}

// Images are the images of a file that was parsed.
type Images interface {
	// Version returns the version that the file has for an entry, whose own
	// Version is ignored. Version.Found is false where the file has none, for
	// example because it is empty. The error wraps [yamledit.ErrShape].
	Version(e Entry) (Version, error)
}

// Read returns the version that a file has for one entry. For several entries,
// open the file once.
func Read(format Format, src []byte, e Entry) (Version, error) {
	images, err := format.Open(src)
	if err != nil {
		return Version{}, err
	}
	return images.Version(e)
}

// Form is the name of a kind of file, as write-back-target and config.yaml
// have it.
type Form string

// The forms. Overrides are Argo CD's own .argocd-source files; an application
// has the same lists in its spec.source.
const (
	FormKustomization Form = "kustomization"
	FormHelmValues    Form = "helmvalues"
	FormOverrides     Form = "argocd-source"
	FormApplication   Form = "application"
)

// The types of sources, as Argo CD names them.
const (
	SourceKustomize = "Kustomize"
	SourceHelm      = "Helm"
)

// Kind is a row in the table of formats: a format, and the files that it is for.
type Kind struct {
	Form   Form
	Source string // SourceKustomize or SourceHelm
	Format Format

	// Names are the names that the file may have in the folder of a target,
	// the preferred one first. It is nil where the target names the file.
	Names []string

	// Create is set where a file that does not exist is created.
	Create bool

	// Usage is how write-back-target names the form; empty if it does not.
	// DefaultFile is the file where it gives no path.
	Usage, DefaultFile string
}

var kinds = []Kind{
	{Form: FormKustomization, Source: SourceKustomize, Format: guarded{Kustomization{}},
		Names: KustomizationNames, Usage: "kustomization[:FOLDER]"},
	{Form: FormHelmValues, Source: SourceHelm, Format: guarded{HelmValues{}},
		DefaultFile: "values.yaml", Create: true, Usage: "helmvalues[:FILE]"},
	{Form: FormOverrides, Source: SourceKustomize, Format: guarded{KustomizeOverrides{}}, Create: true},
	{Form: FormOverrides, Source: SourceHelm, Format: guarded{HelmOverrides{}}, Create: true},
	{Form: FormApplication, Source: SourceKustomize, Format: guarded{KustomizeOverrides{}}},
	{Form: FormApplication, Source: SourceHelm, Format: guarded{HelmOverrides{InApplication: true}}},
}

// For returns the kind of a form for a type of source; for an empty type, the
// first kind of the form. It reports whether there is one.
func For(form Form, source string) (Kind, bool) {
	for _, k := range kinds {
		if k.Form == form && (source == "" || k.Source == source) {
			return k, true
		}
	}
	return Kind{}, false
}

// Named returns the kind that a write-back-target names, FORM or FORM:PATH,
// with the path or the default file. It reports whether the target names a
// kind; otherwise it is the path of a file of overrides.
func Named(target string) (kind Kind, file string, ok bool) {
	form, file, _ := strings.Cut(target, ":")
	kind, ok = For(Form(form), "")
	if !ok || kind.Usage == "" {
		return Kind{}, "", false
	}
	if file == "" {
		file = kind.DefaultFile
	}
	return kind, file, true
}

// Usages lists how a write-back-target can name a kind.
func Usages() []string {
	var all []string
	for _, k := range kinds {
		if k.Usage != "" {
			all = append(all, k.Usage)
		}
	}
	return all
}

// SourceOf returns the type of source that the files in its folder indicate;
// empty if they indicate none.
func SourceOf(names []string) string {
	for _, source := range []struct {
		name  string
		files []string
	}{
		{SourceKustomize, KustomizationNames},
		{SourceHelm, []string{"Chart.yaml"}},
	} {
		if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(source.files, name) }) {
			return source.name
		}
	}
	return ""
}

// Files are the names that a file may have in a folder of a repository, the
// preferred one first.
type Files struct {
	Folder string
	Names  []string
}

// Path is the path of the file with its preferred name.
func (f Files) Path() string { return path.Join(f.Folder, f.Names[0]) }

// Files returns the files of a kind for the folder and the file of a target.
func (k Kind) Files(folder, file string) Files {
	if k.Names != nil {
		return Files{folder, k.Names}
	}
	return Files{path.Dir(file), []string{path.Base(file)}}
}
