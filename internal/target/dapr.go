package target

import (
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// daprRequest reads daprProperties.
func daprRequest(c *connection.Connection) catalog.DaprRequest {
	r := catalog.DaprRequest{Name: c.Name}
	if c.Properties.Configuration == nil {
		return r
	}
	said := c.Properties.Configuration.Dapr
	word := func(from map[string]any, name string) string {
		text, _ := from[name].(string)
		return text
	}
	r.Type, r.SecretStore = word(said, "componentType"), word(said, "secretStoreComponent")
	rows, _ := said["metadata"].([]any)
	for _, row := range rows {
		if entry, ok := row.(map[string]any); ok && word(entry, "name") != "" {
			r.Metadata = append(r.Metadata, catalog.DaprEntry{Name: word(entry, "name"), Value: word(entry, "value"), SecretRef: word(entry, "secretRef")})
		}
	}
	scopes, _ := said["scopes"].([]any)
	for _, s := range scopes {
		if text, ok := s.(string); ok {
			r.Scopes = append(r.Scopes, text)
		}
	}
	return r
}

// checkDapr refuses a component that can never work. A component is a file: no source
// there is keeps one among its settings.
func checkDapr(c *connection.Connection, t *catalog.Target, given connection.Secrets) error {
	if !sourceless(c) {
		return problem.New(problem.OptionUnsupported, c.Source, "the source has no place for a Dapr component").
			WithFix("make a local connection: patchbay connection create %s --client-type dapr", t.Name)
	}
	if _, err := t.CheckDapr(c.Properties.Auth.Type, daprRequest(c)); err != nil {
		return err
	}
	return checkSecret(c, t, given)
}
