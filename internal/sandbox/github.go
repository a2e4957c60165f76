package sandbox

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The App that the sandbox's GitHub knows.
const (
	AppID          = 4711
	InstallationID = 815
	AppSlug        = "image-writeback"
	AppUserID      = 90210
)

// GitHub is GitHub's REST API over the repositories of a Git: one App with its
// installation, its tokens, and pull requests with a page for people.
type GitHub struct {
	*httptest.Server
	// PrivateKey is the App's, in PEM form.
	PrivateKey []byte
	// Fault may answer a request in GitHub's stead; it then returns true.
	Fault func(w http.ResponseWriter, r *http.Request) bool

	git     *Git
	key     *rsa.PrivateKey
	mu      sync.Mutex
	token   string
	pulls   map[string][]*Pull // by owner/name
	counter                    // of a method and a kind, such as "POST pulls"
}

// Pull is a pull request.
type Pull struct {
	Number     int
	Title      string
	Body       string
	Head, Base string
	HeadSHA    string
	State      string // open or closed
	Merged     bool
	Draft      bool
	Labels     []string
	Repository string
	URL        string
}

// NewGitHub starts the API. Git lets nobody in any more but with the App's token.
func NewGitHub(git *Git) (*GitHub, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 18)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	h := &GitHub{git: git, key: key, token: "ghs_" + hex.EncodeToString(secret), pulls: map[string][]*Pull{}}
	h.PrivateKey = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	git.Allow = func(user, password string) bool { return user == "x-access-token" && password == h.token }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /app", h.asApp(h.getApp))
	mux.HandleFunc("GET /repos/{owner}/{name}/installation", h.asApp(h.getInstallation))
	mux.HandleFunc("POST /app/installations/{id}/access_tokens", h.asApp(h.createToken))
	mux.HandleFunc("GET /users/{login}", h.asInstallation(h.getUser))
	mux.HandleFunc("GET /repos/{owner}/{name}/pulls", h.asInstallation(h.listPulls))
	mux.HandleFunc("POST /repos/{owner}/{name}/pulls", h.asInstallation(h.createPull))
	mux.HandleFunc("PATCH /repos/{owner}/{name}/pulls/{number}", h.asInstallation(h.editPull))
	mux.HandleFunc("POST /repos/{owner}/{name}/issues/{number}/labels", h.asInstallation(h.addLabels))
	pages := http.NewServeMux() // of its own: its pattern overlaps with those of the API
	pages.HandleFunc("GET /{owner}/{name}/pull/{number}", h.page)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.served(r.Method + " " + kindOf(r.URL.Path))
		if h.Fault != nil && h.Fault(w, r) {
			return
		}
		if _, pattern := pages.Handler(r); pattern != "" {
			pages.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	return h, nil
}

// kindOf is the last word of a path that is no number or name: "pulls",
// "labels", "access_tokens", "installation", "app" or "users".
func kindOf(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for _, kind := range []string{"labels", "pulls", "access_tokens", "installation", "users", "app"} {
		if slices.Contains(parts, kind) {
			return kind
		}
	}
	return path
}

// Token is the installation's token.
func (h *GitHub) Token() string { return h.token }

// Pulls lists a repository's pull requests, oldest first.
func (h *GitHub) Pulls(repository string) []Pull {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Pull
	for _, p := range h.pulls[repository] {
		all = append(all, *p)
	}
	return all
}

// ClosePull closes a pull request as a person does, by merging it or without.
func (h *GitHub) ClosePull(repository string, number int, merged bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pulls[repository][number-1]
	p.State, p.Merged = "closed", merged
	if !merged {
		return nil
	}
	base, head := "refs/heads/"+p.Base, "refs/heads/"+p.Head
	tree, err := h.git.Run(repository, "merge-tree", "--write-tree", base, head)
	if err != nil {
		return err
	}
	merge, err := h.git.Run(repository, "commit-tree", strings.TrimSpace(tree), "-p", base, "-p", head, "-m", "Merge pull request #"+strconv.Itoa(number))
	if err != nil {
		return err
	}
	_, err = h.git.Run(repository, "update-ref", base, strings.TrimSpace(merge))
	return err
}

// asApp lets in who signs as the App, with a JWT as GitHub wants it.
func (h *GitHub) asApp(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return h.key.Public(), nil },
			jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(strconv.Itoa(AppID)), jwt.WithExpirationRequired())
		if err != nil || !parsed.Valid {
			refuse(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
			return
		}
		next(w, r)
	}
}

func (h *GitHub) asInstallation(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		authorization := r.Header.Get("Authorization")
		if authorization != "token "+h.token && authorization != "Bearer "+h.token {
			refuse(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		next(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"message": message, "documentation_url": "https://docs.github.com/rest"})
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
	answer(w, http.StatusOK, map[string]any{"id": InstallationID, "app_id": AppID})
}

func (h *GitHub) createToken(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("id") != strconv.Itoa(InstallationID) {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	answer(w, http.StatusCreated, map[string]any{"token": h.token, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
}

func (h *GitHub) getUser(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("login") != AppSlug+"[bot]" {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	answer(w, http.StatusOK, map[string]any{"id": AppUserID, "login": AppSlug + "[bot]", "type": "Bot"})
}

func repositoryOf(r *http.Request) string { return r.PathValue("owner") + "/" + r.PathValue("name") }

// render is a pull request in the API's form.
func (h *GitHub) render(p *Pull) map[string]any {
	side := func(ref, sha string) map[string]any {
		return map[string]any{"ref": ref, "sha": sha, "label": strings.Split(p.Repository, "/")[0] + ":" + ref, "repo": map[string]any{"full_name": p.Repository}}
	}
	if sha, err := h.git.Head(p.Repository, p.Head); err == nil && sha != "" && p.State == "open" {
		p.HeadSHA = sha
	}
	var mergedAt any
	if p.Merged {
		mergedAt = "2026-01-01T00:00:00Z"
	}
	base, _ := h.git.Head(p.Repository, p.Base)
	return map[string]any{"number": p.Number, "title": p.Title, "body": p.Body, "state": p.State, "draft": p.Draft, "html_url": p.URL,
		"merged_at": mergedAt, "head": side(p.Head, p.HeadSHA), "base": side(p.Base, base)}
}

func (h *GitHub) listPulls(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	state, head := query.Get("state"), query.Get("head")
	if state == "" {
		state = "open"
	}
	size, _ := strconv.Atoi(query.Get("per_page"))
	if size == 0 {
		size = 30
	}
	page, _ := strconv.Atoi(query.Get("page"))
	page = max(page, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	found := []map[string]any{}
	for _, p := range slices.Backward(h.pulls[repositoryOf(r)]) { // newest first
		if (state == "all" || p.State == state) && (head == "" || head == r.PathValue("owner")+":"+p.Head) {
			found = append(found, h.render(p))
		}
	}
	from, to := min((page-1)*size, len(found)), min(page*size, len(found))
	if to < len(found) {
		query.Set("page", strconv.Itoa(page+1))
		w.Header().Set("Link", fmt.Sprintf("<%s%s?%s>; rel=\"next\"", h.URL, r.URL.Path, query.Encode()))
	}
	answer(w, http.StatusOK, found[from:to])
}

func (h *GitHub) createPull(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Title, Body, Head, Base string
		Draft                   bool
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Title == "" {
		refuse(w, http.StatusUnprocessableEntity, "Validation Failed")
		return
	}
	repository := repositoryOf(r)
	sha, err := h.git.Head(repository, request.Head)
	if err != nil || sha == "" {
		refuse(w, http.StatusUnprocessableEntity, "Validation Failed: head invalid")
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.pulls[repository] {
		if p.State == "open" && p.Head == request.Head && p.Base == request.Base {
			refuse(w, http.StatusUnprocessableEntity, "A pull request already exists for "+request.Head)
			return
		}
	}
	number := len(h.pulls[repository]) + 1
	p := &Pull{Number: number, Title: request.Title, Body: request.Body, Head: request.Head, Base: request.Base, Draft: request.Draft, State: "open",
		Repository: repository, HeadSHA: sha, URL: fmt.Sprintf("%s/%s/pull/%d", h.URL, repository, number)}
	h.pulls[repository] = append(h.pulls[repository], p)
	answer(w, http.StatusCreated, h.render(p))
}

func (h *GitHub) find(r *http.Request) *Pull {
	number, _ := strconv.Atoi(r.PathValue("number"))
	pulls := h.pulls[repositoryOf(r)]
	if number < 1 || number > len(pulls) {
		return nil
	}
	return pulls[number-1]
}

func (h *GitHub) editPull(w http.ResponseWriter, r *http.Request) {
	var request struct{ Title, Body, State, Base *string }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		refuse(w, http.StatusUnprocessableEntity, "Validation Failed")
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.find(r)
	if p == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	for _, set := range []struct{ from, to *string }{{request.Title, &p.Title}, {request.Body, &p.Body}, {request.State, &p.State}, {request.Base, &p.Base}} {
		if set.from != nil {
			*set.to = *set.from
		}
	}
	answer(w, http.StatusOK, h.render(p))
}

func (h *GitHub) addLabels(w http.ResponseWriter, r *http.Request) {
	var request struct{ Labels []string }
	var list []string
	raw := json.NewDecoder(r.Body)
	var either json.RawMessage
	if raw.Decode(&either) == nil && json.Unmarshal(either, &list) != nil {
		_ = json.Unmarshal(either, &request)
		list = request.Labels
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.find(r)
	if p == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	p.Labels = append(p.Labels, list...)
	answer(w, http.StatusOK, []any{})
}
