package engine

import (
	"context"
	"errors"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// placed leaves out what has no place to be written: the settings of a local connection
// are handed to whoever asks for them.
func placed(c *connection.Connection, facets []connection.Facet) []connection.Facet {
	if !c.Local() {
		return facets
	}
	var out []connection.Facet
	for _, f := range facets {
		if f.Kind != connection.KindSetting {
			out = append(out, f)
		}
	}
	return out
}

// nameUser notes the database user a person gets: they must know whom to sign in as.
func nameUser(c *connection.Connection, facets []connection.Facet) {
	if c.Properties.Auth == nil || c.Properties.Auth.Type != connection.AuthUserAccount || c.Properties.Auth.UserName != "" {
		return
	}
	for _, f := range facets {
		if f.Kind == connection.KindDBUser {
			auth := *c.Properties.Auth // the request keeps its own
			auth.UserName = f.Name
			c.Properties.Auth = &auth
			return
		}
	}
}

// settingsIn are the settings among facets.
func settingsIn(facets []connection.Facet) []Configuration {
	out := []Configuration{}
	for _, f := range facets {
		if v := f.Want[connection.AttrValue]; f.Kind == connection.KindSetting || f.Kind == connection.KindConfigKey {
			out = append(out, Configuration{Name: f.Name, Value: v.Text, Secret: v.Secret})
		}
	}
	return out
}

// handedOut are the settings of a local connection as the person who asks gets them.
func (e *Engine) handedOut(c *connection.Connection, facts Facts, secrets connection.Secrets) (map[string]connection.Value, error) {
	facets, err := e.Targets.Derive(c, facts, secrets)
	if err != nil {
		return nil, err
	}
	out := map[string]connection.Value{}
	for _, f := range facets {
		if f.Kind == connection.KindSetting {
			out[f.Name] = f.Want[connection.AttrValue]
		}
	}
	return out, nil
}

// grants tells whether somebody is let in.
func grants(facets []connection.Facet) bool {
	for _, f := range facets {
		if _, ok := f.Want[connection.AttrPrincipalID]; ok && !f.Scaffold {
			return true
		}
	}
	return false
}

// Generated are the settings of a connection as they would be written, and what reading
// them needed: whoever passes them on checks the caller for it first.
type Generated struct {
	Configurations []Configuration
	Rights         []Right
}

// Generate renders the settings of a connection, changed as change says, from the
// target's facts. Nothing is written; that settings are not written by the connection
// itself does not matter.
func (e *Engine) Generate(ctx context.Context, id string, change func(*connection.Properties)) (*Generated, error) {
	stored, err := e.Connection(ctx, id)
	if err != nil {
		return nil, err
	}
	c := *stored
	configuration := connection.Configuration{}
	if c.Properties.Configuration != nil {
		configuration = *c.Properties.Configuration
	}
	configuration.Action = ""
	c.Properties.Configuration = &configuration
	change(&c.Properties)
	secrets, err := e.kept(ctx, stored)
	if err != nil {
		return nil, err
	}
	if err := e.Targets.Check(&c, secrets); err != nil {
		return nil, err
	}
	facts, err := e.Targets.Facts(e.Memo(ctx), &c)
	if err != nil {
		return nil, e.refused(&c, err)
	}
	facets, err := e.Targets.Derive(&c, facts, secrets)
	var p *problem.Error
	if errors.As(err, &p) {
		return nil, e.refused(&c, err)
	}
	if err != nil {
		return nil, err
	}
	return &Generated{Configurations: settingsIn(facets), Rights: e.Targets.Reads(&c)}, nil
}
