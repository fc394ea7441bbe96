package facet

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// SQLSTATEs that are told apart.
const (
	invalidAuthorization  = "28000"
	invalidPassword       = "28P01"
	invalidCatalog        = "3D000"
	insufficientPrivilege = "42501"
	undefinedObject       = "42704"
	duplicateObject       = "42710"
	tooManyConnections    = "53300"
	cannotConnectNow      = "57P03"
)

const (
	roleSQL = `SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1`

	// The two lists overlap or not, depending on the server's version; both are asked for.
	principalSQL = `SELECT objectid FROM (
		SELECT * FROM pgaadauth_list_principals(false) UNION SELECT * FROM pgaadauth_list_principals(true)) AS p
		WHERE rolname = $1 LIMIT 1`

	createSQL = `SELECT pgaadauth_create_principal_with_oid($1, $2, $3, false, false)`
	updateSQL = `SELECT pgaadauth_update_principal_with_oid($1, $2, $3, false, false)`

	// elsewhereSQL names other databases in which the role owns something or holds privileges.
	elsewhereSQL = `SELECT DISTINCT d.datname FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
		WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = (SELECT oid FROM pg_roles WHERE rolname = $1)
		AND d.datname <> current_database() ORDER BY 1`

	// ownedSQL counts what the role owns here and among the shared objects.
	ownedSQL = `SELECT count(*) FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND deptype = 'o'
		AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = $1)
		AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))`

	memberSQL = `SELECT pg_has_role(current_user, $1::name, 'USAGE')`
)

// ident quotes an SQL identifier. A zero byte, which PostgreSQL knows no way to
// write, is left out.
func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal quotes an SQL string, backslashes included, whatever the server's
// standard_conforming_strings says.
func literal(text string) string {
	text = strings.ReplaceAll(text, "\x00", "")
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// drop takes the user away: what it owns in the connection's database passes to
// the owner, its privileges go, then the role. Where another database holds
// things of it, the role stays and the error says where.
func (d *DBUser) drop(ctx context.Context, b *dbuserBasis, f connection.Facet) error {
	if !b.exists {
		return nil
	}
	database, err := needed(f, connection.AttrDatabase)
	if err != nil {
		return err
	}
	var elsewhere []string
	work := func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
			elsewhere, err = dropHere(ctx, tx, f)
			return err
		})
	}
	err = d.within(ctx, f, database, work)
	if isState(err, invalidCatalog) {
		err = d.within(ctx, f, "postgres", work) // the database is gone, and what was in it
	}
	if err == nil && len(elsewhere) > 0 {
		list := strings.Join(elsewhere, ", ")
		return problem.New(problem.Remainder, f.Resource, "the database user %q keeps things in other databases (%s) and stays", f.Name, list).
			While("drop database user").
			WithFix("in each of %s: REASSIGN OWNED BY %s TO an administrator; DROP OWNED BY %s; then once: DROP ROLE %s", list, ident(f.Name), ident(f.Name), ident(f.Name))
	}
	return err
}

func dropHere(ctx context.Context, tx pgx.Tx, f connection.Facet) (elsewhere []string, err error) {
	role := ident(f.Name)
	leave, err := join(ctx, tx, f.Name)
	if err != nil {
		return nil, err
	}
	if err := handOver(ctx, tx, f); err != nil {
		return nil, err
	}
	// Owning nothing any more, DROP OWNED takes back privileges and nothing else.
	if _, err := tx.Exec(ctx, "DROP OWNED BY "+role); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, elsewhereSQL, f.Name)
	if err != nil {
		return nil, err
	}
	if elsewhere, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, err
	}
	if len(elsewhere) > 0 {
		return elsewhere, leave()
	}
	_, err = tx.Exec(ctx, "DROP ROLE "+role)
	return nil, err
}

// handOver gives what the role owns in this database to the facet's owner, and
// refuses to go on while anything is left.
func handOver(ctx context.Context, tx pgx.Tx, f connection.Facet) error {
	owned, err := countOwned(ctx, tx, f.Name)
	if err != nil || owned == 0 {
		return err
	}
	owner, err := needed(f, connection.AttrOwner)
	if err != nil {
		return err
	}
	leave, err := join(ctx, tx, owner)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "REASSIGN OWNED BY "+ident(f.Name)+" TO "+ident(owner)); err != nil {
		return err
	}
	if owned, err = countOwned(ctx, tx, f.Name); err != nil {
		return err
	}
	if owned > 0 {
		return problem.New(problem.DatabaseRefused, f.Resource, "the database user %q still owns %d objects after they were reassigned; nothing was dropped", f.Name, owned)
	}
	return leave()
}

func countOwned(ctx context.Context, tx pgx.Tx, role string) (n int, err error) {
	err = tx.QueryRow(ctx, ownedSQL, role).Scan(&n)
	return n, err
}

// join makes the engine's administrator a member of a role, which reassigning
// needs, and returns what undoes that; a membership that was there stays.
func join(ctx context.Context, tx pgx.Tx, role string) (leave func() error, err error) {
	var member bool
	if err := tx.QueryRow(ctx, memberSQL, role).Scan(&member); err != nil {
		return nil, err
	}
	if member {
		return func() error { return nil }, nil
	}
	if _, err := tx.Exec(ctx, "GRANT "+ident(role)+" TO CURRENT_USER"); err != nil {
		return nil, err
	}
	return func() error {
		_, err := tx.Exec(ctx, "REVOKE "+ident(role)+" FROM CURRENT_USER")
		return err
	}, nil
}
