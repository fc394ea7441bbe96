package tds_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/patchbay/patchbay/internal/localcloud/tds"
)

const (
	adminName     = "sa1"
	adminPassword = "P@ss ;'\"w0rd{é}"
	goodToken     = "header.payload.signature-that-is-long-enough"
	appToken      = "header.app.signature"
)

// sidOf is a directory id of one repeated byte.
func sidOf(b byte) []byte { return slices.Repeat([]byte{b}, 16) }

// world is a host with one database, two tokens and one password.
type world struct {
	db    *tds.Database
	mu    sync.Mutex
	saved []byte
	seen  []tds.Login
}

func (w *world) Judge(_ context.Context, l tds.Login) (tds.Account, error) {
	w.mu.Lock()
	w.seen = append(w.seen, l)
	w.mu.Unlock()
	switch {
	case l.From == netip.MustParseAddr("127.0.0.9"):
		return tds.Account{}, tds.Refuse(40615, "Cannot open server '%s' requested by the login. Client with IP address '%s' is not allowed to access the server.", w.Name(), l.From)
	case l.Database != "db1":
		refusal := tds.Refuse(4060, "Cannot open database \"%s\" requested by the login. The login failed.", l.Database)
		refusal.More = []*tds.Error{tds.Refuse(18456, "Login failed for user '%s'.", l.User)}
		return tds.Account{}, refusal
	case l.Token == goodToken:
		return tds.Account{Login: "admin@directory", User: tds.Owner, Database: w.db, Resolve: func(name, _ string) (tds.External, error) {
			if name != "app" {
				return tds.External{}, &tds.Error{Number: 33134, State: 1, Class: 16, Message: "Principal '" + name + "' could not be resolved."}
			}
			return tds.External{SID: sidOf(7)}, nil
		}}, nil
	case l.Token == appToken:
		if user, ok := w.db.UserOf(sidOf(7)); ok {
			return tds.Account{Login: "app@directory", User: user, Database: w.db}, nil
		}
		return tds.Account{}, tds.Refuse(18456, "Login failed for user '<token-identified principal>'.")
	case l.Token == "" && l.User == adminName && l.Password == adminPassword:
		return tds.Account{Login: adminName, User: tds.Owner, Database: w.db}, nil
	}
	return tds.Account{}, tds.Refuse(18456, "Login failed for user '%s'.", l.User)
}

func (w *world) Authority() (string, string) {
	return "https://login.example/tenant", "https://database.windows.net/"
}
func (w *world) Name() string { return "server1" }

// serve starts a peer and returns how to reach it.
func serve(t *testing.T) (*world, msdsn.Config) {
	t.Helper()
	w := &world{}
	var err error
	if w.db, err = tds.OpenDatabase("db1", nil, func(raw []byte) { w.mu.Lock(); w.saved = raw; w.mu.Unlock() }); err != nil {
		t.Fatal(err)
	}
	cert, pool := certificate(t)
	s, err := tds.Listen(t.Context(), "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	addr := s.Addr().(*net.TCPAddr)
	return w, msdsn.Config{
		Host: addr.IP.String(), Port: uint64(addr.Port), Database: "db1", Protocols: []string{"tcp"}, Encryption: msdsn.EncryptionRequired,
		TLSConfig: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}, DialTimeout: 5 * time.Second, ConnTimeout: 10 * time.Second,
	}
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func byPassword(t *testing.T, cfg msdsn.Config, user, password string) *sql.DB {
	t.Helper()
	cfg.User, cfg.Password = user, password
	return open(t, mssql.NewConnectorConfig(cfg))
}

func byToken(t *testing.T, cfg msdsn.Config, token string) *sql.DB {
	t.Helper()
	c, err := mssql.NewSecurityTokenConnector(cfg, func(context.Context) (string, error) { return token, nil })
	if err != nil {
		t.Fatal(err)
	}
	return open(t, c)
}

func open(t *testing.T, c *mssql.Connector) *sql.DB {
	t.Helper()
	db := sql.OpenDB(c)
	t.Cleanup(func() { db.Close() })
	return db
}

// number is the server's error number, 0 for none.
func number(t *testing.T, err error) int32 {
	t.Helper()
	if err == nil {
		return 0
	}
	var said mssql.Error
	if !errors.As(err, &said) {
		t.Fatalf("not a server's error: %v", err)
	}
	if len(said.All) > 0 {
		return said.All[0].Number
	}
	return said.Number
}

// rows reads a result set as text, cells by "|".
func rows(t *testing.T, db *sql.DB, query string, args ...any) []string {
	t.Helper()
	set, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer set.Close()
	names, err := set.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for set.Next() {
		cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for n := range cells {
			into[n] = &cells[n]
		}
		if err := set.Scan(into...); err != nil {
			t.Fatal(err)
		}
		words := make([]string, len(cells))
		for n, c := range cells {
			words[n] = c.String
		}
		out = append(out, strings.Join(words, "|"))
	}
	if err := set.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

func run(t *testing.T, db *sql.DB, statement string, args ...any) int32 {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement, args...)
	return number(t, err)
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	w, cfg := serve(t)
	for _, c := range []struct {
		name, user, password, token, database string
		want                                  int32
	}{
		{name: "password", user: adminName, password: adminPassword},
		{name: "wrong password", user: adminName, password: "wrong", want: 18456},
		{name: "token", token: goodToken},
		{name: "token of nobody", token: "other", want: 18456},
		{name: "token of an app without a user", token: appToken, want: 18456},
		{name: "no such database", user: adminName, password: adminPassword, database: "db2", want: 4060},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := cfg
			if c.database != "" {
				cfg.Database = c.database
			}
			db := byPassword(t, cfg, c.user, c.password)
			if c.token != "" {
				db = byToken(t, cfg, c.token)
			}
			if got := number(t, db.PingContext(t.Context())); got != c.want {
				t.Errorf("error %d, want %d", got, c.want)
			}
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if first := w.seen[0]; first.Password != adminPassword || first.Database != "db1" || first.Server != cfg.Host {
		t.Errorf("the login came through as %+v", first)
	}
}

// TestFetchedToken: a client that fetches its own token is told where, and hands it over afterwards.
func TestFetchedToken(t *testing.T) {
	t.Parallel()
	_, cfg := serve(t)
	var at, resource string
	c, err := mssql.NewActiveDirectoryTokenConnector(cfg, mssql.FedAuthADALWorkflowMSI, func(_ context.Context, spn, sts string) (string, error) {
		resource, at = spn, sts
		return goodToken, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := rows(t, open(t, c), "SELECT SUSER_SNAME(), USER_NAME(), DB_NAME()"); !slices.Equal(got, []string{"admin@directory|dbo|db1"}) {
		t.Errorf("signed in as %v", got)
	}
	if at != "https://login.example/tenant" || resource != "https://database.windows.net/" {
		t.Errorf("sent to %q for %q", at, resource)
	}
}

// TestNothingWithoutTLS: who cannot encrypt, or does not trust the certificate, never sends a password.
func TestNothingWithoutTLS(t *testing.T) {
	t.Parallel()
	w, cfg := serve(t)
	for name, change := range map[string]func(*msdsn.Config){
		"plain":     func(c *msdsn.Config) { c.Encryption, c.TLSConfig = msdsn.EncryptionDisabled, nil },
		"untrusted": func(c *msdsn.Config) { c.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"} },
	} {
		t.Run(name, func(t *testing.T) {
			mine := cfg
			change(&mine)
			if err := byPassword(t, mine, adminName, adminPassword).PingContext(t.Context()); err == nil {
				t.Error("signed in")
			}
		})
	}
	if len(w.seen) != 0 {
		t.Errorf("a login came through: %d", len(w.seen))
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	_, cfg := serve(t)
	password, token := byPassword(t, cfg, adminName, adminPassword), byToken(t, cfg, goodToken)
	for _, c := range []struct {
		db        *sql.DB
		statement string
		want      int32
	}{
		{password, "CREATE USER [app] FROM EXTERNAL PROVIDER", 33159},
		{token, "CREATE USER [nobody] FROM EXTERNAL PROVIDER", 33134},
		{token, "CREATE USER [app] FROM EXTERNAL PROVIDER", 0},
		{token, "CREATE USER [App] WITH SID = 0x08080808080808080808080808080808, TYPE = E", 15023},
		{token, "CREATE USER [twin] WITH SID = 0x07070707070707070707070707070707, TYPE = E", 15063},
		{token, "CREATE USER [odd] WITH SID = 0x0707, TYPE = E", 15419},
		{password, "CREATE USER [o]]dd'x] WITH SID = 0x09090909090909090909090909090909, TYPE = E", 0},
		{token, "ALTER ROLE db_datareader ADD MEMBER [app]; ALTER ROLE [db_ddladmin] ADD MEMBER [app];", 0},
		{token, "ALTER ROLE db_nothing ADD MEMBER [app]", 15151},
		{token, "ALTER ROLE db_datareader ADD MEMBER [ghost]", 15151},
		{token, "CREATE SCHEMA [s1] AUTHORIZATION [app]", 0},
		{token, "DROP USER [app]", 15138},
		{token, "DROP USER [dbo]", 15150},
		{token, "DROP USER [ghost]", 15151},
		{token, "DROP USER IF EXISTS [ghost]", 0},
	} {
		if got := run(t, c.db, c.statement); got != c.want {
			t.Errorf("%s: error %d, want %d", c.statement, got, c.want)
		}
	}
	got := rows(t, token, `SELECT p.name, r.name FROM sys.database_principals AS p
		JOIN sys.database_role_members m ON m.member_principal_id = p.principal_id
		INNER JOIN sys.database_principals r ON r.principal_id = m.role_principal_id ORDER BY r.name DESC`)
	if !slices.Equal(got, []string{"app|db_ddladmin", "app|db_datareader"}) {
		t.Errorf("members %v", got)
	}
	if got := rows(t, token, "SELECT principal_id, type, type_desc, authentication_type_desc FROM sys.database_principals WHERE name = @p1 AND sid = @p2", "APP", sidOf(7)); !slices.Equal(got, []string{"5|E|EXTERNAL_USER|EXTERNAL"}) {
		t.Errorf("the user is %v", got)
	}
	for _, statement := range []string{"ALTER AUTHORIZATION ON SCHEMA::[s1] TO [dbo]; DROP USER [app]", "DROP USER [o]]dd'x]"} {
		if got := run(t, token, statement); got != 0 {
			t.Errorf("%s: error %d", statement, got)
		}
	}
	if got := rows(t, token, "SELECT name FROM sys.database_principals WHERE type IN ('E', 'X')"); got != nil {
		t.Errorf("left over: %v", got)
	}
}

// TestWhatAnAppMay: the fixed roles decide.
func TestWhatAnAppMay(t *testing.T) {
	t.Parallel()
	_, cfg := serve(t)
	admin := byToken(t, cfg, goodToken)
	if got := run(t, admin, "CREATE USER [app] FROM EXTERNAL PROVIDER"); got != 0 {
		t.Fatal(got)
	}
	app := byToken(t, cfg, appToken)
	const (
		make, put, see = "CREATE TABLE notes (id int PRIMARY KEY, text nvarchar(100) NULL)", "INSERT INTO notes VALUES (@p1, @p2), (2, N'zwei')", "SELECT text FROM notes ORDER BY id"
	)
	if got := run(t, app, make); got != 262 {
		t.Errorf("made a table without a role: %d", got)
	}
	if got := run(t, app, "ALTER ROLE db_owner ADD MEMBER [app]"); got != 15151 {
		t.Errorf("made itself an owner: %d", got)
	}
	if got := run(t, app, "CREATE USER [x] WITH SID = 0x08080808080808080808080808080808, TYPE = E"); got != 15247 {
		t.Errorf("made a user: %d", got)
	}
	run(t, admin, "ALTER ROLE db_ddladmin ADD MEMBER [app]")
	if got := run(t, app, make); got != 0 {
		t.Errorf("no table with the role: %d", got)
	}
	if got := run(t, app, put, 1, "é"); got != 229 {
		t.Errorf("wrote without a role: %d", got)
	}
	run(t, admin, "ALTER ROLE db_datawriter ADD MEMBER [app]; ALTER ROLE db_datareader ADD MEMBER [app]")
	if got := run(t, app, put, 1, "é"); got != 0 {
		t.Errorf("no row with the role: %d", got)
	}
	if got := run(t, app, put, 1, "again"); got != 2627 {
		t.Errorf("a key twice: %d", got)
	}
	if got := rows(t, app, see); !slices.Equal(got, []string{"é", "zwei"}) {
		t.Errorf("read %v", got)
	}
	run(t, admin, "ALTER ROLE db_datareader DROP MEMBER [app]")
	if _, err := app.QueryContext(t.Context(), see); number(t, err) != 229 {
		t.Errorf("read without the role: %v", err)
	}
	run(t, admin, "GRANT SELECT ON SCHEMA::dbo TO [app]")
	if got := rows(t, app, "SELECT COUNT(*) FROM dbo.notes WHERE text LIKE 'z%'"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("counted %v", got)
	}
}

// TestStrict: what is not known is refused with the server's own numbers.
func TestStrict(t *testing.T) {
	t.Parallel()
	_, cfg := serve(t)
	db := byPassword(t, cfg, adminName, adminPassword)
	for statement, want := range map[string]int32{
		"SELEKT 1":                                       102,
		"CREATE USER USER":                               156,
		"SELECT 'open":                                   105,
		"SELECT * FROM nothing":                          208,
		"SELECT * FROM sys.server_role":                  208,
		"SELECT nothing FROM sys.schemas":                207,
		"SELECT x.name FROM sys.schemas":                 4104,
		"SELECT NOTHING()":                               195,
		"SELECT @nothing":                                137,
		"EXEC xp_cmdshell 'id'":                          156,
		"SELECT * FROM master.sys.databases":             40515,
		"USE other":                                      40508,
		"ALTER DATABASE db1 SET READ_ONLY":               156,
		"COMMIT":                                         3902,
		"SELECT 1 FROM sys.schemas WHERE 1":              102,
		"CREATE TABLE t (x geography)":                   2715,
		"/* open":                                        113,
		"SELECT 1 WHERE " + strings.Repeat("(", 100_000): 191,
		"SELECT " + strings.Repeat("f(", 100_000):        191,
	} {
		_, err := db.QueryContext(t.Context(), statement)
		if got := number(t, err); got != want {
			t.Errorf("%s: error %d (%v), want %d", statement, got, err, want)
		}
	}
}

// TestBatchGoesOn: after an error of one statement the rest of a batch still runs, as on a real server.
func TestBatchGoesOn(t *testing.T) {
	t.Parallel()
	_, cfg := serve(t)
	db := byPassword(t, cfg, adminName, adminPassword)
	if got := run(t, db, "DROP USER [ghost]; CREATE SCHEMA [after]"); got != 15151 {
		t.Errorf("error %d", got)
	}
	if got := rows(t, db, "SELECT name FROM sys.schemas WHERE name = 'after'"); len(got) != 1 {
		t.Errorf("the second statement did not run: %v", got)
	}
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	_, cfg := serve(t)
	db := byPassword(t, cfg, adminName, adminPassword)
	for _, commit := range []bool{false, true} {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "CREATE TABLE t1 (id bigint)"); err != nil {
			t.Fatal(err)
		}
		want := 0
		if end := tx.Rollback; !commit {
			err = end()
		} else {
			want, err = 1, tx.Commit()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := rows(t, db, "SELECT name FROM sys.tables"); len(got) != want {
			t.Errorf("commit %v: tables %v", commit, got)
		}
	}
}

// TestNotes: an extended property of a user goes with it.
func TestNotes(t *testing.T) {
	t.Parallel()
	w, cfg := serve(t)
	db := byToken(t, cfg, goodToken)
	run(t, db, "CREATE USER [app] FROM EXTERNAL PROVIDER")
	note := func(verb, value string) int32 {
		return run(t, db, verb, sql.Named("name", "mark"), sql.Named("value", value), sql.Named("level0type", "USER"), sql.Named("level0name", "app"))
	}
	for _, c := range []struct {
		verb string
		want int32
	}{{"sys.sp_updateextendedproperty", 15217}, {"sys.sp_addextendedproperty", 0}, {"sp_addextendedproperty", 15233}, {"sp_updateextendedproperty", 0}} {
		if got := note(c.verb, c.verb); got != c.want {
			t.Errorf("%s: error %d, want %d", c.verb, got, c.want)
		}
	}
	if got := rows(t, db, "SELECT value FROM sys.extended_properties WHERE class = 4 AND major_id = DATABASE_PRINCIPAL_ID('app')"); !slices.Equal(got, []string{"sp_updateextendedproperty"}) {
		t.Errorf("note %v", got)
	}
	w.mu.Lock()
	saved := w.saved
	w.mu.Unlock()
	again, err := tds.OpenDatabase("db1", saved, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user, ok := again.UserOf(sidOf(7)); !ok || user != "app" {
		t.Errorf("what was kept holds %q", user)
	}
	run(t, db, "DROP USER [app]")
	if got := rows(t, db, "SELECT value FROM sys.extended_properties"); got != nil {
		t.Errorf("left over: %v", got)
	}
}

// TestPrepared: drivers of other languages prepare and execute by handle; go-mssqldb can be made to.
func TestPrepared(t *testing.T) {
	t.Parallel()
	_, cfg := serve(t)
	db := byPassword(t, cfg, adminName, adminPassword)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var handle int64
	if _, err := conn.ExecContext(t.Context(), "sp_prepexec", sql.Named("handle", sql.Out{Dest: &handle}), sql.Named("params", "@a int, @b nvarchar(20)"),
		sql.Named("stmt", "SELECT @a, @b"), sql.Named("a", 3), sql.Named("b", "x")); err != nil {
		t.Fatal(err)
	}
	if handle == 0 {
		t.Error("no handle came back")
	}
	var a int
	var b string
	if err := conn.QueryRowContext(t.Context(), "sp_execute", sql.Named("handle", handle), sql.Named("a", 4), sql.Named("b", "y")).Scan(&a, &b); err != nil || a != 4 || b != "y" {
		t.Errorf("executed to %d %q: %v", a, b, err)
	}
}
