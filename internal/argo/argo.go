// Package argo reads Argo CD Applications, from a cluster or from files, and
// turns their annotations into what the rest of the program works with: a
// [spec.Application] with one [spec.Image] for each image, and a [spec.Problem]
// for everything in the annotations that cannot be followed. The annotations are
// those of Argo CD Image Updater 0.18, and ours.
package argo

// Defaults are the settings of config.yaml that annotations leave open.
type Defaults struct {
	WriteBackMethod string // git or argocd
	WriteBackTarget string // of Kustomize sources: kustomization or argocd-source
	// Namespace is Argo CD's own; the names of override files of Applications
	// elsewhere hold their namespace.
	Namespace string
}
