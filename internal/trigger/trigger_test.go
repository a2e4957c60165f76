package trigger

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// vector is a file of testdata: lines of "key: value", an empty line, a message.
type vector struct {
	kind               string
	message            message
	want               []string
	ignored, malformed string
}

func readVector(t *testing.T, file string) vector {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, body, found := strings.Cut(string(data), "\n\n")
	if !found {
		t.Fatalf("%s has no message", file)
	}
	v := vector{message: message{header: http.Header{}, body: []byte(body)}}
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "type":
			v.kind = value
		case "header":
			header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(value + "\n\n"))).ReadMIMEHeader()
			if err != nil {
				t.Fatalf("%s: %s: %v", file, line, err)
			}
			for name, values := range header {
				v.message.header[name] = values
			}
		case "query":
			if v.message.query, err = url.ParseQuery(value); err != nil {
				t.Fatal(err)
			}
		case "want":
			v.want = append(v.want, value)
		case "ignored":
			v.ignored = value
		case "malformed":
			v.malformed = value
		default:
			t.Fatalf("%s: %q", file, line)
		}
	}
	return v
}

// artifactRegistry is the type of Artifact Registry's messages in vectors.
const artifactRegistry = "pubsub"

func (v vector) read() ([]Trigger, error) {
	if v.kind == artifactRegistry {
		return ReadArtifactRegistry("136969346945", v.message.body)
	}

	return webhooks[v.kind].read(v.message)
}

// describe writes triggers as vectors have them.
func describe(triggers []Trigger) []string {
	var all []string
	for _, trigger := range triggers {
		var words []string
		for _, ref := range trigger.Images {
			words = append(words, ref.Registry+"/"+ref.Repository+":"+ref.Tag)
		}
		if p := trigger.Push; p != nil {
			words = append(words, p.Repository, p.Branch)
			if p.Head == "" {
				words = append(words, "is gone")
			} else {
				words = append(words, "at", p.Head)
			}
		}
		if trigger.ID != "" {
			words = append(words, "("+trigger.ID+")")
		}
		all = append(all, strings.Join(words, " "))
	}
	return all
}

// check compares what the vector's message is read as with what it says.
func (v vector) check(t *testing.T) {
	t.Helper()
	triggers, err := v.read()
	got := describe(triggers)

	switch {
	case v.malformed != "":
		if err == nil || errors.Is(err, ErrIgnored) || !strings.Contains(err.Error(), v.malformed) {
			t.Errorf("%q, %v; want an error with %q", got, err, v.malformed)
		}
	case v.ignored != "":
		if !errors.Is(err, ErrIgnored) || !strings.Contains(err.Error(), v.ignored) {
			t.Errorf("%q, %v; want it ignored for %q", got, err, v.ignored)
		}
	case err != nil || !slices.Equal(got, v.want):
		t.Errorf("%q, %v; want %q", got, err, v.want)
	}
}

const vectors = "../../testdata/trigger/"

// TestMessages checks what each type of message is read as, as its sender
// documents it. Each type has a vector.
func TestMessages(t *testing.T) {
	files, err := filepath.Glob(vectors + "*.txt")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}

	covered := map[string]bool{}
	for _, file := range files {
		v := readVector(t, file)
		covered[v.kind] = true
		t.Run(filepath.Base(file), v.check)
	}

	for _, kind := range append(Types(), artifactRegistry) {
		if !covered[kind] {
			t.Errorf("no vector for %s", kind)
		}
	}
}

// FuzzMessages checks that no message does any harm: what is read of it is
// always an image's name or a branch.
func FuzzMessages(f *testing.F) {
	files, _ := filepath.Glob(vectors + "*.txt")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := bytes.Cut(data, []byte("\n\n"))
		f.Add(body)
	}

	f.Fuzz(func(t *testing.T, body []byte) {
		for name, webhook := range webhooks {
			triggers, err := webhook.read(message{header: http.Header{githubEventHeader: {"push"}}, body: body})
			if err == nil && len(triggers) == 0 {
				t.Errorf("%s: neither triggers nor an error", name)
			}
			for _, trigger := range triggers {
				for _, ref := range trigger.Images {
					if strings.ContainsAny(ref.String(), " \n\"") {
						t.Errorf("%s: %q", name, ref)
					}
				}
			}
		}

		_, _ = ReadArtifactRegistry("1", body)
	})
}

// body reads an answer.
func body(t *testing.T, response *http.Response) string {
	t.Helper()
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
