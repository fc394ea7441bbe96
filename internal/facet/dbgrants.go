package facet

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/internal/connection"
)

// dbGrant is what a user of PostgreSQL may do, by the word of the catalog.
type dbGrant struct {
	word                                string
	database, schema, tables, sequences string
}

// dbGrants go from the narrowest to the widest. The first that lets an app keep data of
// its own is the catalog's default; all is what the Azure CLI grants.
func dbGrants() []dbGrant {
	return []dbGrant{
		{"read", "CONNECT", "USAGE", "SELECT", "SELECT"},
		{"readwrite", "CONNECT, TEMPORARY", "USAGE, CREATE", "SELECT, INSERT, UPDATE, DELETE", "SELECT, UPDATE, USAGE"},
		{"all", "CONNECT, CREATE, TEMPORARY", "USAGE, CREATE", "ALL", "ALL"},
	}
}

// wantedGrant is what a facet asks for; the widest where it does not say.
func wantedGrant(f connection.Facet) dbGrant {
	all := dbGrants()
	for _, g := range all {
		if g.word == f.Want[connection.AttrGrant].Text {
			return g
		}
	}
	return all[len(all)-1]
}

// grantedSQL tells, for each grant from the narrowest on, whether the role can do as much
// in the database, and whether it was itself given more than the one before it needs.
const grantedSQL = `SELECT
	has_database_privilege(r.oid, current_database(), 'CONNECT') AND has_schema_privilege(r.oid, 'public', 'USAGE'),
	has_schema_privilege(r.oid, 'public', 'CREATE'),
	has_database_privilege(r.oid, current_database(), 'CREATE'),
	EXISTS (SELECT FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'public' AND a.grantee = r.oid AND a.privilege_type = 'CREATE'),
	EXISTS (SELECT FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database() AND a.grantee = r.oid AND a.privilege_type = 'CREATE')
	FROM pg_roles r WHERE rolname = $1`

// dbRights is the answer of grantedSQL.
type dbRights struct{ read, write, all, ownWrite, ownAll bool }

func (r *dbRights) fields() []any { return []any{&r.read, &r.write, &r.all, &r.ownWrite, &r.ownAll} }

// holds tells whether the role can do what a grant says.
func (r dbRights) holds(g dbGrant) bool {
	return r.read && (g.word == "read" || r.write) && (g.word != "all" || r.all)
}

// exceeds tells whether the role was given more than a grant says.
func (r dbRights) exceeds(g dbGrant) bool {
	return g.word == "read" && (r.ownWrite || r.ownAll) || g.word == "readwrite" && r.ownAll
}

// grantSQL are the grants on the database and its schema.
func grantSQL(role, database string, g dbGrant) []string {
	return []string{
		"GRANT " + g.database + " ON DATABASE " + ident(database) + " TO " + ident(role),
		"GRANT " + g.schema + " ON SCHEMA public TO " + ident(role),
	}
}

// revokeSQL takes back what the role was given before it is given less.
func revokeSQL(role, database string) []string {
	return []string{
		"REVOKE ALL ON DATABASE " + ident(database) + " FROM " + ident(role),
		"REVOKE ALL ON SCHEMA public FROM " + ident(role),
	}
}

// eachRelation writes one statement per table and sequence of others than the role, which
// is left open at its end.
const eachRelation = `SELECT CASE relkind WHEN 'S' THEN $2::text || ' ON SEQUENCE ' ELSE $3::text || ' ON TABLE ' END
	|| quote_ident('public') || '.' || quote_ident(relname) || $4::text
	FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	AND pg_get_userbyid(relowner) <> $1`

// grantEach and revokeEach are the statements for the tables and sequences there are.
func grantEach(ctx context.Context, tx pgx.Tx, role string, g dbGrant) error {
	return onEach(ctx, tx, role, "GRANT "+g.sequences, "GRANT "+g.tables, " TO ")
}

func revokeEach(ctx context.Context, tx pgx.Tx, role string) error {
	return onEach(ctx, tx, role, "REVOKE ALL", "REVOKE ALL", " FROM ")
}

// onEach leaves out what belongs to roles the engine cannot act for.
func onEach(ctx context.Context, tx pgx.Tx, role, sequences, tables, to string) error {
	rows, err := tx.Query(ctx, eachRelation, role, sequences, tables, to)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, s := range statements {
		if err := savepoint(ctx, tx, s+ident(role)); err != nil && !isState(err, insufficientPrivilege) {
			return err
		}
	}
	return nil
}
