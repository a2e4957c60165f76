package permission

import (
	"path"
	"strings"
	"testing"
	"unicode"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// FuzzWrite looks for a file that an Application may write although it steers git, a
// forge or a CI system, is no manifest, or is another project's; and for a branch that
// is not its own.
func FuzzWrite(f *testing.F) {
	for _, file := range []string{
		"teams/a/kustomization.yaml", ".gitlab-ci.yml", ".github/workflows/x.yml", "a/.GITHUB/x.yml", ".git/x.yaml",
		"teams/b/x.yaml", "teams/a/../b/x.yaml", "./teams/b/x.yaml", "teams//b/x.yaml", "TEAMS/B/x.yaml", "x\n.yaml",
		"azure-pipelines.yml", "cloudbuild.json", ".tekton/x.yaml", ".circleci/config.yml", ".drone.yml",
		".woodpecker/x.yaml", ".buildkite/pipeline.yml", "Jenkinsfile", ".gitea/x.yml", ".\u200cgit/x.yaml",
		"git~1/x.yaml",
	} {
		f.Add(file, "main", "main", false)
		f.Add(file, "main", HeadPrefix+"x", true)
		f.Add(file, "stage", "b-deploys", true)
	}
	const repository = "https://github.com/o/r"
	app := func(name, project, folder, branch string) spec.Application {
		return spec.Application{
			Namespace: "argocd", Name: name, Project: project,
			Target:  spec.Target{Repository: repository},
			Sources: []spec.Source{{Repository: repository, Path: folder, Revision: branch}},
		}
	}
	own := app("own", "a", "teams/a", "main")
	far := app("far", "b", "x", "b-deploys")
	far.Sources[0].Values = []spec.ValuesFile{{Repository: repository, Path: "envs/b.yaml"}}
	others := NewTerritory([]spec.Application{own, app("other", "b", "teams/b", "main"), far})

	f.Fuzz(func(t *testing.T, file, base, write string, named bool) {
		var rules Rules
		at := Place{
			Repository: repository, Path: file, Base: base, Write: write, Named: named, Default: "main",
			Tracked: []string{"main"},
		}
		if rules.Write(own, at, others) != nil {
			return
		}

		lower := strings.ToLower(file)
		switch extension := path.Ext(lower); {
		case extension != ".yaml" && extension != ".yml" && extension != ".json":
			t.Errorf("%q is no manifest", file)
		case strings.ContainsFunc(file, unicode.IsControl):
			t.Errorf("%q has control characters", file)
		case path.Clean(file) != file || path.IsAbs(file) || strings.HasPrefix(file, "../"):
			t.Errorf("%q is not the path of a file", file)
		case strings.HasPrefix(file, "teams/b/") || file == "envs/b.yaml":
			t.Errorf("%q is another project's", file)
		case strings.HasPrefix(lower, ".gitlab-ci") || strings.HasPrefix(lower, ".circleci/"):
			t.Errorf("%q steers a CI system", file)
		}
		for part := range strings.SplitSeq(lower, "/") {
			if strings.HasPrefix(part, ".git") {
				t.Errorf("%q steers git or a forge", file)
			}
		}
		if base != "main" || write == "b-deploys" || named && strings.HasPrefix(strings.ToLower(write), HeadPrefix) {
			t.Errorf("%q, %q: the branch is not its own", base, write)
		}
	})
}
