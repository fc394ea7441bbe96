package facet

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// Names of the switches, as Key.Name spells them.
const (
	PostgresEntraSignIn = "activeDirectoryAuth"
	RedisEntraSignIn    = "aad-enabled"
)

// object is a JSON object of ARM.
type object = map[string]any

// toggle is one switch on one type of resource, as data.
type toggle struct {
	name       string   // Key.Name
	under      string   // member of properties the switch stands in
	off        string   // its value when it is absent
	readOnly   []string // neighbours that ARM answers and does not take
	apiVersion string
	action     string // prefix of the rights
	// keep adds what the service needs beside the switch in a PATCH.
	keep func(group object, d Directory)
}

// Feature drives one switch of a resource. Key.Resource is the resource,
// Key.Name the switch; Want holds value. A switch is always there: switching it
// is an update, and a removal puts the earlier value back, or off.
type Feature struct {
	arm       *arm.Client
	directory Directory
	toggle    toggle
}

// NewPostgresFeature drives Entra sign-in on a PostgreSQL flexible server
// (activeDirectoryAuth; values Enabled and Disabled).
func NewPostgresFeature(c *arm.Client, d Directory) *Feature {
	return &Feature{c, d, toggle{
		name: PostgresEntraSignIn, under: "authConfig", off: "Disabled", apiVersion: postgresVersion,
		action: "Microsoft.DBforPostgreSQL/flexibleServers/",
		keep: func(group object, d Directory) {
			if text(group["tenantId"]) == "" && d.TenantID != "" {
				group["tenantId"] = d.TenantID
			}
		},
	}}
}

// NewRedisFeature drives Entra sign-in on Azure Cache for Redis (aad-enabled;
// values true and false).
func NewRedisFeature(c *arm.Client) *Feature {
	return &Feature{c, Directory{}, toggle{
		name: RedisEntraSignIn, under: "redisConfiguration", off: "false", apiVersion: redisVersion,
		readOnly: []string{"maxclients", "preferred-data-archive-auth-method", "zonal-configuration"},
		action:   "Microsoft.Cache/redis/",
		keep:     func(object, Directory) {},
	}}
}

type featureBasis struct {
	exists bool
	group  object // what stands beside the switch, the switch included
}

// Path is the resource: its switches are written by changing it.
func (d *Feature) Path(f connection.Facet) string { return connection.FoldID(f.Resource) }

// Fresh is true: the switch is written together with its neighbours.
func (d *Feature) Fresh() bool { return true }

// Rights names reading and changing the resource.
func (d *Feature) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, d.toggle.action, "read", "write")
}

// Read reads the resource.
func (d *Feature) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0].Resource)
}

func (d *Feature) read(ctx context.Context, resource string) (*featureBasis, error) {
	var seen struct {
		Properties object `json:"properties"`
	}
	err := d.arm.Get(ctx, resource, d.toggle.apiVersion, &seen)
	if arm.IsNotFound(err) {
		return &featureBasis{}, nil
	}
	if err != nil {
		return nil, err
	}
	group, _ := seen.Properties[d.toggle.under].(object)
	return &featureBasis{true, group}, nil
}

// State tells the switch's value; absent means off.
func (d *Feature) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*featureBasis)
	if !ok || !basis.exists {
		return connection.State{}
	}
	value := d.value(basis)
	return connection.State{Exists: true, Attrs: connection.Attrs{connection.AttrValue: echo(f.Want, connection.AttrValue, value)}}
}

func (d *Feature) value(b *featureBasis) string {
	if v := text(b.group[d.toggle.name]); v != "" {
		return v
	}
	return d.toggle.off
}

// text is a JSON scalar as words; Redis answers its switches as strings, some
// versions as booleans.
func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// Write sets the switch when it stands otherwise, keeping its neighbours.
func (d *Feature) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		basis, ok := b.(*featureBasis)
		if !ok {
			return nil, foreign(c.Facet.Resource)
		}
		next, err := d.write(ctx, basis, c)
		if err != nil {
			return nil, err
		}
		b, states[n] = next, d.State(next, c.Facet)
	}
	return states, nil
}

func (d *Feature) write(ctx context.Context, b *featureBasis, c plan.Change) (*featureBasis, error) {
	if !strings.EqualFold(c.Facet.Name, d.toggle.name) {
		return nil, problem.New(problem.Internal, c.Facet.Resource, "there is no switch %s", c.Facet.Name)
	}
	value := c.Facet.Want[connection.AttrValue].Text
	if c.Action == plan.Remove {
		value = d.toggle.off
		if restores(c) {
			value = c.Restore.Attrs[connection.AttrValue].Text
		}
		if !b.exists {
			return b, nil // gone with its resource
		}
	}
	if strings.EqualFold(d.value(b), value) {
		return b, nil
	}
	group := maps.Clone(b.group)
	if group == nil {
		group = object{}
	}
	for name, v := range group {
		if v == nil {
			delete(group, name)
		}
	}
	for _, name := range d.toggle.readOnly {
		delete(group, name)
	}
	d.toggle.keep(group, d.directory)
	group[d.toggle.name] = value
	body := object{"properties": object{d.toggle.under: group}}
	if err := d.arm.Patch(ctx, c.Facet.Resource, d.toggle.apiVersion, body, nil); err != nil {
		return nil, err
	}
	after, err := d.read(ctx, c.Facet.Resource)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(d.value(after), value) {
		return nil, problem.New(problem.WriteLost, c.Facet.Resource, "%s is %s after it was set to %s", d.toggle.name, d.value(after), value)
	}
	return after, nil
}
