package delivery

import (
	"context"
	"fmt"
	"testing"

	"github.com/liverty-music/image-writeback/internal/gitwrite"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// BenchmarkFiveHundredCommits creates and pushes a commit for each of 500
// Applications with adjacent folders.
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
		var works []plan.Work
		var wants []gitwrite.Want
		for i := range n {
			file := fmt.Sprintf("apps/a%d/kustomization.yaml", i)
			files[file] = "tag: v0\n"
			works = append(works, setTag(file, "v0", "v1"))
			wants = append(wants, wantFile(file))
		}
		if err := git.Create(repo, true, files); err != nil {
			b.Fatal(err)
		}
		s := gitwrite.New(gitwrite.Options{})
		r, err := s.Open(context.Background(), gitwrite.Access{URL: git.URLOf(repo)})
		if err != nil {
			b.Fatal(err)
		}
		snapshot, err := r.Read(context.Background(), wants)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		job := Job{Method: spec.MethodGit, Works: works, Owns: alone, Repository: r, Snapshot: snapshot}
		batch := New(Options{Message: message}).Examine(context.Background(), job)
		batch.Write(context.Background())
		for _, o := range batch.Finish(context.Background()) {
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
