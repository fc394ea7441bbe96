//go:build conformance

package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/api/apitest"
)

// reference is the folder with the published files, from REFERENCE; a relative one
// counts from the module's root.
func reference(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("REFERENCE")
	if dir == "" {
		t.Fatal("REFERENCE does not name the folder with the published files")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join("..", "..", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "openapi", "servicelinker")); err != nil {
		t.Fatal(err)
	}
	return dir
}

type object = map[string]any

func readJSON(t *testing.T, path string) object {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out object
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

// published reads a version's published document and rewrites it into OpenAPI 3.0
// the way the real service follows it: enumerations are open, every optional member
// may be null, and an object's tag selects one of its subtypes or none.
func published(t *testing.T, dir string, version api.Version) *apitest.Contract {
	t.Helper()
	doc := readJSON(t, filepath.Join(dir, "openapi", "servicelinker", string(version), "servicelinker.json"))
	p := &publisher{schemas: object{}}
	p.definitions(doc["definitions"].(object), "")
	for _, common := range []string{"v2", "v3"} {
		types := readJSON(t, filepath.Join(dir, "openapi", "common-types", "resource-management", common, "types.json"))
		p.definitions(types["definitions"].(object), common+"_")
	}
	paths := object{}
	for path, methods := range doc["paths"].(object) {
		item := object{}
		for method, operation := range methods.(object) {
			item[method] = p.operation(operation.(object), path)
		}
		paths[path] = item
	}
	raw, err := json.Marshal(object{"openapi": "3.0.3", "info": object{"title": "published", "version": string(version)}, "paths": paths, "components": object{"schemas": p.schemas}})
	if err != nil {
		t.Fatal(err)
	}
	contract, err := apitest.Parse(raw)
	if err != nil {
		t.Fatalf("%s: %v", version, err)
	}
	return contract
}

type publisher struct{ schemas object }

func (p *publisher) definitions(definitions object, prefix string) {
	children := map[string][]string{} // base -> subtypes
	for name, raw := range definitions {
		definition := raw.(object)
		if definition["x-ms-discriminator-value"] == nil {
			continue
		}
		for _, parent := range list(definition["allOf"]) {
			base := strings.TrimPrefix(parent.(object)["$ref"].(string), "#/definitions/")
			children[base] = append(children[base], name)
		}
	}
	for name, raw := range definitions {
		definition := raw.(object)
		schema := p.schema(definition, prefix)
		tag, isBase := definition["discriminator"].(string)
		if !isBase {
			p.schemas[prefix+name] = p.tagged(definitions, definition, schema)
			continue
		}
		p.schemas[prefix+name+"_base"] = schema
		p.schemas[prefix+name] = choice(definitions, children[name], tag, prefix)
	}
}

func list(value any) []any {
	items, _ := value.([]any)
	return items
}

// choice is a base type: one of its subtypes by the tag's word, or any other word.
func choice(definitions object, subtypes []string, tag, prefix string) object {
	slices.Sort(subtypes)
	var words, options []any
	for _, name := range subtypes {
		words = append(words, definitions[name].(object)["x-ms-discriminator-value"])
		options = append(options, object{"$ref": "#/components/schemas/" + prefix + name})
	}
	other := object{"type": "object", "required": []any{tag}, "properties": object{tag: object{"type": "string", "not": object{"enum": words}}}}
	return object{"oneOf": append(options, other), "nullable": true}
}

// tagged binds a subtype to its word.
func (p *publisher) tagged(definitions, definition, schema object) object {
	word := definition["x-ms-discriminator-value"]
	if word == nil {
		return schema
	}
	for _, parent := range list(definition["allOf"]) {
		base := strings.TrimPrefix(parent.(object)["$ref"].(string), "#/definitions/")
		if tag, ok := definitions[base].(object)["discriminator"].(string); ok {
			schema["allOf"] = append(list(schema["allOf"]), object{"type": "object", "required": []any{tag}, "properties": object{tag: object{"type": "string", "enum": []any{word}}}})
		}
	}
	for i, parent := range list(schema["allOf"]) {
		ref, _ := parent.(object)["$ref"].(string)
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		if base, ok := definitions[name].(object); ok && base["discriminator"] != nil {
			list(schema["allOf"])[i] = object{"$ref": ref + "_base"}
		}
	}
	return schema
}

// schema rewrites one schema.
func (p *publisher) schema(in object, prefix string) object {
	if ref, ok := in["$ref"].(string); ok {
		return object{"allOf": []any{object{"$ref": target(ref, prefix)}}, "nullable": true, "readOnly": in["readOnly"] == true}
	}
	out := object{}
	for key, value := range in {
		switch key {
		case "type", "format", "required", "additionalProperties", "minimum", "maximum", "description", "readOnly":
			out[key] = value
		case "x-ms-secret":
			out["writeOnly"] = value
		case "x-nullable":
			out["nullable"] = value
		case "items":
			out["items"] = p.schema(value.(object), prefix)
		case "enum":
			if extra, _ := in["x-ms-enum"].(object); extra["modelAsString"] != true {
				out["enum"] = value
			}
		case "allOf":
			var parents []any
			for _, parent := range list(value) {
				parents = append(parents, object{"$ref": target(parent.(object)["$ref"].(string), prefix)})
			}
			out["allOf"] = parents
		}
	}
	if additional, ok := in["additionalProperties"].(object); ok {
		out["additionalProperties"] = p.schema(additional, prefix)
	}
	if properties, ok := in["properties"].(object); ok {
		out["properties"] = p.properties(properties, list(in["required"]), prefix)
	}
	return out
}

func (p *publisher) properties(in object, required []any, prefix string) object {
	out := object{}
	for name, value := range in {
		schema := p.schema(value.(object), prefix)
		schema["nullable"] = !slices.Contains(required, any(name))
		out[name] = schema
	}
	return out
}

// target maps a published reference to ours.
func target(ref, prefix string) string {
	if common, ok := strings.CutPrefix(ref, "../../../../../common-types/resource-management/"); ok {
		version, rest, _ := strings.Cut(common, "/")
		return "#/components/schemas/" + version + "_" + rest[strings.LastIndex(rest, "/")+1:]
	}
	return "#/components/schemas/" + prefix + ref[strings.LastIndex(ref, "/")+1:]
}

func (p *publisher) operation(in object, path string) object {
	answers := object{}
	for status, raw := range in["responses"].(object) {
		answer := object{"description": status}
		if schema, ok := raw.(object)["schema"].(object); ok {
			answer["content"] = object{"application/json": object{"schema": p.schema(schema, "")}}
		}
		answers[status] = answer
	}
	out := object{"responses": answers}
	var parameters []any
	for _, name := range strings.Split(path, "{")[1:] {
		name, _, _ = strings.Cut(name, "}")
		parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	out["parameters"] = parameters
	for _, raw := range list(in["parameters"]) {
		parameter := raw.(object)
		if parameter["in"] == "body" {
			out["requestBody"] = object{"content": object{"application/json": object{"schema": p.schema(parameter["schema"].(object), "")}}}
		}
	}
	return out
}

// examples reads the published examples of a version; some versions have none.
func examples(t *testing.T, dir string, version api.Version) map[string]object {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "openapi", "servicelinker", string(version), "examples", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]object{}
	for _, file := range files {
		out[filepath.Base(file)] = readJSON(t, file)
	}
	return out
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func text(value any) string { return fmt.Sprint(value) }
