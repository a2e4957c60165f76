package install

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestImage builds the container image as a release does, on a base that is
// made here, since the real one cannot be fetched everywhere: for both
// platforms, with an SBOM, without root, and with a program that runs.
func TestImage(t *testing.T) {
	ref := buildImage(t)
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}

	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}

	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}

		isConfigured(t, m.Platform, image)
		holdsSBOM(t, ref.Context(), m.Digest)
		if m.Platform.Architecture == runtime.GOARCH {
			runs(t, image)
		}
	}

	if slices.Sort(platforms); !slices.Equal(platforms, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("platforms %q", platforms)
	}

	for _, tag := range []string{"v9.8.7", "latest"} {
		if found, err := remote.Head(ref.Context().Tag(tag)); err != nil || found.Digest.String() != ref.DigestStr() {
			t.Errorf("tag %s: %v, %v", tag, found, err)
		}
	}
}

// buildImage builds the image with make, into a registry of its own, and returns what
// make prints: the image by its digest.
func buildImage(t *testing.T) name.Digest {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	pushBase(t, host+"/base")

	command := exec.Command("make", "-s", "image", "IMAGE="+host+"/updater", "VERSION=v9.8.7", "COMMIT=c0ffee")
	command.Dir = "../.."
	command.Env = append(os.Environ(), "KO_DEFAULTBASEIMAGE="+host+"/base")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}

	ref, err := name.NewDigest(strings.TrimSpace(string(out)))
	if err != nil || ref.Context().RepositoryStr() != "updater" {
		t.Fatalf("it does not print the image alone: %q, %v", out, err)
	}

	return ref
}

// isConfigured checks the PATH, the user, the entrypoint and the labels of an image.
func isConfigured(t *testing.T, platform *v1.Platform, image v1.Image) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}

	if !slices.ContainsFunc(config.Config.Env, func(e string) bool {
		return strings.HasPrefix(e, "PATH=") && strings.Contains(e, "/ko-app")
	}) {
		t.Errorf("kubectl exec would not find the program: %q", config.Config.Env)
	}

	labels := config.Config.Labels
	if config.Config.User != "65532" || !slices.Equal(config.Config.Entrypoint, []string{"/ko-app/updater"}) ||
		labels["org.opencontainers.image.source"] != "https://github.com/liverty-music/image-writeback" ||
		labels["org.opencontainers.image.revision"] != "c0ffee" {
		t.Errorf("%s: user %q, entrypoint %q, labels %v", platform, config.Config.User,
			config.Config.Entrypoint, labels)
	}
}

// pushBase pushes an image for both platforms with nothing but a user in it.
func pushBase(t *testing.T, repository string) {
	t.Helper()
	base := v1.ImageIndex(empty.Index)
	for _, architecture := range []string{"amd64", "arm64"} {
		image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: architecture,
			Config: v1.Config{User: "65532"}, RootFS: v1.RootFS{Type: "layers"}})
		if err != nil {
			t.Fatal(err)
		}
		base = mutate.AppendManifests(base,
			mutate.IndexAddendum{Add: image,
				Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	}

	ref, err := name.ParseReference(repository)
	if err == nil {
		err = remote.WriteIndex(ref, base)
	}

	if err != nil {
		t.Fatal(err)
	}
}

// holdsSBOM finds the list of what is in an image, beside it in the registry.
func holdsSBOM(t *testing.T, repository name.Repository, digest v1.Hash) {
	t.Helper()
	image, err := remote.Image(repository.Tag(digest.Algorithm + "-" + digest.Hex + ".sbom"))
	if err != nil {
		t.Fatal(err)
	}

	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}

	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	var sbom struct {
		SPDXVersion string `json:"spdxVersion"`
		Packages    []struct{ Name string }
	}

	if err := json.NewDecoder(content).Decode(&sbom); err != nil {
		t.Fatal(err)
	}

	names := map[string]bool{}
	for _, p := range sbom.Packages {
		names[p.Name] = true
	}

	if !strings.HasPrefix(sbom.SPDXVersion, "SPDX-") || !names["github.com/go-git/go-git/v5"] ||
		!names["github.com/google/go-containerregistry"] {
		t.Errorf("the SBOM is of %q and has %d packages", sbom.SPDXVersion, len(names))
	}
}

// runs runs the program that is in an image.
func runs(t *testing.T, image v1.Image) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "updater")
	content := mutate.Extract(image)
	defer func() { _ = content.Close() }()
	files := tar.NewReader(content)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("the image has no program")
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimPrefix(header.Name, "/") != "ko-app/updater" {
			continue
		}
		data, err := io.ReadAll(files)
		if err == nil {
			err = os.WriteFile(program, data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		break
	}

	out, err := exec.Command(program, "version", "-o", "json").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "v9.8.7") || !strings.Contains(string(out), "c0ffee") {
		t.Errorf("%v: %s", err, out)
	}
}
