package resources

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/test/harness"
)

// manyTags is a list of a number of short tags, well below all limits.
func manyTags(n int) string {
	var list strings.Builder
	list.WriteString(`{"name":"x","tags":["1.0.0","1.1.0"`)
	for i := range n {
		fmt.Fprintf(&list, `,"t%d"`, i)
	}
	list.WriteString("]}")

	return list.String()
}

// TestManyPolicies has a hundred policies that choose among many tags. They are decided one
// after the other, so that little is in memory at a time, and nobody else waits for them.
func TestManyPolicies(t *testing.T) {
	const images = 100
	w := newWorld(t)
	bad := harness.NewRegistry(t)
	bad.Plain, bad.Fault = true, w.google.Fault
	w.servers = append(w.servers, bad)
	w.create("good", w.plain, true, nil)
	image, tags := w.image(bad, "bad/x"), manyTags(150_000)
	w.answers["/v2/bad/x/tags/list"] = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(tags))
	}
	if err := w.git.Create("bad", true, map[string]string{
		"offender/kustomization.yaml": kustomization(image),
	}); err != nil {
		t.Fatal(err)
	}
	var list []string
	annotations := "force-update: \"true\""
	for i := range images {
		list = append(list, fmt.Sprintf("a%d=%s", i, image))
		annotations += fmt.Sprintf("\na%d.allow-tags: \"regexp:^none%d\"", i, i)
	}
	w.applications.WriteString(harness.Manifest("bad", w.git.URLOf("bad"), "offender",
		annotations+"\nimage-list: "+strings.Join(list, ",")))

	c := w.start("interval: 1h\n")
	c.await(20*time.Second, "the update of the other one", func() bool { return w.head("good") != w.victims["good"] })
	c.await(2*time.Minute, "all policies", func() bool {
		return strings.Count(c.log.String(), "none matches allow-tags") >= images
	})
	t.Logf("%d policies were decided within %s; %.0f MB were resident at most", images,
		time.Since(c.begin).Round(100*time.Millisecond), c.resident())
}
