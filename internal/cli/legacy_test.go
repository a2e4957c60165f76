package cli

import (
	"os"
	"strings"
	"testing"
)

// TestGuideNamesLegacyFlags holds that docs/migrating.md names each flag of Argo CD
// Image Updater that is accepted.
func TestGuideNamesLegacyFlags(t *testing.T) {
	guide, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}

	for _, flag := range runFlags {
		if strings.HasPrefix(flag.name, "argocd-") || strings.Contains(flag.name, "webhook") {
			continue // named by what they have in common
		}
		if !strings.Contains(string(guide), "`--"+flag.name+"`") {
			t.Errorf("the guide does not name --%s", flag.name)
		}
	}
}
