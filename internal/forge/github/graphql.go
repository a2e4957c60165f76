package github

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v88/github"

	"github.com/liverty-music/image-writeback/internal/forge"
)

// graphQLError is a refusal of GraphQL, which comes with status 200.
type graphQLError struct {
	messages []string
	kinds    []string // such as FORBIDDEN or STALE_DATA
}

// Error quotes GitHub.
func (e *graphQLError) Error() string { return "GitHub answered " + strings.Join(e.messages, "; ") }

// says reports whether a message contains words, which are in lower case.
func (e *graphQLError) says(words string) bool {
	return strings.Contains(strings.ToLower(e.Error()), words)
}

// graphQLURL is beside api/v3 at a GitHub Enterprise Server.
func (c *Client) graphQLURL() string {
	at := *c.api
	at.Path = strings.TrimSuffix(at.Path, "v3/") + "graphql"
	return at.String()
}

// graphQL sends a query, and fills in data. The error is a [*graphQLError] where
// GitHub refuses.
func (c *Client) graphQL(
	ctx context.Context, client *github.Client, query string, variables map[string]any, data any,
) error {
	body := map[string]any{"query": query, "variables": variables}
	request, err := client.NewRequest(ctx, http.MethodPost, c.graphQLURL(), body)
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
		return &forge.LimitedError{Until: time.Unix(reset, 0)}
	}
	refused := &graphQLError{}
	for _, one := range answer.Errors {
		refused.messages = append(refused.messages, one.Message)
		refused.kinds = append(refused.kinds, one.Type)
	}
	return refused
}
