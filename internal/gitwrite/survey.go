package gitwrite

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // git's
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// survey is what a pack has, found out before anything of it is read into memory: a
// small pack may hold objects of any size.
// https://git-scm.com/docs/pack-format
type survey struct {
	limits  Limits
	entries []entry
	end     int64                   // of the last entry
	large   map[plumbing.Hash]int64 // the sizes of files that are larger than the limit
	bases   map[plumbing.Hash]bool  // of deltas that name them by hash
	kept    int64                   // bytes of the objects that are kept, decompressed
	dropped bool                    // not all objects are kept
}

// entry is one object of a pack.
type entry struct {
	offset int64
	base   int32 // its index; noBase: it is not a delta, or of an object named by hash
	size   int32 // of the object, not of its delta
	chain  int16 // of how many deltas it is one
	kind   plumbing.ObjectType
	delta  plumbing.ObjectType // the kind that it has in the pack
	header uint8               // the length of its type and size
	offers uint8               // the length of the offset of its base
	keep   bool
}

const noBase = -1

var errPack = errors.New("the server sent a damaged pack")

// surveyPack reads a pack of a size. The error is a [limit.Error] if it, or an object
// that is needed, is too large.
func surveyPack(pack io.ReaderAt, size int64, limits Limits) (*survey, error) {
	s := &survey{
		limits: limits, end: size - sha1.Size, large: map[plumbing.Hash]int64{}, bases: map[plumbing.Hash]bool{},
	}
	sum := sha1.New() //nolint:gosec // git's
	content := io.TeeReader(io.NewSectionReader(pack, 0, s.end), sum)
	tooLarge := limits.PackSize
	tooLarge.Max *= maxInflated
	r := &packReader{
		r:      bufio.NewReaderSize(content, 64<<10),
		budget: limit.NewBudget(tooLarge.Max, tooLarge.TooLarge("the decompressed pack that the server sent")),
	}

	count, err := r.begin()
	if err != nil {
		return nil, err
	}
	if count > maxObjects {
		return nil, limit.Limit{Max: maxObjects}.TooMany("the pack that the server sent", "objects")
	}

	for range count {
		if err := s.next(r); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errPack
			}
			return nil, err
		}
	}

	// Its hash is the last thing in a pack.
	want := make([]byte, sha1.Size)
	if _, err := pack.ReadAt(want, s.end); err != nil || r.offset != s.end || !bytes.Equal(sum.Sum(nil), want) {
		return nil, errPack
	}

	return s, s.choose()
}

// next reads one entry.
func (s *survey) next(r *packReader) error {
	e := entry{offset: r.offset, base: noBase, keep: true}
	kind, size, err := r.typeAndSize()
	if err != nil {
		return err
	}
	e.kind, e.delta, e.header = kind, kind, uint8(r.offset-e.offset) //nolint:gosec // at most ten

	switch kind {
	case plumbing.OFSDeltaObject:
		err = s.findBase(r, &e)
	case plumbing.REFDeltaObject:
		var base plumbing.Hash
		if err = r.full(base[:]); err == nil {
			s.bases[base] = true
		}
		e.kind = plumbing.AnyObject
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	default:
		err = errPack
	}
	if err != nil {
		return err
	}

	if e.delta.IsDelta() {
		size, err = s.readDelta(r, &e, size)
	} else {
		err = s.readObject(r, e, size)
	}
	if err != nil {
		return err
	}

	e.size = int32(min(size, maxObject+1)) //nolint:gosec // larger ones are all too large
	s.entries = append(s.entries, e)

	return nil
}

// findBase reads the offset of the base of a delta. A base comes before its deltas.
func (s *survey) findBase(r *packReader, e *entry) error {
	begin := r.offset
	back, err := r.back()
	if err != nil {
		return err
	}
	e.offers = uint8(r.offset - begin) //nolint:gosec // at most ten

	at, found := slices.BinarySearchFunc(s.entries, e.offset-back, func(e entry, offset int64) int {
		return int(e.offset - offset)
	})
	if !found {
		return errPack
	}
	base := &s.entries[at]
	e.base, e.kind, e.chain = int32(at), base.kind, base.chain+1 //nolint:gosec // at most maxObjects
	if e.chain > maxChain {
		return limit.Limit{Max: maxChain}.TooMany("the pack that the server sent", "deltas of one object")
	}

	return nil
}

// readObject passes over an object. It notes the hash of a file that is too large.
func (s *survey) readObject(r *packReader, e entry, size int64) error {
	if e.kind != plumbing.BlobObject || size <= s.limits.FileSize.Max {
		return r.inflate(size, io.Discard)
	}

	sum := sha1.New() //nolint:gosec // git's
	_, _ = fmt.Fprintf(sum, "%s %d\x00", e.kind, size)
	if err := r.inflate(size, sum); err != nil {
		return err
	}
	s.large[plumbing.Hash(sum.Sum(nil))] = size

	return nil
}

// readDelta passes over a delta, and returns the size of the object that it makes.
func (s *survey) readDelta(r *packReader, e *entry, size int64) (int64, error) {
	if size > maxObject {
		return 0, limit.Limit{Max: maxObject}.TooLarge("a delta that the server sent")
	}

	begin := &beginning{}
	if err := r.inflate(size, begin); err != nil {
		return 0, err
	}

	// The sizes of the base and of the result come first.
	sizes := bytes.NewReader(begin.data)
	from, err := binary.ReadUvarint(sizes)
	if err != nil {
		return 0, errPack
	}
	to, err := binary.ReadUvarint(sizes)
	if err != nil || to > 1<<62 {
		return 0, errPack
	}
	if e.base != noBase {
		base := s.entries[e.base].size
		if base <= maxObject && from != uint64(base) { //nolint:gosec // a size is not negative
			return 0, errPack
		}
	}

	return int64(to), nil
}

// beginning keeps the first bytes that are written to it.
type beginning struct{ data []byte }

// Write takes everything.
func (b *beginning) Write(p []byte) (int, error) {
	b.data = append(b.data, p[:min(len(p), 2*binary.MaxVarintLen64-len(b.data))]...)
	return len(p), nil
}

// packReader reads a pack from its beginning to its end, and knows where it is.
type packReader struct {
	r      *bufio.Reader
	offset int64
	zlib   io.ReadCloser
	budget *limit.Budget
}

// ReadByte reads one byte; the decompressor reads no more than it needs.
func (r *packReader) ReadByte() (byte, error) {
	b, err := r.r.ReadByte()
	if err == nil {
		r.offset++
	}

	return b, err
}

// Read reads.
func (r *packReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.offset += int64(n)

	return n, err
}

func (r *packReader) full(p []byte) error {
	_, err := io.ReadFull(r, p)
	return err
}

// packHeader is the length of the signature, the version and the number of objects.
const packHeader = 12

// begin returns the number of objects.
func (r *packReader) begin() (uint32, error) {
	header := make([]byte, packHeader)
	if err := r.full(header); err != nil || string(header[:4]) != "PACK" || binary.BigEndian.Uint32(header[4:]) != 2 {
		return 0, errPack
	}

	return binary.BigEndian.Uint32(header[8:]), nil
}

// typeAndSize reads the beginning of an entry.
func (r *packReader) typeAndSize() (plumbing.ObjectType, int64, error) {
	b, err := r.ReadByte()
	if err != nil {
		return 0, 0, err
	}

	kind, size := plumbing.ObjectType(b>>4&7), int64(b&0x0f)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = r.ReadByte(); err != nil || shift > 53 {
			return 0, 0, errPack
		}
		size |= int64(b&0x7f) << shift
	}

	return kind, size, nil
}

// back reads how far back the base of a delta is.
func (r *packReader) back() (int64, error) {
	b, err := r.ReadByte()
	n := int64(b & 0x7f)
	for err == nil && b&0x80 != 0 {
		if n > 1<<50 {
			return 0, errPack
		}
		if b, err = r.ReadByte(); err == nil {
			n = (n+1)<<7 | int64(b&0x7f)
		}
	}

	return n, err
}

// inflate writes the decompressed content of an entry to w. It must have a size.
func (r *packReader) inflate(size int64, w io.Writer) error {
	var err error
	if r.zlib == nil {
		r.zlib, err = zlib.NewReader(r)
	} else {
		err = r.zlib.(zlib.Resetter).Reset(r, nil) //nolint:forcetypeassert // as documented
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errPack, err)
	}

	n, err := io.Copy(w, r.budget.Reader(limit.Reader(r.zlib, size, errPack)))
	var exceeded *limit.Error
	if err != nil && !errors.As(err, &exceeded) || err == nil && n != size {
		return errPack
	}

	return err
}
