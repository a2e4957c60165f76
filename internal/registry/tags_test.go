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

// cycles looks up all tags of a plain registry, again and again.
type cycles struct {
	t      *testing.T
	server *registry.Server
	folder string // of the cache
	client *Client
	newest image.Tag // in the newest cycle
}

// restart makes a new client with the same cache.
func (c *cycles) restart() {
	c.t.Helper()
	c.client = client(c.t, nil)
	if err := c.client.CacheIn(c.folder); err != nil {
		c.t.Fatal(err)
	}
}

// run runs a cycle, with a trigger if recheck is set, and compares the requests
// that the registry got.
func (c *cycles) run(what string, recheck bool, want string) {
	c.t.Helper()
	kinds := []string{"list", "unchanged list", "manifest", "blob"}
	before := map[string]int{}
	for _, kind := range kinds {
		before[kind] = c.server.Count(kind)
	}

	r := repository(c.t, c.client, c.server.Host()+"/"+server, "")
	if recheck {
		r.Recheck()
	}
	listing, err := r.List(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	wanted := Wanted{Created: true, Default: "linux/amd64"}
	described, _, err := r.Describe(c.t.Context(), listing.Complete, listing.Tags, wanted)
	if err != nil || len(described) != len(listing.Tags) {
		c.t.Fatalf("%s: %d of %d tags, %v", what, len(described), len(listing.Tags), err)
	}

	c.newest = image.Tag{}
	for _, tag := range described {
		if tag.Created.After(c.newest.Created) {
			c.newest = tag
		}
	}
	var got []string
	for _, kind := range kinds {
		got = append(got, fmt.Sprintf("%d × %s", c.server.Count(kind)-before[kind], kind))
	}
	if strings.Join(got, ", ") != want {
		c.t.Errorf("%s: %s, want %s", what, strings.Join(got, ", "), want)
	}
}

// TestPlainRegistriesAreAskedForWhatIsNew follows a registry that lists names alone
// through cycles: a config is read once in the life of an image, and nothing is
// looked up while the list stays the same.
func TestPlainRegistriesAreAskedForWhatIsNew(t *testing.T) {
	s := start(t)
	s.Plain, s.ETags = true, true
	for i := range 5 {
		s.Push(server, registry.Build{Created: built.Add(time.Duration(i) * time.Minute)}, fmt.Sprint("v", i))
	}
	c := &cycles{t: t, server: s, folder: t.TempDir()}
	c.restart()
	c.run("cold", false, "1 × list, 0 × unchanged list, 5 × manifest, 5 × blob")
	c.run("idle", false, "1 × list, 1 × unchanged list, 0 × manifest, 0 × blob")

	at := built.Add(time.Hour)
	s.Push(server, registry.Build{Created: at}, "v5", "v0")
	c.run("a new name, and one that moved", false, "1 × list, 0 × unchanged list, 7 × manifest, 1 × blob")
	if c.newest.Name != "v0" && c.newest.Name != "v5" || !c.newest.Created.Equal(at) {
		t.Errorf("the newest is %+v", c.newest)
	}
	c.run("idle again", false, "1 × list, 1 × unchanged list, 0 × manifest, 0 × blob")

	at = built.Add(2 * time.Hour)
	s.Push(server, registry.Build{Created: at}, "v1")
	c.run("a name that moved, with a trigger", true, "1 × list, 1 × unchanged list, 7 × manifest, 1 × blob")
	if c.newest.Name != "v1" {
		t.Errorf("the newest is %+v", c.newest)
	}

	c.restart()
	c.run("a new start", false, "1 × list, 0 × unchanged list, 6 × manifest, 0 × blob")
	if c.newest.Name != "v1" || !c.newest.Created.Equal(at) {
		t.Errorf("the newest is %+v", c.newest)
	}

	// Lines that are cut off or not the cache's own are skipped.
	file := filepath.Join(c.folder, "images.jsonl")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("{}\nx\n\x00\n"), data[:len(data)-20]...), 0o600); err != nil {
		t.Fatal(err)
	}
	c.restart()
	c.run("a damaged file", false, "1 × list, 0 × unchanged list, 6 × manifest, 1 × blob")
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
