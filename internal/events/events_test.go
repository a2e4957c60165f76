package events

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

func (v vector) read() ([]Event, error) {
	if v.kind == pubsubType {
		return readGoogle("136969346945", v.message.body)
	}
	kind, _ := kindOf(v.kind)
	return kind.read(v.message)
}

// told writes down what a message told.
func told(events []Event) []string {
	var all []string
	for _, e := range events {
		var words []string
		for _, ref := range e.Images {
			words = append(words, ref.Registry+"/"+ref.Repository+":"+ref.Tag)
		}
		if p := e.Push; p != nil {
			words = append(words, p.Repository, p.Branch)
			if p.Head == "" {
				words = append(words, "is gone")
			} else {
				words = append(words, "at", p.Head)
			}
		}
		if e.ID != "" {
			words = append(words, "("+e.ID+")")
		}
		all = append(all, strings.Join(words, " "))
	}
	return all
}

// TestMessages holds what each kind of message tells, as its sender describes it.
func TestMessages(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		v := readVector(t, file)
		seen[v.kind] = true
		events, err := v.read()
		switch {
		case v.malformed != "" && (err == nil || errors.Is(err, errIgnored) || !strings.Contains(err.Error(), v.malformed)),
			v.ignored != "" && (!errors.Is(err, errIgnored) || !strings.Contains(err.Error(), v.ignored)),
			len(v.want) > 0 && (err != nil || strings.Join(told(events), "\n") != strings.Join(v.want, "\n")):
			t.Errorf("%s: %q, %v", file, told(events), err)
		}
	}
	for _, kind := range append(Types(), pubsubType) {
		if _, ok := kindOf(kind); !seen[kind] || !ok && kind != pubsubType {
			t.Errorf("no vector for %s", kind)
		}
	}
}

// FuzzMessages holds that no message breaks anything, and that whatever is
// believed of one is an image's name or a branch.
func FuzzMessages(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := bytes.Cut(data, []byte("\n\n"))
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, name := range Types() {
			kind, _ := kindOf(name)
			events, err := kind.read(message{header: http.Header{githubEvent: {"push"}}, body: body})
			if err == nil && len(events) == 0 {
				t.Errorf("%s: neither events nor an error", name)
			}
			for _, ref := range imagesOf(events) {
				if strings.ContainsAny(ref, " \n\"") {
					t.Errorf("%s: %q", name, ref)
				}
			}
		}
		_, _ = readGoogle("1", body)
	})
}

func imagesOf(events []Event) []string {
	var all []string
	for _, e := range events {
		for _, ref := range e.Images {
			all = append(all, ref.String())
		}
	}
	return all
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
