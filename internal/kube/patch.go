package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// overrideList is a field of a source that holds images or parameters.
type overrideList struct{ section, list string }

// overrideLists are the lists of a source that SetOverrides changes.
var overrideLists = []overrideList{{"kustomize", "images"}, {"helm", "parameters"}}

// ErrSourceGone reports that an Application no longer has the source that was
// asked for.
var ErrSourceGone = errors.New("the Application no longer has this source")

// patchAttempts limits how often a patch is made again for a newer Application.
const patchAttempts = 8

// Edit returns the new content for what an Application has now. The error keeps
// it from being written.
type Edit = func(old []byte) (content []byte, err error)

// SetOverrides edits the lists of images or parameters of one source of an
// Application: spec.source for index -1, else one of spec.sources.
//
// edit is given the lists as YAML, and returns them as they should be. It is
// called again if somebody else changes the Application at the same time. If it
// returns what it was given, nothing is written. The error wraps ErrSourceGone,
// or is that of edit, or says what to grant.
func (c *Cluster) SetOverrides(ctx context.Context, namespace, name string, index int, edit Edit) error {
	client := c.dynamic.Resource(applications).Namespace(namespace)

	for attempt := 1; ; attempt++ {
		app, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading the Application: %w", err)
		}

		kind, patch, err := editOverrides(app.Object, index, edit)
		if err != nil || patch == nil {
			return err
		}

		_, err = client.Patch(ctx, name, kind, patch, metav1.PatchOptions{FieldManager: fieldManager})
		switch {
		case err == nil:
			return nil
		case apierrors.IsForbidden(err):
			return fmt.Errorf("changing the Application: %w; grant get and patch on %s to this account",
				err, applications.GroupResource())
		case attempt < patchAttempts && (apierrors.IsConflict(err) || index >= 0 && apierrors.IsInvalid(err)):
			continue
		}

		return fmt.Errorf("changing the Application: %w", err)
	}
}

// editOverrides has the lists of one source edited, and returns the patch that
// writes them; nil if nothing has to be written.
func editOverrides(app map[string]any, index int, edit Edit) (types.PatchType, []byte, error) {
	source, err := sourceOf(app, index)
	if err != nil {
		return "", nil, err
	}

	old, err := overridesOf(source)
	if err != nil {
		return "", nil, err
	}

	content, err := edit(old)
	if err != nil || string(content) == string(old) {
		return "", nil, err
	}

	return overridePatch(app, index, content)
}

// sourceOf returns spec.source, or one of spec.sources, of a raw Application.
func sourceOf(app map[string]any, index int) (map[string]any, error) {
	spec, _ := app["spec"].(map[string]any)
	found := spec["source"]
	if index >= 0 {
		sources, _ := spec["sources"].([]any)
		if index >= len(sources) {
			return nil, ErrSourceGone
		}
		found = sources[index]
	}

	source, ok := found.(map[string]any)
	if !ok {
		return nil, ErrSourceGone
	}

	return source, nil
}

// overridesOf returns the lists of a source, in the YAML of .argocd-source
// files, with every field that they have.
func overridesOf(source map[string]any) ([]byte, error) {
	found := map[string]any{}
	for _, at := range overrideLists {
		section, _ := source[at.section].(map[string]any)
		if list, ok := section[at.list]; ok {
			found[at.section] = map[string]any{at.list: list}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}

	return yaml.Marshal(found)
}

// overridePatch sets the lists of one source to those of overrides, and nothing
// else, on the condition that the Application has not changed since it was
// read. For spec.source it is a JSON merge patch. A merge patch could only
// replace a list of sources as a whole, so that it is a JSON patch there, which
// tests the source before it changes it.
func overridePatch(app map[string]any, index int, overrides []byte) (types.PatchType, []byte, error) {
	var wanted map[string]map[string]any
	if err := yaml.Unmarshal(overrides, &wanted); err != nil {
		return "", nil, err
	}

	source, err := sourceOf(app, index)
	if err != nil {
		return "", nil, err
	}

	metadata, _ := app["metadata"].(map[string]any)
	version := metadata["resourceVersion"]
	if index < 0 {
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"resourceVersion": version},
			"spec":     map[string]any{"source": wanted},
		})
		return types.MergePatchType, patch, err
	}

	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	path := fmt.Sprintf("/spec/sources/%d", index)
	operations := []operation{{"replace", "/metadata/resourceVersion", version}, {"test", path, source}}
	for _, at := range overrideLists {
		value, ok := wanted[at.section][at.list]
		if !ok {
			continue
		}

		section := path + "/" + at.section
		if _, ok := source[at.section].(map[string]any); ok {
			operations = append(operations, operation{"add", section + "/" + at.list, value})
		} else {
			operations = append(operations, operation{"add", section, map[string]any{at.list: value}})
		}
	}
	patch, err := json.Marshal(operations)

	return types.JSONPatchType, patch, err
}
