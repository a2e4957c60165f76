package resources

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/liverty-music/image-writeback/test/harness"
)

// packets splits what is written into packets of git's protocol that carry a pack.
type packets struct{ w io.Writer }

// Write sends a packet for each piece that fits into one.
func (p packets) Write(data []byte) (int, error) {
	const most = 0x8000
	for sent := 0; sent < len(data); sent += most {
		piece := data[sent:min(len(data), sent+most)]
		if _, err := fmt.Fprintf(p.w, "%04x\x01%s", len(piece)+5, piece); err != nil {
			return sent, err
		}
	}

	return len(data), nil
}

// pack answers a fetch with a pack: a beginning, and piece after piece.
func pack(begin string, piece func(n int) string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		_, _ = fmt.Fprintf(w, "0034shallow %040d00000008NAK\n", 1)
		send(packets{w}, 0, begin, "", piece)
	}
}

// endlessBlob is the beginning of a pack: one blob of 2^40 bytes, not compressed.
const endlessBlob = "PACK\x00\x00\x00\x02\x00\x00\x00\x01" + "\xb0\x80\x80\x80\x80\x80\x02" + "\x78\x01"

// block is a piece of a blob that is not compressed.
func block(data string) string {
	low, high := byte(len(data)), byte(len(data)>>8)
	return string([]byte{0, low, high, ^low, ^high}) + data
}

// service begins an advertisement.
const service = "001e# service=git-upload-pack\n0000"

// reference is a line of an advertisement. The first one has capabilities.
func reference(name, capabilities string) string {
	line := fmt.Sprintf("%040d %s%s\n", 1, name, capabilities)
	return fmt.Sprintf("%04x%s", len(line)+4, line)
}

// addGitOffenders adds Applications whose git repositories are too large.
func (w *world) addGitOffenders() {
	w.t.Helper()
	image := w.image(w.google, "good/image")
	offender := func(name, want string) {
		if err := w.git.Create(name, true, map[string]string{
			"offender/kustomization.yaml": kustomization(image),
		}); err != nil {
			w.t.Fatal(err)
		}
		w.application(name, name, "offender", image)
		w.offenders[name] = want
	}

	noise := block(w.noise(0x7fff))
	offender("endless-pack", "the pack that the server sent is larger than 256 MiB; raise limits.packSize")
	w.answers["/endless-pack.git/git-upload-pack"] = pack(endlessBlob, func(int) string { return noise })

	const references = "the repository has more than 50,000 references; raise limits.references"
	name := func(n int) string { return fmt.Sprintf("refs/heads/branch-%07d", n) }
	offender("endless-references", references)
	w.answers["/endless-references.git/info/refs"] = body(0, service+reference("HEAD", "\x00shallow"), "",
		func(n int) string { return reference(name(n), "") })
	offender("references", references)
	w.addReferences("references", 300_000, name)
}

// addReferences adds references to the head of main.
func (w *world) addReferences(repository string, n int, name func(n int) string) {
	w.t.Helper()
	head := strings.TrimSpace(w.head(repository))
	var packed strings.Builder
	packed.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for i := range n {
		fmt.Fprintf(&packed, "%s %s\n", head, name(i))
	}
	harness.Write(w.t, filepath.Join(w.git.Root, repository+".git", "packed-refs"), packed.String())
}

// addLargeFiles adds repositories with files that are too large, on a server that sends
// only what it is asked for, and on one that sends all. The victims are in the same
// repositories, and have asked for none of these files.
func (w *world) addLargeFiles() {
	w.t.Helper()
	image := w.image(w.google, "good/chart")
	var values strings.Builder
	for i := 0; values.Len() < 10_000_000; i++ {
		fmt.Fprintf(&values, "key%d: {image: {tag: v%d}}\n", i, i)
	}
	fmt.Fprintf(&values, "image: {name: %s, tag: 1.0.0}\n", image)
	offender := func(folder, repository, size string) {
		name := folder + "-" + repository
		w.application(name, repository, folder, image, "write-back-target: helmvalues:values.yaml",
			"app.helm.image-name: image.name", "app.helm.image-tag: image.tag")
		w.offenders[name] = folder + "/values.yaml has " + size +
			", more than the limit of 1 MiB; raise limits.fileSize"
	}

	for _, partial := range []bool{true, false} {
		repository := fmt.Sprintf("partial-%t", partial)
		w.create(repository, w.google, partial, nil)
		w.sendAsTheyAre(repository)
		w.commit(repository, map[string]string{
			"values/values.yaml": values.String(), "zeroes/values.yaml": strings.Repeat("\x00", 128<<20),
		})
		offender("values", repository, "9.537 MiB")
	}
	offender("zeroes", "partial-true", "128 MiB") // of the other ones, nobody asks for them
	w.addIncompressible()
}

// addIncompressible adds a victim in a repository that is as large as it may be.
func (w *world) addIncompressible() {
	w.t.Helper()
	const repository = "incompressible"
	w.create(repository, w.google, false, nil)
	w.sendAsTheyAre(repository)
	if _, err := w.git.Run(repository, "config", "core.compression", "0"); err != nil {
		w.t.Fatal(err)
	}
	noise := w.noise(30 << 20)
	for i := range 8 {
		w.commit(repository, map[string]string{fmt.Sprintf("noise-%d", i): fmt.Sprint(i, noise)})
	}
}

// commit commits files to main, by a person.
func (w *world) commit(repository string, files map[string]string) {
	w.t.Helper()
	if err := w.git.Commit(repository, "main", "Large files", files); err != nil {
		w.t.Fatal(err)
	}
}

// sendAsTheyAre keeps git from looking for large files that are alike, which takes
// longer than what is tested.
func (w *world) sendAsTheyAre(repository string) {
	w.t.Helper()
	if _, err := w.git.Run(repository, "config", "core.bigFileThreshold", "1m"); err != nil {
		w.t.Fatal(err)
	}
}
