// Package trigger sends the service webhooks, Pub/Sub messages and pushes.
package trigger

import (
	"os"
	"testing"

	"github.com/liverty-music/image-writeback/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
