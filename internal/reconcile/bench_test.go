package reconcile

import (
	"fmt"
	"testing"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/manifest"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// BenchmarkPlan decides about 10,000 Applications, up to date or to be updated,
// once registries and repositories have answered.
func BenchmarkPlan(b *testing.B) {
	const n = 10_000
	for name, current := range map[string]string{"idle": "v2", "update": "v1"} {
		apps, answers, places := make([]spec.Application, n), make([]answer, n), make([]place, n)
		for i := range n {
			ref, err := image.ParseName(fmt.Sprintf("ghcr.io/o/app%d", i))
			if err != nil {
				b.Fatal(err)
			}
			apps[i] = spec.Application{Namespace: "argocd", Name: fmt.Sprintf("a%d", i), Images: []spec.Image{{Alias: "app", Ref: ref, Policy: policy.Policy{Strategy: policy.SemVer}}}}
			answers[i] = answer{choice: policy.Choice{Found: true, Tag: image.Tag{Name: "v2"}, Reason: "highest"}}
			places[i] = place{repository: "https://github.com/o/r", format: manifest.Kustomization{},
				base: gitwrite.File{Branch: "main", Path: fmt.Sprintf("apps/a%d/kustomization.yaml", i), Data: fmt.Appendf(nil, "resources:\n- ../base\nimages:\n- name: %s\n  newTag: %s\n", ref.Name, current)}}
		}
		settings := Settings{DefaultDelivery: "commit"}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				plans := make([]Application, n)
				for i := range apps {
					plans[i], _, _ = decide(apps[i], answers[i:i+1], places[i], settings, nil)
				}
				if refused := conflicts(plans); len(refused) > 0 {
					b.Fatal(refused)
				}
			}
		})
	}
}
