package gitwrite

import (
	"bufio"
	"bytes"
	"io"
	"strconv"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// advertisement reads the references that a server advertises, and leaves out those
// that are not branches: a repository may have hundreds of thousands of others, such
// as those of pull requests. It fails if there are more than the limit. What follows
// the advertisement is read unchanged.
//
// It reads packet lines: https://git-scm.com/docs/protocol-common.
type advertisement struct {
	r     *bufio.Reader
	limit limit.Limit
	read  func(n int, err error) // called for what was read of it
	// room is called as more of it is kept, with the number of bytes so far. Its error
	// ends the reading.
	room func(bytes int64) error

	ready   []byte // what Read has not returned yet
	line    []byte
	count   int64
	size    int64
	kept    int64 // of size, what is not left out
	service bool  // the last line named the service
	done    bool
}

func newAdvertisement(r io.Reader, references limit.Limit) *advertisement {
	return &advertisement{
		r: bufio.NewReader(r), limit: references, read: func(int, error) {}, room: func(int64) error { return nil },
	}
}

// The length of a packet line, and the end of a list of them.
const (
	lengthSize = 4
	flush      = "0000"
)

// Read returns the lines that count.
func (a *advertisement) Read(p []byte) (int, error) {
	for len(a.ready) == 0 {
		if a.done {
			return a.r.Read(p)
		}
		err := a.next()
		a.read(len(a.line), err)
		if err != nil {
			return 0, err
		}
	}

	n := copy(p, a.ready)
	a.ready = a.ready[n:]

	return n, nil
}

// next reads one line.
func (a *advertisement) next() error {
	length, err := a.r.Peek(lengthSize)
	if err != nil {
		return err
	}

	if string(length) == flush {
		_, _ = a.r.Discard(lengthSize)
		a.ready = []byte(flush)
		a.done = !a.service // over HTTP, the name of the service is a list of its own
		a.service = false
		return nil
	}

	size, malformed := strconv.ParseUint(string(length), 16, 16)
	if malformed != nil || size < lengthSize {
		a.done = true
		return nil //nolint:nilerr // the reader of lines says what is wrong
	}

	if cap(a.line) < int(size) {
		a.line = make([]byte, size)
	}
	a.line = a.line[:size]
	if _, err := io.ReadFull(a.r, a.line); err != nil {
		return err
	}
	if a.size += int64(size); a.size > a.limit.Max*maxReference+maxRefusal {
		return a.limit.TooMany("the repository", "references, or very long ones")
	}

	return a.take(a.line[lengthSize:])
}

// take looks at the content of a line.
func (a *advertisement) take(content []byte) error {
	a.service = bytes.HasPrefix(content, []byte("# "))
	_, name, _ := bytes.Cut(bytes.TrimSuffix(content, []byte("\n")), []byte(" "))
	first := bytes.IndexByte(content, 0) >= 0 // it has the capabilities

	reference := !a.service && (bytes.HasPrefix(name, []byte("refs/")) || string(name) == "HEAD")
	if reference && !bytes.HasSuffix(name, []byte("^{}")) {
		if a.count++; a.count > a.limit.Max {
			return a.limit.TooMany("the repository", "references")
		}
	}

	if !reference || first || string(name) == "HEAD" || bytes.HasPrefix(name, []byte("refs/heads/")) {
		a.ready = a.line
		a.kept += int64(len(a.line))
	}

	return a.room(a.kept)
}
