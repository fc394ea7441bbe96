package api

import (
	"maps"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Decode reads the body of a PUT that makes a new linker: its properties and the
// secrets given with them. Errors are BODY_NOT_JSON or BODY_INVALID; the latter
// names the member by JSON pointer.
func Decode(version Version, body []byte) (*connection.Properties, connection.Secrets, error) {
	return Replace(version, nil, body)
}

// Replace reads the body of a PUT over an existing linker: what the api-version
// can say is replaced, what it cannot say is kept. existing may be nil.
func Replace(version Version, existing *connection.Connection, body []byte) (*connection.Properties, connection.Secrets, error) {
	r := reader{version: version, stored: storedAuth(existing)}
	wanted, err := r.properties(body)
	if err != nil {
		return nil, nil, err
	}
	if wanted["targetService"] == nil {
		return nil, nil, invalid("/properties/targetService", "is missing")
	}
	properties, secrets := fromWire(replace(version, propertiesShape(), stored(existing), wanted))
	return properties, secrets, nil
}

// Merge reads the body of a PATCH: absent members stay, null removes (targetService,
// authInfo and clientType stay), arrays replace, a new discriminator replaces the object.
func Merge(version Version, existing *connection.Connection, patch []byte) (*connection.Properties, connection.Secrets, error) {
	r := reader{version: version, patch: true, stored: storedAuth(existing)}
	wanted, err := r.properties(patch)
	if err != nil {
		return nil, nil, err
	}
	properties, secrets := fromWire(merge(propertiesShape(), stored(existing), wanted))
	return properties, secrets, nil
}

func (r reader) properties(body []byte) (map[string]any, error) {
	value, err := ParseObject(body)
	if err != nil {
		return nil, err
	}
	linker, err := r.object("", linkerShape(), value)
	if err != nil {
		return nil, err
	}
	return child(linker, "properties"), nil
}

func storedAuth(c *connection.Connection) string {
	if c == nil || c.Properties.Auth == nil {
		return ""
	}
	return c.Properties.Auth.Type
}

func stored(c *connection.Connection) map[string]any {
	if c == nil {
		return nil
	}
	return toWire(&c.Properties)
}

// replace lays wanted over old: members the version knows come from wanted alone,
// the others stay as long as the tag does.
func replace(version Version, s *shape, old, wanted map[string]any) map[string]any {
	tag := s.tagOf(wanted)
	if s.tagOf(old) != tag {
		old = nil
	}
	known := map[string]bool{}
	out := map[string]any{}
	for _, m := range s.of(version, tag) {
		known[m.name] = true
		value := wanted[m.name]
		if inner, ok := value.(map[string]any); ok && m.kind == object {
			value = replace(version, m.shape, child(old, m.name), inner)
		}
		put(out, m, value)
	}
	for _, m := range s.ever(tag) {
		if value, ok := old[m.name]; ok && !known[m.name] {
			out[m.name] = value
		}
	}
	return out
}

// put sets a member unless it is null; entries of an object of strings that are null go.
func put(out map[string]any, m member, value any) {
	if value == nil {
		return
	}
	if entries, ok := value.(map[string]any); ok && m.kind == texts {
		value = withoutNulls(entries)
	}
	out[m.name] = value
}

func withoutNulls(in map[string]any) map[string]any {
	out := maps.Clone(in)
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == nil })
	return out
}

// merge lays patch over old in the manner of a merge patch.
func merge(s *shape, old, patch map[string]any) map[string]any {
	tag := s.tagOf(patch)
	if tag == "" {
		tag = s.tagOf(old)
	}
	if old == nil || s.tagOf(old) != tag {
		old = nil
	}
	out := maps.Clone(old)
	if out == nil {
		out = map[string]any{}
	}
	for _, m := range s.ever(tag) {
		value, there := patch[m.name]
		switch inner, isObject := value.(map[string]any); {
		case !there || value == nil && m.is(sticky):
		case value == nil:
			delete(out, m.name)
		case isObject && m.kind == object:
			out[m.name] = merge(m.shape, child(out, m.name), inner)
		case isObject && m.kind == texts:
			out[m.name] = mergeTexts(child(out, m.name), inner)
		default:
			out[m.name] = value
		}
	}
	return out
}

func mergeTexts(old, patch map[string]any) map[string]any {
	out := maps.Clone(old)
	if out == nil {
		out = map[string]any{}
	}
	maps.Copy(out, patch)
	return withoutNulls(out)
}

const timeForm = "2006-01-02T15:04:05.0000000Z"

// Encode writes a linker as GET and LIST answer it in a version. Secrets are not
// part of it.
func Encode(version Version, c *connection.Connection) map[string]any {
	how := version.manners()
	properties := toWire(&c.Properties)
	if how.fillsSecret && c.State == connection.StateSucceeded {
		fillSecret(properties)
	}
	properties["provisioningState"] = c.State
	return encode(version, c, properties, how.nullsInReads)
}

// EncodeAccepted writes a linker as PUT and PATCH answer it.
func EncodeAccepted(version Version, c *connection.Connection) map[string]any {
	properties := toWire(&c.Properties)
	properties["provisioningState"] = connection.StateAccepted
	return encode(version, c, properties, true)
}

// fillSecret shows a secret that was given without a kind as one given by value.
func fillSecret(properties map[string]any) {
	auth := child(properties, "authInfo")
	if textOf(auth, "authType") == connection.AuthSecret && auth["secretInfo"] == nil {
		auth["secretInfo"] = texted("secretType", rawValue)
	}
}

func encode(version Version, c *connection.Connection, properties map[string]any, nulls bool) map[string]any {
	return map[string]any{
		"id":         c.ID,
		"name":       c.Name,
		"type":       typeOf(c),
		"systemData": systemData(c.System),
		"properties": project(version, propertiesShape(), properties, nulls),
	}
}

func typeOf(c *connection.Connection) string {
	if c.Local() {
		return ConnectorType
	}
	return LinkerType
}

func systemData(s connection.SystemData) map[string]any {
	return map[string]any{
		"createdBy": s.CreatedBy, "createdByType": s.CreatedByType, "createdAt": s.CreatedAt.UTC().Format(timeForm),
		"lastModifiedBy": s.LastModifiedBy, "lastModifiedByType": s.LastModifiedByType, "lastModifiedAt": s.LastModifiedAt.UTC().Format(timeForm),
	}
}

// project keeps the members a version answers. With nulls, unset ones stand as null.
func project(version Version, s *shape, value map[string]any, nulls bool) map[string]any {
	out := map[string]any{}
	for _, m := range s.of(version, s.tagOf(value)) {
		if m.is(writeOnly) {
			continue
		}
		raw, there := value[m.name]
		switch {
		case there && raw != nil:
			out[m.name] = projectMember(version, m, raw, nulls)
		case nulls && !m.is(quiet):
			out[m.name] = nil
		}
	}
	return out
}

func projectMember(version Version, m member, raw any, nulls bool) any {
	switch value := raw.(type) {
	case map[string]any:
		if m.kind == object {
			return project(version, m.shape, value, nulls)
		}
	case []any:
		if m.kind == rows {
			out := make([]any, len(value))
			for i, row := range value {
				inner, _ := row.(map[string]any)
				out[i] = project(version, m.shape, inner, nulls)
			}
			return out
		}
	}
	return raw
}

// Row is one setting as listConfigurations answers it.
type Row struct {
	Name        string
	Value       string
	Description string
}

// EncodeConfigurations writes the answer of listConfigurations in a version.
func EncodeConfigurations(version Version, settings []Row) map[string]any {
	out := make([]any, len(settings))
	for i, s := range settings {
		kind, about := "Default", s.Description
		if connection.IsSecretReference(s.Value) {
			kind, about = "KeyVaultSecret", "Key vault secret."
		}
		out[i] = project(version, configurationRowShape(), map[string]any{
			"name": s.Name, "value": s.Value, "configType": kind, "description": about,
		}, true)
	}
	return map[string]any{"configurations": out}
}

// CheckVersion refuses an api-version that is missing or unknown. kind is the
// resource type the message names.
func CheckVersion(raw, kind string, supported ...string) error {
	if raw == "" {
		return problem.New(problem.APIVersionMissing, kind, "The api-version query parameter (?api-version=) is required for all requests.")
	}
	for _, s := range supported {
		if raw == s {
			return nil
		}
	}
	return unknownVersion(raw, kind, supported)
}
