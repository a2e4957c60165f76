package argo

import (
	"path"
	"strings"
	"testing"
	"unicode"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// FuzzPaths looks for annotations by which an Application would be written to a file
// outside of its repository, or to one whose name would do harm where it is shown.
func FuzzPaths(f *testing.F) {
	for _, target := range []string{
		"", "kustomization", "kustomization:../base", "kustomization:/..", "helmvalues:../../x.yaml",
		"helmvalues:/a//b/../c.yaml", "helmvalues://etc/passwd", "/abs.yaml", "../x.yaml", ".", "..", "a/..",
		"a\nb.yaml", "a\x00b", "\u202ex.yaml", "helmvalues:.git/config",
		"helmvalues:a/../../b.yaml", "helmvalues:..\\x.yaml", "helmvalues:~/x.yaml", "helmvalues:%2e%2e/x.yaml",
	} {
		f.Add("apps/backend", target, "app")
		f.Add("/", target, "../../x")
		f.Add("../..", target, "a/../../b")
	}
	f.Fuzz(func(t *testing.T, folder, target, name string) {
		stored := &Stored{}
		stored.Namespace, stored.Name = "argocd", name
		stored.Annotations = map[string]string{spec.Prefix + imageList: "nginx", spec.Prefix + writeBackTarget: target}
		stored.Spec.Source = &StoredSource{RepoURL: "https://github.com/o/r", Path: folder}
		app := Read(stored, Defaults{WriteBackMethod: "git", WriteBackTarget: "kustomization", Namespace: "argocd"})
		if len(app.Broken()) > 0 {
			return
		}

		for _, files := range app.Target.Candidates() {
			for _, file := range files.Names {
				at := path.Join(files.Folder, file)
				if path.IsAbs(at) || at == ".." || at == "." || strings.HasPrefix(at, "../") || at != path.Clean(at) {
					t.Errorf("%q, %q, %q: %q is not in the repository", folder, target, name, at)
				}
				hidden := strings.ContainsFunc(at, func(r rune) bool { return !unicode.IsPrint(r) })
				if hidden || len(at) > 3*longestPath {
					t.Errorf("%q, %q, %q: %q has strange characters", folder, target, name, at)
				}
			}
		}
	})
}
