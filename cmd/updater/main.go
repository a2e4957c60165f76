// Updater is Image Writeback: it finds newer images for annotated Argo CD
// Applications and writes their tags into git.
package main

import (
	"os"

	"github.com/liverty-music/image-writeback/internal/cli"
)

// Set when a release is linked; see the Makefile.
var version, commit string

func main() {
	os.Exit(cli.Main(cli.Build{Version: version, Commit: commit}))
}
