package gitwrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/liverty-music/image-writeback/internal/limit"
	sandboxgit "github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// smallLimits are limits that tests reach quickly.
func smallLimits() Limits {
	return Limits{
		References: limit.Limit{Max: 1000, Raise: "raise REFERENCES"},
		PackSize:   limit.Limit{Max: 1 << 20, Raise: "raise PACK"},
		FileSize:   limit.Limit{Max: 10_000, Raise: "raise FILE"},
		Memory:     1 << 20,
	}
}

// overHTTP and overSSH are the ways to a repository of a server.
func ways(t *testing.T, git *sandboxgit.Server, l Limits) map[string]*Repository {
	t.Helper()
	server, err := sandboxgit.NewSSH(git)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	service := newService(t, Options{Limits: l, Credentials: func(_ context.Context, a Access) (Credentials, error) {
		if a.From == "" {
			return Credentials{}, nil
		}
		return Credentials{SSHPrivateKey: server.PrivateKey, KnownHosts: server.KnownHosts}, nil
	}})
	overSSH, err := service.Open(t.Context(), Access{URL: server.URLOf(repo), From: "secret:argocd/git"})
	if err != nil {
		t.Fatal(err)
	}

	return map[string]*Repository{"HTTP": open(t, service, git.URLOf(repo)), "SSH": overSSH}
}

// noise is what cannot be compressed.
func noise(n int) string {
	random := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	data := make([]byte, n)
	_, _ = random.Read(data)

	return string(data)
}

// addReferences adds references to the head of main.
func addReferences(t *testing.T, git *sandboxgit.Server, format string, n int) {
	t.Helper()
	head, err := git.Head(repo, "main")
	if err != nil {
		t.Fatal(err)
	}
	var commands bytes.Buffer
	for i := range n {
		fmt.Fprintf(&commands, "create "+format+" %s\n", i, head)
	}
	if _, err := git.RunWith(repo, commands.Bytes(), "update-ref", "--stdin"); err != nil {
		t.Fatal(err)
	}
}

// TestReferencesAreLimited counts all references, and remembers only branches.
func TestReferencesAreLimited(t *testing.T) {
	git := startGit(t, true, 1)
	addReferences(t, git, "refs/pull/%d/head", 990)
	addReferences(t, git, "refs/heads/b%d", 5)
	for way, r := range ways(t, git, smallLimits()) {
		noError(t, writeAll(r, setTag("f0/k.yaml", "v0", "v1")))
		if n := len(r.kept.heads.branches); n != 6 || r.kept.heads.defaultBranch != "main" {
			t.Errorf("over %s: %d branches, default %q", way, n, r.kept.heads.defaultBranch)
		}
	}

	addReferences(t, git, "refs/tags/t%d", 10)
	for way, r := range ways(t, git, smallLimits()) {
		_, err := r.Read(t.Context(), []Want{wantFile("f0/k.yaml")})
		const want = "the repository has more than 1,000 references; raise REFERENCES"
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), r.URL()) {
			t.Errorf("over %s: %v", way, err)
		}
	}
}

// TestPacksAreLimited reads a repository that is larger than a pack may be.
func TestPacksAreLimited(t *testing.T) {
	git := startGit(t, false, 1) // it cannot leave out files
	if err := git.Commit(repo, "main", "Large", map[string]string{"large": noise(2 << 20)}); err != nil {
		t.Fatal(err)
	}
	for way, r := range ways(t, git, smallLimits()) {
		_, err := r.Read(t.Context(), []Want{wantFile("f0/k.yaml")})
		const want = "the pack that the server sent is larger than 1 MiB; raise PACK"
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), r.URL()) {
			t.Errorf("over %s: %v", way, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "image-writeback-pack-*")); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
}

// TestALargeBranchStopsNobodyElse reads two branches, of which one is larger than a pack
// may be: the other one is read, and the large one is named, once for its head.
func TestALargeBranchStopsNobodyElse(t *testing.T) {
	git := startGit(t, false, 1) // it cannot leave out files
	if err := git.Commit(repo, "large", "Large", map[string]string{"large": noise(2 << 20)}); err != nil {
		t.Fatal(err)
	}
	large := Want{Branch: "large", Folder: "f0", Names: "k.yaml"}
	for way, r := range ways(t, git, smallLimits()) {
		fetches := 0
		for range 2 {
			snapshot, err := r.Read(t.Context(), []Want{wantFile("f0/k.yaml"), large})
			if err != nil {
				t.Fatalf("over %s: %v", way, err)
			}
			if file, err := snapshot.File(wantFile("f0/k.yaml")); err != nil || len(file.Data) == 0 {
				t.Errorf("over %s: %v", way, err)
			}
			if _, err := snapshot.File(large); !isLimit(err) || !strings.Contains(err.Error(), "raise PACK") {
				t.Errorf("over %s: %v", way, err)
			}
			if fetches == 0 {
				fetches = git.Count("fetch")
			}
		}
		if n := git.Count("fetch") - fetches; n > 0 {
			t.Errorf("over %s: %d more fetches", way, n)
		}
	}
}

// TestFilesThatTakeLong has a server that needs more time for two files than there is. The
// next time, they are asked for one by one, and nothing counts as too large.
func TestFilesThatTakeLong(t *testing.T) {
	git := startGit(t, true, 2)
	r := open(t, newService(t, Options{}), git.URLOf(repo))
	ctx, cancel := context.WithCancel(t.Context())
	git.Fault = func(_ http.ResponseWriter, request *http.Request) bool {
		if !strings.HasSuffix(request.URL.Path, "/git-upload-pack") {
			return false
		}
		body, _ := io.ReadAll(request.Body)
		request.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Count(body, []byte("want ")) > 1 {
			cancel()
			<-request.Context().Done()
			return true
		}
		return false
	}
	wants := []Want{wantFile("f0/k.yaml"), wantFile("f1/k.yaml")}
	if err := git.Commit(repo, "main", "Another", map[string]string{"f1/k.yaml": "tag: other\n"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(ctx, wants); err == nil {
		t.Fatal("there was time")
	}
	snapshot, err := r.Read(t.Context(), wants)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range wants {
		if file, err := snapshot.File(want); err != nil || len(file.Data) == 0 {
			t.Errorf("%s: %v", want.Folder, err)
		}
	}
}

// largeFiles are files that are larger than the limit, and small ones that git packs
// as deltas of them.
func largeFiles() map[string]string {
	long := noise(20_000)

	return map[string]string{
		"zeroes":       strings.Repeat("\x00", 5<<20),
		"delta/long":   long,
		"delta/longer": long + "more\n",
		"delta/short":  long[:9000],
		"delta/k.yaml": "tag: v0\n",
		"small/a":      noise(7000),
		"small/b":      noise(7000) + "b",
		"small/c":      noise(7000) + "c",
	}
}

// TestFilesThatNobodyAskedForCostNothing leaves out large files, of servers that
// send all files, and of those that send only what is asked for, in memory and in a
// folder. What is left is a repository in which git finds no mistake.
func TestFilesThatNobodyAskedForCostNothing(t *testing.T) {
	for _, partial := range []bool{true, false} {
		for _, dir := range []string{"", t.TempDir()} {
			t.Run(fmt.Sprintf("partial %t, folder %t", partial, dir != ""), func(t *testing.T) {
				git := startGit(t, partial, 1)
				if err := git.Commit(repo, "main", "Large", largeFiles()); err != nil {
					t.Fatal(err)
				}
				if _, err := git.Run(repo, "repack", "-adfq", "--depth=50"); err != nil {
					t.Fatal(err)
				}
				r := open(t, newService(t, Options{CacheDir: dir, Limits: smallLimits()}), git.URLOf(repo))
				noError(t, writeAll(r, setTag("delta/k.yaml", "v0", "v1")))
				if r.mirror.bytes > 200_000 {
					t.Errorf("the mirror has %d bytes", r.mirror.bytes)
				}

				fetches := git.Count("fetch")
				wants := map[string]string{
					"zeroes":       "zeroes has 5 MiB, more than the limit of 9.766 KiB; raise FILE",
					"delta/long":   "raise FILE",
					"delta/longer": "raise FILE",
					"delta/short":  "",
					"delta/k.yaml": "",
				}
				for range 2 { // the second time, it is known which files are too large
					snapshot := mustRead(t, r, wants)
					for file, want := range wants {
						got, err := snapshot.File(wantFile(file))
						if want == "" && (err != nil || len(got.Data) == 0) || want != "" && !isLimit(err) ||
							want != "" && !strings.Contains(err.Error(), want) {
							t.Errorf("%s: %v, want %q", file, err, want)
						}
					}
				}
				if n := git.Count("fetch") - fetches; n > 2 {
					t.Errorf("%d fetches", n)
				}
			})
		}
	}
}

func mustRead(t *testing.T, r *Repository, files map[string]string) *Snapshot {
	t.Helper()
	var wants []Want
	for file := range files {
		wants = append(wants, wantFile(file))
	}
	snapshot, err := r.Read(t.Context(), wants)
	if err != nil {
		t.Fatal(err)
	}

	return snapshot
}

// TestOneFileIsTooLargeForAPack holds that the other files of the repository are read.
func TestOneFileIsTooLargeForAPack(t *testing.T) {
	git := startGit(t, true, 9)
	if err := git.Commit(repo, "main", "Large", map[string]string{"large": noise(2 << 20)}); err != nil {
		t.Fatal(err)
	}
	r := open(t, newService(t, Options{Limits: smallLimits()}), git.URLOf(repo))
	wants := map[string]string{"large": "large is larger than 9.766 KiB; raise FILE"}
	for i := range 9 {
		wants[fmt.Sprintf("f%d/k.yaml", i)] = ""
	}
	for range 2 {
		snapshot := mustRead(t, r, wants)
		for file, want := range wants {
			_, err := snapshot.File(wantFile(file))
			if (err != nil) != (want != "") || err != nil && err.Error() != want {
				t.Errorf("%s: %v, want %q", file, err, want)
			}
		}
	}
	fetches := git.Count("fetch")
	mustRead(t, r, wants)
	if n := git.Count("fetch"); n != fetches {
		t.Errorf("%d more fetches for what is known to be too large", n-fetches)
	}
}

// TestALargeMirrorMovesToAFolder holds that a repository that is too large for memory
// is kept in a temporary folder, which is removed at the end.
func TestALargeMirrorMovesToAFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	git := startGit(t, false, 5)
	service := newService(t, Options{Limits: smallLimits()})
	r := open(t, service, git.URLOf(repo))
	noError(t, writeAll(r, setTag("f1/k.yaml", "v0", "v1")))
	if r.mirror.dir != "" {
		t.Fatal("a small mirror is in a folder")
	}

	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("more/%d", i)] = noise(9000 + i)
	}
	if err := git.Commit(repo, "main", "More", files); err != nil {
		t.Fatal(err)
	}
	noError(t, writeAll(r, setTag("f2/k.yaml", "v0", "v1")))
	if r.mirror.dir == "" || r.mirror.size() > 20_000 {
		t.Errorf("folder %q, %d bytes of memory", r.mirror.dir, r.mirror.size())
	}
	fetches := git.Count("fetch")
	noError(t, writeAll(r, setTag("f3/k.yaml", "v0", "v1")))
	if n := git.Count("fetch"); n != fetches {
		t.Errorf("%d more fetches", n-fetches)
	}

	// Another process was killed: its folder is removed by the next one.
	left := filepath.Join(os.TempDir(), temporary+"1")
	if err := os.MkdirAll(left+".git", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := open(t, newService(t, Options{Limits: smallLimits()}), git.URLOf(repo))
	noError(t, writeAll(other, setTag("f4/k.yaml", "v0", "v1")))
	service.Close()
	folders, err := filepath.Glob(filepath.Join(os.TempDir(), "*.git"))
	if err != nil || len(folders) != 1 || folders[0] != other.mirror.dir {
		t.Errorf("folders %q, %v; want %q", folders, err, other.mirror.dir)
	}
}

// TestRepositoriesThatAreKeptAreBounded names another repository in each cycle.
func TestRepositoriesThatAreKeptAreBounded(t *testing.T) {
	git := startGit(t, true, 1)
	dir := t.TempDir()
	service := newService(t, Options{CacheDir: dir, Limits: smallLimits()})
	first := open(t, service, git.URLOf(repo))
	noError(t, writeAll(first, setTag("f0/k.yaml", "v0", "v1")))
	for i := range 1000 {
		open(t, service, fmt.Sprintf("%s/p%d.git", git.URL, i))
	}
	if n := service.repos.Len(); n == 0 || n > 256 {
		t.Errorf("%d repositories are kept", n)
	}

	// Its mirror is unlocked, and serves the next one.
	fetches := git.Count("fetch")
	second := open(t, service, git.URLOf(repo))
	noError(t, writeAll(second, setTag("f0/k.yaml", "v1", "v2")))
	if second == first || second.mirror.dir == "" || git.Count("fetch") != fetches {
		t.Errorf("mirror %q, %d more fetches", second.mirror.dir, git.Count("fetch")-fetches)
	}
}

// packet is a line of git's protocol.
func packet(format string, args ...any) string {
	line := fmt.Sprintf(format, args...)
	return fmt.Sprintf("%04x%s", len(line)+lengthSize, line)
}

// TestAnswersOfGitServersAreLimited sends endless answers.
func TestAnswersOfGitServersAreLimited(t *testing.T) {
	advertised := "001e# service=git-upload-pack\n0000" + packet("%040d refs/heads/a\x00shallow\n", 1)
	for name, c := range map[string]struct {
		path, begin, again string
		status             int
		want               string
	}{
		"references": {"/info/refs", advertised,
			packet("%040d refs/heads/b%d\n", 1, 1), 200, "more than 1,000 references"},
		"long references": {"/info/refs", advertised,
			packet("%040d refs/heads/%s\n", 1, strings.Repeat("b", 60_000)), 200, "references, or very long ones"},
		"an error":        {"/info/refs", "no", " never", 403, "denies access"},
		"shallow commits": {"/git-upload-pack", "", packet("shallow %040d", 1), 200, "the answer of the server"},
		"messages": {"/git-upload-pack", fmt.Sprintf("0034shallow %040d00000008NAK\n", 1), "0006\x02.", 200,
			"the pack that the server sent"},
		"a pack": {"/git-upload-pack", fmt.Sprintf("0034shallow %040d00000008NAK\n", 1),
			"1005\x01" + strings.Repeat("P", 0x1000), 200, "the pack that the server sent"},
		"a report": {"/git-receive-pack", "", "0006\x02.", 200, "the answer of the server"},
	} {
		t.Run(name, func(t *testing.T) {
			git := startGit(t, true, 1)
			var taken atomic.Int64
			git.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, c.path) {
					return false
				}
				w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
				w.WriteHeader(c.status)
				n, err := io.WriteString(w, c.begin)
				for chunk := strings.Repeat(c.again, 1+10_000/len(c.again)); err == nil; {
					taken.Add(int64(n))
					n, err = io.WriteString(w, chunk)
				}
				return true
			}
			r := open(t, newService(t, Options{Limits: smallLimits()}), git.URLOf(repo))
			err := writeAll(r, setTag("f0/k.yaml", "v0", "v1"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %.500v, want %q", err, c.want)
			}
			git.CloseClientConnections()
			git.Close()
			if n := taken.Load(); n > 64<<20 {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

// TestTheOutputOfSSHIsLimitedOrRefused holds that a session whose output cannot be
// limited is not used.
func TestTheOutputOfSSHIsLimitedOrRefused(t *testing.T) {
	ctx, transfer, end := newLimits(smallLimits()).begin(t.Context(), advertiseTimeout)
	defer end()
	for _, session := range []any{nil, 1, struct{}{}, struct{ Stdout io.Reader }{}, &struct{ Stdout string }{}} {
		if err := transfer.boundOutput(ctx, session); !errors.Is(err, errSession) {
			t.Errorf("%T: %v", session, err)
		}
	}
}

// TestMirrorsAreCheckedByGit holds that git accepts a folder from which files were
// left out.
func TestMirrorsAreCheckedByGit(t *testing.T) {
	git := startGit(t, false, 3)
	if err := git.Commit(repo, "main", "Large", largeFiles()); err != nil {
		t.Fatal(err)
	}
	if _, err := git.Run(repo, "repack", "-adfq"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	service := newService(t, Options{CacheDir: dir, Limits: smallLimits()})
	r := open(t, service, git.URLOf(repo))
	mustRead(t, r, map[string]string{"f1/k.yaml": ""})
	packs, err := filepath.Glob(filepath.Join(r.mirror.dir, "objects", "pack", "*.idx"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("%q, %v", packs, err)
	}
	if out, err := git.Run(repo, "verify-pack", "-v", packs[0]); err != nil || !strings.Contains(out, "chain length") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, ok := r.mirror.large[plumbing.ComputeHash(plumbing.BlobObject, []byte(largeFiles()["zeroes"]))]; !ok {
		t.Error("the large file is not known")
	}
}

// TestLargeAdvertisementsWaitForRoom holds that only some large advertisements are in
// memory at a time, though none of them has come to its end.
func TestLargeAdvertisementsWaitForRoom(t *testing.T) {
	all := newLimits(DefaultLimits())
	branch := packet("%040d refs/heads/%s\n", 1, strings.Repeat("b", 400))
	large := strings.Repeat(branch, largeAdvertisement/len(branch)+1)
	noEnd := errors.New("the end has not come")
	read := func(ctx context.Context, lines string) (end func(), _ error) {
		ctx, transfer, end := all.begin(ctx, advertiseTimeout)
		_, err := io.Copy(io.Discard, transfer.references(ctx, io.MultiReader(
			strings.NewReader(lines), iotest.ErrReader(noEnd))))
		return end, err
	}

	var ends []func()
	for i := range maxLargeAdvertisements {
		end, err := read(limit.WithTenant(t.Context(), strconv.Itoa(i)), large)
		if !errors.Is(err, noEnd) {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}

	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	for lines, want := range map[string]error{
		large:                     context.Canceled,
		branch:                    noEnd,
		packet("%040d HEAD\n", 1): noEnd,
		strings.Repeat(packet("%040d refs/tags/%s\n", 1, strings.Repeat("b", 400)), 4000): noEnd, // left out
	} {
		end, err := read(impatient, lines)
		if end(); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", len(lines), err, want)
		}
	}

	for i := range maxLargeAdvertisements + 1 {
		ends[0]()
		end, err := read(limit.WithTenant(t.Context(), strconv.Itoa(i+2)), large)
		if ends[0] = end; !errors.Is(err, noEnd) {
			t.Errorf("after the end of another one: %v", err)
		}
	}
	for _, end := range ends {
		end()
	}
}
