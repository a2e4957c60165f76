package argo

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

// overrideLists are where a source holds images and parameters.
var overrideLists = [][2]string{{"kustomize", "images"}, {"helm", "parameters"}}

// ErrSourceGone tells that an Application has no such source any more.
var ErrSourceGone = errors.New("the source is not there any more")

// sourceOf is spec.source, or one of spec.sources, of a raw Application.
func sourceOf(app map[string]any, index int) (map[string]any, error) {
	spec, _ := app["spec"].(map[string]any)
	if index < 0 {
		source, ok := spec["source"].(map[string]any)
		if !ok {
			return nil, ErrSourceGone
		}
		return source, nil
	}
	sources, _ := spec["sources"].([]any)
	if index >= len(sources) {
		return nil, ErrSourceGone
	}
	source, ok := sources[index].(map[string]any)
	if !ok {
		return nil, ErrSourceGone
	}
	return source, nil
}

// sourceOverrides are the lists of a source, in the YAML of .argocd-source
// files, with every field that they have.
func sourceOverrides(source map[string]any) ([]byte, error) {
	found := map[string]any{}
	for _, at := range overrideLists {
		section, _ := source[at[0]].(map[string]any)
		if list, ok := section[at[1]]; ok {
			found[at[0]] = map[string]any{at[1]: list}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return yaml.Marshal(found)
}

// overridePatch sets the lists of one source to those of overrides, and
// nothing else, on the condition that the Application has not changed since it
// was read. For spec.source it is a JSON merge patch. A list of sources could
// only be merged as a whole, so that it is a JSON patch there, which tests the
// source before it touches it.
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
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": version}, "spec": map[string]any{"source": wanted}})
		return types.MergePatchType, patch, err
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	at := fmt.Sprintf("/spec/sources/%d", index)
	operations := []operation{{"replace", "/metadata/resourceVersion", version}, {"test", at, source}}
	for _, list := range overrideLists {
		value, ok := wanted[list[0]][list[1]]
		if !ok {
			continue
		}
		if _, ok := source[list[0]].(map[string]any); ok {
			operations = append(operations, operation{"add", at + "/" + list[0] + "/" + list[1], value})
			continue
		}
		operations = append(operations, operation{"add", at + "/" + list[0], map[string]any{list[1]: value}})
	}
	patch, err := json.Marshal(operations)
	return types.JSONPatchType, patch, err
}

// patchAttempts bounds how often a patch is made anew on a newer Application.
const patchAttempts = 8

// SetOverrides edits the lists of images or parameters of one source of an
// Application in the cluster: spec.source for index -1, else one of
// spec.sources. edit is given them as YAML, and may be called again where
// somebody else changes the Application at the same time; content that it
// returns as it was means that there is nothing to do.
func (c *Cluster) SetOverrides(ctx context.Context, namespace, name string, index int, edit func(old []byte) (content []byte, err error)) error {
	client := c.dynamic.Resource(applications).Namespace(namespace)
	for attempt := 1; ; attempt++ {
		app, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading the Application: %w", err)
		}
		source, err := sourceOf(app.Object, index)
		if err != nil {
			return err
		}
		old, err := sourceOverrides(source)
		if err != nil {
			return err
		}
		content, err := edit(old)
		if err != nil || string(content) == string(old) {
			return err
		}
		kind, patch, err := overridePatch(app.Object, index, content)
		if err != nil {
			return err
		}
		_, err = client.Patch(ctx, name, kind, patch, metav1.PatchOptions{FieldManager: "image-writeback"})
		switch {
		case err == nil:
			return nil
		case apierrors.IsForbidden(err):
			return fmt.Errorf("changing the Application: %w; grant get and patch on applications.argoproj.io to this account", err)
		case attempt < patchAttempts && (apierrors.IsConflict(err) || index >= 0 && apierrors.IsInvalid(err)):
			continue
		}
		return fmt.Errorf("changing the Application: %w", err)
	}
}
