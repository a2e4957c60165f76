package forge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// render is a pull request in the API's form.
func (h *GitHub) render(p *Pull) map[string]any {
	side := func(ref, sha string) map[string]any {
		return map[string]any{"ref": ref, "sha": sha, "label": strings.Split(p.Repository, "/")[0] + ":" + ref,
			"repo": map[string]any{"full_name": p.Repository}}
	}

	var mergedAt, closedAt any
	if p.Merged {
		mergedAt = p.updated.Format(time.RFC3339)
	}

	if p.State == "closed" {
		closedAt = p.updated.Format(time.RFC3339)
	}

	labels := []any{}
	for _, l := range p.Labels {
		labels = append(labels, map[string]any{"name": l})
	}

	base, _ := h.git.Head(p.Repository, p.Base)
	return map[string]any{"number": p.Number, "node_id": nodeID(p), "title": p.Title, "body": p.Body,
		"state": p.State, "draft": p.Draft, "html_url": p.URL, "labels": labels,
		"merged_at": mergedAt, "closed_at": closedAt, "merged": p.Merged, "head": side(p.Head, p.HeadSHA),
		"base": side(p.Base, base), "user": bot,
		"created_at": p.created.Format(time.RFC3339), "updated_at": p.updated.Format(time.RFC3339)}
}

func nodeID(p *Pull) string { return fmt.Sprintf("PR_%s#%d", p.Repository, p.Number) }

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
	repository := repositoryOf(r)
	h.follow(repository)
	found := []map[string]any{}
	for _, p := range slices.Backward(h.pulls[repository]) { // newest first
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

// invalid is GitHub's answer for what it cannot do.
func invalid(w http.ResponseWriter, message string) {
	answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed",
		"documentation_url": "https://docs.github.com/rest", "status": "422",
		"errors": []any{map[string]any{"resource": "PullRequest", "code": "custom", "message": message}}})
}

func (h *GitHub) createPull(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Title, Body, Head, Base string
		Draft                   bool
	}

	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Title == "" {
		invalid(w, "title is missing")
		return
	}

	if len(request.Body) > 65536 {
		invalid(w, "body is too long (maximum is 65536 characters)")
		return
	}

	repository := repositoryOf(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follow(repository)
	sha, err := h.git.Head(repository, request.Head)
	if err != nil || sha == "" {
		invalid(w, "head is invalid")
		return
	}

	for _, p := range h.pulls[repository] {
		if p.State == "open" && p.Head == request.Head && p.Base == request.Base {
			invalid(w, "A pull request already exists for "+r.PathValue("owner")+":"+request.Head+".")
			return
		}
	}

	if count, err := h.git.Run(repository, "rev-list", "--count", "refs/heads/"+request.Base+
		"..refs/heads/"+request.Head); err != nil || strings.TrimSpace(count) == "0" {
		invalid(w, "No commits between "+request.Base+" and "+request.Head)
		return
	}

	p := h.add(&Pull{Title: request.Title, Body: request.Body, Head: request.Head, HeadSHA: sha, Base: request.Base,
		Draft: request.Draft, Repository: repository})
	answer(w, http.StatusCreated, h.render(p))
}

// withPull serves a request about one pull request, which has changed after it
// unless the request only reads.
func (h *GitHub) withPull(w http.ResponseWriter, r *http.Request, serve func(p *Pull)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follow(repositoryOf(r))
	p := h.find(r)
	if p == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}

	if r.Method != http.MethodGet {
		p.touch()
	}

	serve(p)
}

func (h *GitHub) find(r *http.Request) *Pull {
	number, _ := strconv.Atoi(r.PathValue("pull_number") + r.PathValue("issue_number"))
	pulls := h.pulls[repositoryOf(r)]
	if number < 1 || number > len(pulls) {
		return nil
	}
	return pulls[number-1]
}

func (h *GitHub) editPull(w http.ResponseWriter, r *http.Request) {
	var request struct{ Title, Body, State, Base *string }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		invalid(w, "no JSON")
		return
	}

	h.withPull(w, r, func(p *Pull) {
		for _, set := range []struct{ from, to *string }{{request.Title, &p.Title}, {request.Body, &p.Body},
			{request.State, &p.State}, {request.Base, &p.Base}} {
			if set.from != nil {
				*set.to = *set.from
			}
		}
		answer(w, http.StatusOK, h.render(p))
	})
}

func (h *GitHub) listCommits(w http.ResponseWriter, r *http.Request) {
	h.withPull(w, r, func(p *Pull) {
		out, err := h.git.Run(p.Repository, "log", "--reverse", logFormat, "refs/heads/"+p.Base+".."+p.HeadSHA)
		sandbox.Check(err)
		answer(w, http.StatusOK, h.commits(p.Repository, out))
	})
}

func (h *GitHub) mergePull(w http.ResponseWriter, r *http.Request) {
	h.withPull(w, r, func(p *Pull) {
		if err := h.merge(p); err != nil {
			refuse(w, http.StatusMethodNotAllowed, "Pull Request is not mergeable")
			return
		}
		p.State, p.Merged = "closed", true
		answer(w, http.StatusOK, map[string]any{"merged": true, "sha": p.HeadSHA,
			"message": "Pull Request successfully merged"})
	})
}

func (h *GitHub) requestReviewers(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Reviewers     []string `json:"reviewers"`
		TeamReviewers []string `json:"team_reviewers"`
	}

	_ = json.NewDecoder(r.Body).Decode(&request)
	grant, _ := h.grant(bearer(r))
	if members := grant.allows("members=read"); len(request.TeamReviewers) > 0 && !members {
		// The documentation names no permission; GitHub does not find the team.
		invalid(w, "Could not resolve to a node with the global id of 'T_"+request.TeamReviewers[0]+"'.")
		return
	}

	h.withPull(w, r, func(p *Pull) {
		for _, reviewer := range request.Reviewers {
			if reviewer == "nobody" {
				answer(w, http.StatusUnprocessableEntity,
					map[string]any{"message": "Reviews may only be requested from collaborators. One or more of " +
						"the users or teams you specified is not a collaborator of the " + p.Repository +
						" repository.", "documentation_url": "https://docs.github.com/rest"})
				return
			}
			p.Reviewers = append(p.Reviewers, reviewer)
		}
		for _, team := range request.TeamReviewers {
			p.Reviewers = append(p.Reviewers, "team:"+team)
		}
		answer(w, http.StatusCreated, h.render(p))
	})
}

func (h *GitHub) addLabels(w http.ResponseWriter, r *http.Request) {
	var request struct{ Labels []string }
	_ = json.NewDecoder(r.Body).Decode(&request)
	h.withPull(w, r, func(p *Pull) {
		p.Labels = append(p.Labels, request.Labels...)
		labels := []any{}
		for _, l := range p.Labels {
			labels = append(labels, map[string]any{"name": l})
		}
		answer(w, http.StatusOK, labels)
	})
}

func (h *GitHub) addAssignees(w http.ResponseWriter, r *http.Request) {
	var request struct{ Assignees []string }
	_ = json.NewDecoder(r.Body).Decode(&request)
	h.withPull(w, r, func(p *Pull) {
		p.Assignees = append(p.Assignees, request.Assignees...)
		answer(w, http.StatusCreated, map[string]any{"number": p.Number, "title": p.Title, "state": p.State})
	})
}

func (h *GitHub) listComments(w http.ResponseWriter, r *http.Request) {
	h.withPull(w, r, func(p *Pull) {
		all := []map[string]any{}
		for i, c := range p.Comments {
			all = append(all, map[string]any{"id": i + 1, "body": c.Body, "user": map[string]any{"login": c.Author}})
		}
		answer(w, http.StatusOK, all)
	})
}

func (h *GitHub) createComment(w http.ResponseWriter, r *http.Request) {
	var request struct{ Body string }
	_ = json.NewDecoder(r.Body).Decode(&request)
	h.withPull(w, r, func(p *Pull) {
		p.Comments = append(p.Comments, Comment{AppSlug + "[bot]", request.Body})
		answer(w, http.StatusCreated, map[string]any{"id": len(p.Comments), "body": request.Body, "user": bot})
	})
}
