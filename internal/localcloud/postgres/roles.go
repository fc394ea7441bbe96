package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed entra.sql
var entraSQL string

// Error classes the provider tells apart.
const (
	invalidLocale  = "42809" // CREATE DATABASE with a locale the machine lacks
	duplicateDB    = "42P04"
	undefinedRole  = "42704"
	undefinedTable = "3D000" // no such database
)

func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// execf runs a statement that takes no parameters. The server itself quotes:
// %I is an identifier, %L a literal.
func execf(ctx context.Context, conn *pgx.Conn, format string, args ...string) error {
	var statement string
	if err := conn.QueryRow(ctx, "SELECT format($1, VARIADIC $2::text[])", format, args).Scan(&statement); err != nil {
		return fmt.Errorf("quote statement: %w", err)
	}
	_, err := conn.PgConn().Exec(ctx, statement).ReadAll()
	return err
}

// within runs work in a superuser session on one database.
func (c endpoint) within(ctx context.Context, database string, work func(*pgx.Conn) error) error {
	conn, err := c.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing depends on how the session ends
	return work(conn)
}

// bootstrap makes the platform's roles and functions in a fresh cluster.
func (c endpoint) bootstrap(ctx context.Context) error {
	return c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		for _, s := range []string{
			"CREATE ROLE " + adminRole + " NOLOGIN",
			"CREATE ROLE " + entraRole + " NOLOGIN",
			"GRANT pg_monitor, pg_signal_backend TO " + adminRole + " WITH ADMIN OPTION",
			"ALTER DATABASE postgres OWNER TO " + adminRole,
			entraSQL,
		} {
			if _, err := conn.PgConn().Exec(ctx, s).ReadAll(); err != nil {
				return fmt.Errorf("prepare server: %w", err)
			}
		}
		return nil
	})
}

// setAdmin creates the administrator login or changes its password.
func (c endpoint) setAdmin(ctx context.Context, login, password string) error {
	return c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		var there bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", login).Scan(&there); err != nil {
			return fmt.Errorf("look for administrator: %w", err)
		}
		if !there {
			if err := execf(ctx, conn, "CREATE ROLE %1$I LOGIN CREATEROLE CREATEDB; GRANT "+adminRole+" TO %1$I WITH ADMIN OPTION", login); err != nil {
				return fmt.Errorf("create administrator: %w", err)
			}
		}
		if err := execf(ctx, conn, "ALTER ROLE %I PASSWORD %L", login, password); err != nil {
			return fmt.Errorf("set administrator's password: %w", err)
		}
		return nil
	})
}

// setTenant records the tenant that new mappings carry.
func (c endpoint) setTenant(ctx context.Context, tenant string) error {
	return c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "UPDATE pgaadauth.setting SET tenantid = $1", tenant)
		if err != nil {
			return fmt.Errorf("set tenant: %w", err)
		}
		return nil
	})
}

// createDatabase makes a database; one that is there already is left alone. A
// collation the machine does not have gives the server's own instead.
func (c endpoint) createDatabase(ctx context.Context, name, charset, collation string) error {
	return c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		base := "CREATE DATABASE %I OWNER " + adminRole + " TEMPLATE template0 ENCODING %L"
		err := execf(ctx, conn, base+" LC_COLLATE %L LC_CTYPE %3$L", name, charset, collation)
		if sqlState(err) == invalidLocale {
			err = execf(ctx, conn, base, name, charset)
		}
		if err != nil && sqlState(err) != duplicateDB {
			return fmt.Errorf("create database: %w", err)
		}
		return nil
	})
}

func (c endpoint) dropDatabase(ctx context.Context, name string) error {
	return c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		if err := execf(ctx, conn, "DROP DATABASE IF EXISTS %I WITH (FORCE)", name); err != nil {
			return fmt.Errorf("drop database: %w", err)
		}
		return nil
	})
}

// entraKinds turns ARM's principal types into the functions' object types.
var entraKinds = map[string]string{"User": "user", "Group": "group", "ServicePrincipal": "service", "Unknown": "user"}

// setEntraAdmin makes a role an Entra administrator. A role that maps the object
// under another name is renamed; one of that name is promoted.
func (c endpoint) setEntraAdmin(ctx context.Context, role, former, objectID, kind string) error {
	return c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		if former != "" && former != role {
			if err := execf(ctx, conn, "ALTER ROLE %I RENAME TO %I", former, role); err != nil && sqlState(err) != undefinedRole {
				return fmt.Errorf("rename administrator: %w", err)
			}
		}
		verb := "update"
		var there bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&there); err != nil {
			return fmt.Errorf("look for administrator: %w", err)
		}
		if !there {
			verb = "create"
		}
		_, err := conn.Exec(ctx, "SELECT pgaadauth_"+verb+"_principal_with_oid($1, $2, $3, true, false)", role, objectID, entraKinds[kind])
		if err != nil {
			return fmt.Errorf("map administrator: %w", err)
		}
		return nil
	})
}

// dropEntraAdmin hands what the role owns to heir, in every database, ends its
// sessions and drops it. A role that is gone already is no error.
func (c endpoint) dropEntraAdmin(ctx context.Context, role, heir string) error {
	names, err := c.databases(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := c.within(ctx, name, func(conn *pgx.Conn) error {
			// Owning nothing any more, DROP OWNED only takes back its privileges.
			return execf(ctx, conn, "REASSIGN OWNED BY %1$I TO %2$I; DROP OWNED BY %1$I", role, heir)
		})
		if sqlState(err) == undefinedRole {
			return nil
		}
		if err != nil && sqlState(err) != undefinedTable {
			return fmt.Errorf("hand over what %q owns: %w", role, err)
		}
	}
	return c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		if err := execf(ctx, conn, "DROP ROLE %I", role); err != nil {
			return fmt.Errorf("drop administrator: %w", err)
		}
		_, err := conn.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 OR usesysid NOT IN (SELECT oid FROM pg_roles)", role)
		if err != nil {
			return fmt.Errorf("end administrator's sessions: %w", err)
		}
		return nil
	})
}

func (c endpoint) databases(ctx context.Context) (names []string, err error) {
	err = c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname")
		if err != nil {
			return fmt.Errorf("list databases: %w", err)
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return names, err
}

// credential is what sign-in checks a role against. Empty members mean none.
type credential struct{ objectID, verifier string }

func (c endpoint) credential(ctx context.Context, role string) (out credential, err error) {
	err = c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT coalesce(p.objectid, ''), coalesce(a.rolpassword, '')
			FROM pg_authid a LEFT JOIN pgaadauth.principal p ON p.roleid = a.oid WHERE a.rolname = $1`, role).Scan(&out.objectID, &out.verifier)
	})
	return out, err
}

// version is the server's own, such as 15.18.
func (c endpoint) version(ctx context.Context) (v string, err error) {
	err = c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT split_part(current_setting('server_version'), ' ', 1)").Scan(&v)
	})
	return v, err
}

// reload makes the server read its host rules again.
func (c endpoint) reload(ctx context.Context) error {
	return c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
			return fmt.Errorf("reload server: %w", err)
		}
		return nil
	})
}
