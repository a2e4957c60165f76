package registry

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// content is what lies behind a digest, which never changes.
type content struct {
	index     []child // nil for a single image
	hasConfig bool
	created   time.Time
	platform  string
	origin    Origin
}

// child is one image of an index.
type child struct {
	Digest   string `json:"digest"`
	Platform string `json:"platform"`
}

// childFor returns the first image of an index for a platform.
func (c content) childFor(platform string) (child, bool) {
	i := slices.IndexFunc(c.index, func(c child) bool { return matches(c.Platform, platform) })
	if i < 0 {
		return child{}, false
	}

	return c.index[i], true
}

// bytes is about how much memory it needs.
func (c content) bytes() int64 {
	size := 300 + len(c.platform) + len(c.origin.Source) + len(c.origin.Revision)
	for _, child := range c.index {
		size += 32 + len(child.Digest) + len(child.Platform)
	}

	return int64(size)
}

// contents remembers what lies behind digests: in memory, and in a file if there is
// one.
type contents struct {
	byDigest *limit.Cache[string, content]

	mu      sync.Mutex
	name    string
	file    *os.File // nil: none
	size    int64    // of the file
	maxSize int64
}

// newContents returns a memory of a number of bytes.
func newContents(memory int64) *contents {
	return &contents{byDigest: limit.NewCache[string, content](memory), maxSize: 2 * memory}
}

func (c *contents) get(digest string) (content, bool) { return c.byDigest.Get(digest) }

func (c *contents) put(digest string, what content) {
	c.byDigest.Put(digest, what, what.bytes())

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		return
	}

	// open skips a line that was not written completely.
	n, _ := c.file.Write(line(digest, what))
	if c.size += int64(n); c.size > c.maxSize {
		_ = c.file.Close()
		_ = c.reopen() // it is only a cache
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
	r := record{
		Digest: digest, Config: c.hasConfig, Created: c.created, Platform: c.platform, Origin: c.origin,
	}
	if c.index != nil {
		r.Index = &c.index
	}

	data, err := json.Marshal(r)
	if err != nil {
		return nil // does not happen: every field can be written as JSON
	}

	return append(data, '\n')
}

// CacheIn keeps what is found out about digests in a file of a folder, for the
// next start of the process: it never changes. The error means that the folder
// cannot be used.
func (c *Client) CacheIn(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}

	return c.contents.open(filepath.Join(folder, "images.jsonl"))
}

// open reads the file, and rewrites it if most of its lines are obsolete. It is a
// cache: lines that cannot be read are skipped.
func (c *contents) open(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.name = name
	lines, err := c.load(name)
	if err != nil {
		return err
	}
	if lines > 2*c.byDigest.Len() {
		return c.reopen()
	}

	return c.append()
}

// reopen replaces the file by one with what is in memory.
func (c *contents) reopen() error {
	c.file = nil
	if err := c.rewrite(c.name); err != nil {
		return err
	}

	return c.append()
}

// append opens the file to write at its end.
func (c *contents) append() error {
	file, err := os.OpenFile(c.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}

	c.file = file
	if info, err := file.Stat(); err == nil {
		c.size = info.Size()
	}

	return nil
}

// load reads the file, if there is one, and returns how many lines it has.
func (c *contents) load(name string) (lines int, _ error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()

	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines++
		var r record
		if json.Unmarshal(scanner.Bytes(), &r) == nil && r.Digest != "" {
			what := r.content()
			c.byDigest.Put(r.Digest, what, what.bytes())
		}
	}

	return lines, nil
}

// rewrite replaces the file by one with what is in memory.
func (c *contents) rewrite(name string) error {
	file, err := os.CreateTemp(filepath.Dir(name), "images-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // fails if it was renamed

	buffer := bufio.NewWriter(file)
	for digest, one := range c.byDigest.All {
		_, _ = buffer.Write(line(digest, one)) // Flush returns the error
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
