package gitwrite

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // git's
	"encoding/binary"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// maxDepth limits chains of deltas to git's default: reading the last tree of a chain
// requires all of its deltas.
const maxDepth = 50

// refDelta is the type of a delta that names its base by hash.
// https://git-scm.com/docs/pack-format
const refDelta = 7

// made is an object that is not pushed yet. Once a tree has a successor, only its delta
// to the preceding tree is kept, to save memory: a folder with thousands of files gets
// a new tree with each commit that changes one of them.
type made struct {
	kind    plumbing.ObjectType
	content []byte // nil: apply delta to base
	base    plumbing.Hash
	delta   []byte
	depth   int
}

// replaceHash returns the delta that replaces the hash at an offset of an object.
func replaceHash(size, at int, hash plumbing.Hash) []byte {
	d := binary.AppendUvarint(nil, uint64(size)) //nolint:gosec // a size
	d = binary.AppendUvarint(d, uint64(size))    //nolint:gosec // the same
	d = appendCopy(d, 0, at)
	d = append(d, byte(len(hash)))
	d = append(d, hash[:]...)
	return appendCopy(d, at+len(hash), size-at-len(hash))
}

// appendCopy adds the instructions that copy a part of the base, in pieces of up to
// 64 KB, the maximum that all readers accept.
func appendCopy(d []byte, offset, length int) []byte {
	for length > 0 {
		n := min(length, 0x10000)
		at := len(d)
		d = append(d, 0x80)
		for i := range 4 {
			if b := byte(offset >> (8 * i) & 0xff); b != 0 {
				d[at] |= 1 << i
				d = append(d, b)
			}
		}
		if n != 0x10000 { // 0x10000 is encoded as no size
			for i := range 2 {
				if b := byte(n >> (8 * i) & 0xff); b != 0 {
					d[at] |= 0x10 << i
					d = append(d, b)
				}
			}
		}
		offset, length = offset+n, length-n
	}

	return d
}

// pack encodes all new objects. Trees are encoded as deltas of the preceding trees,
// which need not be in the pack because the server has them: a thin pack.
func (s *objects) pack() ([]byte, error) { return s.encode(s.order, true) }

// kept encodes the new objects that the next cycle needs, without deltas: all commits
// and blobs, and the trees of the newest commits.
func (s *objects) kept(heads []plumbing.Hash) ([]byte, error) {
	needed := map[plumbing.Hash]bool{}
	var walk func(tree plumbing.Hash)
	walk = func(hash plumbing.Hash) {
		if s.made[hash] == nil || needed[hash] {
			return // the mirror has it
		}
		needed[hash] = true
		if tree, err := s.tree(hash); err == nil {
			for _, e := range tree.Entries {
				if e.Mode == filemode.Dir {
					walk(e.Hash)
				}
			}
		}
	}

	for _, head := range heads {
		if commit, err := s.commit(head); err == nil {
			walk(commit.TreeHash)
		}
	}

	var objects []plumbing.Hash
	for _, hash := range s.order {
		if s.made[hash].kind != plumbing.TreeObject || needed[hash] {
			objects = append(objects, hash)
		}
	}

	return s.encode(objects, false)
}

// encode returns a pack of new objects; nil if hashes is empty.
func (s *objects) encode(hashes []plumbing.Hash, deltas bool) ([]byte, error) {
	if len(hashes) == 0 {
		return nil, nil
	}

	var b bytes.Buffer
	b.WriteString("PACK")
	_ = binary.Write(&b, binary.BigEndian, []uint32{2, uint32(len(hashes))}) //nolint:gosec // a number of objects
	compressor := zlib.NewWriter(&b)
	for _, hash := range hashes {
		o := s.made[hash]
		kind, content := byte(o.kind), o.content //nolint:gosec // a type is one of eight
		if deltas && o.delta != nil {
			kind, content = refDelta, o.delta
		} else if content == nil {
			var err error
			if content, err = s.content(hash); err != nil {
				return nil, err
			}
		}
		entryHeader(&b, kind, len(content))
		if kind == refDelta {
			b.Write(o.base[:])
		}
		compressor.Reset(&b)
		if _, err := compressor.Write(content); err != nil {
			return nil, err
		}
		if err := compressor.Close(); err != nil {
			return nil, err
		}
	}

	sum := sha1.Sum(b.Bytes()) //nolint:gosec // git's
	b.Write(sum[:])
	return b.Bytes(), nil
}

// entryHeader begins an object of a pack with its type and size.
func entryHeader(w io.ByteWriter, kind byte, size int) {
	first := kind<<4 | byte(size&0x0f)
	size >>= 4
	for size > 0 {
		_ = w.WriteByte(first | 0x80)
		first = byte(size & 0x7f)
		size >>= 7
	}
	_ = w.WriteByte(first)
}
