package image

import "strings"

// CredentialForms returns the forms in which an annotation or the configuration
// says where the credentials of a registry are kept:
//
//	google                          Application Default Credentials, Workload Identity
//	env:VARIABLE                    user:password in an environment variable
//	secret:NAMESPACE/NAME#FIELD     user:password in a field of a Secret
//	pullsecret:NAMESPACE/NAME       a Secret of type kubernetes.io/dockerconfigjson
//	ext:/ABSOLUTE/PATH              a program that prints user:password
//
// Package registry reads them. Without any, it uses Docker's configuration, then
// the cloud's own identity for the registries of that cloud.
func CredentialForms() []string {
	return []string{
		"google", "env:VARIABLE", "secret:NAMESPACE/NAME#FIELD", "pullsecret:NAMESPACE/NAME", "ext:/ABSOLUTE/PATH",
	}
}

// ValidCredentials reports whether text has one of the [CredentialForms].
func ValidCredentials(text string) bool {
	kind, rest, _ := strings.Cut(text, ":")
	reference, field, hasField := strings.Cut(rest, "#")
	namespace, name, _ := strings.Cut(reference, "/")
	complete := namespace != "" && name != ""

	switch kind {
	case "google":
		return text == kind
	case "env":
		return rest != ""
	case "secret":
		return complete && field != ""
	case "pullsecret":
		return complete && !hasField
	case "ext":
		return strings.HasPrefix(rest, "/")
	}

	return false
}
