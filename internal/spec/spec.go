// Package spec holds what is asked for, whoever asks: an [Application] with one
// [Image] for each image to be kept up to date, the [Target] that changes are
// written to, and a [Problem] for everything that cannot be followed. It holds
// values and their rules, and does no I/O.
//
// Use package argo to read these values from Argo CD's Applications. Use
// package policy for how a tag is chosen.
package spec

import (
	"time"

	"github.com/liverty-music/image-writeback/internal/giturl"
)

// Prefix is what the name of every annotation begins with.
const Prefix = "argocd-image-updater.argoproj.io/"

// Application is what the updater reads of an Argo CD Application.
type Application struct {
	Namespace string
	Name      string
	Project   string
	UID       string // empty for an Application from a file
	Labels    map[string]string
	Created   time.Time // zero for an Application from a file

	// Sources are all sources, as Argo CD checks them against the project. With a
	// source hydrator, they are the dry source and the source that is synced.
	Sources []Source
	Bounds  Bounds

	// Origin is the file and line that the Application was read from; empty
	// for an Application from a cluster.
	Origin   string
	Images   []Image
	Problems []Problem
	Target   Target

	// Overrides are the lists of images or parameters of the source, in YAML,
	// if the method is MethodArgoCD: they are what is written to.
	Overrides []byte

	// Running are the images that run, as Argo CD reports them. Both fields
	// are empty if that is not known.
	Running []string
	Health  Health
}

// Listing is everything that is there for a cycle.
type Listing struct {
	Applications []Application // those that ask for something, in order of their names

	// Neighbours are the other Applications, as far as they are known: namespace,
	// name, project with its bounds, creation time and sources. What they deploy is theirs.
	Neighbours []Application
	Problems   []Problem // of what could not be read
}

// Health is the health of an Application, in Argo CD's words.
type Health struct {
	Status string    // such as Healthy, Progressing or Degraded
	Since  time.Time // zero if Argo CD does not report it
}

// String returns namespace/name, as kubectl prints it.
func (a Application) String() string { return a.Namespace + "/" + a.Name }

// SourcesIn returns the sources that are in one git repository, by
// [giturl.Address.Key].
func (a Application) SourcesIn(key string) []Source {
	var in []Source

	for _, source := range a.Sources {
		if !source.Chart && giturl.Parse(source.Repository).Key() == key {
			in = append(in, source)
		}
	}

	return in
}

// Shard returns what decides which of several replicas works on the
// Application: the address of its git repository, so that no two replicas push
// to the same one, or the Application itself if it has no repository.
func (a Application) Shard() string {
	if a.Target.Repository == "" {
		return a.String()
	}

	return giturl.Parse(a.Target.Repository).Key()
}

// Broken returns the problems that concern the Application as a whole, and so
// each of its images.
func (a Application) Broken() []Problem {
	var broken []Problem

	for _, p := range a.Problems {
		if p.Image == "" && !p.Advice {
			broken = append(broken, p)
		}
	}

	return broken
}
