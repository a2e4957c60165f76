// Package argo reads Argo CD's Applications into package spec: a
// [spec.Application] with one [spec.Image] for each image, and a [spec.Problem]
// for everything that cannot be followed. It follows annotations, those of Argo
// CD Image Updater 0.18 and ours, and the ImageUpdater resources of version 1.x.
//
// Use [Cluster] for Applications from a cluster, [Files] for Applications from
// manifests, and [Read] for one Application. The package does not connect to a
// cluster: package kube does.
package argo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/escape"
	"github.com/liverty-music/image-writeback/internal/limit"
	"github.com/liverty-music/image-writeback/internal/spec"
	"github.com/liverty-music/image-writeback/internal/suggest"
)

// Defaults are the settings of config.yaml for what annotations leave open.
type Defaults struct {
	WriteBackMethod string // git or argocd
	WriteBackTarget string // of Kustomize sources: kustomization or argocd-source

	// Images limits the images of one Application; zero: there is no limit.
	Images limit.Limit

	// Namespace is the namespace of Argo CD. The names of override files of
	// Applications in other namespaces have their namespace in them.
	Namespace string
}

// Annotated reports whether an Application has annotations that ask for
// anything.
func Annotated(app *Stored) bool {
	return strings.TrimSpace(app.Annotations[spec.Prefix+imageList]) != ""
}

// Read returns what an Application asks for by its annotations.
func Read(app *Stored, defaults Defaults) spec.Application {
	return read(governed{app: app}, defaults, origin{})
}

// origin is where an Application was read from; the zero value is a cluster.
type origin struct {
	file  string
	lines map[string]int // of annotations; that of the Application itself is under ""
}

// reader collects what one Application asks for.
type reader struct {
	app      *Stored
	out      *spec.Application
	defaults Defaults
	from     origin
	resource string // the ImageUpdater that stands for the annotations; empty: there is none
}

func read(g governed, defaults Defaults, from origin) spec.Application {
	app := g.app
	out := identity(app)
	out.UID, out.Labels, out.Problems = string(app.UID), app.Labels, g.problems
	out.Running, out.Health.Status = app.Status.Summary.Images, app.Status.Health.Status
	if at := app.Status.Health.LastTransitionTime; at != nil {
		out.Health.Since = at.Time
	}
	out.Target.Labels = g.labels

	if len(g.problems) > 0 {
		return out
	}

	r := &reader{app: app, out: &out, defaults: defaults, from: from, resource: g.resource}
	r.unknownNames()
	r.readTarget()
	r.readImages()
	if out.Target.Method == spec.MethodArgoCD && len(out.Broken()) == 0 {
		r.readOverrides()
	}

	return out
}

// identity is what is read of every Application: who it is, and what it deploys.
func identity(app *Stored) spec.Application {
	return spec.Application{
		Namespace: app.Namespace, Name: app.Name, Project: cmp.Or(app.Spec.Project, "default"),
		Created: app.CreationTimestamp.Time, Sources: app.sources(),
	}
}

// readOverrides reads the lists that the method argocd writes to.
func (r *reader) readOverrides() {
	source := r.app.Spec.Source
	if i := r.out.Target.Source; i >= 0 {
		source = &r.app.Spec.Sources[i]
	}

	var err error
	if r.out.Overrides, err = source.overrides(); err != nil {
		r.applicationProblem("its source cannot be read: "+err.Error(), "correct the Application")
	}
}

// problem records what is wrong with an annotation, whose name is without
// prefix, and what to do.
func (r *reader) problem(name, expected, remedy string) {
	_ = r.record(spec.Problem{Annotation: spec.Prefix + name, Expected: expected, Remedy: remedy})
}

// advise records what could be better about an annotation.
func (r *reader) advise(name, expected, remedy string) {
	_ = r.record(spec.Problem{Annotation: spec.Prefix + name, Expected: expected, Remedy: remedy, Advice: true})
}

// applicationProblem records what is wrong with the Application itself.
func (r *reader) applicationProblem(expected, remedy string) {
	_ = r.record(spec.Problem{Expected: expected, Remedy: remedy})
}

// What is recorded of one Application: many problems say no more than some, and long
// values no more than their beginnings.
const (
	maxProblems = 300
	maxAdvice   = 50
	maxValue    = 300
)

// record adds where a problem is, and the value of its annotation. It returns the
// problem.
func (r *reader) record(p spec.Problem) spec.Problem {
	p.Application, p.Resource = r.out.String(), r.resource

	// Somebody may have put the secret itself into pull-secret.
	if p.Annotation != "" && !strings.HasSuffix(p.Annotation, pullSecret) {
		p.Value = escape.Cut(r.app.Annotations[p.Annotation], maxValue)
	}

	if p.Where = r.from.file; p.Where != "" {
		line := r.from.lines[p.Annotation]
		if line == 0 {
			line = r.from.lines[""]
		}
		if line > 0 {
			p.Where = fmt.Sprintf("%s:%d", r.from.file, line)
		}
	}

	most := maxProblems
	if p.Advice {
		most = maxAdvice
	}
	if len(r.out.Problems) < most {
		r.out.Problems = append(r.out.Problems, p)
	}

	return p
}

// value returns the value of an annotation, whose name is without prefix.
func (r *reader) value(name string) string {
	return strings.TrimSpace(r.app.Annotations[spec.Prefix+name])
}

// imageValue returns a setting of an image: that of its own annotation, else
// that of the annotation for the whole Application; and the annotation's name.
// Of several names of one setting, the first with a value counts.
func (r *reader) imageValue(alias string, settings ...string) (value, name string) {
	if alias != "" {
		for _, setting := range settings {
			if v := r.value(alias + "." + setting); v != "" {
				return v, alias + "." + setting
			}
		}
	}

	setting := settings[0]
	if slices.Contains(forApplication, setting) {
		return r.value(setting), setting
	}

	return "", setting
}

// orNearest returns a remedy with the known name that was probably meant.
func orNearest(remedy, name string, known []string) string {
	if meant := suggest.Nearest(name, known); meant != "" {
		return fmt.Sprintf("%s (did you mean %s?)", remedy, meant)
	}

	return remedy
}
