// Package limit bounds what others send, and what is kept of it.
//
// Everything that an Application, a repository or a registry says may be of any
// size. A [Limit] is the most that is accepted, with what to do about more. Use
// [Body] and [Reader] to stop reading in time, and [Cache] to keep what is expensive
// to find out again. The errors are of the type [Error].
package limit

import (
	"fmt"
	"io"
	"strconv"
)

// Limit is the most that is accepted of something.
type Limit struct {
	Max int64
	// Raise says how to allow more, such as "raise limits.tags in config.yaml";
	// empty: it cannot be raised.
	Raise string
}

// Error means that something is larger than its limit.
type Error struct {
	What   string // such as "the list of tags is larger than 32 MiB"
	Remedy string // empty: nothing allows more
}

// Error says what is too large, the limit, and what to do.
func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.What
	}

	return e.What + "; " + e.Remedy
}

// TooLarge returns the error for something that has more than Max bytes.
func (l Limit) TooLarge(what string) *Error {
	return &Error{What: what + " is larger than " + Bytes(l.Max), Remedy: l.Raise}
}

// TooMany returns the error for something, such as "the repository", that has more
// than Max of something.
func (l Limit) TooMany(what, things string) *Error {
	return &Error{What: fmt.Sprintf("%s has more than %s %s", what, grouped(l.Max), things), Remedy: l.Raise}
}

// Bytes writes a number of bytes for people: "32 MiB".
func Bytes(n int64) string {
	const units = "KMGT"

	value, unit := float64(n), -1
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if unit < 0 {
		return fmt.Sprintf("%d bytes", n)
	}

	return fmt.Sprintf("%.4g %ciB", value, units[unit])
}

// grouped writes a number with commas between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}

	return s
}

// Budget is how many bytes several readers may read together. It is not for
// concurrent use.
type Budget struct {
	left int64
	err  error
}

// NewBudget returns a budget of a number of bytes. Readers fail with err instead of
// reading more.
func NewBudget(bytes int64, err error) *Budget { return &Budget{left: bytes, err: err} }

// Reader returns a reader of the same bytes that uses the budget.
func (b *Budget) Reader(r io.Reader) io.Reader { return &reader{r, b} }

// Reader returns a reader of the same bytes that fails with err instead of reading
// more than a number of them.
func Reader(r io.Reader, bytes int64, err error) io.Reader { return NewBudget(bytes, err).Reader(r) }

// Body is [Reader] for the body of an answer. Of a compressed answer, give it the
// decompressed body.
func Body(body io.ReadCloser, bytes int64, err error) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{Reader(body, bytes, err), body}
}

type reader struct {
	r      io.Reader
	budget *Budget
}

// Read reads. One byte more than is allowed shows that there is more.
func (l *reader) Read(p []byte) (int, error) {
	b := l.budget
	if b.left < 0 {
		return 0, b.err
	}

	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := l.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, b.err
	}

	return n, err
}
