package registry

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// content is what lies behind a digest, which never changes.
type content struct {
	index     []child // nil for a single image
	hasConfig bool
	created   time.Time
	platform  string
	origin    Origin
}

type child struct {
	Digest   string `json:"digest"`
	Platform string `json:"platform"`
}

// contents remembers digests, up to a number that bounds memory, and in a file
// where there is one.
type contents struct {
	mu       sync.Mutex
	byDigest map[string]content
	file     *os.File // nil: none
}

const maxContents = 100_000

func newContents() *contents { return &contents{byDigest: map[string]content{}} }

func (c *contents) get(digest string) (content, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.byDigest[digest]
	return found, ok
}

func (c *contents) put(digest string, what content) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byDigest) >= maxContents {
		clear(c.byDigest) // it is asked for again, no more
		if c.file != nil {
			_ = c.file.Truncate(0)
		}
	}
	c.byDigest[digest] = what
	if c.file != nil {
		// A line that is not whole is left out when it is read.
		_, _ = c.file.Write(line(digest, what))
	}
}

// record is a line of the file.
type record struct {
	Digest   string    `json:"digest"`
	Index    *[]child  `json:"index,omitempty"`
	Config   bool      `json:"config,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Platform string    `json:"platform,omitempty"`
	Origin   Origin    `json:"origin,omitzero"`
}

func line(digest string, c content) []byte {
	r := record{Digest: digest, Config: c.hasConfig, Created: c.created, Platform: c.platform, Origin: c.origin}
	if c.index != nil {
		r.Index = &c.index
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil // all of it can be written as JSON
	}
	return append(data, '\n')
}

// RememberIn keeps what is learned of images in a file of a folder, for the
// next start: what a digest stands for never changes. The error is for a folder
// that cannot be used.
func (c *Client) RememberIn(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return c.known.open(filepath.Join(folder, "images.jsonl"))
}

// open reads the file, line by line, and writes it anew where most of it is not
// worth keeping. It is a cache: a line that cannot be read is left out.
func (c *contents) open(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := 0
	old, err := os.Open(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		scanner := bufio.NewScanner(old)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() && lines < 2*maxContents {
			lines++
			var r record
			if json.Unmarshal(scanner.Bytes(), &r) == nil && r.Digest != "" && len(c.byDigest) < maxContents {
				c.byDigest[r.Digest] = r.content()
			}
		}
		_ = old.Close()
	}
	if lines > 2*len(c.byDigest) {
		if err := c.rewrite(name); err != nil {
			return err
		}
	}
	c.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	return err
}

func (c *contents) rewrite(name string) error {
	file, err := os.CreateTemp(filepath.Dir(name), "images-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // where it was not renamed
	buffer := bufio.NewWriter(file)
	for digest, one := range c.byDigest {
		_, _ = buffer.Write(line(digest, one)) // Flush has the error
	}
	if err := errors.Join(buffer.Flush(), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return os.Rename(file.Name(), name)
}

func (r record) content() content {
	c := content{hasConfig: r.Config, created: r.Created, platform: r.Platform, origin: r.Origin}
	if r.Index != nil {
		c.index = append([]child{}, *r.Index...)
	}
	return c
}
