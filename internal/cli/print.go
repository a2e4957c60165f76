package cli

import (
	"fmt"
	"io"

	"github.com/liverty-music/image-writeback/internal/escape"
)

// printf prints a line or a part of one for people. What it prints of Applications,
// registries and repositories are the words of others: nothing in them moves the
// cursor of a terminal, changes its colours or begins another line.
func printf(w io.Writer, format string, args ...any) {
	for i, arg := range args {
		if _, number := arg.(int); !number {
			args[i] = escape.Line(fmt.Sprint(arg))
		}
	}
	_, _ = fmt.Fprintf(w, format, args...)
}
