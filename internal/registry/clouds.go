package registry

import (
	"io"
	"strings"

	ecr "github.com/awslabs/amazon-ecr-credential-helper/ecr-login"
	acr "github.com/chrismellard/docker-credential-acr-env/pkg/credhelper"
	"github.com/google/go-containerregistry/pkg/authn"
)

// cloudKeychains returns the keychain of Amazon's or Microsoft's registries for
// such a host, and none for others: the helpers ask services of their cloud for an
// identity.
func cloudKeychains(host string) []authn.Keychain {
	switch {
	case strings.Contains(host, ".dkr.ecr."), strings.Contains(host, ".dkr-ecr."), host == "public.ecr.aws":
		return []authn.Keychain{authn.NewKeychainFromHelper(ecr.NewECRHelper(ecr.WithLogger(io.Discard)))}
	case strings.HasSuffix(host, ".azurecr.io"), strings.HasSuffix(host, ".azurecr.cn"),
		strings.HasSuffix(host, ".azurecr.us"):
		return []authn.Keychain{authn.NewKeychainFromHelper(acr.NewACRCredentialsHelper())}
	}

	return nil
}
