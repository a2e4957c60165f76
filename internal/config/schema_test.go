package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
)

var update = flag.Bool("update", false, "write the schema of config into the chart's values.schema.json")

// schema describes a type as JSON Schema does, key for key.
func schema(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeOf(Duration(0)):
		return map[string]any{"type": "string", "pattern": `^(([0-9]+(\.[0-9]+)?)(ns|us|µs|ms|s|m|h))*$`}
	case t == reflect.TypeOf(Size(0)):
		return map[string]any{
			"type": []any{"string", "integer"}, "pattern": `^[0-9]+(\.[0-9]+)?(k|Ki|M|Mi|G|Gi)?$`,
		}
	case t.Kind() == reflect.Struct:
		properties := map[string]any{}
		for i := range t.NumField() {
			if t.Field(i).Tag.Get("yaml") == "-" {
				continue
			}
			properties[t.Field(i).Tag.Get("yaml")] = schema(t.Field(i).Type)
		}
		return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": schema(t.Elem())}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schema(t.Elem())}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	}
	return map[string]any{"type": "integer"}
}

// TestChartSchema checks that helm knows the keys of config.yaml: a mistake in them
// is found before anything is installed.
func TestChartSchema(t *testing.T) {
	const file = "../../charts/image-writeback/values.schema.json"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Schema               string         `json:"$schema"`
		Type                 string         `json:"type"`
		AdditionalProperties bool           `json:"additionalProperties"`
		Properties           map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(data, &values); err != nil {
		t.Fatal(err)
	}
	values.Properties["config"] = schema(reflect.TypeOf(Config{}))
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(values); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want.String() != string(data) {
		t.Errorf("%s does not have the keys of config.yaml; "+
			"run go test ./internal/config -run ChartSchema -update", file)
	}
}
