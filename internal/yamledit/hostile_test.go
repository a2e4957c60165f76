package yamledit

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode"
)

// fill repeats a text up to 1 MB, the largest file that is read. %d in it is a number.
func fill(text string) string { return times(text, 1<<20) }

// times repeats a text, up to 1 MB.
func times(text string, n int) string {
	var b strings.Builder
	for i := range n {
		if strings.Contains(text, "%") {
			fmt.Fprintf(&b, text, i)
		} else {
			b.WriteString(text)
		}
		if b.Len() >= 1<<20 {
			break
		}
	}

	return b.String()
}

// bomb defines anchors, each of which uses the one before eight times.
func bomb(first, next string) string {
	var b strings.Builder
	fmt.Fprintf(&b, first, 0)
	for i := 1; i < 100; i++ {
		fmt.Fprintf(&b, next, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 8), ","))
	}

	return b.String()
}

// hostileFiles are what somebody may write who wants the service to stop. says is
// a part of the error; empty: the file is edited.
func hostileFiles() map[string]struct{ src, says string } {
	return map[string]struct{ src, says string }{
		"open brackets": {"a: " + fill("["), "exceeded max depth"},
		"nested lists": {"a: " + strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
			"more than 1000 levels"},
		"nested maps": {"a: " + strings.Repeat("{a: ", 2000) + strings.Repeat("}", 2000),
			"more than 1000 levels"},
		"nested dashes":           {"a:\n" + strings.Repeat("- ", 2000) + "a\n", "more than 1000 levels"},
		"nested keys":             {strings.Repeat("? ", 2000), "more than 1000 levels"},
		"too many keys":           {fill("k%d:\n"), "more than 200000 keys and values"},
		"too many items":          {"a: [" + fill("a,") + "]", "more than 200000 keys and values"},
		"too much JSON":           {`{"a": [` + fill("1,") + "1]}", "more than 200000 keys and values"},
		"an inline list":          {"a: [" + times("a,", 195_000) + "]", ""},
		"an inline list of lists": {"a: [" + times("[],", 195_000) + "]", ""},
		"an inline list of maps":  {"a: [" + times("{a: b},", 66_000) + "]\n", ""},
		"JSON":                    {`{"a": [` + times("1,", 195_000) + "1]}", ""},
		"many keys":               {times("k%d:\n", 99_000), ""},
		"many keys with a value":  {fill("k%d: 1 # why\n"), ""},
		"one key again and again": {times("a: 1\n", 99_000), "has this key twice"},
		"many items":              {"a:\n" + times("- a\n", 195_000), ""},
		"many anchors":            {times("k%d: &a%[1]d x\n", 99_000), ""},
		"many tags":               {times("k%d: !t%[1]d x\n", 99_000), ""},
		"many aliases":            {"a: &a x\nb:\n" + times("- *a\n", 195_000), ""},
		"many aliases of a map":   {"a: &a {x: {y: z}}\nb: [" + times("*a ,", 195_000) + "]\n", ""},
		"many merges":             {"a: &a {x: y}\n" + times("k%d: {<<: *a}\n", 49_000), ""},
		"many merges in one map": {"a: &a {x: y}\nb:\n  <<: [" + times("*a,", 195_000) + "]\n",
			"merges more than 100000 maps"},
		"merges of many keys": {"a: &a\n" + times("  k%d: \n", 90_000) + times("m%d: {<<: *a}\n", 1000),
			"stand for more than 1000000 values"},
		"merges of merges":         {bomb("a%d: &a0 {x: y}\n", "a%d: &a%[1]d {<<: [%s], k%[1]d: 1}\n"), ""},
		"a map that merges itself": {"image: &a {<<: [*a,*a,*a,*a,*a,*a,*a,*a]}\n", "contains itself"},
		"a map of itself":          {"image: &a {x: *a}\n", "contains itself"},
		"aliases of aliases":       {bomb("a%d: &a0 [x]\n", "a%d: &a%[1]d [%s]\n"), ""},
		"a long line":              {"a: " + fill("x"), ""},
		"a long line of ü":         {"a: [" + times("ü, ", 195_000) + "]", ""},
		"a long quoted value":      {`a: "` + fill(`\x41`) + `"`, ""},
		"a folded value":           {"a: >\n" + fill("  x\n"), ""},
		"a value over lines":       {"a:\n" + fill("  x\n"), ""},
		"comments above":           {fill("#\n") + "a: b\n", ""},
		"comments below":           {"a: b\n" + fill("#\n"), ""},
		"blank lines":              {"a: b\n" + fill("\n"), ""},
		"CR":                       {"a: b" + fill("\r"), ""},
		"NEL":                      {"a: b\n" + fill("\u0085"), ""},
		"documents":                {fill("---\n"), "more than 1000 documents"},
		"tag directives":           {fill("%%TAG !a%d! tag:x\n") + "---\na: b\n", "%TAG directives"},
		"colons":                   {"a: " + fill(":"), "mapping values are not allowed"},
	}
}

// TestHostileFiles holds that the memory for a file is bounded, and that no file
// of 1 MB keeps the program busy: each of these takes seconds where steps grow with
// the square of the size, or years where they double with each line.
func TestHostileFiles(t *testing.T) {
	settings := make([]Setting, 0, 400)
	for i := range 200 {
		settings = append(settings,
			Setting{KeyPath(fmt.Sprintf("images.app%d.name", i)), "app"},
			Setting{KeyPath(fmt.Sprintf("images.app%d.tag", i)), "1.1"})
	}

	for name, c := range hostileFiles() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			got, err := SetKeys([]byte(c.src), settings)
			runtime.ReadMemStats(&after)

			switch {
			case c.says != "":
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%.200v; want %q", err, c.says)
				}
			case err != nil || !strings.Contains(string(got), "app199"):
				t.Errorf("nothing was set: %.200v", err)
			}
			if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 600 {
				t.Errorf("%d MB were allocated", mb)
			}
		})
	}
}

// FuzzSetKeys looks for a file in which keys that are set together become something
// else than keys that are set one after the other, and for one that takes long.
func FuzzSetKeys(f *testing.F) {
	for _, c := range hostileFiles() {
		if len(c.src) < 10_000 {
			f.Add([]byte(c.src), "image.tag", "a0.x", "x")
		}
	}
	for _, src := range []string{
		"", "a: &v x\nb: *v\n", "a: &m {v: x}\nb: *m\n", "a: {}\n", "a:\n", "a: [x, {b: c}]\n", "a.b: x\n",
		"a: {b: {c: x}, d: y}", "a:\n  b: x\nc: y # z\n", "a: &a\n  <<: {b: c}\nd:\n  <<: *a\n", "a: 'x'\r\n",
	} {
		f.Add([]byte(src), "a.b", "a.v", "1.10")
		f.Add([]byte(src), "a", "b.v", "2")
		f.Add([]byte(src), "a.b.c", "a[1].b", "2")
	}

	f.Fuzz(func(t *testing.T, src []byte, one, two, value string) {
		if len(src) > 1<<20 || strings.ContainsFunc(value, unicode.IsControl) {
			return
		}
		first, second := Setting{KeyPath(one), value}, Setting{KeyPath(two), value + "x"}
		together, err := SetKeys(src, []Setting{first, second})
		if err != nil {
			return
		}
		other, err := SetKeys(src, []Setting{first})
		if err == nil {
			other, err = SetKeys(other, []Setting{second})
		}
		if err != nil {
			return // what two keys share can only be set together
		}

		a, _, err := ParseMap(together)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := ParseMap(other)
		if err != nil {
			t.Fatal(err)
		}
		if err := SameExcept(a, b, "\x00"); err != nil {
			t.Errorf("%q\n%q", together, other)
		}
	})
}
