package registry

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/limit"
)

// tagList is a list of tags as it is read. It is read value by value: a list near
// the limit needs little more memory than its names.
type tagList struct {
	limit limit.Limit
	// room is called as the list grows, with the number of tags so far. Its error ends
	// the reading.
	room func(tags int) error

	names     []string    // as the OCI distribution specification has them
	described []image.Tag // as Google's registries have them, by manifest
	manifests bool        // the registry lists manifests
	google    bool        // the list has fields that only Google's registries have
}

// count returns how many tags were read.
func (l *tagList) count() int { return max(len(l.names), len(l.described)) }

// grown returns an error if the list has more tags than its limit. It waits for room:
// the end of the list may be long in coming, and what was read is in memory till then.
func (l *tagList) grown() error {
	if int64(l.count()) > l.limit.Max {
		return l.limit.TooMany("the repository", "tags")
	}

	return l.room(l.count())
}

// errShape means that an answer is JSON, but not a list of tags.
var errShape = errors.New("it is not a list of tags")

// add reads one page.
func (l *tagList) add(page io.Reader) error {
	d := json.NewDecoder(&shortTokens{r: page})

	return eachKey(d, func(key string) error {
		switch key {
		case "tags":
			return eachString(d, l.addName)
		case "manifest":
			return eachKey(d, func(digest string) error { return l.addManifest(d, digest) })
		case "child":
			return eachString(d, func(string) error { l.google = true; return nil })
		}

		return skip(d)
	})
}

func (l *tagList) addName(name string) error {
	if len(name) > maxTagName { // no registry serves it
		return nil
	}
	l.names = append(l.names, name)

	return l.grown()
}

// addManifest reads a manifest with the tags that point to it.
func (l *tagList) addManifest(d *json.Decoder, digest string) error {
	l.manifests, l.google = true, true
	first, manifest := len(l.described), image.Tag{Digest: digest}

	err := eachKey(d, func(key string) (err error) {
		switch key {
		case "tag":
			return eachString(d, func(name string) error {
				if len(name) <= maxTagName {
					l.described = append(l.described, image.Tag{Name: name})
				}
				return l.grown()
			})
		case "timeCreatedMs":
			manifest.Created, err = milliseconds(d)
		case "timeUploadedMs":
			manifest.Uploaded, err = milliseconds(d)
		default:
			err = skip(d)
		}
		return err
	})
	for i := first; i < len(l.described); i++ {
		manifest.Name = l.described[i].Name
		l.described[i] = manifest
	}

	return err
}

// milliseconds reads a time in milliseconds since 1970, as a string. Zero means that
// the registry does not know the time.
func milliseconds(d *json.Decoder) (time.Time, error) {
	token, err := d.Token()
	if err != nil {
		return time.Time{}, err
	}

	text, ok := token.(string)
	if !ok && token != nil {
		return time.Time{}, errShape
	}
	if text == "" {
		return time.Time{}, nil
	}

	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 1000 {
		return time.Time{}, err
	}

	return time.UnixMilli(ms), nil
}

// tags returns the tags of all pages.
func (l *tagList) tags(sorted string) []image.Tag {
	if l.manifests {
		slices.SortFunc(l.described, func(a, b image.Tag) int { return strings.Compare(a.Name, b.Name) })
		return l.described
	}

	tags := make([]image.Tag, len(l.names))
	for i, name := range l.names {
		tags[i].Name = name
		switch sorted {
		case image.LatestFirst:
			tags[i].Rank = len(tags) - i
		case image.LatestLast:
			tags[i].Rank = i + 1
		}
	}

	return tags
}

// eachKey calls read for each key of an object, with the decoder at its value.
func eachKey(d *json.Decoder, read func(key string) error) error {
	return inside(d, '{', func() error {
		token, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // the decoder allows nothing else

		return read(key)
	})
}

// eachString calls read for each string of an array.
func eachString(d *json.Decoder, read func(string) error) error {
	return inside(d, '[', func() error {
		token, err := d.Token()
		if err != nil {
			return err
		}

		text, ok := token.(string)
		if !ok {
			return errShape
		}

		return read(text)
	})
}

// inside calls next for each member of an object or an array; null has none.
func inside(d *json.Decoder, begin json.Delim, next func() error) error {
	token, err := d.Token()
	if err != nil || token == nil {
		return err
	}
	if token != begin {
		return errShape
	}

	for d.More() {
		if err := next(); err != nil {
			return err
		}
	}
	_, err = d.Token() // its end

	return err
}

// maxNesting bounds values that are skipped, since the decoder remembers each level.
const maxNesting = 100

// skip reads a value that is not needed.
func skip(d *json.Decoder) error {
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return err
		}

		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > maxNesting {
			return errShape
		}
		if depth == 0 {
			return nil
		}
	}
}

// maxTokenSize bounds strings, numbers and white space in a list: the decoder holds
// each of them as a whole.
const maxTokenSize = 16 << 10

// shortTokens fails if a string, a number or white space in JSON is very long.
type shortTokens struct {
	r       io.Reader
	size    int // of the value so far
	quoted  bool
	escaped bool // the byte after a backslash
}

// Read reads and looks at each byte.
func (s *shortTokens) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	for _, b := range p[:n] {
		s.size++
		switch {
		case s.escaped:
			s.escaped = false
		case s.quoted && b == '\\':
			s.escaped = true
		case b == '"':
			s.quoted, s.size = !s.quoted, 0
		case !s.quoted && strings.IndexByte(",:[]{}", b) >= 0:
			s.size = 0
		}
		if s.size > maxTokenSize {
			return 0, errShape
		}
	}

	return n, err
}
