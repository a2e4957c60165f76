package permission

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/liverty-music/image-writeback/internal/giturl"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// notAllowed is a refusal with the entry of git.allow that would allow a place.
func (r *Rules) notAllowed(app spec.Application, reason string, at Place) *Refusal {
	fields := []string{
		"project: " + literalGlob(app.Project), "namespace: " + literalGlob(app.Namespace),
		"application: " + literalGlob(app.Name),
	}
	branches := []string{at.Base}
	if at.Write != at.Base {
		branches = append(branches, at.Write)
	}
	for _, list := range []struct {
		key string
		all []string
	}{
		{"repositories", []string{giturl.Parse(at.Repository).Public()}}, {"branches", branches},
		{"paths", []string{at.Path}},
	} {
		if all := literalGlobs(list.all); len(all) > 0 {
			fields = append(fields, list.key+": ["+strings.Join(all, ", ")+"]")
		}
	}

	return &Refusal{
		"git.allow", reason,
		"the operator can allow it in config.yaml, by an entry of git.allow: - {" + strings.Join(fields, ", ") + "}",
	}
}

// AllowSecret is the entry of config.yaml that lets the Applications of a project name
// a Secret, NAMESPACE/NAME, for a host. Without a project, it has a word in its stead.
func AllowSecret(secret, host, project string) string {
	if project == "" {
		project = "PROJECT"
	}
	projects := fmt.Sprintf(", projects: [%s]", literalGlob(project))

	return fmt.Sprintf("add to annotations.secrets in config.yaml: - {secret: %s, hosts: [%s]%s}",
		inYAML(secret), inYAML(host), projects)
}

// literalGlobs are the globs that match some texts alone, without empty ones.
func literalGlobs(texts []string) []string {
	var globs []string
	for _, text := range texts {
		if text != "" {
			globs = append(globs, literalGlob(text))
		}
	}

	return globs
}

// literalGlob is the glob, for a list of config.yaml, that matches a text alone. It has no
// backslash, which logs escape.
func literalGlob(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(`*?[{}`, r) {
			b.WriteString("[" + string(r) + "]")
			continue
		}
		b.WriteRune(r)
	}

	return inYAML(b.String())
}

// inYAML writes a text so that it can be pasted into a list of config.yaml. Single
// quotes survive the quoting of logs.
func inYAML(text string) string {
	if !printable(text) {
		return strconv.QuoteToASCII(text)
	}

	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
