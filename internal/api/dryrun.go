package api

import (
	"github.com/patchbay/patchbay/internal/connection"
)

// actionCreateOrUpdate is the only action a dryrun knows.
const actionCreateOrUpdate = "createOrUpdate"

const dryrunName = "Dryrun"

// dryrunShape is a dryrun as it is sent and answered.
func dryrunShape() *shape {
	return &shape{name: dryrunName, about: "A rehearsal of making or changing a connection.", members: []member{
		{name: "id", rules: readOnly, about: "Resource id, in the casing it was first written with."},
		{name: "name", rules: readOnly, about: "Name of the dryrun."},
		{name: "type", rules: readOnly, about: "Type of the resource."},
		{name: "systemData", kind: object, rules: readOnly, shape: systemDataShape(), about: "Who wrote the dryrun, and when."},
		{name: "properties", kind: object, rules: required, shape: dryrunPropertiesShape(), about: "What is rehearsed, and what came of it."},
	}}
}

func dryrunPropertiesShape() *shape {
	parameters := &shape{name: "DryrunParameters", about: "The change that is rehearsed.", tag: "actionName",
		members:  []member{{name: "actionName", rules: required, about: "Which change it is."}},
		variants: []variant{{word: actionCreateOrUpdate, members: parameterMembers()}}}
	result := &shape{name: "DryrunPrerequisiteResult", about: "One thing that stands in the way.", tag: "type",
		members: []member{{name: "type", rules: required, about: "Which kind of thing it is."}},
		variants: []variant{
			{word: "basicError", members: []member{{name: "code", about: "Code of the error."}, {name: "message", about: "What is wrong."}}},
			{word: "permissionsMissing", members: []member{
				{name: "scope", about: "Resource that the rights are missing on."},
				{name: "permissions", kind: list, about: "The missing actions."},
				{name: "recommendedRole", about: "A built-in role that holds them."},
			}},
		}}
	preview := &shape{name: "DryrunOperationPreview", about: "One write the change would make.", members: []member{
		{name: "name", about: "Name of the write."},
		{name: "operationType", words: since(V20221101Preview, "configConnection", "configNetwork", "configAuth"), about: "What it is about."},
		{name: "description", about: "What it would do."},
		{name: "action", about: "The management action it takes."},
		{name: "scope", about: "The resource it goes to."},
	}}
	return &shape{name: "DryrunProperties", about: "What is rehearsed, and what came of it.", members: []member{
		{name: "parameters", kind: object, shape: parameters, about: "The change."},
		{name: "prerequisiteResults", kind: rows, rules: readOnly, shape: result, about: "What stands in the way; empty when nothing does."},
		{name: "operationPreviews", kind: rows, rules: readOnly, shape: preview, about: "What the change would write."},
		{name: "provisioningState", rules: readOnly, about: "Accepted while the rehearsal is under way; then Succeeded or Failed."},
	}}
}

// parameterMembers are a linker's properties without what only a stored one has.
func parameterMembers() []member {
	var out []member
	for _, m := range propertiesShape().members {
		if !m.is(readOnly) {
			out = append(out, m)
		}
	}
	return out
}

// ReplaceDryrun reads the body of a PUT of a dryrun; existing may be nil.
func ReplaceDryrun(version Version, existing *connection.Connection, body []byte) (*connection.Properties, connection.Secrets, error) {
	wanted, err := parametersOf(reader{version: version, stored: storedAuth(existing)}, body)
	if err != nil {
		return nil, nil, err
	}
	if wanted["targetService"] == nil {
		return nil, nil, invalid("/properties/parameters/targetService", "is missing")
	}
	properties, secrets := fromWire(replace(version, propertiesShape(), stored(existing), wanted))
	return properties, secrets, nil
}

// MergeDryrun reads the body of a PATCH of a dryrun.
func MergeDryrun(version Version, existing *connection.Connection, patch []byte) (*connection.Properties, connection.Secrets, error) {
	wanted, err := parametersOf(reader{version: version, patch: true, stored: storedAuth(existing)}, patch)
	if err != nil {
		return nil, nil, err
	}
	properties, secrets := fromWire(merge(propertiesShape(), stored(existing), wanted))
	return properties, secrets, nil
}

func parametersOf(r reader, body []byte) (map[string]any, error) {
	value, err := ParseObject(body)
	if err != nil {
		return nil, err
	}
	whole, err := r.object("", dryrunShape(), value)
	if err != nil {
		return nil, err
	}
	parameters := child(child(whole, "properties"), "parameters")
	switch action := textOf(parameters, "actionName"); {
	case parameters == nil && r.patch:
		return map[string]any{}, nil
	case parameters == nil:
		return nil, invalid("/properties/parameters", "is missing")
	case action != actionCreateOrUpdate:
		return nil, invalid("/properties/parameters/actionName", "must be %s, not %q", actionCreateOrUpdate, printable(action))
	}
	return parameters, nil
}

// EncodeDryrun writes a dryrun as every request answers it.
func EncodeDryrun(version Version, c *connection.Connection) map[string]any {
	parameters := toWire(&c.Properties)
	parameters["actionName"] = actionCreateOrUpdate
	properties := map[string]any{"parameters": parameters, "provisioningState": c.State}
	if found := c.Rehearsal; found != nil && c.State == connection.StateSucceeded {
		properties["prerequisiteResults"] = prerequisites(found.Prerequisites)
		properties["operationPreviews"] = previews(found.Previews)
	}
	return map[string]any{
		"id": c.ID, "name": c.Name, "type": connection.TypeOf(c.ID), "systemData": systemData(c.System),
		"properties": project(version, dryrunPropertiesShape(), properties, false),
	}
}

func prerequisites(found []connection.Prerequisite) []any {
	out := make([]any, len(found))
	for i, p := range found {
		if p.Code != "" {
			out[i] = texted("type", "basicError", "code", p.Code, "message", p.Message)
			continue
		}
		row := texted("type", "permissionsMissing", "scope", p.Scope, "recommendedRole", p.Role)
		setList(row, "permissions", p.Actions)
		out[i] = row
	}
	return out
}

func previews(found []connection.Preview) []any {
	out := make([]any, len(found))
	for i, p := range found {
		out[i] = texted("name", p.Name, "operationType", p.Type, "description", p.Description, "action", p.Action, "scope", p.Scope)
	}
	return out
}

// LayConfiguration reads the body of generateConfigurations and lays it over the
// connection's own configurationInfo, as a PATCH would. An empty body says nothing.
func LayConfiguration(version Version, existing *connection.Configuration, body []byte) (*connection.Configuration, error) {
	if len(body) == 0 {
		return existing, nil
	}
	value, err := ParseObject(body)
	if err != nil {
		return nil, err
	}
	wanted, err := reader{version: version}.object("", configurationShape(), value)
	if err != nil {
		return nil, err
	}
	var old map[string]any
	if existing != nil {
		old = configurationToWire(existing)
	}
	return configurationFromWire(merge(configurationShape(), old, wanted)), nil
}
