package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// scriptTimeout is how long a credentials program may take, as with Argo CD Image
// Updater.
const scriptTimeout = 10 * time.Second

// maxScriptOutput bounds what a credentials program may print, in bytes.
const maxScriptOutput = 64 << 10

// runScript runs a credentials program, without arguments and without a shell,
// and returns what it printed. The error never quotes that.
func runScript(ctx context.Context, program string) (string, error) {
	if !filepath.IsAbs(program) {
		return "", errors.New("the path of the program is not absolute")
	}

	ctx, cancel := context.WithTimeout(ctx, scriptTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, program)
	var out bytes.Buffer
	command.Stdout = &out
	command.WaitDelay = time.Second // a child of the program may hold its output open

	err := command.Run()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("the program did not end within %s", scriptTimeout)
	case errors.As(err, &ended):
		return "", fmt.Errorf("the program ended with %s", ended.ProcessState)
	case err != nil:
		return "", fmt.Errorf("the program could not be run: %w", err)
	case out.Len() > maxScriptOutput:
		return "", errors.New("the program printed more than user:password")
	}

	return out.String(), nil
}
