package mysql

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what mysql_native_password is made of
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	driver "github.com/go-sql-driver/mysql"
)

// superuser is the platform's own; the gate lets nobody in under this name.
const superuser = "root"

// maxUserName is what MySQL keeps of an account's name, in characters.
const maxUserName = 32

// Errors of the server that are told apart.
const (
	errCannotUser   = 1396 // CREATE or DROP USER of one that is or is not there
	errCharset      = 1115
	errCollation    = 1273
	errCollationFor = 1253
)

// adminPrivileges are what Azure gives an administrator: no SUPER, no FILE. DELETE HISTORY is
// MariaDB's own; without it an administrator could not grant all on a database.
const adminPrivileges = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, " +
	"CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, DELETE HISTORY"

// prepareSQL furnishes a fresh server: which accounts are Entra's is kept inside it, and
// mysql.user shows it as Azure's does (mem). A mapping holds while the account has the
// password the platform gave it: dropped or changed, it is an ordinary account.
var prepareSQL = []string{
	`CREATE TABLE entra_accounts (User char(80) BINARY NOT NULL PRIMARY KEY, Kind varchar(16) NOT NULL,
		Principal varchar(64) NOT NULL, Nonce varchar(64) NOT NULL, Verifier varchar(64) NOT NULL) ENGINE=Aria DEFAULT CHARACTER SET utf8mb3 COLLATE utf8mb3_bin`,
	`RENAME TABLE user TO stored_user`,
	`CREATE SQL SECURITY INVOKER VIEW entra_live AS SELECT e.User, e.Kind, e.Principal, e.Nonce FROM entra_accounts e
		JOIN global_priv g ON g.User = e.User AND g.Host = '%' AND JSON_VALUE(g.Priv, '$.authentication_string') = e.Verifier`,
}

// sqlCode is the number of a server's error, 0 for any other.
func sqlCode(err error) uint16 {
	var e *driver.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

func ident(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// literal quotes a string under the server's default mode, in which a backslash escapes.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`).Replace(text) + "'"
}

// account names a user from anywhere.
func account(name string) string { return literal(name) + "@'%'" }

// nativeHash is how the server stores a password of mysql_native_password.
func nativeHash(password string) string {
	first := sha1.Sum([]byte(password))
	second := sha1.Sum(first[:])
	return "*" + strings.ToUpper(hex.EncodeToString(second[:]))
}

// accounts are the users inside one running server.
type accounts struct {
	db  *sql.DB
	key []byte // what the passwords of Entra accounts are made from
}

// entry is what the gate must know of an account: zero for an ordinary one.
type entry struct {
	kind      string // admin or user; "" for an ordinary account
	principal string // admin: object id; user: what stands after IDENTIFIED BY
	password  string // opens the account inside
}

// Kinds of Entra accounts.
const (
	kindAdmin = "admin"
	kindUser  = "user"
)

// prepare furnishes a fresh server.
func (a accounts) prepare(ctx context.Context) error {
	for _, s := range append(prepareSQL, "FLUSH PRIVILEGES") {
		if _, err := a.db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("prepare server: %w", err)
		}
	}
	view, err := a.userView(ctx)
	if err != nil {
		return err
	}
	if _, err := a.db.ExecContext(ctx, view); err != nil {
		return fmt.Errorf("prepare server: %w", err)
	}
	return nil
}

// userView writes mysql.user anew: every column as it was, but for how Entra accounts sign in.
func (a accounts) userView(ctx context.Context) (string, error) {
	rows, err := a.db.QueryContext(ctx, "SELECT column_name FROM information_schema.columns WHERE table_schema = 'mysql' AND table_name = 'stored_user' ORDER BY ordinal_position")
	if err != nil {
		return "", fmt.Errorf("prepare server: %w", err)
	}
	defer rows.Close()
	special := map[string]string{
		"plugin":                "IF(e.User IS NULL, u.plugin, 'aad_auth')",
		"authentication_string": "IF(e.User IS NULL, u.authentication_string, CONCAT('AADApp:', e.Principal, ':'))",
		"Password":              "IF(e.User IS NULL, u.Password, '')",
	}
	var columns []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return "", fmt.Errorf("prepare server: %w", err)
		}
		from, ok := special[name]
		if !ok {
			from = "u." + ident(name)
		}
		columns = append(columns, from+" AS "+ident(name))
	}
	return "CREATE SQL SECURITY DEFINER VIEW user AS SELECT " + strings.Join(columns, ", ") +
		" FROM stored_user u LEFT JOIN entra_live e ON e.User = u.User AND u.Host = '%'", rows.Err()
}

// setAdmin creates the administrator with a password, or changes the password.
func (a accounts) setAdmin(ctx context.Context, login, password string) error {
	for _, s := range []string{
		"CREATE USER IF NOT EXISTS " + account(login) + " IDENTIFIED BY " + literal(password),
		"ALTER USER " + account(login) + " IDENTIFIED BY " + literal(password),
		"GRANT " + adminPrivileges + " ON *.* TO " + account(login) + " WITH GRANT OPTION",
	} {
		if _, err := a.db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("set administrator: %w", withoutText(err))
		}
	}
	return nil
}

// withoutText keeps a server's error from quoting a statement that holds a password.
func withoutText(err error) error {
	if code := sqlCode(err); code != 0 {
		return fmt.Errorf("the server answers error %d", code)
	}
	return err
}

// setEntraAdmin makes the one Entra administrator, in place of the one before.
func (a accounts) setEntraAdmin(ctx context.Context, login, before, objectID string) error {
	if before != "" {
		if err := a.drop(ctx, before); err != nil {
			return err
		}
	}
	if err := a.createEntra(ctx, login, kindAdmin, objectID); err != nil {
		return err
	}
	if _, err := a.db.ExecContext(ctx, "GRANT "+adminPrivileges+" ON *.* TO "+account(login)+" WITH GRANT OPTION"); err != nil {
		return fmt.Errorf("set Entra administrator: %w", err)
	}
	return nil
}

// createEntra makes an account whose password is the platform's own.
func (a accounts) createEntra(ctx context.Context, name, kind, principal string) error {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails, as documented
	nonce := hex.EncodeToString(raw)
	verifier := nativeHash(a.password(name, nonce))
	if _, err := a.db.ExecContext(ctx, "CREATE USER "+account(name)+" IDENTIFIED BY PASSWORD "+literal(verifier)); err != nil {
		return fmt.Errorf("create Entra user: %w", err)
	}
	_, err := a.db.ExecContext(ctx, "REPLACE INTO entra_accounts VALUES (?, ?, ?, ?, ?)", name, kind, principal, nonce, verifier)
	if err != nil {
		return fmt.Errorf("record Entra user: %w", err)
	}
	return nil
}

func (a accounts) password(name, nonce string) string {
	mac := hmac.New(sha256.New, a.key)
	mac.Write([]byte(name + "\x00" + nonce))
	return hex.EncodeToString(mac.Sum(nil))
}

// drop removes an account and ends its sessions.
func (a accounts) drop(ctx context.Context, name string) error {
	if _, err := a.db.ExecContext(ctx, "DROP USER IF EXISTS "+account(name)); err != nil {
		return fmt.Errorf("drop user: %w", err)
	}
	if _, err := a.db.ExecContext(ctx, "KILL USER "+literal(name)); err != nil && sqlCode(err) == 0 {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// exists tells whether there is an account of that name.
func (a accounts) exists(ctx context.Context, name string) (there bool, err error) {
	err = a.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM global_priv WHERE User = ?)", name).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("look for user: %w", err)
	}
	return there, nil
}

// entry finds how an account signs in.
func (a accounts) entry(ctx context.Context, name string) (entry, error) {
	var e entry
	var nonce string
	err := a.db.QueryRowContext(ctx, "SELECT Kind, Principal, Nonce FROM entra_live WHERE User = ?", name).Scan(&e.kind, &e.principal, &nonce)
	if errors.Is(err, sql.ErrNoRows) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, fmt.Errorf("look for user: %w", err)
	}
	e.password = a.password(name, nonce)
	return e, nil
}

// createDatabase makes a database; one that is there already is left alone.
func (a accounts) createDatabase(ctx context.Context, name, charset, collation string) error {
	_, err := a.db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+ident(name)+" CHARACTER SET "+literal(charset)+" COLLATE "+literal(collation))
	if code := sqlCode(err); code == errCollation || code == errCollationFor { // MySQL 8's own collations are not MariaDB's
		_, err = a.db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+ident(name)+" CHARACTER SET "+literal(charset))
	}
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}

func (a accounts) dropDatabase(ctx context.Context, name string) error {
	if _, err := a.db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+ident(name)); err != nil {
		return fmt.Errorf("drop database: %w", err)
	}
	return nil
}
