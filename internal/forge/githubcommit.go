package forge

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const createCommit = `mutation($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) { commit { oid } }
}`

// Commit puts files on a branch that is at head, in one commit that GitHub
// signs, and returns its hash. The error wraps ErrConflict where the branch is
// elsewhere by now. https://docs.github.com/en/graphql/reference/mutations#createcommitonbranch
func (r *GitHubRepository) Commit(ctx context.Context, branch, head, message string, files map[string][]byte) (string, error) {
	found, err := r.reach(ctx)
	if err != nil {
		return "", err
	}
	headline, body, _ := strings.Cut(message, "\n")
	var additions []map[string]string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		additions = append(additions, map[string]string{"path": path, "contents": base64.StdEncoding.EncodeToString(files[path])})
	}
	var answer struct {
		CreateCommitOnBranch struct {
			Commit struct{ OID string }
		}
	}
	err = r.hub.graphQL(ctx, found.client, createCommit, map[string]any{"input": map[string]any{
		"branch":          map[string]any{"repositoryNameWithOwner": r.fullName(), "branchName": branch},
		"expectedHeadOid": head,
		"message":         map[string]any{"headline": headline, "body": strings.TrimLeft(body, "\n")},
		"fileChanges":     map[string]any{"additions": additions},
	}}, &answer)
	const doing, needs = "committing to branch ", "Contents: read and write"
	var refused *graphQLError
	switch {
	case err == nil && answer.CreateCommitOnBranch.Commit.OID != "":
		return answer.CreateCommitOnBranch.Commit.OID, nil
	case err == nil:
		err = errors.New("GitHub has answered without a commit")
	case errors.As(err, &refused):
		e := &Error{Repository: r.fullName() + " at GitHub", Doing: doing + branch, Err: refused, Remedy: "see GitHub's message"}
		switch {
		case slices.Contains(refused.kinds, "STALE_DATA"), refused.says("expected branch to point to"):
			e.Err, e.Remedy = fmt.Errorf("%w: %w", ErrConflict, refused), "it is tried again on the new head"
		case slices.Contains(refused.kinds, "FORBIDDEN"), refused.says("not accessible"):
			e.Remedy = "grant the App the repository permission " + needs + ", and accept it in its installation"
		case refused.says("protected"), refused.says("rule violations"), refused.says("through a pull request"):
			e.Remedy = "allow the App to bypass the branch's protection, or deliver by pull request"
		case slices.Contains(refused.kinds, "NOT_FOUND"):
			e.Remedy = "install the App on this repository, and check the repository's name and the branch"
		}
		return "", e
	}
	return "", r.failed(doing+branch, needs, err)
}
