package yamledit

import (
	"errors"
	"strings"
	"testing"
)

// TestSetKeys holds what the formats' vectors do not show by themselves:
// several settings in one step, and what the message says.
func TestSetKeys(t *testing.T) {
	for name, c := range map[string]struct {
		src      string
		settings []Setting
		want     string
		says     string // in the error
	}{
		"an empty file":     {"", []Setting{{"a.b", "1"}}, "a:\n  b: \"1\"\n", ""},
		"a comment alone":   {"# none\n", []Setting{{"a", "x"}}, "# none\na: x\n", ""},
		"a literal key":     {"a.b: x\na: {b: w}\n", []Setting{{"a.b", "z"}}, "a.b: z\na: {b: w}\n", ""},
		"an item of a list": {"l:\n- v: 'x'\n", []Setting{{"l[0].v", "z"}}, "l:\n- v: 'z'\n", ""},
		"nothing to do":     {"a:  x # why\n", []Setting{{"a", "x"}}, "a:  x # why\n", ""},
		"an anchor moves":   {"a: &v x\nb: *v\n", []Setting{{"a", "z"}}, "a: z\nb: &v x\n", ""},
		"an anchor stays":   {"a: &v x\nb: *v\n", []Setting{{"a", "z"}, {"b", "z"}}, "a: &v z\nb: *v\n", ""},
		"a map through <<": {"a: &m {v: x}\nb: *m\n", []Setting{{"b.v", "z"}},
			"a: &m {v: x}\nb:\n  <<: *m\n  v: z\n", ""},
		"CRLF":                  {"a:\r\n  b: x\r\n", []Setting{{"a.c", "z"}}, "a:\r\n  b: x\r\n  c: z\r\n", ""},
		"several documents":     {"a: x\n---\nb: x\n", []Setting{{"a", "z"}}, "", "more than one document"},
		"a list of its own":     {"- a\n", []Setting{{"a", "z"}}, "", "the file holds a list"},
		"no such item":          {"l: [x]\n", []Setting{{"l[1]", "z"}}, "", "l[1] does not exist (line 1)"},
		"a map where a value":   {"a: {b: {c: d}}\n", []Setting{{"a.b", "z"}}, "", "a.b is a map, not a value"},
		"two values of one key": {"a: x\n", []Setting{{"a", "z"}, {"a", "w"}}, "", "to different values"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SetKeys([]byte(c.src), c.settings)
			if c.says != "" {
				if !errors.Is(err, ErrShape) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%q, %v; want %q", got, err, c.says)
				}
				return
			}
			if err != nil || string(got) != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// TestAddItems holds where the items of a list go, and what is made around them.
func TestAddItems(t *testing.T) {
	for src, want := range map[string]string{
		"":                    "a:\n  l:\n  - x\n",
		"a:\n":                "a:\n  l:\n  - x\n",
		"a: {}\n":             "a:\n  l:\n  - x\n",
		"a:\n  l: []\n":       "a:\n  l:\n  - x\n",
		"a:\n  l:\n    - w\n": "a:\n  l:\n    - w\n    - x\n",
		"a: {l: [w]}\n":       "a: {l: [w, x]}\n",
		"b: y\n":              "b: y\na:\n  l:\n  - x\n",
		"a:\n  k: v\nb: none": "a:\n  k: v\n  l:\n  - x\nb: none",
	} {
		f, root, err := ParseMap([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		splices, err := f.AddItems(root, []string{"a", "l"}, []Value{{Text: "x"}})
		if err != nil {
			t.Errorf("%q: %v", src, err)
			continue
		}

		got := f.Apply(splices)
		if string(got) != want {
			t.Errorf("%q: %q; want %q", src, got, want)
		}
		after, _, err := ParseMap(got)
		if err == nil {
			err = SameExcept(f, after, "a", "l")
		}
		if err != nil {
			t.Errorf("%q: %v", src, err)
		}
	}

	for _, src := range []string{"a: x\n", "a: {l: {b: c}}\n", "b: &l {l: [x]}\na: *l\n", "a: {l: w}\n"} {
		f, root, err := ParseMap([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.AddItems(root, []string{"a", "l"}, []Value{{Text: "x"}}); err == nil ||
			!strings.Contains(err.Error(), "expected a") {
			t.Errorf("%q: %v", src, err)
		}
	}
}
