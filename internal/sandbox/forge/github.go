package forge

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// The App that the sandbox's GitHub knows.
const (
	AppID          = 4711
	InstallationID = 815 // of the first owner that asks; those of others follow
	AppSlug        = "image-writeback"
	AppUserID      = 90210
)

// GitHub is GitHub's API over the repositories of a Git: one App with its
// installation, its tokens, and pull requests with a page for people. It can
// check each request and each answer against GitHub's own description.
type GitHub struct {
	*httptest.Server
	// PrivateKey is the App's, in PEM form.
	PrivateKey []byte
	// Fault may answer a request in GitHub's stead; it then returns true.
	Fault func(w http.ResponseWriter, r *http.Request) bool
	// NotGranted are permissions that the App does not have, such as pull_requests.
	NotGranted []string
	// TokenLife is how long tokens are valid; 0: an hour.
	TokenLife time.Duration
	// AutoMerge is what keeps GitHub from waiting with a merge: "forbidden" by
	// the repository's settings, or "nothing to wait for".
	AutoMerge string

	pullStore
	key         *rsa.PrivateKey
	description *description // nil: nothing is checked
	schema      *graphQLSchema

	token           string
	grants          []Grant
	owners          []string // each has an installation of its own
	deviations      []string
	sandbox.Counter // of a method and a kind, such as "POST pulls"
}

// NewGitHub serves the API, at the address of the git server. From then on, the git
// server requires a token of the App.
func NewGitHub(git *git.Server) (*GitHub, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}

	h := &GitHub{key: key, pullStore: pullStore{git: git, pulls: map[string][]*Pull{}}}
	h.pageOf = func(p *Pull) string { return fmt.Sprintf("%s/%s/pull/%d", h.URL, p.Repository, p.Number) }
	secret := make([]byte, 18)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}

	h.token = "ghs_" + hex.EncodeToString(secret)
	h.PrivateKey = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	git.Allow = func(user, password string) bool {
		_, ok := h.grant(password)
		return user == "x-access-token" && ok
	}
	git.Permits = h.permits
	mux := http.NewServeMux()
	for _, route := range h.routes() {
		mux.HandleFunc(route.method+" "+route.path, h.checked(route))
	}

	mux.HandleFunc("POST /graphql", h.asInstallation(h.graphQL))
	pages := http.NewServeMux() // of its own: its pattern overlaps with those of the API
	pages.HandleFunc("GET /{owner}/{repo}/pull/{pull_number}", h.page)
	h.Server = git.Server // as a GitHub of one's own does, at the same address
	git.Forge = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Served(r.Method + " " + kindOf(r.URL.Path))
		if h.Fault != nil && h.Fault(w, r) {
			return
		}
		if _, pattern := pages.Handler(r); pattern != "" {
			pages.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})

	return h, nil
}

// Check has each request and each answer checked from now on against GitHub's
// own description, which "make tools" puts into the folder bin; see Deviations.
func (h *GitHub) Check(bin string) (err error) {
	if h.description, err = loadDescription(bin); err != nil {
		return err
	}
	h.schema, err = loadGraphQLSchema(bin)
	return err
}

// route is an operation of GitHub's REST API; its path is written as GitHub's
// description writes it.
type route struct {
	method, path string
	needs        string // permission, such as pull_requests=write
	serve        http.HandlerFunc
}

func (h *GitHub) routes() []route {
	const repo = "/repos/{owner}/{repo}"
	const pull, issue = repo + "/pulls/{pull_number}", repo + "/issues/{issue_number}"
	return []route{
		{"GET", "/app", "", h.asApp(h.getApp)},
		{"GET", repo + "/installation", "", h.asApp(h.getInstallation)},
		{"POST", "/app/installations/{installation_id}/access_tokens", "", h.asApp(h.createToken)},
		{"GET", "/users/{username}", "", h.asInstallation(h.getUser)},
		{"GET", repo + "/pulls", "pull_requests=read", h.asInstallation(h.listPulls)},
		{"POST", repo + "/pulls", "pull_requests=write", h.asInstallation(h.createPull)},
		{"PATCH", pull, "pull_requests=write", h.asInstallation(h.editPull)},
		{"GET", pull + "/commits", "pull_requests=read", h.asInstallation(h.listCommits)},
		{"PUT", pull + "/merge", "contents=write", h.asInstallation(h.mergePull)},
		{"POST", pull + "/requested_reviewers", "pull_requests=write", h.asInstallation(h.requestReviewers)},
		{"POST", issue + "/labels", "pull_requests=write", h.asInstallation(h.addLabels)},
		{"POST", issue + "/assignees", "pull_requests=write", h.asInstallation(h.addAssignees)},
		{"GET", issue + "/comments", "pull_requests=read", h.asInstallation(h.listComments)},
		{"POST", issue + "/comments", "pull_requests=write", h.asInstallation(h.createComment)},
		{"GET", repo + "/compare/{basehead}", "contents=read", h.asInstallation(h.compare)},
	}
}

// checked serves an operation: with its permission, with an ETag for what was
// read, and within GitHub's description.
func (h *GitHub) checked(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		sandbox.Check(err)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if h.description != nil {
			h.deviates(h.description.request(route, r, body))
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		recorded := httptest.NewRecorder()
		permission, _, _ := strings.Cut(route.needs, "=")
		grant, known := h.grant(bearer(r))
		switch {
		case permission != "" && (slices.Contains(h.NotGranted, permission) || known && !grant.allows(route.needs)):
			recorded.Header().Set("X-Accepted-GitHub-Permissions", route.needs)
			refuse(recorded, http.StatusForbidden, "Resource not accessible by integration")
		case permission != "" && known && !grant.reaches(repositoryOf(r)):
			refuse(recorded, http.StatusNotFound, "Not Found")
		default:
			route.serve(recorded, r)
		}
		answer := recorded.Body.Bytes()
		if h.description != nil {
			answer, err = h.description.answer(route, r, recorded.Code, recorded.Header(), answer)
			h.deviates(err)
		}
		if r.Method == http.MethodGet && recorded.Code == http.StatusOK {
			sum := sha256.Sum256(append([]byte(r.Header.Get("Authorization")), answer...))
			tag := `"` + hex.EncodeToString(sum[:16]) + `"`
			recorded.Header().Set("ETag", tag)
			if r.Header.Get("If-None-Match") == tag {
				h.Served("304")
				w.Header().Set("ETag", tag)
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		maps.Copy(w.Header(), recorded.Header())
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(answer)
	}
}

func (h *GitHub) deviates(err error) {
	if err == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deviations = append(h.deviations, err.Error())
}

// Deviations are the requests and answers that GitHub's description does not
// allow; a test fails on the first.
func (h *GitHub) Deviations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.deviations)
}

// kindOf is the last word of a path that is not a number or a name: "pulls",
// "labels", "access_tokens", "installation", "app" or "users".
func kindOf(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for _, kind := range []string{"labels", "assignees", "requested_reviewers", "comments", "commits", "merge",
		"compare", "pulls", "access_tokens", "installation", "users", "app", "graphql"} {
		if slices.Contains(parts, kind) {
			return kind
		}
	}

	return path
}

// asApp lets in who signs as the App, with a JWT as GitHub wants it.
func (h *GitHub) asApp(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return h.key.Public(), nil },
			jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(
				strconv.Itoa(AppID)), jwt.WithExpirationRequired())
		if err != nil || !parsed.Valid {
			refuse(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
			return
		}
		next(w, r)
	}
}

func (h *GitHub) asInstallation(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, ok := h.grant(bearer(r)); !ok {
			refuse(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		next(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"message": message, "documentation_url": "https://docs.github.com/rest",
		"status": strconv.Itoa(status)})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (h *GitHub) getApp(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"id": AppID, "slug": AppSlug, "name": "Image Writeback"})
}

func (h *GitHub) getInstallation(w http.ResponseWriter, r *http.Request) {
	if !h.git.Exists(repositoryOf(r)) {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	owner := r.PathValue("owner")
	if !slices.Contains(h.owners, owner) {
		h.owners = append(h.owners, owner)
	}

	answer(w, http.StatusOK, map[string]any{"id": InstallationID + slices.Index(h.owners, owner), "app_id": AppID,
		"app_slug": AppSlug})
}

func (h *GitHub) getUser(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("username") != AppSlug+"[bot]" {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}

	user := maps.Clone(bot)
	user["user_view_type"] = "public"
	answer(w, http.StatusOK, user)
}

var bot = map[string]any{"id": AppUserID, "login": AppSlug + "[bot]", "type": "Bot"}

func repositoryOf(r *http.Request) string { return r.PathValue("owner") + "/" + r.PathValue("repo") }

// compare lists the commits between two commits.
func (h *GitHub) compare(w http.ResponseWriter, r *http.Request) {
	repository := repositoryOf(r)
	from, to, ok := strings.Cut(r.PathValue("basehead"), "...")
	out, err := h.git.Run(repository, "log", "--reverse", logFormat, from+".."+to)
	if !ok || err != nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}

	commits := h.commits(repository, out)
	answer(w, http.StatusOK, map[string]any{"html_url": fmt.Sprintf("%s/%s/compare/%s...%s", h.URL,
		repository, from, to),
		"status": "ahead", "ahead_by": len(commits), "behind_by": 0, "total_commits": len(
			commits), "commits": commits})
}

// commits are those of a log in the form above.
func (h *GitHub) commits(repository, log string) []map[string]any {
	all := []map[string]any{}
	for one := range strings.SplitSeq(log, "\x01") {
		f := strings.Split(strings.TrimLeft(one, "\n"), "\x00")
		if len(f) != 6 {
			continue
		}
		who := func(name, email string) map[string]any {
			return map[string]any{"name": name, "email": email, "date": "2026-01-01T00:00:00Z"}
		}
		all = append(all, map[string]any{"sha": f[0], "html_url": h.URL + "/" + repository + "/commit/" + f[0],
			"commit": map[string]any{"message": strings.TrimSpace(f[5]), "author": who(f[1], f[2]),
				"committer": who(f[3], f[4])}})
	}

	return all
}
