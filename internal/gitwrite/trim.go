package gitwrite

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // git's
	"encoding/binary"
	"io"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// choose decides which objects are kept: all but files that are larger than the limit.
// Such a file is kept if a smaller one is a delta of it.
func (s *survey) choose() error {
	impossible := make([]bool, len(s.entries))
	for i := range s.entries {
		e := &s.entries[i]
		tooLarge := e.size > maxObject || e.base != noBase && impossible[e.base]
		if tooLarge && e.kind != plumbing.BlobObject {
			return limit.Limit{Max: maxObject}.TooLarge("a folder or a commit that the server sent")
		}
		impossible[i] = tooLarge
		e.keep = !tooLarge && (e.kind != plumbing.BlobObject || int64(e.size) <= s.limits.FileSize.Max)
	}

	for hash, size := range s.large {
		if s.bases[hash] { // the delta does not say where its base is
			if size > maxObject {
				return limit.Limit{Max: maxObject}.TooLarge("the base of a delta that the server sent")
			}
			s.keepAll(impossible)
		}
	}

	for i := len(s.entries) - 1; i >= 0; i-- {
		e := s.entries[i]
		if !e.keep {
			s.dropped = true
			continue
		}
		if e.base != noBase {
			s.entries[e.base].keep = true
		}
		s.kept += int64(e.size)
	}

	if most := s.limits.PackSize.Max * maxKept; s.kept > most {
		tooLarge := s.limits.PackSize
		tooLarge.Max = most
		return tooLarge.TooLarge("the decompressed content of the repository")
	}

	return nil
}

// keepAll keeps all objects that can be read.
func (s *survey) keepAll(impossible []bool) {
	for i := range s.entries {
		s.entries[i].keep = !impossible[i]
	}
}

// count returns how many objects are kept.
func (s *survey) count() int {
	n := 0
	for _, e := range s.entries {
		if e.keep {
			n++
		}
	}

	return n
}

// trim writes a pack with the objects that are kept.
func (s *survey) trim(pack io.ReaderAt, to io.Writer) error {
	sum := sha1.New() //nolint:gosec // git's
	out := bufio.NewWriterSize(io.MultiWriter(to, sum), 64<<10)

	header := []byte("PACK\x00\x00\x00\x02")
	header = binary.BigEndian.AppendUint32(header, uint32(s.count())) //nolint:gosec // at most maxObjects
	_, _ = out.Write(header)                                          // Flush returns the error

	at, moved := int64(len(header)), make([]int64, len(s.entries))
	for i, e := range s.entries {
		if !e.keep {
			continue
		}
		moved[i] = at

		begin, end := e.offset, s.end
		if i+1 < len(s.entries) {
			end = s.entries[i+1].offset
		}
		if e.base != noBase {
			n, err := io.Copy(out, io.NewSectionReader(pack, begin, int64(e.header)))
			if err != nil {
				return err
			}
			back := appendBack(nil, at-moved[e.base])
			_, _ = out.Write(back)
			at += n + int64(len(back))
			begin += int64(e.header) + int64(e.offers)
		}

		n, err := io.Copy(out, io.NewSectionReader(pack, begin, end-begin))
		if err != nil {
			return err
		}
		at += n
	}

	if err := out.Flush(); err != nil {
		return err
	}
	_, err := to.Write(sum.Sum(nil))

	return err
}

// appendBack adds how far back the base of a delta is.
func appendBack(to []byte, n int64) []byte {
	reversed := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		reversed = append(reversed, 0x80|byte(n&0x7f))
	}
	for i := len(reversed) - 1; i >= 0; i-- {
		to = append(to, reversed[i])
	}

	return to
}
