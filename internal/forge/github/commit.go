package github

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/forge"
)

const createCommit = `mutation($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) { commit { oid } }
}`

// Commit makes a commit that GitHub signs; see [forge.Committer].
// https://docs.github.com/en/graphql/reference/mutations#createcommitonbranch
func (r *repository) Commit(
	ctx context.Context, branch, head, message string, files map[string][]byte,
) (hash string, err error) {
	in, err := r.reach(ctx, toWrite)
	if err != nil {
		return "", err
	}

	headline, body, _ := strings.Cut(message, "\n")
	var additions []map[string]string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		contents := base64.StdEncoding.EncodeToString(files[path])
		additions = append(additions, map[string]string{"path": path, "contents": contents})
	}
	var answer struct {
		CreateCommitOnBranch struct {
			Commit struct{ OID string }
		}
	}
	err = r.client.graphQL(ctx, in.client, createCommit, map[string]any{"input": map[string]any{
		"branch":          map[string]any{"repositoryNameWithOwner": r.fullName(), "branchName": branch},
		"expectedHeadOid": head,
		"message":         map[string]any{"headline": headline, "body": strings.TrimLeft(body, "\n")},
		"fileChanges":     map[string]any{"additions": additions},
	}}, &answer)

	hash = answer.CreateCommitOnBranch.Commit.OID
	switch {
	case err == nil && hash != "":
		return hash, nil
	case err == nil:
		err = errors.New("GitHub has answered without a commit")
	}
	return "", r.commitFailed(branch, err)
}

// commitFailed says what to do about a commit that GitHub refuses.
func (r *repository) commitFailed(branch string, err error) error {
	doing := "committing to branch " + branch
	var refused *graphQLError
	if !errors.As(err, &refused) {
		return r.failed(doing, writeContents, err)
	}

	remedy := seeMessage
	switch {
	case slices.Contains(refused.kinds, "STALE_DATA"), refused.says("expected branch to point to"):
		conflict := fmt.Errorf("%w: %w", forge.ErrConflict, refused)
		return r.newError(doing, conflict, "it is tried again on the new head")
	case slices.Contains(refused.kinds, "FORBIDDEN"), refused.says("not accessible"):
		remedy = "grant the App the repository permission " + writeContents + ", and accept it in its installation"
	case refused.says("protected"), refused.says("rule violations"), refused.says("through a pull request"):
		remedy = "allow the App to bypass the branch's protection, or deliver by pull request"
	case slices.Contains(refused.kinds, "NOT_FOUND"):
		remedy = "install the App on this repository, and check the repository's name and the branch"
	}
	return r.newError(doing, refused, remedy)
}
