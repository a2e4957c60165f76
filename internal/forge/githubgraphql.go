package forge

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v88/github"
)

// graphQLError is what GraphQL refuses, with status 200.
type graphQLError struct {
	messages []string
	kinds    []string // such as FORBIDDEN or STALE_DATA
}

// Error quotes GitHub.
func (e *graphQLError) Error() string { return "GitHub answered " + strings.Join(e.messages, "; ") }

func (e *graphQLError) says(words string) bool {
	return strings.Contains(strings.ToLower(e.Error()), words)
}

// graphQLURL is beside api/v3 at a GitHub Enterprise Server.
func (g *GitHub) graphQLURL() string {
	at := *g.api
	at.Path = strings.TrimSuffix(at.Path, "v3/") + "graphql"
	return at.String()
}

// graphQL sends a query.
func (g *GitHub) graphQL(ctx context.Context, client *github.Client, query string, variables map[string]any, data any) error {
	request, err := client.NewRequest(ctx, http.MethodPost, g.graphQLURL(), map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	answer := struct {
		Data   any
		Errors []struct{ Message, Type string }
	}{Data: data}
	response, err := client.Do(request, &answer)
	if err != nil {
		return err
	}
	if len(answer.Errors) == 0 {
		return nil
	}
	if answer.Errors[0].Type == "RATE_LIMITED" { // with status 200
		reset, _ := strconv.ParseInt(response.Header.Get("X-RateLimit-Reset"), 10, 64)
		return &LimitedError{time.Unix(reset, 0)}
	}
	failed := &graphQLError{}
	for _, one := range answer.Errors {
		failed.messages = append(failed.messages, one.Message)
		failed.kinds = append(failed.kinds, one.Type)
	}
	return failed
}
