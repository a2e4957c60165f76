package resources

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/test/harness"
)

// slowly answers with a beginning, and then a byte each tenth of a second, of a text
// that is repeated until the client is gone.
func slowly(contentType, begin, again string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		if _, err := io.WriteString(w, begin); err != nil {
			return
		}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		controller := http.NewResponseController(w)
		for n := 0; controller.Flush() == nil; n++ {
			select {
			case <-tick.C:
				_, _ = w.Write([]byte{again[n%len(again)]})
			case <-r.Context().Done():
				return
			}
		}
	}
}

// longList is a list of tags that needs as much memory as it may.
func longList() string {
	var list strings.Builder
	fmt.Fprintf(&list, `{"child":[],"manifest":{"sha256:%064d":{"timeCreatedMs":"1790000000000","tag":["1.0.0"`, 1)
	for n := range 199_000 {
		fmt.Fprintf(&list, `,"%0128d"`, n)
	}
	list.WriteString("]}}")

	return list.String()
}

const (
	jsonType = "application/json"
	refsType = "application/x-git-upload-pack-advertisement"
	packType = "application/x-git-upload-pack-result"
)

// addSlow adds an Application that a server answers slowly. about is where it is asked
// about the image, or the repository, of the Application.
func (w *world) addSlow(name string, server *registry.Server, about string, answer http.HandlerFunc) {
	w.t.Helper()
	image := w.image(server, "bad/"+name)
	if err := w.git.Create(name, true, map[string]string{
		"offender/kustomization.yaml": kustomization(image),
	}); err != nil {
		w.t.Fatal(err)
	}
	w.application(name, name, "offender", image, "app.update-strategy: newest-build")
	w.answers[fmt.Sprintf(about, name)] = answer
	w.offenders[name] = " took longer than 18s; raise limits.decisionTime in config.yaml; it is set aside until "
}

// addSlowOffenders adds those whose answers have hardly begun, with a victim beside each.
func (w *world) addSlowOffenders() {
	w.t.Helper()
	shallow := fmt.Sprintf("0034shallow %040d00000008NAK\n", 1)
	w.answers["/v2/bad/slow-config/manifests/"] = manifestOf(1 << 20)
	for name, o := range map[string]struct {
		about  string
		answer http.HandlerFunc
	}{
		"slow-list":     {"/v2/bad/%s/tags/list", slowly(jsonType, `{"tags":["1.0.0",`, " ")},
		"slow-manifest": {"/v2/bad/%s/manifests/", slowly(jsonType, `{"schemaVersion":2,`, " ")},
		"slow-config":   {"/v2/bad/%s/blobs/", slowly(jsonType, "{", " ")},
		"slow-references": {"/%s.git/info/refs", slowly(refsType, service,
			reference("refs/heads/branch", "\x00shallow"))},
		"slow-pack": {"/%s.git/git-upload-pack", slowly(packType, shallow, "0006\x02.")},
	} {
		w.addSlow(name, w.plain, o.about, o.answer)
		w.create("beside-"+name, w.plain, true, nil)
	}
}

// addLongOffenders adds those whose answers are as long as they may be, but for the end.
// Each of them has a registry of its own.
func (w *world) addLongOffenders(each int) {
	w.t.Helper()
	list, references := longList(), longReferences()
	manifest := slowly(jsonType, `{"schemaVersion":2,"x":"`+strings.Repeat("x", 4_000_000), " ")
	for i := range each {
		server := harness.NewRegistry(w.t)
		server.Plain, server.Fault = true, w.google.Fault
		w.servers = append(w.servers, server)
		w.addSlow(fmt.Sprintf("long-list-%d", i), server, "/v2/bad/%s/tags/list", slowly(jsonType, list, " "))
		w.addSlow(fmt.Sprintf("long-references-%d", i), server, "/%s.git/info/refs",
			slowly(refsType, references, reference("refs/heads/last", "")))
		for n := range 3 {
			w.addSlow(fmt.Sprintf("long-manifest-%d-%d", i, n), server, "/v2/bad/%s/manifests/", manifest)
		}
	}
}

// longReferences are as many as a repository may have, with names as long as they may
// be.
func longReferences() string {
	var all strings.Builder
	all.WriteString(service + reference("HEAD", "\x00shallow"))
	for n := range 49_000 {
		all.WriteString(reference(fmt.Sprintf("refs/heads/%0400d", n), ""))
	}

	return all.String()
}

// TestTooSlow has all kinds of slow answers in one world. The updates of others land
// before the deadline of any of them, and little is held of what has come.
func TestTooSlow(t *testing.T) {
	w := newWorld(t)
	w.addSlowOffenders()
	w.addLongOffenders(12)
	c := w.start("interval: 1h\nlimits: {decisionTime: 18s}\n")

	w.landed(c)
	if strings.Contains(c.log.String(), "took longer than") {
		t.Error("the updates of others have waited for the slow ones")
	}
	w.named(c, time.Minute)
	t.Logf("%d offenders were named within %s; %.0f MB were resident at most", len(w.offenders),
		time.Since(c.begin).Round(100*time.Millisecond), c.resident())
}
