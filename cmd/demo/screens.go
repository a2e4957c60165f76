package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/liverty-music/image-writeback/internal/sandbox/world"
)

// everything is a pull request with something to tell in each of its parts.
const everything = "testdata/report/pullrequest.md"

// takeScreens has a browser look at the pull request of the story, and at one
// that has something to tell in each of its parts.
func (d *demo) takeScreens(ctx context.Context, folder string) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}

	pull := d.world.GitHub.Pulls(world.Repository)[0]
	if err := screen(ctx, pull.URL, filepath.Join(folder, "pullrequest.png")); err != nil {
		return err
	}

	body, err := os.ReadFile(everything)
	if err != nil {
		return err
	}

	d.world.GitHub.SetBody(world.Repository, pull.Number, string(body))

	return screen(ctx, pull.URL, filepath.Join(folder, "pullrequest-everything.png"))
}

func screen(ctx context.Context, url, file string) error {
	out, err := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu",
		"--hide-scrollbars", "--window-size=1000,1700", "--screenshot="+
			file, url).CombinedOutput() //nolint:gosec // our own arguments
	if err != nil {
		return fmt.Errorf("chromium: %w: %s", err, out)
	}

	fmt.Println("  " + file)

	return nil
}
