// Package git is a git server for tests and stories, over smart HTTP ([Server])
// and over SSH ([SSH]), with what people do in its repositories.
package git

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi" //nolint:gosec // Go's CGI has not had the Proxy header problem since 1.6
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// Server is a git server over smart HTTP: git's own http-backend.
type Server struct {
	*httptest.Server
	Root string // the folder of the bare repositories
	// Allow decides who may come in; nil: everyone.
	Allow func(user, password string) bool
	// Permits decides whether who has come in may read a repository, or push to it; nil:
	// everyone may.
	Permits func(password, repository string, push bool) bool
	// Forge answers what is not git's: a forge has its API at the same address.
	Forge http.Handler
	// Received is called with every request before it is answered; nil: it is not.
	Received func(r *http.Request)
	// BeforePush runs before each push reaches git, such as to win a race.
	BeforePush func(repository string)
	// Fault may answer a request in git's stead; it then returns true.
	Fault func(w http.ResponseWriter, r *http.Request) bool

	handler         http.Handler
	sandbox.Counter // of "advertise", "fetch" and "push"
}

// New starts a server of the repositories below root.
func New(root string) (*Server, error) {
	execPath, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("git is needed: %w", err)
	}

	backend := filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return nil, fmt.Errorf("git http-backend is needed: %w", err)
	}

	g := &Server{Root: root, handler: &cgi.Handler{Path: backend, Env: append(gitEnvironment(),
		"GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=updater"), Stderr: io.Discard,
		Logger: log.New(io.Discard, "", 0)}} // clients may leave at any time
	g.Server = httptest.NewServer(g)

	return g, nil
}

// gitEnvironment keeps the machine's own settings out.
func gitEnvironment() []string {
	return []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "HOME=" + os.DevNull,
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada",
		"GIT_COMMITTER_EMAIL=ada@example.com"}
}

// ServeHTTP serves git, and what the forge has at the same address.
func (g *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.Received != nil {
		g.Received(r)
	}

	repository, kind := "", ""
	for suffix, of := range map[string]string{
		"/info/refs": "advertise", "/git-upload-pack": "fetch", "/git-receive-pack": "push",
	} {
		if path, ok := strings.CutSuffix(r.URL.Path, suffix); ok {
			repository, kind = strings.TrimPrefix(path, "/"), of
		}
	}
	if kind == "" && g.Forge != nil {
		g.Forge.ServeHTTP(w, r)
		return
	}
	if kind == "" {
		kind = "advertise"
	}

	g.Served(kind)
	if g.Fault != nil && g.Fault(w, r) {
		return
	}

	user, password, _ := r.BasicAuth()
	if g.Allow != nil && !g.Allow(user, password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	push := kind == "push" || r.URL.Query().Get("service") == "git-receive-pack"
	if g.Permits != nil && !g.Permits(password, strings.TrimSuffix(repository, ".git"), push) {
		http.Error(w, "you may not", http.StatusForbidden)
		return
	}

	if kind == "push" && g.BeforePush != nil {
		g.BeforePush(repository)
	}

	g.handler.ServeHTTP(w, r)
}

// URLOf is the address of a repository such as "owner/name".
func (g *Server) URLOf(repository string) string { return g.URL + "/" + repository + ".git" }

// Create makes a bare repository whose branch main has files. partial lets
// clients leave blobs out and ask for single ones, as GitHub does.
func (g *Server) Create(repository string, partial bool, files map[string]string) error {
	dir := g.dir(repository)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}

	settings := [][]string{{"init", "--quiet", "--bare", "--initial-branch=main"},
		{"config", "http.receivepack", "true"},
		{"config", "gc.auto", "0"}} // nothing may go on in the background once a test ends
	if partial {
		settings = append(settings, []string{"config", "uploadpack.allowFilter", "true"},
			[]string{"config", "uploadpack.allowAnySHA1InWant", "true"})
	}

	for _, args := range settings {
		if _, err := g.Run(repository, args...); err != nil {
			return err
		}
	}

	return g.Commit(repository, "main", "Begin", files)
}

func (g *Server) dir(repository string) string {
	return filepath.Join(g.Root, filepath.FromSlash(strings.TrimSuffix(repository, ".git"))+".git")
}

// Run runs git in a repository and returns what it printed.
func (g *Server) Run(repository string, args ...string) (string, error) {
	return g.RunWith(repository, nil, args...)
}

// RunWith runs git in a repository, with an input, and returns what it printed.
func (g *Server) RunWith(repository string, stdin []byte, args ...string) (string, error) {
	command := exec.Command("git", args...) //nolint:gosec // a part for tests
	command.Dir, command.Env, command.Stdin = g.dir(repository), gitEnvironment(), bytes.NewReader(stdin)
	var out, stderr bytes.Buffer
	command.Stdout, command.Stderr = &out, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}

	return out.String(), nil
}

// Commit makes a commit by a person on a branch, which it makes where it is
// missing. A file whose content begins with "link:" is a symbolic link.
func (g *Server) Commit(repository, branch, message string, files map[string]string) error {
	var stream bytes.Buffer
	fmt.Fprintf(&stream, "commit refs/heads/%s\ncommitter Ada <ada@example.com> now\ndata %d\n%s\n", branch,
		len(message), message)
	if _, err := g.Run(repository, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch); err == nil {
		fmt.Fprintf(&stream, "from refs/heads/%s^0\n", branch)
	}

	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}

	sort.Strings(names)
	for _, name := range names {
		mode, content := "100644", files[name]
		if target, ok := strings.CutPrefix(content, "link:"); ok {
			mode, content = "120000", target
		}
		fmt.Fprintf(&stream, "M %s inline %s\ndata %d\n%s\n", mode, name, len(content), content)
	}

	stream.WriteString("done\n")
	_, err := g.RunWith(repository, stream.Bytes(), "fast-import", "--quiet", "--date-format=now", "--done")

	return err
}

// Show is the content of a file at a branch.
func (g *Server) Show(repository, branch, file string) (string, error) {
	return g.Run(repository, "show", "refs/heads/"+branch+":"+file)
}

// Head is the commit that a branch is at; empty where there is no such branch.
func (g *Server) Head(repository, branch string) (string, error) {
	out, err := g.Run(repository, "for-each-ref", "--format=%(objectname)", "refs/heads/"+branch)
	return strings.TrimSpace(out), err
}

// Subjects are the first lines of a branch's commits, newest first.
func (g *Server) Subjects(repository, branch string) ([]string, error) {
	out, err := g.Run(repository, "log", "--format=%s", "refs/heads/"+branch)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSpace(out), "\n"), nil
}

// Exists reports whether a repository was created.
func (g *Server) Exists(repository string) bool {
	_, err := os.Stat(g.dir(repository))
	return err == nil
}

// CommitMode gives a file on a branch another mode, by a person.
func (g *Server) CommitMode(repository, branch, file, mode, blob string) error {
	stream := fmt.Sprintf("commit refs/heads/%s\ncommitter Ada <ada@example.com> now\ndata 4\nMode\nfrom "+
		"refs/heads/%s^0\nM %s %s %s\ndone\n", branch, branch, mode, blob, file)
	_, err := g.RunWith(repository, []byte(stream), "fast-import", "--quiet", "--date-format=now", "--done")
	return err
}
