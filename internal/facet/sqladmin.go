package facet

import (
	"context"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const sqlVersion = "2023-08-01"

// NewSQLFirewall drives the rules of a logical SQL server.
func NewSQLFirewall(c *arm.Client) *ServerFirewall {
	return &ServerFirewall{c, ruleShape{
		start: "startIpAddress", end: "endIpAddress", apiVersion: sqlVersion,
		action: "Microsoft.Sql/servers/firewallRules/",
	}}
}

// SQLAdmin drives the Entra administrator of a logical SQL server. There is one: whoever
// becomes it takes another's place. So a state is there as long as anybody is administrator,
// and a removal that restores puts exactly that one back. Key.Resource is the server; Key.Name
// is opaque; Want holds principalId and login.
type SQLAdmin struct {
	arm       *arm.Client
	directory Directory
	clientID  string // of the engine, when it is an application
}

// NewSQLAdmin makes the driver. clientID is the engine's own as an application, "" for a person.
func NewSQLAdmin(c *arm.Client, d Directory, clientID string) *SQLAdmin {
	return &SQLAdmin{c, d, clientID}
}

type sqlAdministrator struct {
	Properties struct {
		Type     string `json:"administratorType"`
		Login    string `json:"login"`
		SID      string `json:"sid"`
		TenantID string `json:"tenantId,omitempty"`
	} `json:"properties"`
}

type sqlAdminBasis struct{ now *sqlAdministrator }

func sqlAdminPath(server string) string { return server + "/administrators/ActiveDirectory" }

// Path is the one administrator's.
func (d *SQLAdmin) Path(f connection.Facet) string {
	return connection.FoldID(sqlAdminPath(f.Resource))
}

// Fresh is true: a write takes somebody's place.
func (d *SQLAdmin) Fresh() bool { return true }

// Rights names reading, writing and deleting the administrator.
func (d *SQLAdmin) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, "Microsoft.Sql/servers/administrators/", "read", "write", "delete")
}

// Read reads who is administrator.
func (d *SQLAdmin) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0].Resource)
}

func (d *SQLAdmin) read(ctx context.Context, server string) (*sqlAdminBasis, error) {
	now := &sqlAdministrator{}
	err := d.arm.Get(ctx, sqlAdminPath(server), sqlVersion, now)
	if arm.IsNotFound(err) {
		return &sqlAdminBasis{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &sqlAdminBasis{now}, nil
}

// sid is what the server knows a principal by: an application by its client id, which is
// also what the portal writes here, anybody else by the object id.
func (d *SQLAdmin) sid(principal string) string {
	if d.clientID != "" && d.directory.PrincipalType != "User" {
		return d.clientID
	}
	return principal
}

// State tells who is administrator.
func (d *SQLAdmin) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*sqlAdminBasis)
	if !ok || basis.now == nil {
		return connection.State{}
	}
	p, wanted := basis.now.Properties, known(f.Want, connection.AttrPrincipalID)
	state := connection.State{Exists: true, Outputs: map[string]string{connection.OutID: sqlAdminPath(f.Resource)}}
	if wanted != "" && (strings.EqualFold(p.SID, wanted) || strings.EqualFold(p.SID, d.sid(wanted))) {
		// The login is a label: another one serves as well.
		state.Attrs = connection.Attrs{connection.AttrPrincipalID: f.Want[connection.AttrPrincipalID]}
		return state
	}
	state.Attrs = connection.Attrs{connection.AttrPrincipalID: connection.Plain(p.SID), connection.AttrLogin: connection.Plain(p.Login)}
	if p.TenantID != "" {
		state.Attrs[attrTenant] = connection.Plain(p.TenantID)
	}
	state.Why = "the server has one administrator: " + p.Login + " cannot sign in while the operation runs and is administrator again afterwards"
	return state
}

// Write makes somebody administrator, puts the one before back, or leaves the place empty.
func (d *SQLAdmin) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		if err := d.write(ctx, b, c); err != nil {
			return nil, err
		}
		after, err := d.read(ctx, c.Facet.Resource)
		if err != nil {
			return nil, err
		}
		states[n] = d.State(after, c.Facet)
		if c.Action != plan.Remove && !plan.Matches(c.Facet.Want, states[n]) {
			return nil, problem.New(problem.WriteLost, c.Facet.Resource, "another administrator was set meanwhile")
		}
	}
	return states, nil
}

func (d *SQLAdmin) write(ctx context.Context, b any, c plan.Change) error {
	is := d.State(b, c.Facet)
	ours := is.Exists && plan.Matches(c.Facet.Want, is)
	switch {
	case c.Action != plan.Remove && ours:
		return nil
	case c.Action != plan.Remove:
		principal, err := needed(c.Facet, connection.AttrPrincipalID)
		if err != nil {
			return err
		}
		login, err := needed(c.Facet, connection.AttrLogin)
		if err != nil {
			return err
		}
		return d.put(ctx, c.Facet.Resource, d.sid(principal), login, d.directory.TenantID)
	case !ours: // gone already, or somebody else's by now: not ours to change
		return nil
	case c.Restore != nil && c.Restore.Unknown:
		return problem.New(problem.Remainder, c.Facet.Resource, "who was administrator before cannot be read back: %s", c.Restore.Why).
			While("restore administrator").WithFix("set the administrator by hand: az sql server ad-admin create")
	case restores(c):
		before := c.Restore.Attrs
		if sid := before[connection.AttrPrincipalID].Text; before[connection.AttrLogin].Text != "" {
			return d.put(ctx, c.Facet.Resource, sid, before[connection.AttrLogin].Text, before[attrTenant].Text)
		}
		return nil // it was we who were administrator before
	}
	return d.arm.Delete(ctx, sqlAdminPath(c.Facet.Resource), sqlVersion)
}

func (d *SQLAdmin) put(ctx context.Context, server, sid, login, tenant string) error {
	var body sqlAdministrator
	body.Properties.Type, body.Properties.SID, body.Properties.Login, body.Properties.TenantID = "ActiveDirectory", sid, login, tenant
	return d.arm.Put(ctx, sqlAdminPath(server), sqlVersion, body, nil)
}
