// Package writeback tests what the README describes and what needs no cluster:
// commits and pull requests, every command, and broken registries and files.
package writeback

import (
	"os"
	"testing"

	"github.com/liverty-music/image-writeback/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
