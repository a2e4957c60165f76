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
	for _, list := range []struct{ key, only string }{
		{"repositories", giturl.Parse(at.Repository).Public()}, {"branches", at.Base}, {"paths", at.Path},
	} {
		if list.only != "" {
			fields = append(fields, list.key+": ["+literalGlob(list.only)+"]")
		}
	}

	return &Refusal{
		"git.allow", reason,
		"the operator can allow it in config.yaml: git: {allow: [{" + strings.Join(fields, ", ") + "}]}",
	}
}

// AllowSecret is the line of config.yaml that lets the Applications of a project name
// a Secret, NAMESPACE/NAME, for a host.
func AllowSecret(secret, host, project string) string {
	projects := ""
	if project != "" {
		projects = fmt.Sprintf(", projects: [%s]", literalGlob(project))
	}

	return fmt.Sprintf("add to config.yaml annotations: {secrets: [{secret: %s, hosts: [%s]%s}]}",
		inYAML(secret), inYAML(host), projects)
}

// literalGlob is the glob, for a list of config.yaml, that matches a text alone.
func literalGlob(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(`*?[]{}\`, r) {
			b.WriteByte('\\')
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
