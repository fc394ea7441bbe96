package api

import (
	"encoding/json"
	"fmt"
	"slices"
)

// node is a piece of an OpenAPI document.
type node = map[string]any

// document gathers the components that routes refer to.
type document struct {
	version Version
	schemas node
}

// Document returns our OpenAPI 3.0 document of Microsoft.ServiceLinker in a
// version, made from the same table that reads and writes the bodies.
func Document(version Version) ([]byte, error) {
	if !version.Known() {
		return nil, fmt.Errorf("make the document of %q: no such api-version", version)
	}
	d := &document{version: version, schemas: node{}}
	linker := d.shape(linkerShape(), false)
	d.schemas["LinkerPatch"] = node{"type": "object", "description": "The members to change.", "properties": node{
		"properties": node{"$ref": ref("LinkerProperties")},
	}}
	d.schemas["LinkerList"] = pageOf(linker, "The connections of one source.")
	d.schemas["ConfigurationList"] = node{"type": "object", "description": "The settings a connection stands for.", "required": []string{"configurations"}, "properties": node{
		"configurations": node{"type": "array", "items": d.shape(configurationRowShape(), false)},
	}}
	d.statuses()
	title := "Microsoft.ServiceLinker as Patchbay serves it"
	about := "Connections between compute resources and backing services. Enumerations are open: words this document does not list are kept. Unknown members are ignored."
	d.furtherResources()
	return d.write(title, string(version), about, routesOf(version))
}

// PatchbayDocument returns the OpenAPI document of our own namespace.
func PatchbayDocument() ([]byte, error) {
	d := &document{version: Newest, schemas: node{}}
	d.shape(linkerShape(), false)
	for _, sample := range []any{Plan{}, Drift{}, DriftList{}, Operation{}, OperationList{}, SupportTypeList{}, ErrorBody{}} {
		d.goType(sample)
	}
	d.schemas["PlanRequest"] = node{"type": "object", "description": "A linker as in a PUT, or an empty object for the connection as it stands.", "properties": node{
		"properties": node{"$ref": ref("LinkerProperties")},
	}}
	about := "What Microsoft.ServiceLinker cannot say: plans, drift, repair and the journal of operations."
	return d.write("Patchbay", NamespaceV, about, patchbayRoutes())
}

// statuses adds what operation statuses and errors look like.
func (d *document) statuses() {
	for _, sample := range []any{OperationStatus{}, WriteResult{}, ValidationReport{}, ProviderOperationList{}, ErrorBody{}} {
		d.goType(sample)
	}
	status, _ := d.schemas["OperationStatus"].(node)
	properties, _ := status["properties"].(node)
	properties["properties"] = node{"nullable": true, "anyOf": []any{node{"$ref": ref("ValidationReport")}, node{"$ref": ref("WriteResult")}}}
}

func ref(name string) string { return "#/components/schemas/" + name }

func pageOf(item node, about string) node {
	return node{"type": "object", "description": about, "required": []string{"value"}, "properties": node{
		"value":    node{"type": "array", "items": item},
		"nextLink": node{"type": "string", "nullable": true},
	}}
}

// shape adds a shape's component and returns a reference to it.
func (d *document) shape(s *shape, nullable bool) node {
	if _, there := d.schemas[s.name]; there {
		return node{"$ref": ref(s.name)}
	}
	out := node{}
	d.schemas[s.name] = out
	for k, v := range d.members(s.of(d.version, "")) {
		out[k] = v
	}
	out["description"] = s.about
	if nullable {
		out["nullable"] = true
	}
	if s.tag != "" {
		out["oneOf"] = d.variants(s)
	}
	return node{"$ref": ref(s.name)}
}

// variants adds one component per variant of a shape, and one for words the
// version does not list. Exactly one fits any object.
func (d *document) variants(s *shape) []any {
	var all []any
	var words []string
	for _, v := range s.variants {
		if !d.version.has(v.since) {
			continue
		}
		words = append(words, v.word)
		name := s.name + "_" + v.word
		one := d.members(slices.DeleteFunc(slices.Clone(v.members), func(m member) bool { return !d.version.has(m.since) }))
		d.tag(one, s.tag, node{"type": "string", "enum": []string{v.word}})
		d.schemas[name] = one
		all = append(all, node{"$ref": ref(name)})
	}
	other := d.members(nil)
	d.tag(other, s.tag, node{"type": "string", "not": node{"enum": words}})
	other["description"] = "Any other word: kept as it is, without further members."
	d.schemas[s.name+"_other"] = other
	return append(all, node{"$ref": ref(s.name + "_other")})
}

func (d *document) tag(schema node, name string, word node) {
	properties, _ := schema["properties"].(node)
	properties[name] = word
	names, _ := schema["required"].([]string)
	schema["required"] = append([]string{name}, names...)
}

// members makes an object schema; members that are not listed are allowed.
func (d *document) members(members []member) node {
	properties := node{}
	var names []string
	for _, m := range members {
		properties[m.name] = d.member(m)
		if m.is(required) {
			names = append(names, m.name)
		}
	}
	out := node{"type": "object", "properties": properties}
	if len(names) > 0 {
		out["required"] = names
	}
	return out
}

func (d *document) member(m member) node {
	nullable := !m.is(required)
	if m.kind == object {
		return d.shape(m.shape, nullable)
	}
	out := d.typed(m)
	out["description"] = m.about
	if nullable {
		out["nullable"] = true
	}
	if m.is(required) && m.kind == text {
		out["minLength"] = 1
	}
	if m.is(readOnly) {
		out["readOnly"] = true
	}
	if m.is(writeOnly) {
		out["writeOnly"] = true
	}
	return out
}

func (d *document) typed(m member) node {
	words := d.words(m.words)
	switch m.kind {
	case flag:
		return node{"type": "boolean"}
	case list:
		return node{"type": "array", "items": words}
	case texts:
		return node{"type": "object", "additionalProperties": node{"type": "string", "nullable": true}}
	case rows:
		return node{"type": "array", "items": d.shape(m.shape, false)}
	}
	return words
}

// words is an open enumeration: the listed words, or any other text.
func (d *document) words(words []word) node {
	var known []string
	for _, w := range words {
		if d.version.has(w.since) {
			known = append(known, w.text)
		}
	}
	if len(known) == 0 {
		return node{"type": "string"}
	}
	return node{"anyOf": []any{node{"type": "string", "enum": known}, node{"type": "string"}}}
}

func (d *document) write(title, version, about string, routes []route) ([]byte, error) {
	paths := node{}
	for _, r := range routes {
		at, _ := paths[r.path].(node)
		if at == nil {
			at = node{}
			paths[r.path] = at
		}
		at[r.method] = r.operation()
	}
	out, err := json.MarshalIndent(node{
		"openapi":    "3.0.3",
		"info":       node{"title": title, "version": version, "description": about, "license": node{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}},
		"security":   []any{node{"bearer": []string{}}},
		"paths":      paths,
		"components": node{"schemas": d.schemas, "securitySchemes": node{"bearer": node{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the document of %s: %w", version, err)
	}
	return append(out, '\n'), nil
}
