package manifest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/liverty-music/image-writeback/internal/image"
)

// BenchmarkKustomization sets one image in a kustomization of 2,000 lines.
func BenchmarkKustomization(b *testing.B) {
	var src bytes.Buffer
	src.WriteString("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n")
	for i := range 1_000 {
		fmt.Fprintf(&src, "- resource-%d.yaml\n", i)
	}
	src.WriteString("images:\n")
	for i := range 332 {
		fmt.Fprintf(&src, "# %d\n- name: ghcr.io/o/app%d\n  newTag: v1.0.%d\n", i, i, i)
	}

	b.ReportAllocs()
	e := Entry{Image: "ghcr.io/o/app300", Version: image.Version{Tag: "v2.0.0"}}
	for b.Loop() {
		edited, err := Kustomization{}.Set(src.Bytes(), e)
		if err != nil || len(edited) != src.Len()-2 {
			b.Fatal(err, len(edited), src.Len())
		}
	}
}
