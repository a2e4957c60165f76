package trigger

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"regexp"
)

// proof is a way in which a sender proves that it knows the secret.
type proof struct {
	// shown returns what the sender shows ahead of the body: the secret itself
	// or a signature. It is empty if the sender shows nothing.
	shown func(m message) string
	// valid reports whether what was shown proves the secret. body is nil unless
	// the proof is of the body.
	valid func(shown string, body []byte, secret string) bool
	// ofBody is set if the body must be read before the proof can be checked.
	ofBody bool
}

var (
	// Docker Hub, Quay and Alibaba sign nothing: the secret is in the address.
	secretInQuery         = proof{shown: querySecret, valid: equalsSecret}
	secretInQueryOrHeader = proof{shown: queryOrHeaderSecret, valid: equalsSecret}
	// Harbor sends its secret as it is; Azure, any header that it is told to send.
	secretInAuthorization = proof{shown: authorization, valid: equalsAuthorization}
	// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
	signedBody = proof{shown: githubSignature, valid: signsBody, ofBody: true}
)

// signature is what a body can be signed with: nothing else is worth reading it for.
var signature = regexp.MustCompile(`^sha256=[0-9a-f]{64}$`)

func querySecret(m message) string {
	if given := m.query["secret"]; len(given) > 0 {
		return given[0]
	}

	return ""
}

func queryOrHeaderSecret(m message) string {
	return firstSet(querySecret(m), m.header.Get("X-Webhook-Secret"))
}

func authorization(m message) string { return m.header.Get("Authorization") }

func githubSignature(m message) string {
	return signature.FindString(m.header.Get("X-Hub-Signature-256"))
}

func equalsSecret(shown string, _ []byte, secret string) bool { return equal(shown, secret) }

func equalsAuthorization(shown string, _ []byte, secret string) bool {
	return equal(shown, secret) || equal(shown, "Bearer "+secret)
}

func signsBody(shown string, body []byte, secret string) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body)

	return equal(shown, "sha256="+hex.EncodeToString(mac.Sum(nil)))
}

// equal takes the same time wherever the two differ.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
