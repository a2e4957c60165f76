package image

import "testing"

func TestValidCredentials(t *testing.T) {
	for _, form := range CredentialForms() {
		if !ValidCredentials(form) {
			t.Errorf("%s is not valid", form)
		}
	}
	for _, text := range []string{
		"", "s3cret", "user:password", "google:x", "env:",
		"secret:a/b", "secret:a/b#", "secret:b#c", "secret:/b#c", "secret:a/#c",
		"pullsecret:a/b#c", "pullsecret:a", "ext:", "ext:program",
	} {
		if ValidCredentials(text) {
			t.Errorf("%q is valid", text)
		}
	}
}
