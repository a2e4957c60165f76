package forge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	"github.com/liverty-music/image-writeback/internal/sandbox/git"
)

// GitLabToken is the access token that the sandbox's GitLab takes.
const GitLabToken = "glpat-sandbox-token"

// GitLab is GitLab's REST API over the repositories of a Git, as far as merge
// requests need it. https://docs.gitlab.com/api/merge_requests/
type GitLab struct {
	*httptest.Server
	// Fault may answer a request in GitLab's stead; it then returns true.
	Fault func(w http.ResponseWriter, r *http.Request) bool

	pullStore
	sandbox.Counter // of a method and a kind, such as "POST merge_requests"
}

// NewGitLab serves the API, at the address of the git server. From then on, the git
// server requires the token.
func NewGitLab(git *git.Server) *GitLab {
	l := &GitLab{pullStore: pullStore{git: git, pulls: map[string][]*Pull{}}}
	l.pageOf = func(p *Pull) string { return fmt.Sprintf("%s/%s/-/merge_requests/%d", l.URL, p.Repository, p.Number) }
	git.Allow = func(user, password string) bool { return user == "oauth2" && password == GitLabToken }
	mux := http.NewServeMux()
	const project, request = "/api/v4/projects/{project}", "/api/v4/projects/{project}/merge_requests/{iid}"
	mux.HandleFunc("GET /api/v4/user", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"id": 1, "username": "image-writeback", "name": "Image Writeback",
			"email": "image-writeback@noreply.example.com"})
	})

	mux.HandleFunc("GET /api/v4/users", l.findUsers)
	mux.HandleFunc("GET "+project+"/merge_requests", l.listMerges)
	mux.HandleFunc("POST "+project+"/merge_requests", l.createMerge)
	mux.HandleFunc("PUT "+request, l.editMerge)
	mux.HandleFunc("PUT "+request+"/merge", l.acceptMerge)
	mux.HandleFunc("GET "+request+"/commits", l.mergeCommits)
	mux.HandleFunc("GET "+request+"/notes", l.listNotes)
	mux.HandleFunc("POST "+request+"/notes", l.createNote)
	mux.HandleFunc("GET "+project+"/repository/compare", l.compare)
	l.Server = git.Server // at the same address
	git.Permits, git.Forge = nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(r.URL.EscapedPath(), "/")
		kind := parts[len(parts)-1]
		if _, err := strconv.Atoi(kind); err == nil {
			kind = parts[len(parts)-2]
		}
		l.Served(r.Method + " " + kind)
		switch {
		case l.Fault != nil && l.Fault(w, r):
		case r.Header.Get("PRIVATE-TOKEN") != GitLabToken:
			answer(w, http.StatusUnauthorized, map[string]any{"message": "401 Unauthorized"})
		default:
			mux.ServeHTTP(w, r)
		}
	})

	return l
}

// GitLab's users: everybody but nobody, with the length of their name as number.
func (l *GitLab) findUsers(w http.ResponseWriter, r *http.Request) {
	found := []any{}
	if name := r.URL.Query().Get("username"); name != "nobody" {
		found = append(found, map[string]any{"id": len(name), "username": name})
	}
	answer(w, http.StatusOK, found)
}

func projectOf(r *http.Request) string {
	path, err := url.PathUnescape(r.PathValue("project"))
	sandbox.Check(err)
	return path
}

func (l *GitLab) renderMerge(p *Pull) map[string]any {
	state := map[string]string{"open": "opened", "closed": "closed"}[p.State]
	if p.Merged {
		state = "merged"
	}

	return map[string]any{"iid": p.Number, "title": p.Title, "description": p.Body, "state": state,
		"draft": strings.HasPrefix(p.Title, "Draft: "), "web_url": p.URL,
		"source_branch": p.Head, "target_branch": p.Base, "sha": p.HeadSHA, "source_project_id": 1,
		"target_project_id": 1, "labels": p.Labels,
		"created_at": p.created.Format(time.RFC3339), "updated_at": p.updated.Format(time.RFC3339)}
}

func (l *GitLab) listMerges(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	size, _ := strconv.Atoi(query.Get("per_page"))
	page, _ := strconv.Atoi(query.Get("page"))
	size, page = max(size, 20), max(page, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	repository := projectOf(r)
	l.follow(repository)
	found := []any{}
	for _, p := range slices.Backward(l.pulls[repository]) {
		shown := l.renderMerge(p)
		if state, branch := query.Get("state"), query.Get("source_branch"); (state == "" ||
			state == shown["state"]) && (branch == "" || branch == p.Head) {
			found = append(found, shown)
		}
	}

	from, to := min((page-1)*size, len(found)), min(page*size, len(found))
	if to < len(found) {
		w.Header().Set("X-Next-Page", strconv.Itoa(page+1))
	}

	answer(w, http.StatusOK, found[from:to])
}

func (l *GitLab) createMerge(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Title, Description string
		SourceBranch       string `json:"source_branch"`
		TargetBranch       string `json:"target_branch"`
		Labels             string
		AssigneeIDs        []int `json:"assignee_ids"`
		ReviewerIDs        []int `json:"reviewer_ids"`
	}

	sandbox.Check(json.NewDecoder(r.Body).Decode(&request))
	repository := projectOf(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.follow(repository)
	for _, p := range l.pulls[repository] {
		if p.State == "open" && p.Head == request.SourceBranch && p.Base == request.TargetBranch {
			answer(w, http.StatusConflict,
				map[string]any{"message": []string{fmt.Sprintf("Another open merge request already exists for "+
					"this source branch: !%d", p.Number)}})
			return
		}
	}

	sha, err := l.git.Head(repository, request.SourceBranch)
	if err != nil || sha == "" {
		answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "source_branch is missing"})
		return
	}

	p := l.add(&Pull{Title: request.Title, Body: request.Description, Head: request.SourceBranch, HeadSHA: sha,
		Base: request.TargetBranch, Repository: repository})
	if request.Labels != "" {
		p.Labels = strings.Split(request.Labels, ",")
	}

	for _, id := range request.AssigneeIDs {
		p.Assignees = append(p.Assignees, strconv.Itoa(id))
	}

	for _, id := range request.ReviewerIDs {
		p.Reviewers = append(p.Reviewers, strconv.Itoa(id))
	}

	answer(w, http.StatusCreated, l.renderMerge(p))
}

func (l *GitLab) withMerge(w http.ResponseWriter, r *http.Request, serve func(p *Pull)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	repository := projectOf(r)
	l.follow(repository)
	number, _ := strconv.Atoi(r.PathValue("iid"))
	if number < 1 || number > len(l.pulls[repository]) {
		answer(w, http.StatusNotFound, map[string]any{"message": "404 Not found"})
		return
	}

	p := l.pulls[repository][number-1]
	if r.Method != http.MethodGet {
		p.touch()
	}

	serve(p)
}

func (l *GitLab) editMerge(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Title, Description *string
		TargetBranch       *string `json:"target_branch"`
		StateEvent         string  `json:"state_event"`
	}

	sandbox.Check(json.NewDecoder(r.Body).Decode(&request))
	l.withMerge(w, r, func(p *Pull) {
		for _, set := range []struct{ from, to *string }{{request.Title, &p.Title}, {request.Description, &p.Body},
			{request.TargetBranch, &p.Base}} {
			if set.from != nil {
				*set.to = *set.from
			}
		}
		if request.StateEvent == "close" {
			p.State = "closed"
		}
		answer(w, http.StatusOK, l.renderMerge(p))
	})
}

func (l *GitLab) acceptMerge(w http.ResponseWriter, r *http.Request) {
	l.withMerge(w, r, func(p *Pull) {
		p.AutoMerge = true
		answer(w, http.StatusOK, l.renderMerge(p))
	})
}

// logFormat is how git prints commits.
const logFormat = "--format=%H%x00%an%x00%ae%x00%cn%x00%ce%x00%B%x01"

func (l *GitLab) commits(log string) []any {
	all := []any{}
	for one := range strings.SplitSeq(log, "\x01") {
		if f := strings.Split(strings.TrimLeft(one, "\n"), "\x00"); len(f) == 6 {
			title, _, _ := strings.Cut(f[5], "\n")
			all = append(all, map[string]any{"id": f[0], "author_name": f[1], "author_email": f[2],
				"committer_name": f[3], "committer_email": f[4], "message": f[5], "title": title, "web_url": l.URL +
					"/-/commit/" + f[0]})
		}
	}

	return all
}

func (l *GitLab) mergeCommits(w http.ResponseWriter, r *http.Request) {
	l.withMerge(w, r, func(p *Pull) {
		out, err := l.git.Run(p.Repository, "log", logFormat, "refs/heads/"+p.Base+".."+p.HeadSHA)
		sandbox.Check(err)
		answer(w, http.StatusOK, l.commits(out))
	})
}

func (l *GitLab) listNotes(w http.ResponseWriter, r *http.Request) {
	l.withMerge(w, r, func(p *Pull) {
		all := []any{}
		for i, c := range p.Comments {
			all = append(all, map[string]any{"id": i + 1, "body": c.Body})
		}
		answer(w, http.StatusOK, all)
	})
}

func (l *GitLab) createNote(w http.ResponseWriter, r *http.Request) {
	var request struct{ Body string }
	sandbox.Check(json.NewDecoder(r.Body).Decode(&request))
	l.withMerge(w, r, func(p *Pull) {
		p.Comments = append(p.Comments, Comment{"image-writeback", request.Body})
		answer(w, http.StatusCreated, map[string]any{"id": len(p.Comments), "body": request.Body})
	})
}

func (l *GitLab) compare(w http.ResponseWriter, r *http.Request) {
	from, to, repository := r.URL.Query().Get("from"), r.URL.Query().Get("to"), projectOf(r)
	out, err := l.git.Run(repository, "log", "--reverse", logFormat, from+".."+to)
	if err != nil {
		answer(w, http.StatusNotFound, map[string]any{"message": "404 Ref Not Found"})
		return
	}

	answer(w, http.StatusOK, map[string]any{"commits": l.commits(out),
		"web_url": fmt.Sprintf("%s/%s/-/compare/%s...%s", l.URL, repository, from, to)})
}
