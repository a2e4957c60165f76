package plan

import "fmt"

// gates are the rules between "there is a newer version" and "it is written",
// in the order in which they are asked. A new one comes before "edit": from
// there on, gates look at the file as the images that passed leave it.
var gates = []gate{
	{name: permissionName, ask: permissionGate, always: true},
	{name: "conflict", ask: conflictGate, always: true},
	{name: "branch", ask: branchGate},
	{name: "forge", ask: forgeGate},
	{name: "edit", ask: editGate},
	{name: "proposed", ask: proposedGate},
	{name: "shared-pull-request", ask: sharedGate},
}

// gate is one rule.
type gate struct {
	name string

	// ask looks at all decisions of the cycle, as the gates before left them, and
	// returns the answer for one image.
	ask func(decisions []*Decision, s Settings) answer

	// always asks about the images that are up to date as well.
	always bool
}

// answer is a gate's verdict about one image of one decision.
type answer func(d *Decision, i *Image) verdict

// verdict lets an image go on, lets it wait, or refuses it. The zero value lets
// it go on.
type verdict struct {
	action Action
	reason string
}

// goOn lets an image pass.
func goOn() verdict { return verdict{} }

// wait holds an image back until something happens. The reason says until
// when, or for what.
func wait(format string, args ...any) verdict {
	return verdict{ActionSkip, fmt.Sprintf(format, args...)}
}

// refuse holds an image back until a person acts. The reason says what to do.
func refuse(format string, args ...any) verdict {
	return verdict{ActionError, fmt.Sprintf(format, args...)}
}

// passGates asks one gate after the other about all images that are still open.
func passGates(decisions []*Decision, s Settings) {
	for _, g := range gates {
		ask := g.ask(decisions, s)

		for _, d := range decisions {
			for i := range d.Application.Images {
				img := &d.Application.Images[i]
				if img.decided() || !img.due && !g.always {
					continue
				}

				if v := ask(d, img); v.action != "" {
					img.decide(v.action, v.reason)
					img.Gate = g.name
				}
			}
		}
	}
}
