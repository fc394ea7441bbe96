package engine

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// stores are the ids of what keeps a connection's settings in place of its source, by the
// option that names it.
func stores(c *connection.Connection) map[string]string {
	out := map[string]string{}
	if s := c.Properties.SecretStore; s != nil && s.KeyVaultID != "" {
		out["--vault-id"] = s.KeyVaultID
	}
	if f := c.Properties.Configuration; f != nil && f.AppConfigurationID != "" && f.Action != "optOut" {
		out["--appconfig-id"] = f.AppConfigurationID
	}
	return out
}

// checkStores refuses a store that the source could not read: another connection of the
// source, by an identity, must lead there. It is asked when a store comes into a
// connection, never again: siblings are an input of create.
func (e *Engine) checkStores(ctx context.Context, c, existing *connection.Connection) error {
	before := map[string]string{}
	if existing != nil {
		before = stores(existing)
	}
	for option, id := range stores(c) {
		if foldEqual(before[option], id) {
			continue
		}
		siblings, err := e.Ledger.Connections(ctx, c.Source)
		if err != nil {
			return storeProblem(err)
		}
		if !slices.ContainsFunc(siblings, func(s *connection.Connection) bool { return leads(s, id) }) {
			return problem.New(problem.StoreNotConnected, id, "%s has no connection by an identity to %s, so it could not read what is kept there", c.Source, id).
				WithFix("patchbay webapp connection create %s --source-id %s --target-id %s --system-identity",
					map[string]string{"--vault-id": "keyvault", "--appconfig-id": "appconfig"}[option], c.Source, id)
		}
	}
	return nil
}

// leads tells whether a connection lets its source read a store.
func leads(s *connection.Connection, id string) bool {
	a := s.Properties.Auth
	identity := a != nil && (a.Type == connection.AuthSystemIdentity || a.Type == connection.AuthUserIdentity)
	return identity && s.State == connection.StateSucceeded && foldEqual(s.Properties.Target.ID, id)
}

// longNames tells whether settings carry the connection's name from the start: in a
// store they stand beside those of every other app.
func longNames(c *connection.Connection) bool { return stores(c)["--appconfig-id"] != "" }

// vaultRights names what somebody must be allowed to do at a vault whose secret we read
// for them: let themselves in. ARM knows no right to read a value.
func vaultRights(facts Facts) []Right {
	vault := facts.Text(connection.FactConfidedIn)
	if vault == "" {
		return nil
	}
	return []Right{{Action: "Microsoft.KeyVault/vaults/accessPolicies/write", Scope: vault}}
}

// revealed puts in place of references what they lead to: what the app reads in the end.
// A secret that could not be looked at is taken as it was written.
func (r *run) revealed(settings map[string]connection.Value, facets []connection.Facet) map[string]connection.Value {
	values := map[string]connection.Value{}
	for _, f := range facets {
		s := r.view.states[f.Fold()]
		value := s.Attrs[connection.AttrValue]
		if s.Unknown {
			value = f.Want[connection.AttrValue]
		}
		switch {
		case !s.Exists && !s.Unknown:
		case f.Kind == connection.KindSecret:
			values[f.Want[connection.AttrURI].Text] = value
		case f.Kind == connection.KindConfigKey:
			settings[f.Name] = value
		}
	}
	for name, v := range settings {
		if secret, ok := values[referredSecret(v.Text)]; ok {
			settings[name] = secret
		}
	}
	return settings
}

// referredSecret is the address of the secret a setting or a key-value stands for.
func referredSecret(value string) string {
	if uri, ok := connection.ReferredSecret(value); ok {
		return uri
	}
	var pointer struct{ URI string }
	if strings.HasPrefix(value, "{") && json.Unmarshal([]byte(value), &pointer) == nil {
		return pointer.URI
	}
	return ""
}
