package facet

import (
	"context"
	"sort"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const mysqlVersion = "2023-12-30"

// NewMySQLFirewall drives the rules of a MySQL flexible server.
func NewMySQLFirewall(c *arm.Client) *ServerFirewall {
	return &ServerFirewall{c, ruleShape{
		start: "startIpAddress", end: "endIpAddress", apiVersion: mysqlVersion,
		action: "Microsoft.DBforMySQL/flexibleServers/firewallRules/",
	}}
}

// Attributes of an administrator beside login and principal, so that one that was
// replaced comes back as it was.
const (
	attrTenant   = "tenantId"
	attrIdentity = "identityResourceId"
)

// MySQLAdmin drives the one Entra administrator of a MySQL flexible server.
// Key.Resource is the server; Key.Name is opaque; Want holds principalId and login.
//
// Whoever becomes administrator takes the place of the one before, who cannot sign in
// meanwhile: State tells who that is, a removal that restores brings exactly that one
// back, and one that finds a third there leaves it. The administrator needs a
// user-assigned identity that the server carries; giving it one, with rights in the
// directory, is not ours to do.
type MySQLAdmin struct {
	arm       *arm.Client
	directory Directory
}

// NewMySQLAdmin makes the driver.
func NewMySQLAdmin(c *arm.Client, d Directory) *MySQLAdmin { return &MySQLAdmin{c, d} }

type mysqlAdministrator struct {
	Properties mysqlAdminProperties `json:"properties"`
}

type mysqlAdminProperties struct {
	Type     string `json:"administratorType"`
	Login    string `json:"login"`
	SID      string `json:"sid"`
	TenantID string `json:"tenantId,omitempty"`
	Identity string `json:"identityResourceId"`
}

type mysqlAdminBasis struct{ current *mysqlAdminProperties } // nil: nobody

// Path is the server's administrators: there is one.
func (d *MySQLAdmin) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/administrators"
}

// Fresh is true: who is there is replaced.
func (d *MySQLAdmin) Fresh() bool { return true }

// Rights names reading, writing and deleting the administrator, and reading the server.
func (d *MySQLAdmin) Rights(f connection.Facet) []connection.Right {
	const server = "Microsoft.DBforMySQL/flexibleServers/"
	return append(rights(f.Resource, server+"administrators/", "read", "write", "delete"), rights(f.Resource, server, "read")...)
}

func mysqlAdminPath(server string) string { return server + "/administrators/ActiveDirectory" }

// Read reads the administrator.
func (d *MySQLAdmin) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0].Resource)
}

func (d *MySQLAdmin) read(ctx context.Context, server string) (*mysqlAdminBasis, error) {
	var seen mysqlAdministrator
	err := d.arm.Get(ctx, mysqlAdminPath(server), mysqlVersion, &seen)
	if arm.IsNotFound(err) {
		return &mysqlAdminBasis{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &mysqlAdminBasis{&seen.Properties}, nil
}

// State tells who the administrator is, whoever that may be.
func (d *MySQLAdmin) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*mysqlAdminBasis)
	if !ok || basis.current == nil {
		return connection.State{}
	}
	is := *basis.current
	state := connection.State{
		Exists: true,
		Attrs: connection.Attrs{
			connection.AttrPrincipalID: echo(f.Want, connection.AttrPrincipalID, is.SID), connection.AttrLogin: connection.Plain(is.Login),
			attrTenant: connection.Plain(is.TenantID), attrIdentity: connection.Plain(is.Identity),
		},
		Outputs: map[string]string{connection.OutID: mysqlAdminPath(f.Resource), connection.AttrLogin: is.Login},
	}
	if wanted := known(f.Want, connection.AttrPrincipalID); !strings.EqualFold(is.SID, wanted) {
		state.Why = "the server has one administrator: " + is.Login + " cannot sign in while the operation runs and is administrator again afterwards"
	}
	return state
}

// Write makes somebody the administrator, or brings back who was.
func (d *MySQLAdmin) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	basis, ok := b.(*mysqlAdminBasis)
	if !ok {
		return nil, foreign(changes[0].Facet.Resource)
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		if err := d.write(ctx, basis, c); err != nil {
			return nil, err
		}
		after, err := d.read(ctx, c.Facet.Resource)
		if err != nil {
			return nil, err
		}
		basis, states[n] = after, d.State(after, c.Facet)
	}
	return states, nil
}

func (d *MySQLAdmin) write(ctx context.Context, b *mysqlAdminBasis, c plan.Change) error {
	principal, err := needed(c.Facet, connection.AttrPrincipalID)
	if err != nil {
		return err
	}
	if c.Action == plan.Remove {
		return d.giveBack(ctx, b, c, principal)
	}
	login, err := needed(c.Facet, connection.AttrLogin)
	if err != nil {
		return err
	}
	if b.current != nil && strings.EqualFold(b.current.SID, principal) && b.current.Login == login {
		return nil
	}
	identity, err := d.identity(ctx, b, c.Facet.Resource)
	if err != nil {
		return err
	}
	return d.put(ctx, c.Facet.Resource, mysqlAdminProperties{Login: login, SID: principal, TenantID: d.directory.TenantID, Identity: identity})
}

func (d *MySQLAdmin) put(ctx context.Context, server string, p mysqlAdminProperties) error {
	p.Type = "ActiveDirectory"
	return d.arm.Put(ctx, mysqlAdminPath(server), mysqlVersion, mysqlAdministrator{p}, nil)
}

// giveBack takes the wanted administrator away, in favour of who was there before. Where
// another one stands by now, somebody else put it there.
func (d *MySQLAdmin) giveBack(ctx context.Context, b *mysqlAdminBasis, c plan.Change, principal string) error {
	if b.current == nil || !strings.EqualFold(b.current.SID, principal) {
		return nil
	}
	if c.Restore != nil && c.Restore.Unknown {
		return problem.New(problem.Remainder, c.Facet.Resource, "who was administrator before cannot be read back: %s", c.Restore.Why).
			While("restore administrator").WithFix("set the administrator by hand: az mysql flexible-server ad-admin create")
	}
	if !restores(c) {
		return d.arm.Delete(ctx, mysqlAdminPath(c.Facet.Resource), mysqlVersion)
	}
	was := c.Restore.Attrs
	before := mysqlAdminProperties{
		Login: was[connection.AttrLogin].Text, SID: was[connection.AttrPrincipalID].Text,
		TenantID: was[attrTenant].Text, Identity: was[attrIdentity].Text,
	}
	if strings.EqualFold(before.SID, b.current.SID) && before.Login == b.current.Login {
		return nil
	}
	return d.put(ctx, c.Facet.Resource, before)
}

// identity is the one the server reads the directory with: what the administrator before
// uses, or the first of those the server carries.
func (d *MySQLAdmin) identity(ctx context.Context, b *mysqlAdminBasis, server string) (string, error) {
	if b.current != nil && b.current.Identity != "" {
		return b.current.Identity, nil
	}
	var seen struct {
		Identity struct {
			Users map[string]any `json:"userAssignedIdentities"`
		} `json:"identity"`
	}
	if err := d.arm.Get(ctx, server, mysqlVersion, &seen); err != nil {
		return "", err
	}
	ids := make([]string, 0, len(seen.Identity.Users))
	for id := range seen.Identity.Users {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return "", problem.New(problem.DatabaseRefused, server, "the server carries no user-assigned identity, without which nobody can sign in to it with Entra ID").
			While("become administrator").
			WithFix("give the server an identity that has User.Read.All, GroupMember.Read.All and Application.Read.All in Microsoft Graph: az mysql flexible-server identity assign --ids %s --identity IDENTITY", server)
	}
	sort.Strings(ids)
	return ids[0], nil
}
