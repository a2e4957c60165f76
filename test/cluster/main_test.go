// Package cluster runs the service against a real API server: Applications that
// come and go, errors of the cluster, replicas that share the work.
package cluster

import (
	"os"
	"testing"

	"github.com/liverty-music/image-writeback/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
