package registry

import (
	"io"
	"strings"

	ecr "github.com/awslabs/amazon-ecr-credential-helper/ecr-login"
	acr "github.com/chrismellard/docker-credential-acr-env/pkg/credhelper"
	"github.com/google/go-containerregistry/pkg/authn"
)

// clouds are the keychains of Amazon's and Microsoft's registries, for these
// alone: the helpers ask their cloud's services for an identity.
func clouds(host string) []authn.Keychain {
	switch {
	case strings.Contains(host, ".dkr.ecr.") || strings.Contains(host, ".dkr-ecr.") || host == "public.ecr.aws":
		return []authn.Keychain{authn.NewKeychainFromHelper(ecr.NewECRHelper(ecr.WithLogger(io.Discard)))}
	case strings.HasSuffix(host, ".azurecr.io") || strings.HasSuffix(host, ".azurecr.cn") || strings.HasSuffix(host, ".azurecr.us"):
		return []authn.Keychain{authn.NewKeychainFromHelper(acr.NewACRCredentialsHelper())}
	}
	return nil
}
