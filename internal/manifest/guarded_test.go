package manifest

import (
	"errors"
	"testing"

	"github.com/liverty-music/image-writeback/internal/panics"
)

// broken panics wherever it can.
type broken struct{ opens bool }

func (b broken) Open([]byte) (Images, error) {
	if b.opens {
		return b, nil
	}
	panic("open")
}
func (broken) Set([]byte, ...Entry) ([]byte, error) { panic("set") }
func (broken) Key(Entry) string                     { return "" }
func (broken) Version(Entry) (Version, error)       { panic("version") }

// TestNoFileStopsTheProcess holds that a mistake in a format is the error of one file.
func TestNoFileStopsTheProcess(t *testing.T) {
	_, open := guarded{broken{}}.Open(nil)
	_, set := guarded{broken{}}.Set(nil)
	images, err := guarded{broken{opens: true}}.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, version := images.Version(Entry{})
	for what, err := range map[string]error{"open": open, "set": set, "version": version} {
		var panicked *panics.Error
		if !errors.As(err, &panicked) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, kind := range kinds {
		if _, ok := kind.Format.(guarded); !ok {
			t.Errorf("%s of %s is not guarded", kind.Form, kind.Source)
		}
	}
}
