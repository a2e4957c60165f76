package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// TestNothingOfAFileIsTold holds that neither a message nor a version of the plan has
// a secret that the annotations of an Application lead to. The diff of the file has
// it: only who may read the file sees that.
func TestNothingOfAFileIsTold(t *testing.T) {
	data, err := os.ReadFile("../../testdata/manifest/secrets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Form, Source, File, Current string
		SpecKey                           string `yaml:"specKey"`
		TagKey                            string `yaml:"tagKey"`
		NameKey                           string `yaml:"nameKey"`
	}
	if err := yaml.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}

	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			kind, ok := manifest.For(manifest.Form(v.Form), v.Source)
			if !ok {
				t.Fatal("there is no such form")
			}
			candidate := chosen(ref("ghcr.io/o/app"), "app", "v2")
			candidate.Spec.HelmSpec, candidate.Spec.HelmTag = v.SpecKey, v.TagKey
			if candidate.Spec.HelmName = v.NameKey; v.NameKey == "" {
				candidate.Spec.HelmName = "image.name"
			}

			for _, delivery := range []string{spec.DeliverCommit, spec.DeliverPullRequest} {
				// The pull request has the file as well, and an error keeps what it proposes.
				c := newCase(v.File, candidate)
				c.Application.Target.Delivery = delivery
				c.Place.Format, c.Place.PullRequests = kind.Format, true
				c.Place.HeadBranch, c.Place.HeadExists = "head", true
				proposed := strings.ReplaceAll(v.File, "s3cr3t", "s3cr3t2")
				c.Place.Head = &File{Branch: "head", Path: "k.yaml", Data: []byte(proposed)}
				failed := newCase("images: [{name: ghcr.io/o/app, newTag: v1}]", candidate)
				failed.Images[0].Err = fmt.Errorf("the registry is down")
				failed.Place.Format = kind.Format
				failed.Place.Base.Data, failed.Place.Head = c.Place.Base.Data, c.Place.Head
				failed.Application.Target.Delivery = delivery

				p := Make([]*Case{c, failed}, Settings{})
				p.Files = nil
				told, err := json.Marshal(p)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range p.Decisions {
					if d.Work != nil {
						told = fmt.Append(told, d.Work.Planned)
					}
				}
				if strings.Contains(string(told), "s3cr3t") {
					t.Errorf("%s: %s", delivery, told)
				}
				if got := p.Applications[0].Images[0].Current; got != v.Current {
					t.Errorf("%s: the current version is %q, want %q", delivery, got, v.Current)
				}
			}
		})
	}
}
