package gitwrite

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // git's
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"
)

// packed writes packs by hand, also such as no git writes.
type packed struct {
	bytes.Buffer
	offsets []int64
}

func newPacked(count uint32) *packed {
	p := &packed{}
	p.WriteString("PACK\x00\x00\x00\x02")
	_ = binary.Write(p, binary.BigEndian, count)

	return p
}

// add adds an object that says it has a size. base is the index of the base of a delta.
func (p *packed) add(kind plumbing.ObjectType, size int, content string, base int) *packed {
	at := int64(p.Len())
	p.offsets = append(p.offsets, at)
	entryHeader(p, byte(kind), size)
	if kind == plumbing.OFSDeltaObject {
		p.Write(appendBack(nil, at-p.offsets[base]))
	}
	z := zlib.NewWriter(p)
	_, _ = z.Write([]byte(content))
	_ = z.Close()

	return p
}

// done returns the pack.
func (p *packed) done() []byte {
	sum := sha1.Sum(p.Bytes()) //nolint:gosec // git's
	p.Write(sum[:])

	return p.Bytes()
}

// delta makes an object of a size from the beginning of a base, again and again.
func delta(base, size int) string {
	d := binary.AppendUvarint(nil, uint64(base))
	d = binary.AppendUvarint(d, uint64(size))
	for size > 0 {
		n := min(size, base, 0xffff)
		d = append(d, 0x80|0x30, byte(n), byte(n>>8))
		size -= n
	}

	return string(d)
}

func surveyOf(pack []byte, l Limits) (*survey, error) {
	return surveyPack(bytes.NewReader(pack), int64(len(pack)), l)
}

const (
	blob   = plumbing.BlobObject
	tree   = plumbing.TreeObject
	ofs    = plumbing.OFSDeltaObject
	noDelt = -1
)

// TestPacksThatLie holds what is found out about a pack before it is unpacked.
func TestPacksThatLie(t *testing.T) {
	base := strings.Repeat("0123456789", 100)
	chain := newPacked(5000).add(blob, 1000, base, noDelt)
	for i := range 4999 {
		d := delta(1000, 1000)
		chain.add(ofs, len(d), d, i)
	}
	bomb := newPacked(20)
	for range 20 {
		bomb.add(blob, 1<<20, strings.Repeat("\x00", 1<<20), noDelt)
	}
	many := newPacked(600)
	for range 600 {
		many.add(blob, 9000, strings.Repeat("\x00", 9000), noDelt)
	}

	for name, c := range map[string]struct {
		pack []byte
		want string
	}{
		"more than it says": {newPacked(1).add(blob, 10, base, noDelt).done(), "damaged"},
		"less than it says": {newPacked(1).add(blob, 2000, base, noDelt).done(), "damaged"},
		"a base of another size": {newPacked(2).add(blob, 1000, base, noDelt).
			add(ofs, len(delta(999, 5)), delta(999, 5), 0).done(), "damaged"},
		"more objects than it has": {newPacked(2).add(blob, 1000, base, noDelt).done(), "damaged"},
		"fewer objects":            {newPacked(0).add(blob, 1000, base, noDelt).done(), "damaged"},
		"another hash":             {append(newPacked(0).Bytes(), make([]byte, 20)...), "damaged"},
		"millions of objects":      {newPacked(4_000_000_000).done(), "more than 500,000 objects"},
		"a folder of any size":     {newPacked(1).add(tree, 1<<40, base, noDelt).done(), "damaged"},
		"a large folder": {newPacked(2).add(tree, 1000, base, noDelt).
			add(ofs, len(delta(1000, 20<<20)), delta(1000, 20<<20), 0).done(), "a folder or a commit"},
		"a delta of a delta, and so on": {chain.done(), "more than 4,000 deltas of one object"},
		"zeroes":                        {bomb.done(), "the decompressed pack that the server sent is larger than"},
		"many files":                    {many.done(), "content of the repository is larger than 4 MiB; raise PACK"},
		"an unknown kind":               {newPacked(1).add(5, 1000, base, noDelt).done(), "damaged"},
		"not a pack":                    {[]byte(base), "damaged"},
		"short":                         {[]byte("PACK"), "damaged"},
	} {
		if _, err := surveyOf(c.pack, smallLimits()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestADeltaOfALargeFile holds that a small file is kept with the large ones that it
// needs, and not without one of them.
func TestADeltaOfALargeFile(t *testing.T) {
	base := strings.Repeat("0123456789", 100)
	pack := newPacked(6).add(blob, 1000, base, noDelt)
	for _, d := range []struct{ from, to, base int }{
		{1000, 50_000, 0},   // large, and the base of a small file
		{50_000, 2000, 1},   // small
		{1000, 60_000, 0},   // large
		{1000, 32 << 20, 0}, // too large for memory
		{32 << 20, 500, 4},  // so this cannot be read
	} {
		text := delta(d.from, d.to)
		pack.add(ofs, len(text), text, d.base)
	}
	raw := pack.done()
	s, err := surveyOf(raw, smallLimits())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, true, false, false, false} {
		if s.entries[i].keep != want {
			t.Errorf("object %d: keep %t", i, s.entries[i].keep)
		}
	}

	var trimmed bytes.Buffer
	if err := s.trim(bytes.NewReader(raw), &trimmed); err != nil {
		t.Fatal(err)
	}
	store := memory.NewStorage()
	if err := packfile.UpdateObjectStorage(store, &trimmed); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{base, strings.Repeat(base, 50), strings.Repeat(base, 2)} {
		if _, err := store.EncodedObject(blob, plumbing.ComputeHash(blob, []byte(want))); err != nil {
			t.Errorf("%d bytes: %v", len(want), err)
		}
	}
	if n := len(store.Blobs); n != 3 {
		t.Errorf("%d files", n)
	}
}

// TestDistances compares how the distance to a base is written and read.
func TestDistances(t *testing.T) {
	for _, n := range []int64{1, 127, 128, 129, 16511, 16512, 1 << 20, 1<<28 + 5} {
		text := appendBack(nil, n)
		r := &packReader{r: bufio.NewReader(bytes.NewReader(text))}
		if got, err := r.back(); err != nil || got != n || r.offset != int64(len(text)) {
			t.Errorf("%d is read as %d, %v", n, got, err)
		}
	}
}

// FuzzPack checks that no pack makes the survey fail badly, and that what it lets
// through is unpacked, or refused, with little memory.
func FuzzPack(f *testing.F) {
	base := strings.Repeat("0123456789", 100)
	d := delta(1000, 50_000)
	f.Add(newPacked(2).add(blob, 1000, base, noDelt).add(ofs, len(d), d, 0).Bytes())
	f.Add(newPacked(1).add(tree, 0, "", noDelt).Bytes())
	f.Add(newPacked(1).add(blob, 20_000, strings.Repeat("x", 20_000), noDelt).Bytes())
	f.Fuzz(func(t *testing.T, content []byte) {
		sum := sha1.Sum(content) //nolint:gosec // git's
		pack := append(bytes.Clone(content), sum[:]...)
		s, err := surveyOf(pack, smallLimits())
		if err != nil {
			if !errors.Is(err, errPack) && !isLimit(err) {
				t.Errorf("%v", err)
			}
			return
		}

		var trimmed bytes.Buffer
		if err := s.trim(bytes.NewReader(pack), &trimmed); err != nil {
			t.Fatal(err)
		}
		again, err := surveyOf(trimmed.Bytes(), smallLimits())
		if err != nil || again.count() != s.count() || again.kept != s.kept {
			t.Fatalf("what is left is not the same: %v", err)
		}
		store := memory.NewStorage()
		if packfile.UpdateObjectStorage(store, &trimmed) != nil {
			return // such as a delta that has mistakes
		}
		for _, o := range store.Objects {
			if o.Size() > maxObject {
				t.Errorf("an object of %d bytes", o.Size())
			}
		}
	})
}
