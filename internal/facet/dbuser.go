package facet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// DBUserOptions tell the driver how to reach databases.
type DBUserOptions struct {
	// Token fetches a token of the ossrdbms audience: the engine's password.
	Token func(ctx context.Context) (string, error)
	// Roots verify the servers' certificates; nil means the machine's own.
	Roots *x509.CertPool
	// Dial opens connections; nil dials plainly. A local address may be bound here.
	Dial pgconn.DialFunc
	// Lookup resolves host names; nil means the machine's resolver.
	Lookup pgconn.LookupFunc
	// Port is used when a host carries none; 0 means 5432.
	Port uint16
	// Patience bounds how long a write waits for the server to let the engine in,
	// while its firewall rule and administrator are on their way.
	Patience Patience
}

// DBUser drives database users of PostgreSQL flexible servers, bound to Entra
// principals. Key.Resource is the server, Key.Name the role's name. Want holds
// database, host, principalId, login (the engine's own administrator role) and
// owner (the role that inherits what the user owns when it goes).
//
// It never drops data: a user that owns objects has them reassigned first, and a
// user bound to another principal is rebound in place.
type DBUser struct{ options DBUserOptions }

// NewDBUser makes the driver.
func NewDBUser(o DBUserOptions) *DBUser {
	if o.Port == 0 {
		o.Port = 5432
	}
	o.Patience = o.Patience.orDefault()
	return &DBUser{o}
}

type dbuserBasis struct {
	failed   error // the server did not let us look
	exists   bool
	objectID string   // what the role is bound to; "" for an ordinary role
	rights   dbRights // in the wanted database
	mark     string
}

// Path is the role on its server: roles are server-wide.
func (d *DBUser) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/roles/" + strings.ToLower(f.Name)
}

// Fresh is true: the server opens to the engine only while an operation runs.
func (d *DBUser) Fresh() bool { return true }

// Rights is empty: what is needed lies inside the database.
func (d *DBUser) Rights(connection.Facet) []connection.Right { return nil }

// Read looks at the role and its grants. A server that does not let the engine
// in gives an unknown state, not an error.
func (d *DBUser) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0])
}

func (d *DBUser) read(ctx context.Context, f connection.Facet) (*dbuserBasis, error) {
	basis := &dbuserBasis{}
	err := d.within(ctx, f, "postgres", func(conn *pgx.Conn) error { return basis.look(ctx, conn, f.Name) })
	if err == nil && basis.exists && known(f.Want, connection.AttrDatabase) != "" {
		err = d.within(ctx, f, f.Want[connection.AttrDatabase].Text, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, grantedSQL, f.Name).Scan(basis.rights.fields()...)
		})
		if isState(err, invalidCatalog) {
			err = nil // no such database: nothing is granted there
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return &dbuserBasis{failed: err}, nil
	}
	return basis, nil
}

func (b *dbuserBasis) look(ctx context.Context, conn *pgx.Conn, role string) error {
	err := conn.QueryRow(ctx, roleSQL, role).Scan(&b.mark)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	b.exists, b.mark = true, markOf(b.mark)
	err = conn.QueryRow(ctx, principalSQL, role).Scan(&b.objectID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// State tells what the role is bound to. A user without its grants counts as
// missing: it was not taken over by anybody, it only has to be made again.
func (d *DBUser) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*dbuserBasis)
	switch {
	case !ok:
		return connection.State{}
	case basis.failed != nil:
		return connection.State{Unknown: true, Why: strings.Join(strings.Fields(basis.failed.Error()), " ")}
	case !basis.exists:
		return connection.State{}
	}
	state := connection.State{
		Exists:  true,
		Mark:    basis.mark,
		Attrs:   connection.Attrs{connection.AttrPrincipalID: echo(f.Want, connection.AttrPrincipalID, basis.objectID)},
		Outputs: map[string]string{connection.OutID: f.Name},
	}
	wanted, asked := f.Want[connection.AttrGrant]
	if asked {
		state.Attrs[connection.AttrGrant] = wanted
	}
	if asked && basis.rights.exceeds(wantedGrant(f)) {
		state.Attrs[connection.AttrGrant] = connection.Plain("more than " + wanted.Text)
	}
	if principal := known(f.Want, connection.AttrPrincipalID); !basis.rights.holds(wantedGrant(f)) && strings.EqualFold(principal, basis.objectID) {
		state.Exists, state.Why = false, "the user is there, its grants are not"
	}
	return state
}

// Write makes one user true or takes it away.
func (d *DBUser) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		basis, ok := b.(*dbuserBasis)
		if !ok {
			return nil, foreign(c.Facet.Resource)
		}
		basis, err := d.reach(ctx, basis, c.Facet)
		if err != nil {
			return nil, err
		}
		err = d.write(ctx, basis, c)
		if isState(err, duplicateObject) {
			// The role came between the look and the write: look again, decide again.
			if basis, err = d.read(ctx, c.Facet); err == nil {
				err = d.write(ctx, basis, c)
			}
		}
		if err != nil {
			return nil, err
		}
		after, err := d.read(ctx, c.Facet)
		if err != nil {
			return nil, err
		}
		if states[n], err = d.verify(after, c); err != nil {
			return nil, err
		}
	}
	return states, nil
}

// reach waits, within bounds, until the server lets the engine in.
func (d *DBUser) reach(ctx context.Context, b *dbuserBasis, f connection.Facet) (*dbuserBasis, error) {
	err := d.options.Patience.until(ctx, func() (bool, error) {
		if b.failed == nil {
			return false, nil
		}
		var err error
		if b, err = d.read(ctx, f); err != nil {
			return false, err
		}
		return passing(b.failed), b.failed
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (d *DBUser) write(ctx context.Context, b *dbuserBasis, c plan.Change) error {
	if c.Action == plan.Remove {
		if restores(c) {
			return d.bind(ctx, b, c.Facet, c.Restore.Attrs[connection.AttrPrincipalID].Text)
		}
		return d.drop(ctx, b, c.Facet)
	}
	principal, err := needed(c.Facet, connection.AttrPrincipalID)
	if err != nil {
		return err
	}
	if b.exists && !strings.EqualFold(b.objectID, principal) && !mayRebind(b, c) {
		return problem.New(problem.DBUserMissing, c.Facet.Resource, "the database user %q is there already and belongs to another principal", c.Facet.Name).
			While("create database user").
			WithFix("choose another connection name, or drop the user %q by hand if nobody needs it", c.Facet.Name)
	}
	if err := d.bind(ctx, b, c.Facet, principal); err != nil {
		return err
	}
	return d.grant(ctx, b, c.Facet)
}

// mayRebind tells whether a user bound to somebody else is ours: we wrote it
// before, or it carries this connection's mark.
func mayRebind(b *dbuserBasis, c plan.Change) bool {
	mark := c.Facet.Want[connection.AttrMark].Text
	ours := mark != "" && b.mark == mark
	return ours || (c.Action == plan.Update && c.Reason != plan.New)
}

// bind creates the role, or binds the one there is to another principal; data,
// grants and ownership hang on the role and stay.
func (d *DBUser) bind(ctx context.Context, b *dbuserBasis, f connection.Facet, principal string) error {
	verb := createSQL
	switch {
	case b.exists && strings.EqualFold(b.objectID, principal):
		return nil
	case principal == "":
		return nil // it was an ordinary role; there is no way back to that
	case b.exists:
		verb = updateSQL
	}
	return d.within(ctx, f, "postgres", func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, verb, f.Name, principal, principalKind(f)); err != nil {
			return err
		}
		return mark(ctx, conn, f)
	})
}

// principalKind is the server's word for what kind of principal a user is.
func principalKind(f connection.Facet) string {
	if strings.EqualFold(f.Want[connection.AttrPrincipalType].Text, "User") {
		return "user"
	}
	return "service"
}

// mark notes the connection on the role where the engine may; a server that
// refuses the comment keeps the user unmarked.
func mark(ctx context.Context, conn *pgx.Conn, f connection.Facet) error {
	text := markText(f.Want)
	if text == "" {
		return nil
	}
	_, err := conn.Exec(ctx, "COMMENT ON ROLE "+ident(f.Name)+" IS "+literal(text))
	if isState(err, insufficientPrivilege) {
		return nil
	}
	return err
}

// grant gives the user what the application needs in its database.
func (d *DBUser) grant(ctx context.Context, b *dbuserBasis, f connection.Facet) error {
	database, err := needed(f, connection.AttrDatabase)
	if err != nil {
		return err
	}
	return d.within(ctx, f, database, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			wanted := wantedGrant(f)
			statements := grantSQL(f.Name, database, wanted)
			if b.rights.exceeds(wanted) {
				statements = append(revokeSQL(f.Name, database), statements...)
				if err := revokeEach(ctx, tx, f.Name); err != nil {
					return err
				}
			}
			for _, statement := range statements {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return err
				}
			}
			return grantObjects(ctx, tx, f.Name, wanted)
		})
	})
}

// grantObjects lets the user at the tables and sequences there are. Where some
// belong to roles the engine cannot act for, the others are granted one by one.
func grantObjects(ctx context.Context, tx pgx.Tx, role string, g dbGrant) error {
	err := savepoint(ctx, tx, "GRANT "+g.tables+" ON ALL TABLES IN SCHEMA public TO "+ident(role)+
		"; GRANT "+g.sequences+" ON ALL SEQUENCES IN SCHEMA public TO "+ident(role))
	if !isState(err, insufficientPrivilege) {
		return err
	}
	return grantEach(ctx, tx, role, g)
}

func savepoint(ctx context.Context, tx pgx.Tx, statements string) error {
	return pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
		_, err := inner.Conn().PgConn().Exec(ctx, statements).ReadAll()
		return err
	})
}

// verify compares what stands now with what was asked for.
func (d *DBUser) verify(after *dbuserBasis, c plan.Change) (connection.State, error) {
	state := d.State(after, c.Facet)
	if after.failed != nil {
		return state, after.failed
	}
	if c.Action == plan.Remove {
		return state, nil
	}
	principal := c.Facet.Want[connection.AttrPrincipalID].Text
	switch {
	case !after.exists || !strings.EqualFold(after.objectID, principal):
		return state, problem.New(problem.WriteLost, c.Facet.Resource, "the database user %q is not bound to principal %s after it was written", c.Facet.Name, principal)
	case after.rights.exceeds(wantedGrant(c.Facet)):
		return state, problem.New(problem.DatabaseRefused, c.Facet.Resource, "the database user %q keeps rights that somebody else granted and only they can take back", c.Facet.Name).
			WithFix("as the owner of the database: %s", strings.Join(revokeSQL(c.Facet.Name, c.Facet.Want[connection.AttrDatabase].Text), "; "))
	case !after.rights.holds(wantedGrant(c.Facet)):
		return state, problem.New(problem.DatabaseRefused, c.Facet.Resource, "the database user %q lacks rights on database %q or its schema public, which the engine's administrator cannot grant",
			c.Facet.Name, c.Facet.Want[connection.AttrDatabase].Text).
			WithFix("as the owner of the database: %s", strings.Join(grantSQL(c.Facet.Name, c.Facet.Want[connection.AttrDatabase].Text, wantedGrant(c.Facet)), "; "))
	}
	return state, nil
}

// refusedBy turns an error of the database into a problem, SQLSTATE included.
func refusedBy(f connection.Facet, err error) error {
	var own *problem.Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	p := &problem.Error{Code: problem.DatabaseRefused, Attempt: fmt.Sprintf("work on database user %q", f.Name), Resource: f.Resource, Cause: err}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		p.Detail = fmt.Sprintf("%s (SQLSTATE %s)", answer.Message, answer.Code)
		p.Cause = &sqlError{answer.Code, answer.Message}
	}
	return p
}

// sqlError keeps of a database's answer what is safe to print: no detail, hint or
// statement text, which may quote values.
type sqlError struct{ state, message string }

func (e *sqlError) Error() string { return e.message }

func isState(err error, states ...string) bool {
	var raw *pgconn.PgError
	var kept *sqlError
	for _, s := range states {
		if (errors.As(err, &raw) && raw.Code == s) || (errors.As(err, &kept) && kept.state == s) {
			return true
		}
	}
	return false
}

// passing tells whether a refusal to let the engine in may end by itself: the
// network is not open yet, or the administrator is not known yet.
func passing(err error) bool {
	var connecting *pgconn.ConnectError
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return false
	}
	if errors.As(err, &connecting) {
		return true
	}
	return isState(err, invalidAuthorization, invalidPassword, undefinedObject, cannotConnectNow, tooManyConnections)
}
