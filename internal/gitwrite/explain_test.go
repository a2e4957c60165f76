package gitwrite

import (
	"strings"
	"testing"
)

// TestMessagesOfHooks holds what is shown of what a server says: one line of some length,
// without what looks like credentials.
func TestMessagesOfHooks(t *testing.T) {
	for said, want := range map[string]string{
		"remote: protected branch\n\tuse a pull request  ": "remote: protected branch use a pull request",
		"the token is expired":                             "the token is expired",
		"pushed with ghs_0123456789abcdef":                 "pushed with (hidden)",
		"glpat-abcdefgh12345 is used":                      "(hidden) is used",
		"env: GITLAB_TOKEN=s3cret HOME=/root":              "env: (hidden) HOME=/root",
		"password: hunter2, user: ada":                     "(hidden) user: ada",
		"clone https://ada:hunter2@git.corp/r":             "clone https(hidden)git.corp/r",
		"Authorization: Bearer abcdefgh.ijkl":              "Authorization: (hidden)",
		"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n":          "(hidden)",
		"AKIAABCDEFGHIJKLMNOP":                             "(hidden)",
	} {
		if got := oneLine(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
	if got := oneLine(strings.Repeat("long ", 1000)); len(got) > maxError+len("…") {
		t.Errorf("%d bytes", len(got))
	}
}
