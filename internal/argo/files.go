package argo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// Files is a source of Applications from manifests: files and folders, YAML or
// JSON, several documents to a file, and lists. Other kinds in them are skipped,
// so that the folder that Argo CD reads can be given as it is.
type Files struct {
	Paths     []string
	Selection Selection
	Defaults  Defaults

	// Namespace is that of Applications and AppProjects which do not name one. AppProjects
	// count in Defaults.Namespace alone.
	Namespace string

	// Follow is FollowAuto, FollowRequired or FollowOff; empty: auto. Setting is where it
	// is set, for messages.
	Follow, Setting string
}

// List reads all files, each time it is called. What is wrong with one file is a
// Problem, and the others are read all the same. The error is for a path that cannot
// be read, and for AppProjects that are required and not there.
func (f *Files) List(_ context.Context) (spec.Listing, error) {
	var read manifests
	for _, path := range f.Paths {
		files, err := manifestFiles(path)
		if err != nil {
			return spec.Listing{}, fmt.Errorf("reading Applications: %w", err)
		}
		for _, file := range files {
			read.readFile(file)
		}
	}

	found := f.selected(&read)
	var twice []spec.Problem
	found.Applications, twice = once(found.Applications)
	if err := f.bound(&read, found.Applications, found.Neighbours); err != nil {
		return spec.Listing{}, err
	}
	found.Problems = slices.Concat(read.problems, twice)

	return found, nil
}

// bound sets the bounds of Applications by the AppProjects that the files have. If they
// have none, the projects are not known.
func (f *Files) bound(read *manifests, apps ...[]spec.Application) error {
	if f.Follow == FollowOff {
		return nil
	}

	var stored []*StoredProject
	for _, p := range read.projects {
		if cmp.Or(p.Namespace, f.Namespace) == f.Defaults.Namespace {
			stored = append(stored, p)
		}
	}
	if len(stored) == 0 {
		if f.Follow == FollowRequired {
			return requires(f.Setting, fmt.Errorf("there is no AppProject of namespace %s in %s; add them",
				f.Defaults.Namespace, strings.Join(f.Paths, " or ")))
		}
		return nil
	}

	projects, err := withGlobals(withDefault(stored), read.globals)
	if err != nil {
		read.problems = append(read.problems, spec.Problem{Expected: err.Error(), Remedy: "correct it"})
	}
	for _, some := range apps {
		for i := range some {
			some[i].Bounds = bounds(projects, some[i].Project)
		}
	}

	return nil
}

// selected reads the Applications, once all ImageUpdaters are known that can select
// them.
func (f *Files) selected(read *manifests) spec.Listing {
	for _, u := range read.updaters {
		if u.Namespace == "" {
			u.Namespace = f.Namespace
		}
	}

	var found spec.Listing
	for _, c := range read.apps {
		if c.app.Namespace == "" {
			c.app.Namespace = f.Namespace
		}
		f.Selection.read(c, read.updaters, f.Defaults, &found)
	}

	return found
}

// once sorts Applications by their names, and keeps the first of each name. A
// second one is a problem.
func once(apps []spec.Application) ([]spec.Application, []spec.Problem) {
	slices.SortStableFunc(apps, func(a, b spec.Application) int { return strings.Compare(a.String(), b.String()) })

	var kept []spec.Application
	var problems []spec.Problem
	for _, app := range apps {
		last := len(kept) - 1
		if last < 0 || kept[last].String() != app.String() {
			kept = append(kept, app)
			continue
		}

		problems = append(problems, spec.Problem{
			Application: app.String(),
			Where:       app.Origin,
			Expected:    "the Application was already read from " + kept[last].Origin,
			Remedy:      "give each Application once",
		})
	}

	return kept, problems
}

// manifestFiles lists the files below path that can have manifests, in order.
func manifestFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}

	var files []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch filepath.Ext(p) {
		case ".yaml", ".yml", ".json":
			if !d.IsDir() {
				files = append(files, p)
			}
		}
		return nil
	})

	return files, err
}

// maxManifest bounds files of manifests: parsing needs many times their size.
const maxManifest = 4 << 20

// readManifest reads a file. Of a large one it only looks whether it could have
// Applications, which is an error.
func readManifest(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()

	tooLarge := limit.Limit{Max: maxManifest, Raise: "put its Applications into smaller files"}.TooLarge("it")
	data, err := io.ReadAll(limit.Reader(file, maxManifest, tooLarge))
	if !errors.Is(err, tooLarge) {
		return data, err
	}

	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, tooLarge
	}
	found, err := mentions(file, application.Group)
	if err == nil && found {
		err = tooLarge
	}

	return nil, err
}

// mentions reports whether a word is in what r reads.
func mentions(r io.Reader, word string) (bool, error) {
	chunk, kept := make([]byte, 1<<16), 0
	for {
		n, err := r.Read(chunk[kept:])
		if bytes.Contains(chunk[:kept+n], []byte(word)) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}

		end := kept + n
		kept = copy(chunk, chunk[max(0, end-len(word)):end])
	}
}

// manifests collects what files have.
type manifests struct {
	apps     []candidate
	updaters []*ImageUpdater
	projects []*StoredProject
	globals  string // globalProjects of the ConfigMap argocd-cm
	problems []spec.Problem
}

// readFile reads all documents of one file.
func (m *manifests) readFile(file string) {
	unreadable := func(err error) {
		m.problems = append(m.problems, spec.Problem{
			Where:    file,
			Expected: "the file cannot be read: " + err.Error(),
			Remedy:   "correct it; its Applications are ignored until then",
		})
	}

	data, err := readManifest(file)
	if err != nil {
		unreadable(err)
		return
	}

	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			unreadable(errors.New(strings.TrimPrefix(err.Error(), "yaml: ")))
			return
		}
		if len(doc.Content) == 1 {
			m.readObject(file, doc.Content[0])
		}
	}
}
