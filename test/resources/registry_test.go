package resources

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// send writes a beginning, then piece after piece, until there were so many bytes or
// the client is gone; size 0: there is no end.
func send(w io.Writer, size int, begin, end string, piece func(n int) string) {
	buffer := bufio.NewWriterSize(w, 64<<10)
	sent, err := buffer.WriteString(begin)
	for n := 0; err == nil && (size == 0 || sent < size); n++ {
		var more int
		more, err = buffer.WriteString(piece(n))
		sent += more
	}
	if err == nil {
		_, _ = buffer.WriteString(end)
		_ = buffer.Flush()
	}
}

// body answers with a body of a size; 0: it has no end.
func body(size int, begin, end string, piece func(n int) string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { send(w, size, begin, end, piece) }
}

// page answers with a page of tags that has a next one.
func page(tags string, next func(n int) string) http.HandlerFunc {
	var asked atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=next", r.URL.Path, next(n)))
		_, _ = io.WriteString(w, strings.ReplaceAll(tags, "%d", fmt.Sprint(n)))
	}
}

// googleList is a list of tags with manifests, as Google's registries send it.
func googleList(size int) http.HandlerFunc {
	return body(size, `{"child":[],"tags":[],"manifest":{"sha256:`+strings.Repeat("0", 64)+`":{}`, "}}",
		func(n int) string {
			return fmt.Sprintf(`,"sha256:%064x":{"imageSizeBytes":"1","mediaType":`+
				`"application/vnd.oci.image.manifest.v1+json","tag":["1.1.%d"],"timeCreatedMs":"1790000000000",`+
				`"timeUploadedMs":"1790000000000"}`, n+1, n)
		})
}

// registryOffender is an image about which a registry says too much.
type registryOffender struct {
	plain   bool // of the registry that lists names
	answers map[string]http.HandlerFunc
	want    string
}

// registryOffenders are those of the test, by name.
func registryOffenders() map[string]registryOffender {
	const large = 128 << 20
	raise := func(key string) string { return "; raise limits." + key + " in config.yaml" }
	tag := func(n int) string { return fmt.Sprintf(`,"1.0.%d"`, n) }
	filling := strings.Repeat("x", 1000)
	same := func(text string) func(int) string { return func(int) string { return text } }
	number := func(n int) string { return fmt.Sprintf("last=%d", n) }
	long := `{"tags":["1.0.%d"` + strings.Repeat(`,"`+strings.Repeat("b", 200)+`"`, 500) + "]}"

	lists := func(plain bool, want string, list http.HandlerFunc) registryOffender {
		return registryOffender{plain, map[string]http.HandlerFunc{"tags/list": list}, want}
	}
	tagList := "the list of tags is larger than 32 MiB" + raise("tagListSize")

	return map[string]registryOffender{
		"endless-tags": lists(true, "the repository has more than 200,000 tags"+raise("tags"),
			body(0, `{"tags":["1.0.0"`, "", tag)),
		"large-list":  lists(false, tagList, googleList(100_000_000)),
		"pages":       lists(true, "the list of tags has more than 1,000 pages", page(`{"tags":["1.0.%d"]}`, number)),
		"large-pages": lists(true, tagList, page(long, number)),
		"circle":      lists(true, "its list of tags has no end", page(`{"tags":["1.0.0"]}`, same(""))),
		"manifest": {true, map[string]http.HandlerFunc{
			"manifests/": body(large, `{"schemaVersion":2,"x":"`, `"}`, same(filling)),
		}, "the manifest is larger than 4 MiB"},
		"config": {true, map[string]http.HandlerFunc{
			"manifests/": manifestOf(large), "blobs/": body(large, `{"x":"`, `"}`, same(filling)),
		}, "the config is larger than 4 MiB"},
	}
}

// manifestOf answers with a manifest that has a config of a size.
func manifestOf(size int) http.HandlerFunc {
	const image = "application/vnd.oci.image."
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%smanifest.v1+json","layers":[],"config":`+
		`{"mediaType":"%sconfig.v1+json","size":%d,"digest":"sha256:%064d"}}`, image, image, size, 1)
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", image+"manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(manifest))))
		w.Header().Set("Content-Length", fmt.Sprint(len(manifest)))
		_, _ = io.WriteString(w, manifest)
	}
}

// addRegistryOffenders adds an Application for each, with a victim in the same
// repository, and an image of the same registry.
func (w *world) addRegistryOffenders() {
	for name, o := range registryOffenders() {
		server := w.google
		if o.plain {
			server = w.plain
		}
		image := w.image(server, "bad/"+name)
		for path, answer := range o.answers {
			w.answers["/v2/bad/"+name+"/"+path] = answer
		}
		w.create(name, server, true, map[string]string{"offender/kustomization.yaml": kustomization(image)})
		w.application(name, name, "offender", image, "app.update-strategy: newest-build")
		w.offenders[name] = o.want
	}
}
