package forge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"github.com/liverty-music/image-writeback/internal/sandbox"
)

// graphQLSchema is GitHub's public schema.
type graphQLSchema struct{ schema *ast.Schema }

var (
	schemasMu sync.Mutex
	schemas   = map[string]*graphQLSchema{}
)

func loadGraphQLSchema(bin string) (*graphQLSchema, error) {
	schemasMu.Lock()
	defer schemasMu.Unlock()
	if s, ok := schemas[bin]; ok {
		return s, nil
	}

	file := filepath.Join(bin, "github-schema.graphql")
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("GitHub's GraphQL schema: %w; run make tools", err)
	}

	document, err := parser.ParseSchemas(validator.Prelude, &ast.Source{Name: file, Input: string(data)})
	if err != nil {
		return nil, err
	}

	for _, definition := range document.Definitions { // GitHub publishes some fields twice
		seen := map[string]bool{}
		definition.Fields = slices.DeleteFunc(definition.Fields, func(f *ast.FieldDefinition) bool {
			twice := seen[f.Name]
			seen[f.Name] = true
			return twice
		})
	}

	schema, err := validator.ValidateSchemaDocument(document)
	if err != nil {
		return nil, err
	}

	schemas[bin] = &graphQLSchema{schema}

	return schemas[bin], nil
}

// operation reads a query; a deviation is what GitHub would refuse of it.
func (s *graphQLSchema) operation(query string, variables map[string]any) (*ast.OperationDefinition,
	map[string]any, error) {
	if s == nil { // not checked: the demo
		document, err := parser.ParseQuery(&ast.Source{Input: query})
		if err != nil {
			return nil, nil, err
		}
		return document.Operations[0], variables, nil
	}
	document, errs := gqlparser.LoadQueryWithRules(s.schema, query, nil)
	if len(errs) > 0 {
		return nil, nil, fmt.Errorf("GraphQL: %w", errs)
	}
	operation := document.Operations[0]
	values, err := validator.VariableValues(s.schema, operation, variables)
	if err != nil {
		return nil, nil, fmt.Errorf("GraphQL: %w", err)
	}
	return operation, values, nil
}

// graphQL serves mutations of one field each.
func (h *GitHub) graphQL(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Query     string
		Variables map[string]any
	}

	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}

	operation, variables, err := h.schema.operation(request.Query, request.Variables)
	if err != nil {
		h.deviates(err)
		refuseGraphQL(w, "", err.Error())
		return
	}

	field := operation.SelectionSet[0].(*ast.Field)
	input, err := field.Arguments.ForName("input").Value.Value(variables)
	sandbox.Check(err)
	var result map[string]any
	var kind, message string
	grant, _ := h.grant(bearer(r))
	switch field.Name {
	case "enablePullRequestAutoMerge":
		result, kind, message = h.enableAutoMerge(grant, input.(map[string]any))
	case "createCommitOnBranch":
		result, kind, message = h.createCommit(grant, input.(map[string]any))
	default:
		message = "the stand-in has no " + field.Name
	}

	if message != "" {
		refuseGraphQL(w, kind, message)
		return
	}

	answer(w, http.StatusOK, map[string]any{"data": map[string]any{field.Alias: h.selected(
		field.SelectionSet, result)}})
}

// refuseGraphQL answers as GraphQL does, with status 200.
func refuseGraphQL(w http.ResponseWriter, kind, message string) {
	answer(w, http.StatusOK, map[string]any{"data": nil,
		"errors": []any{map[string]any{"type": kind, "message": message}}})
}

// selected keeps what was asked for of a result.
func (h *GitHub) selected(set ast.SelectionSet, result map[string]any) map[string]any {
	out := map[string]any{}
	for _, one := range set {
		field := one.(*ast.Field)
		value, ok := result[field.Name]
		if !ok {
			h.deviates(fmt.Errorf("GraphQL: the stand-in has no value for %s", field.Name))
		}
		if object, ok := value.(map[string]any); ok {
			value = h.selected(field.SelectionSet, object)
		}
		out[field.Alias] = value
	}

	return out
}

func (h *GitHub) enableAutoMerge(grant Grant, input map[string]any) (
	result map[string]any, kind, message string,
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, pulls := range h.pulls {
		for _, p := range pulls {
			if nodeID(p) != input["pullRequestId"] || !grant.reaches(p.Repository) {
				continue
			}
			if !grant.allows("contents=write") || !grant.allows("pull_requests=write") {
				return nil, "FORBIDDEN", "Resource not accessible by integration"
			}
			switch h.AutoMerge {
			case "forbidden":
				return nil, "UNPROCESSABLE", "Pull request Auto merge is not allowed for this repository"
			case "nothing to wait for":
				return nil, "UNPROCESSABLE", "Pull request Pull request is in clean status"
			}
			p.AutoMerge = true
			p.touch()
			return map[string]any{"pullRequest": map[string]any{"number": p.Number}}, "", ""
		}
	}

	return nil, "NOT_FOUND", "Could not resolve to a node with the global id of '" +
		fmt.Sprint(input["pullRequestId"]) + "'"
}

// createCommit makes a commit as GitHub does: by the App's bot user, committed
// and signed by GitHub itself.
func (h *GitHub) createCommit(grant Grant, input map[string]any) (
	result map[string]any, kind, message string,
) {
	branch, said := input["branch"].(map[string]any), input["message"].(map[string]any)
	repository, name := branch["repositoryNameWithOwner"].(string), branch["branchName"].(string)
	if slices.Contains(h.NotGranted, "contents") || !grant.allows("contents=write") || !grant.reaches(repository) {
		return nil, "FORBIDDEN", "Resource not accessible by integration"
	}

	head, err := h.git.Head(repository, name)
	if err != nil || head == "" {
		return nil, "NOT_FOUND", "The branch " + name + " does not exist"
	}

	if head != input["expectedHeadOid"] {
		return nil, "STALE_DATA", fmt.Sprintf("Expected branch to point to %q but it did not. Pull and try again.",
			input["expectedHeadOid"])
	}

	text := said["headline"].(string)
	if body, _ := said["body"].(string); body != "" {
		text += "\n\n" + body
	}

	var stream bytes.Buffer
	fmt.Fprintf(&stream, "commit refs/heads/%s\nauthor %s <%d+%s@users.noreply.github.com> now\ncommitter GitHub "+
		"<noreply@github.com> now\ndata %d\n%s\nfrom %s\n", name, bot["login"], AppUserID, bot["login"], len(
		text), text, head)
	for _, addition := range input["fileChanges"].(map[string]any)["additions"].([]any) {
		file := addition.(map[string]any)
		content, err := base64.StdEncoding.DecodeString(file["contents"].(string))
		if err != nil {
			return nil, "UNPROCESSABLE", "contents is no Base64"
		}
		fmt.Fprintf(&stream, "M 100644 inline %s\ndata %d\n%s\n", file["path"], len(content), content)
	}

	stream.WriteString("done\n")
	if _, err := h.git.RunWith(repository, stream.Bytes(), "fast-import", "--quiet",
		"--date-format=now", "--done"); err != nil {
		return nil, "UNPROCESSABLE", err.Error()
	}

	made, err := h.git.Head(repository, name)
	sandbox.Check(err)

	return map[string]any{"commit": map[string]any{"oid": made}}, "", ""
}
