// Package writeback tells the story of the README, and everything around it that
// needs no cluster: commits and pull requests, a month of them, every command,
// registries and files that are broken.
package writeback

import (
	"os"
	"testing"

	"github.com/liverty-music/image-writeback/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
