package gitwrite

import (
	"context"
	"fmt"
	"testing"

	"github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// BenchmarkFiveHundredCommits makes and pushes a commit for each of 500
// Applications whose folders lie side by side.
func BenchmarkFiveHundredCommits(b *testing.B) {
	const n = 500
	message, err := ParseMessage("")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		git, err := git.New(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		files := map[string]string{}
		var works []Work
		var wants []Want
		for i := range n {
			file := fmt.Sprintf("apps/a%d/kustomization.yaml", i)
			files[file] = "tag: v0\n"
			works = append(works, setTag(file, "v0", "v1"))
			wants = append(wants, wantFile(file))
		}
		if err := git.Create(repo, true, files); err != nil {
			b.Fatal(err)
		}
		s := New(Options{Message: message})
		r, err := s.Open(context.Background(), Access{URL: git.URLOf(repo)})
		if err != nil {
			b.Fatal(err)
		}
		snapshot, err := r.Read(context.Background(), wants)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for _, o := range r.Write(context.Background(), snapshot, works, alone) {
			if o.Err != nil {
				b.Fatal(o.Err)
			}
		}
		b.StopTimer()
		s.Close()
		git.Close()
		b.StartTimer()
	}
}
