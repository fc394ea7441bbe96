package facet_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser   = "azuresu"
	engineLogin = "patchbay-engine"
	engineKey   = "engine-token-1f7c"
	owner       = "pgadmin"
	pgHost      = "pgone.postgres.test"
)

// cluster is a real PostgreSQL server with TLS and the functions Azure adds,
// written as plain SQL.
type cluster struct {
	port  uint16
	roots *x509.CertPool
	dbs   atomic.Int32
}

// shared is the one server of this package's tests; each test takes databases and
// roles of its own.
var shared cluster

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	stop, err := shared.start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start PostgreSQL:", err)
		return 1
	}
	defer stop()
	return m.Run()
}

func binary(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real, nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return "", fmt.Errorf("no %s in PATH or /usr/lib/postgresql (package postgresql)", name)
	}
	slices.Sort(found)
	return found[len(found)-1], nil
}

// start makes a cluster in a folder of its own and waits until it answers.
func (c *cluster) start() (stop func(), err error) {
	dir, err := os.MkdirTemp("", "facet-pg-")
	if err != nil {
		return nil, err
	}
	clean := func() { _ = os.RemoveAll(dir) }
	identity, err := ownedByPostgres(dir)
	if err != nil {
		clean()
		return nil, err
	}
	server, err := c.launch(dir, identity)
	if err != nil {
		clean()
		return nil, err
	}
	stop = func() {
		_ = syscall.Kill(-server.Process.Pid, syscall.SIGQUIT) // gone already is fine
		_ = server.Wait()
		clean()
	}
	if err := c.prepare(); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// ownedByPostgres hands a folder to the user postgres when we are root, whom the
// server refuses.
func ownedByPostgres(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, uid, gid)
}

func (c *cluster) launch(dir string, attr *syscall.SysProcAttr) (*exec.Cmd, error) {
	initdb, err := binary("initdb")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if out, err := command(attr, dir, initdb, "-D", data, "-U", superuser, "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := c.certificate(data, attr); err != nil {
		return nil, err
	}
	// Over TLS a password is asked for; the plain way in is for the tests themselves.
	hba := "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all " + superuser + " 127.0.0.1/32 trust\n"
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o644); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.port = uint16(listener.Addr().(*net.TCPAddr).Port)
	_ = listener.Close()
	postgres, err := binary("postgres")
	if err != nil {
		return nil, err
	}
	server := command(attr, dir, postgres, "-D", data, "-p", fmt.Sprint(c.port), "-h", "127.0.0.1", "-k", dir,
		"-c", "fsync=off", "-c", "ssl=on", "-c", "ssl_cert_file=server.crt", "-c", "ssl_key_file=server.key", "-c", "max_connections=200")
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	return server, server.Start()
}

func command(attr *syscall.SysProcAttr, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr, cmd.Dir, cmd.Env = attr, dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	return cmd
}

// certificate writes a server certificate for pgHost and trusts it.
func (c *cluster) certificate(data string, attr *syscall.SysProcAttr) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: pgHost}, DNSNames: []string{pgHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.roots = x509.NewCertPool()
	c.roots.AppendCertsFromPEM(cert)
	for name, text := range map[string][]byte{"server.crt": cert, "server.key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})} {
		path := filepath.Join(data, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
		if attr.Credential != nil {
			if err := os.Chown(path, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
				return err
			}
		}
	}
	return nil
}

// asSuperuser runs do as the server's own superuser.
func (c *cluster) asSuperuser(ctx context.Context, database string, do func(*pgx.Conn) error) error {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=%s sslmode=disable", c.port, superuser))
	if err != nil {
		return err
	}
	config.Database = database
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(conn)
}

func (c *cluster) exec(ctx context.Context, database string, statements ...string) error {
	return c.asSuperuser(ctx, database, func(conn *pgx.Conn) error {
		for _, s := range statements {
			if _, err := conn.PgConn().Exec(ctx, s).ReadAll(); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
}

// entraSQL stands in for Azure's functions: the same names and shapes, a table
// instead of security labels.
const entraSQL = `
CREATE TABLE pg_catalog_principals (rolname name PRIMARY KEY, objectid text NOT NULL);
CREATE FUNCTION pg_catalog.pgaadauth_list_principals(isadminvalue boolean)
RETURNS TABLE(rolname name, principaltype text, objectid text, tenantid text, ismfa integer, isadmin integer) LANGUAGE sql SECURITY DEFINER AS
$$ SELECT p.rolname, 'service', p.objectid, '', 0, 0 FROM public.pg_catalog_principals p JOIN pg_roles r USING (rolname) WHERE NOT isadminvalue $$;
CREATE FUNCTION pg_catalog.pgaadauth_create_principal_with_oid(rolename text, objectid text, objecttype text, isadmin boolean, ismfa boolean)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
$$ BEGIN
	DELETE FROM public.pg_catalog_principals p WHERE p.rolname = $1;
	EXECUTE format('CREATE ROLE %I LOGIN', $1);
	INSERT INTO public.pg_catalog_principals VALUES ($1, $2);
	RETURN 'Created role for ' || $1;
END $$;
CREATE FUNCTION pg_catalog.pgaadauth_update_principal_with_oid(rolename text, objectid text, objecttype text, isadmin boolean, ismfa boolean)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
$$ BEGIN
	PERFORM 1 FROM pg_roles WHERE rolname = $1;
	IF NOT FOUND THEN RAISE EXCEPTION 'role does not exist' USING ERRCODE = 'undefined_object'; END IF;
	INSERT INTO public.pg_catalog_principals VALUES ($1, $2) ON CONFLICT (rolname) DO UPDATE SET objectid = excluded.objectid;
	RETURN 'Updated role for ' || $1;
END $$;`

// prepare waits for the server and makes what every Azure server has: the group
// of administrators, the password administrator, the engine as Entra administrator.
func (c *cluster) prepare() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		err := c.asSuperuser(ctx, "postgres", func(*pgx.Conn) error { return nil })
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	return c.exec(ctx, "postgres", "SET allow_system_table_mods = on;"+entraSQL,
		"CREATE ROLE azure_pg_admin CREATEROLE CREATEDB",
		"CREATE ROLE "+owner+" LOGIN CREATEROLE CREATEDB IN ROLE azure_pg_admin",
		`CREATE ROLE "`+engineLogin+`" LOGIN CREATEROLE CREATEDB IN ROLE azure_pg_admin PASSWORD '`+engineKey+`'`)
}

// database makes a database like ARM does, owned by the administrators' group.
func (c *cluster) database(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("App %d\"s", c.dbs.Add(1))
	if err := c.exec(t.Context(), "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" OWNER azure_pg_admin"); err != nil {
		t.Fatal(err)
	}
	return name
}

func (c *cluster) must(t *testing.T, database string, statements ...string) {
	t.Helper()
	if err := c.exec(t.Context(), database, statements...); err != nil {
		t.Fatal(err)
	}
}

// text asks for one value.
func (c *cluster) text(t *testing.T, database, query string, args ...any) string {
	t.Helper()
	var out *string
	err := c.asSuperuser(t.Context(), database, func(conn *pgx.Conn) error { return conn.QueryRow(t.Context(), query, args...).Scan(&out) })
	if errors.Is(err, pgx.ErrNoRows) || (err == nil && out == nil) {
		return ""
	}
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return *out
}

// look prints what a test must not change beside the role: rights, owners and
// members of one database and its server, for one role.
func (c *cluster) look(t *testing.T, database, role string) []string {
	t.Helper()
	query := `SELECT 'role ' || rolname || ' ' || coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1
		UNION ALL SELECT 'database ' || datname || ' ' || coalesce(datacl::text, '') FROM pg_database WHERE datname = current_database()
		UNION ALL SELECT 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname = 'public'
		UNION ALL SELECT 'relation ' || relname || ' ' || pg_get_userbyid(relowner) || ' ' || coalesce(relacl::text, '') FROM pg_class WHERE relnamespace = 'public'::regnamespace
		UNION ALL SELECT 'member ' || r.rolname || ' ' || m.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member WHERE m.rolname = $1 OR r.rolname = $1
		ORDER BY 1`
	var lines []string
	err := c.asSuperuser(t.Context(), database, func(conn *pgx.Conn) error {
		rows, err := conn.Query(t.Context(), query, role)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
