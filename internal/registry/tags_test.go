package registry

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
)

// TestPlainRegistriesAreAskedForWhatIsNew follows a registry that lists names
// alone through cycles: a config is asked for once in the life of an image, and
// nothing where the list is as it was.
func TestPlainRegistriesAreAskedForWhatIsNew(t *testing.T) {
	s := start(t)
	s.Plain, s.ETags = true, true
	for i := range 5 {
		s.Push(server, registry.Build{Created: built.Add(time.Duration(i) * time.Minute)}, fmt.Sprint("v", i))
	}
	folder := t.TempDir()
	open := func() *Client {
		t.Helper()
		c := client(t, nil)
		if err := c.CacheIn(folder); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	var newest image.Tag
	cycle := func(what string, recheck bool, want string) {
		t.Helper()
		kinds := []string{"list", "unchanged list", "manifest", "blob"}
		before := map[string]int{}
		for _, kind := range kinds {
			before[kind] = s.Count(kind)
		}
		r := repository(t, c, s.Host()+"/"+server, "")
		if recheck {
			r.Recheck()
		}
		listing, err := r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		described, _, err := r.Describe(t.Context(), listing.Complete, listing.Tags, Wanted{Created: true, Default: "linux/amd64"})
		if err != nil || len(described) != len(listing.Tags) {
			t.Fatalf("%s: %d of %d tags, %v", what, len(described), len(listing.Tags), err)
		}
		newest = image.Tag{}
		for _, tag := range described {
			if tag.Created.After(newest.Created) {
				newest = tag
			}
		}
		var got []string
		for _, kind := range kinds {
			got = append(got, fmt.Sprintf("%d × %s", s.Count(kind)-before[kind], kind))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %s, want %s", what, strings.Join(got, ", "), want)
		}
	}
	cycle("cold", false, "1 × list, 0 × unchanged list, 5 × manifest, 5 × blob")
	cycle("idle", false, "1 × list, 1 × unchanged list, 0 × manifest, 0 × blob")
	s.Push(server, registry.Build{Created: built.Add(time.Hour)}, "v5", "v0")
	cycle("a new name, and one that has moved", false, "1 × list, 0 × unchanged list, 7 × manifest, 1 × blob")
	if newest.Name != "v0" && newest.Name != "v5" || !newest.Created.Equal(built.Add(time.Hour)) {
		t.Errorf("the newest is %+v", newest)
	}
	cycle("idle again", false, "1 × list, 1 × unchanged list, 0 × manifest, 0 × blob")
	s.Push(server, registry.Build{Created: built.Add(2 * time.Hour)}, "v1")
	cycle("a name that has moved, as a trigger says", true, "1 × list, 1 × unchanged list, 7 × manifest, 1 × blob")
	if newest.Name != "v1" {
		t.Errorf("the newest is %+v", newest)
	}
	c = open()
	cycle("a new start", false, "1 × list, 0 × unchanged list, 6 × manifest, 0 × blob")
	if newest.Name != "v1" || !newest.Created.Equal(built.Add(2*time.Hour)) {
		t.Errorf("the newest is %+v", newest)
	}

	// What was cut off or never was ours is left out.
	file := filepath.Join(folder, "images.jsonl")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("{}\nx\n\x00\n"), data[:len(data)-20]...), 0o600); err != nil {
		t.Fatal(err)
	}
	c = open()
	cycle("a file that was damaged", false, "1 × list, 0 × unchanged list, 6 × manifest, 1 × blob")
}

// TestOldTagsAreLookedUpAgain checks that no tag is assumed to stay for ever.
func TestOldTagsAreLookedUpAgain(t *testing.T) {
	listing := []image.Tag{{Name: "v1"}, {Name: "latest"}}
	var first tagCache
	now := built
	first.update(listing, now, false)
	first.put("latest", "sha256:1")

	for _, c := range []struct {
		what    string
		listing []image.Tag
		recheck bool
		after   time.Duration
		current bool
	}{
		{"at once", listing, false, 0, true},
		{"a while later", listing, false, tagLife - time.Second, true},
		{"much later", listing, false, tagLife, false},
		{"another list", listing[1:], false, 0, false},
		{"after a trigger", listing, true, 0, false},
	} {
		cache := tagCache{names: first.names, since: now, digests: map[string]string{"latest": "sha256:1"}}
		cache.update(c.listing, now.Add(c.after), c.recheck)
		if got := cache.current("latest") != ""; got != c.current || cache.last("latest") != "sha256:1" {
			t.Errorf("%s: current %t, last %q", c.what, got, cache.last("latest"))
		}
	}
}
