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

// scriptTime is how long a credentials program may take, as with Argo CD Image
// Updater.
const scriptTime = 10 * time.Second

// longestSecret bounds what a credentials program may print.
const longestSecret = 64 << 10

// runScript runs a credentials program, without arguments and without a shell,
// and returns what it printed. The error never holds any of that.
func runScript(ctx context.Context, program string) (string, error) {
	if !filepath.IsAbs(program) {
		return "", errors.New("the path of the program is not absolute")
	}
	ctx, cancel := context.WithTimeout(ctx, scriptTime)
	defer cancel()
	command := exec.CommandContext(ctx, program)
	var out bytes.Buffer
	command.Stdout = &out
	command.WaitDelay = time.Second // a child of the program may hold its output open
	err := command.Run()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("the program did not end within %s", scriptTime)
	case errors.As(err, &ended):
		return "", fmt.Errorf("the program ended with %s", ended.ProcessState)
	case err != nil:
		return "", fmt.Errorf("the program could not be run: %w", err)
	case out.Len() > longestSecret:
		return "", errors.New("the program printed more than user:password")
	}
	return out.String(), nil
}
