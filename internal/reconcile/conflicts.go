package reconcile

import "fmt"

// spot is one place of one file: an entry, or a key.
type spot struct{ repository, branch, file, place string }

// wish is an image of a plan that wants a version in a spot.
type wish struct {
	application, image int // indices
	edit               *imageEdit
}

// conflicts finds images that want different versions in one place, of one
// Application or of several: each would undo the other in every cycle. They
// are refused, all of them. The result has a reason for each, by the indices
// of its Application and its own.
func conflicts(apps []Application) map[int]map[int]string {
	wishes := map[spot][]wish{}
	var order []spot
	for i, app := range apps {
		for j := range app.Images {
			img := &app.Images[j]
			if img.edit == nil {
				continue
			}
			at := spot{img.Repository, img.Branch, img.File, img.edit.format.Key(img.edit.entry)}
			if img.Repository == "" { // a part of the Application itself
				at.repository = app.String()
			}
			if wishes[at] == nil {
				order = append(order, at)
			}
			wishes[at] = append(wishes[at], wish{i, j, img.edit})
		}
	}
	refused := map[int]map[int]string{}
	for _, at := range order {
		all := wishes[at]
		for _, other := range all {
			if other.edit.entry.Version == all[0].edit.entry.Version {
				continue
			}
			reason := refusal(apps, at.place, all[0], other)
			for _, w := range all {
				if refused[w.application] == nil {
					refused[w.application] = map[int]string{}
				}
				refused[w.application][w.image] = reason
			}
			break
		}
	}
	return refused
}

func refusal(apps []Application, place string, a, b wish) string {
	name := func(w wish) string {
		if a.application == b.application {
			return w.edit.alias
		}
		return w.edit.alias + " of " + apps[w.application].String()
	}
	return fmt.Sprintf("%s and %s want different versions of %s in one place (%s and %s); give them one policy, or places of their own by the annotations kustomize.image-name or helm.image-tag",
		name(a), name(b), place, a.edit.entry.Version, b.edit.entry.Version)
}
