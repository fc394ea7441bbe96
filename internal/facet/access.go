package facet

import (
	"context"
	"maps"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

const redisVersion = "2024-11-01"

// RedisAccess drives access policy assignments of Azure Cache for Redis.
// Key.Resource is the cache; Key.Name names the assignment (a name the service
// does not take is replaced by a stable one made from it). Want holds policy and
// principalId.
type RedisAccess struct{ arm *arm.Client }

// NewRedisAccess makes the driver.
func NewRedisAccess(c *arm.Client) *RedisAccess { return &RedisAccess{c} }

type accessAssignment struct {
	ID         string           `json:"id,omitempty"`
	Name       string           `json:"name,omitempty"`
	Properties accessProperties `json:"properties"`
}

type accessProperties struct {
	Policy   string `json:"accessPolicyName"`
	ObjectID string `json:"objectId"`
	Alias    string `json:"objectIdAlias"`
}

type accessBasis struct{ assignments []accessAssignment }

// Path is the cache's collection of assignments: the service changes one at a time.
func (d *RedisAccess) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/accesspolicyassignments"
}

// Fresh is false: each assignment is an object of its own.
func (d *RedisAccess) Fresh() bool { return false }

// Rights names reading, writing and deleting assignments of the cache.
func (d *RedisAccess) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, "Microsoft.Cache/redis/accessPolicyAssignments/", "read", "write", "delete")
}

// Read lists the cache's assignments.
func (d *RedisAccess) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	all, err := arm.ListAll[accessAssignment](ctx, d.arm, facets[0].Resource+"/accessPolicyAssignments", redisVersion)
	if err != nil && !arm.IsNotFound(err) {
		return nil, err
	}
	return &accessBasis{all}, nil
}

// State finds the assignment of our name, or another one that grants the same.
func (d *RedisAccess) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*accessBasis)
	if !ok {
		return connection.State{}
	}
	name := accessName(f.Name)
	for _, a := range basis.assignments {
		if strings.EqualFold(lastName(a.ID, a.Name), name) {
			return accessState(f, a)
		}
	}
	policy, principal := known(f.Want, connection.AttrPolicy), known(f.Want, connection.AttrPrincipalID)
	for _, a := range basis.assignments {
		if principal != "" && strings.EqualFold(a.Properties.ObjectID, principal) && strings.EqualFold(a.Properties.Policy, policy) {
			return accessState(f, a)
		}
	}
	return connection.State{}
}

func accessState(f connection.Facet, a accessAssignment) connection.State {
	return connection.State{
		Exists: true,
		Attrs: connection.Attrs{
			connection.AttrPolicy:      echo(f.Want, connection.AttrPolicy, a.Properties.Policy),
			connection.AttrPrincipalID: echo(f.Want, connection.AttrPrincipalID, a.Properties.ObjectID),
		},
		Outputs: map[string]string{connection.OutID: a.ID},
		Mark:    markOf(a.Properties.Alias),
	}
}

// lastName is an object's own name; lists answer it as "cache/name" at times.
func lastName(id, name string) string {
	if id != "" {
		name = id
	}
	return name[strings.LastIndex(name, "/")+1:]
}

var accessNamePattern = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{1,61}[a-zA-Z0-9])$`)

// accessName is a name the service takes.
func accessName(name string) string {
	if accessNamePattern.MatchString(name) {
		return name
	}
	return uuid.NewSHA1(assignmentNames, []byte(strings.ToLower(name))).String()
}

// Write grants or takes away, one assignment per change.
func (d *RedisAccess) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
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

func (d *RedisAccess) write(ctx context.Context, b any, c plan.Change) (connection.State, error) {
	path := c.Facet.Resource + "/accessPolicyAssignments/" + accessName(c.Facet.Name)
	if c.Action == plan.Remove && !restores(c) {
		return connection.State{}, d.arm.Delete(ctx, path, redisVersion)
	}
	want := c.Facet
	if c.Action == plan.Remove {
		want.Want = maps.Clone(c.Restore.Attrs)
		want.Want[connection.AttrMark] = connection.Plain(c.Restore.Mark)
	}
	policy, err := needed(want, connection.AttrPolicy)
	if err != nil {
		return connection.State{}, err
	}
	principal, err := needed(want, connection.AttrPrincipalID)
	if err != nil {
		return connection.State{}, err
	}
	is := d.State(b, want)
	if is.Exists && strings.EqualFold(is.Attrs[connection.AttrPolicy].Text, policy) && strings.EqualFold(is.Attrs[connection.AttrPrincipalID].Text, principal) {
		return is, nil
	}
	if is.Exists {
		// The service takes no change of an assignment's principal or policy.
		if err := d.arm.Delete(ctx, path, redisVersion); err != nil {
			return connection.State{}, err
		}
	}
	alias := markText(want.Want)
	if alias == "" {
		alias = principal
	}
	var made accessAssignment
	body := accessAssignment{Properties: accessProperties{Policy: policy, ObjectID: principal, Alias: alias}}
	if err := d.arm.Put(ctx, path, redisVersion, body, &made); err != nil {
		return connection.State{}, err
	}
	return accessState(want, made), nil
}
