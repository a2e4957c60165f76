package forge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// description is GitHub's own description of its REST API, in OpenAPI, as far
// as the stand-in has it.
type description struct{ spec *openapi3.T }

var (
	describedMu sync.Mutex
	described   = map[string]*description{}
)

// loadDescription reads it once for all tests of a process: it is 13 MB.
func loadDescription(bin string) (*description, error) {
	describedMu.Lock()
	defer describedMu.Unlock()
	if d, ok := described[bin]; ok {
		return d, nil
	}

	data, err := os.ReadFile(filepath.Join(bin, "github-openapi.json"))
	if err != nil {
		return nil, fmt.Errorf("GitHub's description: %w; run make tools", err)
	}

	data, err = part(data, (&GitHub{}).routes())
	if err != nil {
		return nil, err
	}

	spec, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("GitHub's description: %w", err)
	}

	described[bin] = &description{spec}

	return described[bin], nil
}

var reference = regexp.MustCompile(`"\$ref":\s*"#/components/([^"/]+)/([^"]+)"`)

// part keeps of a description some routes, and what they refer to.
func part(data []byte, keep []route) ([]byte, error) {
	var whole struct {
		OpenAPI    string                                `json:"openapi"`
		Info       json.RawMessage                       `json:"info"`
		Paths      map[string]json.RawMessage            `json:"paths"`
		Components map[string]map[string]json.RawMessage `json:"components"`
	}

	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, err
	}

	paths, components := map[string]json.RawMessage{}, map[string]map[string]json.RawMessage{}
	var follow func(raw json.RawMessage)
	follow = func(raw json.RawMessage) {
		for _, m := range reference.FindAllSubmatch(raw, -1) {
			kind, name := string(m[1]), string(m[2])
			if components[kind] == nil {
				components[kind] = map[string]json.RawMessage{}
			}
			if _, known := components[kind][name]; !known {
				components[kind][name] = whole.Components[kind][name]
				follow(whole.Components[kind][name])
			}
		}
	}

	for _, r := range keep {
		paths[r.path] = whole.Paths[r.path]
		follow(whole.Paths[r.path])
	}

	return json.Marshal(map[string]any{"openapi": whole.OpenAPI, "info": whole.Info, "paths": paths,
		"components": components})
}

func (d *description) operation(r route) *openapi3.Operation {
	return d.spec.Paths.Find(r.path).GetOperation(r.method)
}

func (d *description) input(route route, r *http.Request) *openapi3filter.RequestValidationInput {
	params := map[string]string{}
	for _, m := range pathParameter.FindAllStringSubmatch(route.path, -1) {
		params[m[1]] = r.PathValue(m[1])
	}

	return &openapi3filter.RequestValidationInput{Request: r, PathParams: params,
		Route: &routers.Route{Spec: d.spec, Path: route.path, PathItem: d.spec.Paths.Find(route.path),
			Method: route.method, Operation: d.operation(route)},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
			SkipSettingDefaults: true, IncludeResponseStatus: true}}
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// request returns how a request deviates. What is not described at all deviates
// too: a parameter or a field that GitHub does not know does nothing there.
func (d *description) request(route route, r *http.Request, body []byte) error {
	where := route.method + " " + route.path
	input := d.input(route, r)
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
		return fmt.Errorf("the request %s %s: %w", where, body, err)
	}

	operation := d.operation(route)
	for name := range r.URL.Query() {
		if operation.Parameters.GetByInAndName("query", name) == nil {
			return fmt.Errorf("the request %s: the parameter %s is not described", where, name)
		}
	}

	if len(body) == 0 || operation.RequestBody == nil {
		return nil
	}

	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return fmt.Errorf("the request %s %s: %w", where, body, err)
	}

	schema := operation.RequestBody.Value.GetMediaType("application/json").Schema.Value
	for name := range fields {
		if len(schema.Properties) > 0 && schema.Properties[name] == nil {
			return fmt.Errorf("the request %s: the field %s is not described", where, name)
		}
	}

	return nil
}

// answer fills in what an answer leaves out of what GitHub always gives, and
// returns how it deviates nevertheless.
func (d *description) answer(route route, r *http.Request, status int,
	header http.Header, body []byte) ([]byte, error) {
	operation := d.operation(route)
	response := operation.Responses.Status(status)
	if response == nil {
		if status >= 400 {
			return body, nil // any operation can be refused; GitHub describes a few of the ways
		}
		return body, fmt.Errorf("the answer of %s %s: %d is not described", route.method, route.path, status)
	}
	var value any
	if media := response.Value.Content.Get("application/json"); media != nil && json.Unmarshal(body, &value) == nil {
		filled, err := json.Marshal(fill(media.Schema.Value, value))
		if err != nil {
			return body, err
		}
		body = filled
	}
	input := &openapi3filter.ResponseValidationInput{RequestValidationInput: d.input(route, r), Status: status,
		Header: header,
		Body:   io.NopCloser(bytes.NewReader(body)), Options: d.input(route, r).Options}
	if err := openapi3filter.ValidateResponse(r.Context(), input); err != nil {
		return body, fmt.Errorf("the answer of %s %s: %w", route.method, route.path, err)
	}
	return body, nil
}

// fill adds required fields that a value lacks, with the emptiest values that
// the schema allows.
func fill(schema *openapi3.Schema, value any) any {
	for _, one := range slices.Concat(schema.AllOf, first(schema.AnyOf), chosen(schema, value)) {
		value = fill(one.Value, value)
	}

	switch v := value.(type) {
	case map[string]any:
		for name, property := range schema.Properties {
			if given, ok := v[name]; ok {
				v[name] = fill(property.Value, given)
			} else if slices.Contains(schema.Required, name) {
				v[name] = emptiest(property.Value)
			}
		}
	case []any:
		if schema.Items != nil {
			for i := range v {
				v[i] = fill(schema.Items.Value, v[i])
			}
		}
	}

	return value
}

// chosen is the one of several schemas that a value is of.
func chosen(schema *openapi3.Schema, value any) openapi3.SchemaRefs {
	object, ok := value.(map[string]any)
	if schema.Discriminator == nil || !ok {
		return first(schema.OneOf)
	}

	kind, _ := object[schema.Discriminator.PropertyName].(string)
	return slices.DeleteFunc(slices.Clone(schema.OneOf),
		func(one *openapi3.SchemaRef) bool { return one.Ref != schema.Discriminator.Mapping[kind].Ref })
}

func first(refs openapi3.SchemaRefs) openapi3.SchemaRefs { return refs[:min(1, len(refs))] }

// emptiest is the emptiest value of a schema.
func emptiest(schema *openapi3.Schema) any {
	switch {
	case schema.Nullable:
		return nil
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case schema.Type.Is("object") || len(schema.Properties) > 0 || len(schema.AllOf) > 0:
		return fill(schema, map[string]any{})
	case schema.Type.Is("array"):
		return []any{}
	case schema.Type.Is("integer"), schema.Type.Is("number"):
		return 1
	case schema.Type.Is("boolean"):
		return false
	case schema.Format == "uri":
		return "https://example.com"
	case schema.Format == "date-time":
		return "2026-01-01T00:00:00Z"
	case schema.Format == "email":
		return "a@example.com"
	}

	for _, one := range slices.Concat(first(schema.AnyOf), first(schema.OneOf)) {
		return emptiest(one.Value)
	}

	return strings.Repeat("x", int(schema.MinLength)) //nolint:gosec // a few
}
