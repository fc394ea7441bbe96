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

const redisEnterpriseVersion = "2025-07-01"

// RedisEnterpriseAccess drives access policy assignments of a database of Redis
// Enterprise or Azure Managed Redis. Key.Resource is the database; Key.Name names
// the assignment (a name the service does not take is replaced by one made from it). Want holds policy and principalId. The service
// keeps no text with an assignment, so there is no mark on it.
type RedisEnterpriseAccess struct{ arm *arm.Client }

// NewRedisEnterpriseAccess makes the driver.
func NewRedisEnterpriseAccess(c *arm.Client) *RedisEnterpriseAccess {
	return &RedisEnterpriseAccess{c}
}

type databaseAssignment struct {
	ID         string                       `json:"id,omitempty"`
	Name       string                       `json:"name,omitempty"`
	Properties databaseAssignmentProperties `json:"properties"`
}

type databaseAssignmentProperties struct {
	Policy string `json:"accessPolicyName"`
	User   struct {
		ObjectID string `json:"objectId"`
	} `json:"user"`
}

var databaseAccessPattern = regexp.MustCompile(`^[A-Za-z0-9]{1,60}$`)

// databaseAccessName is a name the service takes: letters and digits only.
func databaseAccessName(name string) string {
	short := strings.ReplaceAll(name, "-", "")
	if databaseAccessPattern.MatchString(short) {
		return short
	}
	return strings.ReplaceAll(uuid.NewSHA1(assignmentNames, []byte(strings.ToLower(name))).String(), "-", "")
}

type databaseAccessBasis struct{ assignments []databaseAssignment }

// Path is the database's collection of assignments: the service changes one at a time.
func (d *RedisEnterpriseAccess) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/accesspolicyassignments"
}

// Fresh is false: each assignment is an object of its own.
func (d *RedisEnterpriseAccess) Fresh() bool { return false }

// Rights names reading, writing and deleting assignments of the database.
func (d *RedisEnterpriseAccess) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, "Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments/", "read", "write", "delete")
}

// Read lists the database's assignments.
func (d *RedisEnterpriseAccess) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	all, err := arm.ListAll[databaseAssignment](ctx, d.arm, facets[0].Resource+"/accessPolicyAssignments", redisEnterpriseVersion)
	if err != nil && !arm.IsNotFound(err) {
		return nil, err
	}
	return &databaseAccessBasis{all}, nil
}

// State finds the assignment of our name, or another one that grants the same.
func (d *RedisEnterpriseAccess) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*databaseAccessBasis)
	if !ok {
		return connection.State{}
	}
	for _, a := range basis.assignments {
		if strings.EqualFold(lastName(a.ID, a.Name), databaseAccessName(f.Name)) {
			return databaseAccessState(f, a)
		}
	}
	policy, principal := known(f.Want, connection.AttrPolicy), known(f.Want, connection.AttrPrincipalID)
	for _, a := range basis.assignments {
		if principal != "" && strings.EqualFold(a.Properties.User.ObjectID, principal) && strings.EqualFold(a.Properties.Policy, policy) {
			return databaseAccessState(f, a)
		}
	}
	return connection.State{}
}

func databaseAccessState(f connection.Facet, a databaseAssignment) connection.State {
	return connection.State{
		Exists: true,
		Attrs: connection.Attrs{
			connection.AttrPolicy:      echo(f.Want, connection.AttrPolicy, a.Properties.Policy),
			connection.AttrPrincipalID: echo(f.Want, connection.AttrPrincipalID, a.Properties.User.ObjectID),
		},
		Outputs: map[string]string{connection.OutID: a.ID},
	}
}

// Write grants or takes away, one assignment per change.
func (d *RedisEnterpriseAccess) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
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

func (d *RedisEnterpriseAccess) write(ctx context.Context, b any, c plan.Change) (connection.State, error) {
	path := c.Facet.Resource + "/accessPolicyAssignments/" + databaseAccessName(c.Facet.Name)
	if !wanted(c) {
		return connection.State{}, d.arm.Delete(ctx, path, redisEnterpriseVersion)
	}
	want := c.Facet
	if c.Action == plan.Remove {
		want.Want = maps.Clone(c.Restore.Attrs)
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
	if is.Exists { // as for Redis, an assignment is made anew rather than changed
		if err := d.arm.Delete(ctx, path, redisEnterpriseVersion); err != nil {
			return connection.State{}, err
		}
	}
	body := databaseAssignment{Properties: databaseAssignmentProperties{Policy: policy}}
	body.Properties.User.ObjectID = principal
	var made databaseAssignment
	if err := d.arm.Put(ctx, path, redisEnterpriseVersion, body, &made); err != nil {
		return connection.State{}, err
	}
	return databaseAccessState(want, made), nil
}
