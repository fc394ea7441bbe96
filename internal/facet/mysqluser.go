package facet

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// MySQLUserOptions tell the driver how to reach databases.
type MySQLUserOptions struct {
	// Token fetches a token of the ossrdbms audience: the engine's password.
	Token func(ctx context.Context) (string, error)
	// Roots verify the servers' certificates; nil means the machine's own.
	Roots *x509.CertPool
	// Dial opens connections; nil dials plainly. A local address may be bound here.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Port is used when a host carries none; 0 means 3306.
	Port uint16
	// Patience bounds how long a write waits for the server to let the engine in.
	Patience Patience
}

// MySQLUser drives database users of MySQL flexible servers, bound to Entra
// principals. Key.Resource is the server, Key.Name the user's name. Want holds
// database, host, principalId, clientId (the id the server knows applications by; a
// person's object id), login (the engine's own administrator) and grant.
//
// It never drops data: tables belong to nobody. A user whose name views, routines,
// triggers or events carry as their definer stays, because without it they no longer
// run; one that is bound to another principal is never taken over unless it was ours.
type MySQLUser struct{ options MySQLUserOptions }

// NewMySQLUser makes the driver.
func NewMySQLUser(o MySQLUserOptions) *MySQLUser {
	if o.Port == 0 {
		o.Port = 3306
	}
	o.Patience = o.Patience.orDefault()
	return &MySQLUser{o}
}

type mysqlUserBasis struct {
	failed error // the server did not let us look
	exists bool
	bound  string   // the id the user is bound to; "" for an ordinary user
	held   []string // its privileges in the wanted database
}

// Path is the user on its server: users are server-wide.
func (d *MySQLUser) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/users/" + strings.ToLower(f.Name)
}

// Fresh is true: the server opens to the engine only while an operation runs.
func (d *MySQLUser) Fresh() bool { return true }

// Rights is empty: what is needed lies inside the database.
func (d *MySQLUser) Rights(connection.Facet) []connection.Right { return nil }

// Read looks at the user and its grants. A server that does not let the engine in
// gives an unknown state, not an error.
func (d *MySQLUser) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0])
}

func (d *MySQLUser) read(ctx context.Context, f connection.Facet) (*mysqlUserBasis, error) {
	basis := &mysqlUserBasis{}
	err := d.within(ctx, f, func(conn *sql.Conn) error { return basis.look(ctx, conn, f) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return &mysqlUserBasis{failed: err}, nil
	}
	return basis, nil
}

const (
	mysqlUserSQL = `SELECT plugin, authentication_string FROM mysql.user WHERE User = ? AND Host = '%'`

	// The grantee is written with its quotes, unescaped; the database as a pattern.
	mysqlHeldSQL = `SELECT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES
		WHERE GRANTEE = CONCAT('''', ?, '''@''%''') AND TABLE_SCHEMA IN (?, ?) ORDER BY PRIVILEGE_TYPE`

	// mysqlDefinedSQL names what runs in the user's name.
	mysqlDefinedSQL = `SELECT CONCAT('view ', TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.VIEWS WHERE DEFINER = CONCAT(?, '@%')
		UNION SELECT CONCAT(LOWER(ROUTINE_TYPE), ' ', ROUTINE_SCHEMA, '.', ROUTINE_NAME) FROM information_schema.ROUTINES WHERE DEFINER = CONCAT(?, '@%')
		UNION SELECT CONCAT('trigger ', TRIGGER_SCHEMA, '.', TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE DEFINER = CONCAT(?, '@%')
		UNION SELECT CONCAT('event ', EVENT_SCHEMA, '.', EVENT_NAME) FROM information_schema.EVENTS WHERE DEFINER = CONCAT(?, '@%') ORDER BY 1`
)

// aGUID finds the principal in what the server keeps of an Entra user, which has more
// around it (mem).
var aGUID = regexp.MustCompile(`(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func (b *mysqlUserBasis) look(ctx context.Context, conn *sql.Conn, f connection.Facet) error {
	var plugin, kept sql.NullString
	err := conn.QueryRowContext(ctx, mysqlUserSQL, f.Name).Scan(&plugin, &kept)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	b.exists = true
	if plugin.String == "aad_auth" {
		b.bound = strings.ToLower(aGUID.FindString(kept.String))
	}
	if database := known(f.Want, connection.AttrDatabase); database != "" {
		b.held, err = column(ctx, conn, mysqlHeldSQL, f.Name, database, mysqlPattern(database))
	}
	return err
}

// column reads a query's only column.
func column(ctx context.Context, conn *sql.Conn, query string, args ...any) ([]string, error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, rows.Err()
}

// State tells what the user is bound to. A user without its grants counts as missing:
// it was not taken over by anybody, it only has to be made again.
func (d *MySQLUser) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*mysqlUserBasis)
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
		Attrs:   connection.Attrs{connection.AttrClientID: echo(f.Want, connection.AttrClientID, basis.bound)},
		Outputs: map[string]string{connection.OutID: f.Name},
	}
	wanted := wantedMySQLGrant(f)
	if asked, ok := f.Want[connection.AttrGrant]; ok {
		state.Attrs[connection.AttrGrant] = asked
		if beyond := wanted.beyond(basis.held); len(beyond) > 0 {
			state.Attrs[connection.AttrGrant] = connection.Plain("more than " + asked.Text)
		}
	}
	if len(wanted.lacks(basis.held)) > 0 && strings.EqualFold(known(f.Want, connection.AttrClientID), basis.bound) {
		state.Exists, state.Why = false, "the user is there, its grants are not"
	}
	return state
}

// Write makes one user true or takes it away.
func (d *MySQLUser) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		basis, ok := b.(*mysqlUserBasis)
		if !ok {
			return nil, foreign(c.Facet.Resource)
		}
		basis, err := d.reach(ctx, basis, c.Facet)
		if err != nil {
			return nil, err
		}
		err = d.write(ctx, basis, c)
		if isMySQL(err, mysqlCannotUser) {
			// The user came or went between the look and the write: look again, decide again.
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
func (d *MySQLUser) reach(ctx context.Context, b *mysqlUserBasis, f connection.Facet) (*mysqlUserBasis, error) {
	err := d.options.Patience.until(ctx, func() (bool, error) {
		if b.failed == nil {
			return false, nil
		}
		var err error
		if b, err = d.read(ctx, f); err != nil {
			return false, err
		}
		return mysqlPassing(b.failed), b.failed
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (d *MySQLUser) write(ctx context.Context, b *mysqlUserBasis, c plan.Change) error {
	if b.failed != nil {
		return b.failed
	}
	f := c.Facet
	if c.Action == plan.Remove {
		if !restores(c) {
			return d.drop(ctx, b, f)
		}
		f.Want = overlaid(f.Want, c.Restore.Attrs)
	}
	client, err := needed(f, connection.AttrClientID)
	if err != nil {
		if restores(c) {
			return nil // it was an ordinary user; there is no way back to that
		}
		return err
	}
	rebind := b.exists && !strings.EqualFold(b.bound, client)
	if rebind && (c.Action == plan.Create || c.Action == plan.Update && c.Reason == plan.New) {
		return problem.New(problem.DBUserMissing, f.Resource, "the database user %q is there already and belongs to another principal", f.Name).
			While("create database user").
			WithFix("choose another connection name, or drop the user %q by hand if nobody needs it", f.Name)
	}
	return d.within(ctx, f, func(conn *sql.Conn) error { return d.make(ctx, conn, b, f, client) })
}

func overlaid(want, seen connection.Attrs) connection.Attrs {
	out := connection.Attrs{}
	for _, from := range []connection.Attrs{want, seen} {
		for name, v := range from {
			out[name] = v
		}
	}
	return out
}

// make creates the user where it is not, or binds it anew where it is another's, and
// grants it what it lacks.
func (d *MySQLUser) make(ctx context.Context, conn *sql.Conn, b *mysqlUserBasis, f connection.Facet, client string) error {
	var statements, again []string
	if bound := b.exists && strings.EqualFold(b.bound, client); !bound {
		if b.exists { // there is no binding anew in place; what it was granted elsewhere goes with it
			var err error
			if again, err = grantsOf(ctx, conn, f.Name); err != nil {
				return err
			}
			statements = append(statements, "DROP USER "+mysqlAccount(f.Name))
		}
		// A managed identity is known by its client id, which no object id of the tenant is.
		statements = append(statements, "SET aad_auth_validate_oids_in_tenant = OFF",
			"CREATE AADUSER "+mysqlLiteral(f.Name)+" IDENTIFIED BY "+mysqlLiteral(client))
	}
	grants, err := grantStatements(b, f)
	if err != nil {
		return err
	}
	for _, s := range append(append(statements, again...), grants...) {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// grantsOf are the statements that give a user again what it has.
func grantsOf(ctx context.Context, conn *sql.Conn, user string) ([]string, error) {
	all, err := column(ctx, conn, "SHOW GRANTS FOR "+mysqlAccount(user))
	if isMySQL(err, mysqlNoGrants) {
		return nil, nil
	}
	var out []string
	for _, s := range all {
		if !strings.HasPrefix(s, "GRANT USAGE ON *.*") { // every user has it, and it may say how it signs in
			out = append(out, s)
		}
	}
	return out, err
}

// grantStatements bring the privileges in the facet's database to what it asks for.
func grantStatements(b *mysqlUserBasis, f connection.Facet) ([]string, error) {
	database, err := needed(f, connection.AttrDatabase)
	if err != nil {
		return nil, err
	}
	wanted := wantedMySQLGrant(f)
	out := []string{"GRANT " + strings.Join(wanted.privileges, ", ") + " ON " + mysqlDatabase(database) + ".* TO " + mysqlAccount(f.Name)}
	if beyond := wanted.beyond(b.held); b.exists && len(beyond) > 0 {
		out = append(out, "REVOKE "+strings.Join(beyond, ", ")+" ON "+mysqlDatabase(database)+".* FROM "+mysqlAccount(f.Name))
	}
	return out, nil
}

// drop takes the user away. Where something runs in its name it stays, and the error
// says what.
func (d *MySQLUser) drop(ctx context.Context, b *mysqlUserBasis, f connection.Facet) error {
	if !b.exists {
		return nil
	}
	return d.within(ctx, f, func(conn *sql.Conn) error {
		defined, err := column(ctx, conn, mysqlDefinedSQL, f.Name, f.Name, f.Name, f.Name)
		if err != nil {
			return err
		}
		if len(defined) > 0 {
			return problem.New(problem.Remainder, f.Resource, "the database user %q stays: it is the definer of %s, which would no longer run", f.Name, strings.Join(defined, ", ")).
				While("drop database user").
				WithFix("create them again with another DEFINER, then once: DROP USER %s", mysqlAccount(f.Name))
		}
		_, err = conn.ExecContext(ctx, "DROP USER IF EXISTS "+mysqlAccount(f.Name))
		return err
	})
}

// verify compares what stands now with what was asked for.
func (d *MySQLUser) verify(after *mysqlUserBasis, c plan.Change) (connection.State, error) {
	state := d.State(after, c.Facet)
	if after.failed != nil {
		return state, after.failed
	}
	if c.Action == plan.Remove {
		return state, nil
	}
	wanted := wantedMySQLGrant(c.Facet)
	lacks, beyond := wanted.lacks(after.held), wanted.beyond(after.held)
	switch client := c.Facet.Want[connection.AttrClientID].Text; {
	case !after.exists || !strings.EqualFold(after.bound, client):
		return state, problem.New(problem.WriteLost, c.Facet.Resource, "the database user %q is not bound to client id %s after it was written", c.Facet.Name, client)
	case len(lacks)+len(beyond) > 0:
		return state, problem.New(problem.WriteLost, c.Facet.Resource, "the database user %q has other rights than it was given: %s", c.Facet.Name,
			fmt.Sprintf("it lacks %d and has %d too many", len(lacks), len(beyond)))
	}
	return state, nil
}
