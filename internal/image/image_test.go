package image

import (
	"errors"
	"testing"
)

func TestParse(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, c := range []struct{ in, registry, repository, tag, digest string }{
		{"nginx", "docker.io", "library/nginx", "", ""},
		{"nginx:1.27", "docker.io", "library/nginx", "1.27", ""},
		{"docker.io/nginx", "docker.io", "library/nginx", "", ""},
		{"index.docker.io/library/nginx", "docker.io", "library/nginx", "", ""},
		{"bitnami/redis", "docker.io", "bitnami/redis", "", ""},
		{"localhost/app", "localhost", "app", "", ""},
		{"localhost:5000/app:v1", "localhost:5000", "app", "v1", ""},
		{"[::1]:5000/app:v1", "[::1]:5000", "app", "v1", ""},
		{"ghcr.io/o/app@" + digest, "ghcr.io", "o/app", "", digest},
		{"ghcr.io/o/app:v1@" + digest, "ghcr.io", "o/app", "v1", digest},
		{"asia-northeast2-docker.pkg.dev/liverty-music-dev/backend/server:latest",
			"asia-northeast2-docker.pkg.dev", "liverty-music-dev/backend/server", "latest", ""},
	} {
		ref, err := Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if ref.Registry != c.registry || ref.Repository != c.repository || ref.Tag != c.tag || ref.Digest != c.digest {
			t.Errorf("Parse(%q) = %+v", c.in, ref)
		}
		if ref.String() != c.in {
			t.Errorf("Parse(%q).String() = %q", c.in, ref.String())
		}
	}
}

func TestParseRefusesWhatIsNoReference(t *testing.T) {
	for _, in := range []string{"", "Nginx", "a//b", "ghcr.io/", "app:", "app:v 1", "app@sha256:12", "app@",
		"-a.b/c", "a b", "../x", "ghcr.io/a/../b"} {
		if ref, err := Parse(in); !errors.Is(err, ErrInvalid) {
			t.Errorf("Parse(%q) = %+v, %v; want ErrInvalid", in, ref, err)
		}
	}
}

func TestSameImageNormalises(t *testing.T) {
	a, _ := Parse("nginx:1")
	b, _ := Parse("index.docker.io/library/nginx:2")
	c, _ := Parse("ghcr.io/library/nginx")
	if !a.SameImage(b) || a.SameImage(c) {
		t.Errorf("SameImage: %v %v", a.SameImage(b), a.SameImage(c))
	}
}
