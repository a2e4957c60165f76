package limit

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReaderStopsAtTheLimit(t *testing.T) {
	tooMuch := errors.New("too much")
	for _, c := range []struct {
		text string
		want string
		err  error
	}{
		{"", "", nil},
		{"abc", "abc", nil},
		{"abcd", "abcd", nil}, // the limit itself is allowed
		{"abcde", "abcd", tooMuch},
		{strings.Repeat("x", 100_000), "xxxx", tooMuch},
	} {
		for how, r := range map[string]io.Reader{
			"at once":      strings.NewReader(c.text),
			"byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
			"with its end": iotest.DataErrReader(strings.NewReader(c.text)),
		} {
			limited := Reader(r, 4, tooMuch)
			got, err := io.ReadAll(limited)
			if string(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%d bytes %s: %q, %v; want %q, %v", len(c.text), how, got, err, c.want, c.err)
			}
			if _, again := limited.Read(make([]byte, 1)); c.err != nil && !errors.Is(again, c.err) {
				t.Errorf("%d bytes %s: the next read says %v", len(c.text), how, again)
			}
		}
	}
}

func TestErrorsSayTheLimitAndTheRemedy(t *testing.T) {
	l := Limit{Max: 32 << 20, Raise: "raise limits.tagListSize in config.yaml"}
	for got, want := range map[string]string{
		l.TooLarge("the list of tags").Error(): "the list of tags is larger than 32 MiB; " +
			"raise limits.tagListSize in config.yaml",
		Limit{Max: 200_000}.TooMany("the repository", "tags").Error(): "the repository has more than 200,000 tags",
		Bytes(64 << 10):                         "64 KiB",
		Bytes(1000):                             "1000 bytes",
		Bytes(1<<20 + 1<<19):                    "1.5 MiB",
		Limit{}.TooLarge("x").What:              "x is larger than 0 bytes",
		Limit{Max: 7}.TooMany("a", "b").Error(): "a has more than 7 b",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	c := NewCache[string, int](10)
	has := func(want string) {
		t.Helper()
		got := ""
		c.All(func(key string, _ int) bool { got += key; return true })
		if got != want {
			t.Errorf("the cache has %q, want %q", got, want)
		}
	}

	c.Put("a", 1, 4)
	c.Put("b", 2, 4)
	if v, ok := c.Get("a"); !ok || v != 1 {
		t.Errorf("a is %d, %v", v, ok)
	}
	c.Put("c", 3, 4) // b was not used for the longest time
	has("ac")
	c.Put("a", 5, 6) // replaces its old size
	has("ca")
	c.Put("huge", 6, 11)
	has("ca")
	c.Put("c", 7, 11) // what has become too large goes, rather than all others
	has("a")

	if v := c.GetOrPut("a", 1, func() int { t.Error("a exists"); return 0 }); v != 5 {
		t.Errorf("a is %d", v)
	}
	c.GetOrPut("d", 4, func() int { return 8 })
	has("ad")
	c.Resize("d", 5)
	has("d")
	c.Resize("gone", 5)
	c.Remove("d")
	has("")
	c.Put("e", 9, 10) // the sizes of what is gone are free again
	has("e")
}
