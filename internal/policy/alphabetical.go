package policy

import (
	"fmt"

	"github.com/liverty-music/image-writeback/internal/image"
)

// chooseAlphabetical takes the last tag in byte order.
func chooseAlphabetical(_ Policy, standing []image.Tag) Choice {
	less := func(a, b image.Tag) bool { return a.Name < b.Name }
	choice := best(Alphabetical, standing, less, "sorts before")
	choice.Reason = fmt.Sprintf("last in byte order of %s", count(len(standing), "allowed tag"))

	return choice
}
