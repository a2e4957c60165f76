// Package image holds the two values that every other room speaks of: a
// reference to an image, as people write it in manifests and annotations, and a
// tag as a registry reports it. It parses and compares; it never does I/O.
package image

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// DockerHub is the registry of a reference that names none.
const DockerHub = "docker.io"

// ErrInvalid is wrapped by every error of Parse.
var ErrInvalid = errors.New("invalid image reference")

// Ref is a reference to an image: [registry/]repository[:tag][@digest].
// The zero value refers to nothing.
type Ref struct {
	// Name is the reference as it was written, without tag and digest. It is
	// what is looked up in manifests and written back.
	Name string
	// Registry is the normalised host, DockerHub where none was written.
	Registry string
	// Repository is the normalised path within the registry; Docker Hub's
	// official images have their "library/" in it.
	Repository string
	Version    // zero: none given
}

// Tag is one tag of a repository as its registry reports it.
type Tag struct {
	Name   string
	Digest string // empty if the registry was not asked for it
	// Created is when the image was built, from its config. Zero if unknown: an
	// index has no such time.
	Created time.Time
	// Uploaded is when the manifest reached the registry. Only Google's
	// registries report it; zero elsewhere.
	Uploaded time.Time
	// Rank is the position of the tag by age, from 1 for the oldest; zero if the
	// order of the registry's list is unknown.
	Rank int
}

// The orders in which a registry lists tags by age.
const (
	LatestFirst = "latest-first"
	LatestLast  = "latest-last"
)

var (
	// From the grammar of github.com/distribution/reference.
	pathComponent = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	host          = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$`)
	tagPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	buildTag      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}$`)
	revision      = regexp.MustCompile(`^[0-9a-fA-F]{7,64}$`)
	digestPattern = regexp.MustCompile(`^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}$`)
)

// Parse reads a reference such as "ghcr.io/o/app:v1", "nginx" or
// "nginx@sha256:…". Names are normalised as Docker's are: no registry means
// Docker Hub, where "library/" is implied. The error wraps ErrInvalid.
func Parse(s string) (Ref, error) {
	name, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest && !digestPattern.MatchString(digest) {
		return Ref{}, fmt.Errorf("%w %q: %q is not a digest (expected sha256:…)", ErrInvalid, s, digest)
	}
	name, tag, hasTag := CutTag(name)
	if hasTag && !tagPattern.MatchString(tag) {
		return Ref{}, fmt.Errorf("%w %q: %q is not a valid tag", ErrInvalid, s, tag)
	}
	ref, err := ParseName(name)
	if err != nil {
		return Ref{}, err
	}
	ref.Tag, ref.Digest = tag, digest
	return ref, nil
}

// ParseRunning reads a reference as clusters and files have it: the tag may be
// a version with build metadata, "1.0+build5", which no registry serves. The
// error wraps ErrInvalid.
func ParseRunning(s string) (Ref, error) {
	ref, err := Parse(s)
	if err == nil {
		return ref, nil
	}
	name, tag, _ := CutTag(s)
	if ref, nameErr := ParseName(name); nameErr == nil && buildTag.MatchString(tag) {
		ref.Tag = tag
		return ref, nil
	}
	return Ref{}, err
}

// ValidTag reports whether registries serve a tag of this name.
func ValidTag(s string) bool { return tagPattern.MatchString(s) }

// longestName is how long registries accept a name, with its host.
const longestName = 255

// ValidRevision reports whether a text is the hash of a commit, or the start of one.
// What images say of themselves is the word of whoever built them.
func ValidRevision(s string) bool { return revision.MatchString(s) }

// ParseName reads a reference that carries neither tag nor digest. The error
// wraps ErrInvalid.
func ParseName(name string) (Ref, error) {
	ref := Ref{Name: name, Registry: DockerHub, Repository: name}
	if first, rest, ok := strings.Cut(name, "/"); ok && isHost(first) {
		ref.Registry, ref.Repository = first, rest
	}
	if ref.Registry == "index.docker.io" || ref.Registry == "registry-1.docker.io" {
		ref.Registry = DockerHub
	}
	if ref.Registry == DockerHub && !strings.Contains(ref.Repository, "/") {
		ref.Repository = "library/" + ref.Repository
	}
	if len(name) > longestName {
		return Ref{}, fmt.Errorf("%w: the name is longer than %d characters", ErrInvalid, longestName)
	}
	if !host.MatchString(ref.Registry) {
		return Ref{}, fmt.Errorf("%w %q: %q is not a registry host", ErrInvalid, name, ref.Registry)
	}
	for component := range strings.SplitSeq(ref.Repository, "/") {
		if !pathComponent.MatchString(component) {
			return Ref{}, fmt.Errorf("%w %q: %q may hold lower-case letters, digits, '.', '_' and '-' only",
				ErrInvalid, name, component)
		}
	}
	return ref, nil
}

// isHost tells a registry from the first component of a path, as Docker does.
func isHost(s string) bool {
	return strings.ContainsAny(s, ".:") || s == "localhost"
}

// CutTag splits s at the first colon after the last slash; a port before a slash
// is not a tag.
func CutTag(s string) (name, tag string, found bool) {
	slash := strings.LastIndex(s, "/") + 1
	if i := strings.Index(s[slash:], ":"); i >= 0 {
		return s[:slash+i], s[slash+i+1:], true
	}
	return s, "", false
}

// SameImage reports whether both refer to the same repository, whatever their
// tags and spelling.
func (r Ref) SameImage(other Ref) bool {
	return r.Registry == other.Registry && r.Repository == other.Repository
}

// String is the reference as it would be pulled.
func (r Ref) String() string {
	s := r.Name
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}
