package facet

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// SQLUserOptions tell the driver how to reach databases.
type SQLUserOptions struct {
	// Token fetches a token of the sql audience: the engine's way in.
	Token func(ctx context.Context) (string, error)
	// Roots verify the servers' certificates; nil means the machine's own.
	Roots *x509.CertPool
	// Dial opens connections; nil dials plainly.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Patience bounds how long a write waits for the server to let the engine in.
	Patience Patience
}

// SQLUser drives users of SQL databases that stand for Entra principals. Key.Resource is
// where the users live, Key.Name the name a new one gets. Want holds database, host,
// principalId, clientId (what the server knows the principal by) and grant. It stands for
// databases of Fabric too, which have an address instead of an ARM id, and so is asked about
// whatever nobody else answers for; the rest of that it refuses.
//
// A database binds a user to its principal by SID and takes one user per SID, so the user
// is found by SID, whatever its name: a name is a label here, and where it is taken by
// somebody else's user the new one gets a tail. What we did to a user stands in a note on
// it, an extended property: that we made it, or which roles we added. So several connections
// can share a user, and a user that was there before them loses nothing but those roles.
//
// It never drops data: before a user goes, the schemas it owns pass to dbo, and what is in
// them with them.
type SQLUser struct{ options SQLUserOptions }

// NewSQLUser makes the driver.
func NewSQLUser(o SQLUserOptions) *SQLUser {
	o.Patience = o.Patience.orDefault()
	return &SQLUser{o}
}

type sqlUserBasis struct {
	failed error // the server did not let us look
	bound  *sqlPrincipal
	noted  *sqlPrincipal // carries this facet's note; bound itself, most of the time
	taken  bool          // the facet's name is another principal's user
}

// sqlPrincipal is a user as its database has it.
type sqlPrincipal struct {
	id      int64
	name    string
	sid     []byte
	roles   []string
	schemas []string // that it owns
	notes   map[string]string
}

// Path is the user in its database.
func (d *SQLUser) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/users/" + strings.ToLower(f.Name)
}

// Fresh is true: the server opens to the engine only while an operation runs.
func (d *SQLUser) Fresh() bool { return true }

// Rights is empty: what is needed lies inside the database.
func (d *SQLUser) Rights(connection.Facet) []connection.Right { return nil }

// Read looks at the users in question. A server that does not let the engine in gives
// an unknown state, not an error.
func (d *SQLUser) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	f := facets[0]
	if !inFabric(f) && !strings.Contains(connection.FoldID(f.Resource), "/providers/microsoft.sql/") {
		return nil, problem.New(problem.SourceUnsupported, f.Resource, "no driver writes a database user on %s", connection.TypeOf(f.Resource))
	}
	return d.read(ctx, f)
}

func (d *SQLUser) read(ctx context.Context, f connection.Facet) (*sqlUserBasis, error) {
	basis := &sqlUserBasis{}
	err := d.within(ctx, f, func(conn *sql.Conn) error { return basis.look(ctx, conn, f) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if isNumber(err, sqlNoDatabase) {
		return &sqlUserBasis{}, nil // no such database: nobody is in it
	}
	if err != nil {
		return &sqlUserBasis{failed: err}, nil
	}
	return basis, nil
}

// State tells who the user stands for and what it may do. A user without its roles, or
// one that is Patchbay's and not yet noted for this connection, counts as missing: it
// only has to be made complete.
func (d *SQLUser) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*sqlUserBasis)
	switch {
	case !ok:
		return connection.State{}
	case basis.failed != nil:
		return connection.State{Unknown: true, Why: strings.Join(strings.Fields(basis.failed.Error()), " ")}
	}
	user := basis.noted
	if user == nil {
		user = basis.bound
	}
	if user == nil {
		return connection.State{}
	}
	note := readNote(user.notes[noteName(f)])
	state := connection.State{Exists: true, Mark: note.mark, Outputs: map[string]string{connection.OutID: user.name},
		Attrs: connection.Attrs{connection.AttrClientID: echo(f.Want, connection.AttrClientID, sqlGUID(user.sid))}}
	if user != basis.bound {
		return state // ours, and bound to an earlier incarnation
	}
	wanted, asked := f.Want[connection.AttrGrant]
	switch {
	case len(sqlLacks(sqlRoles(f), user.roles)) > 0:
		state.Exists, state.Why = false, fmt.Sprintf("the user %q is there, its roles are not", user.name)
	case note.kind == "" && len(user.notes) > 0:
		state.Exists, state.Why = false, fmt.Sprintf("the user %q is another connection's so far", user.name)
	case asked && note.kind == noteMade && len(user.notes) == 1 && len(sqlExceeds(sqlRoles(f), user.roles)) > 0:
		state.Attrs[connection.AttrGrant] = connection.Plain(strings.Join(user.roles, ","))
	case asked:
		state.Attrs[connection.AttrGrant] = wanted
	}
	return state
}

// Write makes one user true or takes it away.
func (d *SQLUser) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		basis, ok := b.(*sqlUserBasis)
		if !ok {
			return nil, foreign(c.Facet.Resource)
		}
		after, err := d.change(ctx, basis, c)
		if err != nil {
			return nil, err
		}
		if states[n], err = d.verify(after, c); err != nil {
			return nil, err
		}
	}
	return states, nil
}

// change waits, within bounds, until the server lets the engine in, then writes in one
// transaction from a look inside it.
func (d *SQLUser) change(ctx context.Context, b *sqlUserBasis, c plan.Change) (*sqlUserBasis, error) {
	if restores(c) { // an earlier state of ours comes back
		c.Action, c.Facet.Want = plan.Update, restored(c)
	}
	err := d.options.Patience.until(ctx, func() (bool, error) {
		err := d.within(ctx, c.Facet, func(conn *sql.Conn) error { return d.transact(ctx, conn, c) })
		if c.Action == plan.Remove && isNumber(err, sqlNoDatabase) {
			return false, nil // the database is gone, and who was in it
		}
		// Somebody else may have made the user between the look and the write.
		return passingSQL(err) || isNumber(err, sqlNameTaken, sqlPrincipalHas), err
	})
	if err != nil {
		return nil, err
	}
	return d.read(ctx, c.Facet)
}

func restored(c plan.Change) connection.Attrs {
	want := connection.Attrs{}
	for name, v := range c.Facet.Want {
		want[name] = v
	}
	for _, name := range []string{connection.AttrClientID, connection.AttrGrant} {
		if v, ok := c.Restore.Attrs[name]; ok {
			want[name] = v
		}
	}
	return want
}

func (d *SQLUser) transact(ctx context.Context, conn *sql.Conn, c plan.Change) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing to take back
	basis := &sqlUserBasis{}
	if err := basis.look(ctx, tx, c.Facet); err != nil {
		return err
	}
	w := &sqlWriter{ctx: ctx, tx: tx}
	if c.Action == plan.Remove {
		w.leave(basis.noted, c.Facet)
	} else {
		w.join(basis, c.Facet)
	}
	if w.err != nil {
		return w.err
	}
	return tx.Commit()
}

// verify compares what stands now with what was asked for.
func (d *SQLUser) verify(after *sqlUserBasis, c plan.Change) (connection.State, error) {
	state := d.State(after, c.Facet)
	switch {
	case after.failed != nil:
		return state, after.failed
	case c.Action != plan.Remove && !state.Exists:
		return state, problem.New(problem.WriteLost, c.Facet.Resource, "the database user %q is not what it was written to be", c.Facet.Name)
	}
	return state, nil
}

// labelFor is the name of a new user: the facet's, with a tail where that one is taken.
func labelFor(f connection.Facet, taken bool, sid []byte) string {
	if !taken {
		return f.Name
	}
	sum := sha256.Sum256(sid)
	return f.Name + "_" + hex.EncodeToString(sum[:4])
}

// joinRoles are the roles a user must be given, and those of its making to be taken.
func joinRoles(user *sqlPrincipal, f connection.Facet, made bool) (add, drop []string) {
	add = sqlLacks(sqlRoles(f), user.roles)
	if made {
		drop = sqlExceeds(sqlRoles(f), user.roles)
	}
	if slices.Contains(drop, "db_owner") { // which stood for all of them
		add = sqlLacks(sqlRoles(f), slices.DeleteFunc(slices.Clone(user.roles), func(r string) bool { return r == "db_owner" }))
	}
	return add, drop
}
