package facet

import (
	"context"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

const postgresVersion = "2025-08-01"

// Directory says where principals live and of what kind the engine's own is.
type Directory struct {
	TenantID      string // "" lets the service take the subscription's
	PrincipalType string // User, Group or ServicePrincipal; "" means ServicePrincipal
}

// ServerAdmin drives the Entra administrators of a PostgreSQL flexible server.
// Key.Resource is the server; Key.Name is opaque; Want holds principalId and
// login (the administrator's role name). Its outputs are id and login: a principal
// that is administrator already keeps the name it has.
type ServerAdmin struct {
	arm       *arm.Client
	directory Directory
}

// NewServerAdmin makes the driver.
func NewServerAdmin(c *arm.Client, d Directory) *ServerAdmin {
	if d.PrincipalType == "" {
		d.PrincipalType = "ServicePrincipal"
	}
	return &ServerAdmin{c, d}
}

type administrator struct {
	ID         string `json:"id,omitempty"`
	Name       string `json:"name,omitempty"`
	Properties struct {
		ObjectID      string `json:"objectId,omitempty"`
		PrincipalName string `json:"principalName"`
		PrincipalType string `json:"principalType"`
		TenantID      string `json:"tenantId,omitempty"`
	} `json:"properties"`
}

func (a administrator) is(principal string) bool {
	return principal != "" && (strings.EqualFold(a.Properties.ObjectID, principal) || strings.EqualFold(lastName(a.ID, a.Name), principal))
}

type adminBasis struct{ administrators []administrator }

// Path is the server's collection of administrators.
func (d *ServerAdmin) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/administrators"
}

// Fresh is false: each administrator is an object of its own.
func (d *ServerAdmin) Fresh() bool { return false }

// Rights names reading, writing and deleting administrators of the server.
func (d *ServerAdmin) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, "Microsoft.DBforPostgreSQL/flexibleServers/administrators/", "read", "write", "delete")
}

// Read lists the server's administrators.
func (d *ServerAdmin) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	all, err := arm.ListAll[administrator](ctx, d.arm, facets[0].Resource+"/administrators", postgresVersion)
	if err != nil && !arm.IsNotFound(err) {
		return nil, err
	}
	return &adminBasis{all}, nil
}

// State tells whether the principal is an administrator, under whatever name.
func (d *ServerAdmin) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*adminBasis)
	principal := known(f.Want, connection.AttrPrincipalID)
	if !ok || principal == "" {
		return connection.State{}
	}
	for _, a := range basis.administrators {
		if a.is(principal) {
			return adminState(f, a.ID, a.Properties.PrincipalName)
		}
	}
	return connection.State{}
}

func adminState(f connection.Facet, id, login string) connection.State {
	// The login is no attribute: another name serves as well.
	attrs := connection.Attrs{connection.AttrPrincipalID: f.Want[connection.AttrPrincipalID]}
	return connection.State{Exists: true, Attrs: attrs, Outputs: map[string]string{connection.OutID: id, connection.AttrLogin: login}}
}

// Write adds or removes administrators, one at a time.
func (d *ServerAdmin) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		state, err := d.write(ctx, b, c)
		if err != nil {
			return nil, err
		}
		states[n] = state
	}
	return states, nil
}

func (d *ServerAdmin) write(ctx context.Context, b any, c plan.Change) (connection.State, error) {
	principal, err := needed(c.Facet, connection.AttrPrincipalID)
	if err != nil {
		return connection.State{}, err
	}
	path := c.Facet.Resource + "/administrators/" + principal
	if c.Action == plan.Remove {
		if restores(c) {
			return d.State(b, c.Facet), nil // it was administrator before us and stays
		}
		return connection.State{}, d.arm.Delete(ctx, path, postgresVersion)
	}
	if is := d.State(b, c.Facet); is.Exists {
		return is, nil
	}
	var body administrator
	if body.Properties.PrincipalName, err = needed(c.Facet, connection.AttrLogin); err != nil {
		return connection.State{}, err
	}
	body.Properties.PrincipalType, body.Properties.TenantID = d.directory.PrincipalType, d.directory.TenantID
	var made administrator
	if err := d.arm.Put(ctx, path, postgresVersion, body, &made); err != nil {
		return connection.State{}, err
	}
	return adminState(c.Facet, path, made.Properties.PrincipalName), nil
}
