package forge

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Grant is what an installation token may do.
type Grant struct {
	Repositories []string          // by name; none: all of the installation
	Permissions  map[string]string // read or write; none: all of the App
	owner        string
}

// permissions are those that the App has.
var permissions = map[string]string{
	"contents": "write", "pull_requests": "write", "metadata": "read", "members": "read",
}

// Token is a token of a person who may do everything. What the tokens of the App begin
// with is the same, so that a text without it holds none of them.
func (h *GitHub) Token() string { return h.token }

// Grants are those of all tokens that the App has asked for, in their order.
func (h *GitHub) Grants() []Grant {
	h.mu.Lock()
	defer h.mu.Unlock()

	return slices.Clone(h.grants)
}

// grant returns what a token may do; false if nobody has made it.
func (h *GitHub) grant(token string) (Grant, bool) {
	if token == h.token {
		return Grant{}, true
	}
	number, err := strconv.Atoi(strings.TrimPrefix(token, h.token+"_"))

	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || number < 1 || number > len(h.grants) {
		return Grant{}, false
	}

	return h.grants[number-1], true
}

// reaches reports whether a token may work on a repository, owner/name.
func (g Grant) reaches(repository string) bool {
	owner, name, _ := strings.Cut(repository, "/")
	named := func(one string) bool { return strings.EqualFold(one, name) }

	return (g.owner == "" || strings.EqualFold(g.owner, owner)) &&
		(len(g.Repositories) == 0 || slices.ContainsFunc(g.Repositories, named))
}

// allows reports whether a token has a permission, such as pull_requests=write.
func (g Grant) allows(needs string) bool {
	permission, level, _ := strings.Cut(needs, "=")
	has := g.Permissions[permission]

	return needs == "" || len(g.Permissions) == 0 || has == level || has == "write"
}

// permits decides for git what a token may do.
func (h *GitHub) permits(token, repository string, push bool) bool {
	needs := "contents=read"
	if push {
		needs = "contents=write"
	}
	grant, _ := h.grant(token)

	return grant.reaches(repository) && grant.allows(needs)
}

// bearer is the token of a request.
func bearer(r *http.Request) string {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")

	return token
}

// createToken makes a token with the permissions and for the repositories that are
// asked for, if the App has them.
func (h *GitHub) createToken(w http.ResponseWriter, r *http.Request) {
	var grant Grant
	_ = json.NewDecoder(r.Body).Decode(&grant) // nothing is everything

	h.mu.Lock()
	defer h.mu.Unlock()
	number, _ := strconv.Atoi(r.PathValue("installation_id"))
	number -= InstallationID
	if number < 0 || number > max(len(h.owners)-1, 0) {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	if number < len(h.owners) {
		grant.owner = h.owners[number]
	}

	for permission, level := range grant.Permissions {
		if slices.Contains(h.NotGranted, permission) ||
			permissions[permission] != level && permissions[permission] != "write" {
			refuse(w, http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
			return
		}
	}
	for _, name := range grant.Repositories {
		if grant.owner != "" && !h.git.Exists(grant.owner+"/"+name) {
			refuse(w, http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is "+
				"not accessible to the parent installation.")
			return
		}
	}

	life := h.TokenLife
	if life == 0 {
		life = time.Hour
	}
	h.grants = append(h.grants, grant)
	given := maps.Clone(permissions)
	if len(grant.Permissions) > 0 {
		given = grant.Permissions
	}
	answer(w, http.StatusCreated, map[string]any{
		"token": fmt.Sprintf("%s_%d", h.token, len(h.grants)), "permissions": given,
		"expires_at": time.Now().Add(life).UTC().Format(time.RFC3339),
	})
}
