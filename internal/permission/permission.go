// Package permission decides what the words of an Application may do: whoever
// may write an Application is a tenant, and is not trusted with the operator's
// credentials, nor with other tenants' files. A [Refusal] says which rule forbids
// something, and the line of config.yaml that would allow it; keys of config.yaml
// are spelled here for that reason. It is pure: no network, no files, no clock.
//
// Use [Rules] for everything that one Application asks for: before its
// credentials are used, [Rules.Application], [Rules.Image]; before anything is
// written, [Rules.Write]. [Secrets] decides which credentials it may name.
// [Territory] knows which folders of a repository belong to whom.
// docs/security.md describes the rules for users.
package permission

// Refusal says that a rule forbids what an Application asks for.
type Refusal struct {
	Rule   string // the setting that the rule is about, such as git.allow
	Reason string // a sentence
	Remedy string // what would allow it
}

// Error returns the reason and the remedy.
func (r *Refusal) Error() string { return r.Reason + "; " + r.Remedy }
