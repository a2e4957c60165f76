// Package suggest finds the name that somebody probably meant when they
// misspelt one. Use [Nearest] to add "did you mean …?" to a message; never use it
// to accept a name that is wrong.
package suggest

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// Nearest returns the known name that is most like name, in any case. It is
// empty if none is similar: if more than about half of the letters differ. Of
// names that are equally near it returns the first.
func Nearest(name string, known []string) string {
	best, distance := "", 2+len(name)/2
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}

	return best
}
