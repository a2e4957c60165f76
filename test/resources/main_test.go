// Package resources runs the program with little memory beside registries and git
// servers that send too much, or too slowly. Their Applications share one world with
// Applications that have done nothing wrong, and whose updates must land all the same.
//
// The program is the one that is released, in a process of its own: what it holds is
// read from the kernel, and a process that was built for the race detector would hold
// several times as much.
package resources

import (
	"os"
	"testing"

	"github.com/liverty-music/image-writeback/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
