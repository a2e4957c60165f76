package plan

import (
	"fmt"
	"testing"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// BenchmarkPlan decides about 10,000 Applications, up to date or to be updated,
// once registries and repositories have answered.
func BenchmarkPlan(b *testing.B) {
	const n = 10_000
	for name, current := range map[string]string{"idle": "v2", "update": "v1"} {
		cases := make([]*Case, n)
		for i := range n {
			ref, err := image.ParseName(fmt.Sprintf("ghcr.io/o/app%d", i))
			if err != nil {
				b.Fatal(err)
			}
			file := fmt.Appendf(nil, "resources:\n- ../base\nimages:\n- name: %s\n  newTag: %s\n", ref.Name, current)
			cases[i] = &Case{
				Application: spec.Application{Namespace: "argocd", Name: fmt.Sprintf("a%d", i)},
				Images:      []Candidate{chosen(ref, "app", "v2")},
				Place: Place{
					Repository: "https://github.com/o/r", Format: manifest.Kustomization{},
					Base: File{Branch: "main", Path: fmt.Sprintf("apps/a%d/kustomization.yaml", i), Data: file},
				},
			}
		}

		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p := Make(cases, Settings{DefaultDelivery: "commit"}); p.Failed() {
					b.Fatal(p.Problems)
				}
			}
		})
	}
}
