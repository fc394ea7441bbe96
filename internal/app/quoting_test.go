package app

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	driver "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/microsoft/go-mssqldb/msdsn"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// hostile are words that mean something in one notation or another: separators, quotes,
// escapes, blanks, line ends, and what is not ASCII.
func hostile() []string {
	return []string{
		`a;b'c"d@e%f=g{h} i`, ` lead and trail `, "line\nbreak\tand tab", `Пароль-密-é-ü`, `}}{{;`, `back\slash\`, `'`, `"`, `''""`,
		`%40%3B`, `a+b&c?d#e/f:g`, "$(id) `id` $HOME", `;Database=other;`, `password=x user=y`, `[x],[y]`, `end=`,
	}
}

// login is one target whose user and password come with the request.
type login struct {
	target string
	// make lets a user in with a password.
	make func(ctx context.Context, g *field, roots *tls.Config, user, password string) error
	// setting and enter: what a Go program reads, and how it signs in with nothing else.
	setting string
	enter   func(ctx context.Context, text string, roots *tls.Config) (user string, err error)
	// names tells that users too have such names, and not only passwords; notIn is what
	// names cannot hold, in the notation (which is refused) or at the service.
	names         bool
	notIn         string
	notInPassword string
}

func logins() []login {
	return []login{
		{"selfhosted-postgres", makePostgresUser, "AZURE_POSTGRESQL_CONNECTIONSTRING", enterPostgres, true, "", ""},
		{"selfhosted-mysql", makeMySQLUser, "AZURE_MYSQL_CONNECTIONSTRING", enterMySQL, true, ":", ""},
		{"selfhosted-sqlserver", setSQLPassword, "AZURE_SQL_CONNECTIONSTRING", enterSQL, false, "", ""},
		{"mongodb-atlas", makeMongoUser, "AZURE_COSMOS_CONNECTIONSTRING", enterMongo, true, "\n\t/\\%?#&", "\n\t"}, // SASL knows no control characters,
	}
}

// TestHostileLogins: users and passwords full of what notations use for themselves come
// to the app such that a library of its ecosystem reads them and is let in.
func TestHostileLogins(t *testing.T) {
	t.Parallel()
	o := plant(t)
	roots := o.tls(t)
	var tried int
	for _, l := range logins() {
		t.Run(l.target, func(t *testing.T) {
			o.c.t = t
			g := o.field(t, l.target)
			for n, word := range hostile() {
				user := g.Secret.Name
				if l.names {
					user = strconv.Itoa(n) + l.name(word)
				}
				password := "Passw4-" + strconv.Itoa(n) + l.password(word)
				if err := l.make(t.Context(), g, roots, user, password); err != nil {
					t.Fatalf("make %q with %q: %v", user, password, err)
				}
				g.entersAs(t, l, user, password, roots)
				tried++
			}
			g.s.must(t, "DELETE", g.hostileURL(), nil)
		})
	}
	t.Logf("%d logins", tried)
}

// name is a word as the name of a user. A blank at its end is nothing to MySQL.
func (l login) name(word string) string {
	return strings.TrimRight(without(word, l.notIn), " ")
}

func (l login) password(word string) string { return without(word, l.notInPassword) }

func without(word, characters string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(characters, c) {
			return -1
		}
		return c
	}, word)
}

func (o *orchard) tls(t *testing.T) *tls.Config {
	t.Helper()
	roots, err := rootsWith(o.c.ready.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func (g *field) hostileURL() string {
	return g.site + "/providers/Microsoft.ServiceLinker/linkers/hostile"
}

// service is where the target is, by its address where users come with the request.
func (g *field) service() map[string]any {
	if g.target.Name == "mongodb-atlas" { // which, taken by its address, is any MongoDB server
		return map[string]any{"type": "SelfHostedServer", "endpoint": "mongodb://" + g.facts["at"] + "/orders"}
	}
	return g.body(nil, "go")["properties"].(map[string]any)["targetService"].(map[string]any)
}

func (g *field) entersAs(t *testing.T, l login, user, password string, roots *tls.Config) {
	t.Helper()
	op := g.s.do("PUT", g.hostileURL(), map[string]any{"properties": map[string]any{"targetService": g.service(), "authInfo": byPassword(user, password), "clientType": "go"}})
	if op.text("status") != "Succeeded" {
		t.Errorf("%q with %q: %s", user, password, op.Raw)
		return
	}
	text := g.settings()[l.setting]
	got, err := l.enter(t.Context(), text, roots)
	if err != nil || got != user {
		t.Errorf("%q with %q is let in as %q, %v: %s", user, password, got, err, text)
	}
}

func quoteSQL(text, mark string) string {
	return mark + strings.ReplaceAll(text, mark, mark+mark) + mark
}

func makePostgresUser(ctx context.Context, g *field, roots *tls.Config, user, password string) error {
	u, err := url.Parse(g.facts["endpoint"])
	if err != nil {
		return err
	}
	u.User, u.RawQuery = url.UserPassword(g.Secret.Name, g.Secret.Value), "sslmode=require"
	conn, err := openPostgres(ctx, u.String(), roots)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "CREATE ROLE "+quoteSQL(user, `"`)+" LOGIN PASSWORD "+quoteSQL(password, "'"), pgx.QueryExecModeSimpleProtocol)
	return err
}

func openPostgres(ctx context.Context, text string, roots *tls.Config) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, err
	}
	cfg.TLSConfig = roots.Clone()
	cfg.TLSConfig.ServerName = cfg.Host
	return pgx.ConnectConfig(ctx, cfg)
}

func enterPostgres(ctx context.Context, text string, roots *tls.Config) (user string, err error) {
	conn, err := openPostgres(ctx, text, roots)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "SELECT current_user").Scan(&user)
	return user, err
}

func openMySQL(cfg *driver.Config, roots *tls.Config) (*sql.DB, error) {
	host, _, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, err
	}
	cfg.TLS, cfg.AllowCleartextPasswords = roots.Clone(), true
	cfg.TLS.ServerName = host
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func makeMySQLUser(ctx context.Context, g *field, roots *tls.Config, user, password string) error {
	u, err := url.Parse(g.facts["endpoint"])
	if err != nil {
		return err
	}
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd = "tcp", u.Host, g.Secret.Name, g.Secret.Value
	db, err := openMySQL(cfg, roots)
	if err != nil {
		return err
	}
	defer db.Close()
	quoted := func(text string) string { return quoteSQL(strings.ReplaceAll(text, `\`, `\\`), "'") }
	for _, statement := range []string{"CREATE USER " + quoted(user) + "@'%' IDENTIFIED BY " + quoted(password), "GRANT ALL ON orders.* TO " + quoted(user) + "@'%'"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func enterMySQL(ctx context.Context, text string, roots *tls.Config) (user string, err error) {
	cfg, err := driver.ParseDSN(text)
	if err != nil {
		return "", err
	}
	db, err := openMySQL(cfg, roots)
	if err != nil {
		return "", err
	}
	defer db.Close()
	if err := db.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&user); err != nil {
		return "", err
	}
	return strings.TrimSuffix(user, "@%"), nil
}

// setSQLPassword gives the administrator another password: nobody else signs in there
// with one.
func setSQLPassword(_ context.Context, g *field, _ *tls.Config, _, password string) error {
	for _, p := range g.Puts {
		if strings.Contains(p.Path, "/servers/") && !strings.Contains(p.Path, "/databases/") && !strings.Contains(p.Path, "/firewallRules/") {
			g.c.arm("PUT", p.Path, p.Version, merged(p.Body, with("administratorLoginPassword", password)))
		}
	}
	return nil
}

func enterSQL(ctx context.Context, text string, roots *tls.Config) (string, error) {
	cfg, err := msdsn.Parse(text)
	if err != nil {
		return "", err
	}
	cfg.TLSConfig = roots.Clone()
	cfg.TLSConfig.ServerName = cfg.Host
	db, err := openSQL(cfg, "", "")
	if err != nil {
		return "", err
	}
	defer db.Close()
	return cfg.User, db.PingContext(ctx)
}

func makeMongoUser(_ context.Context, g *field, _ *tls.Config, user, password string) error {
	for _, p := range g.Puts {
		if place, _, found := strings.Cut(p.Path, "/databaseUsers/"); found {
			g.c.arm("PUT", place+"/databaseUsers/"+url.PathEscape(user), p.Version, merged(p.Body, with("password", password)))
		}
	}
	return nil
}

func enterMongo(ctx context.Context, text string, roots *tls.Config) (string, error) {
	o := options.Client().ApplyURI(text).SetTLSConfig(roots).SetServerSelectionTimeout(5 * time.Second)
	if err := o.Validate(); err != nil {
		return "", err
	}
	client, err := mongo.Connect(o)
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	return o.Auth.Username, client.Ping(ctx, nil)
}

// TestHostileRedis: the same for a server of somebody's own that takes user and password.
func TestHostileRedis(t *testing.T) {
	t.Parallel()
	o := plant(t)
	g := o.field(t, "selfhosted-redis-plain")
	server := miniredis.RunT(t)
	for n, word := range hostile() {
		user, password := fmt.Sprint("u", n, word), fmt.Sprint("P4-", n, word)
		server.RequireUserAuth(user, password)
		service := map[string]any{"type": "SelfHostedServer", "endpoint": "redis://" + server.Addr() + "/0"}
		op := g.s.do("PUT", g.hostileURL(), map[string]any{"properties": map[string]any{"targetService": service, "authInfo": byPassword(user, password), "clientType": "go"}})
		if op.text("status") != "Succeeded" {
			t.Errorf("%q with %q: %s", user, password, op.Raw)
			continue
		}
		text := g.settings()["AZURE_REDIS_CONNECTIONSTRING"]
		o, err := redis.ParseURL(text)
		if err != nil || o.Username != user || o.Password != password {
			t.Errorf("%q: %+v, %v", text, o, err)
			continue
		}
		client := redis.NewClient(o)
		if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Errorf("%q is not let in: %v", text, err)
		}
		client.Close()
	}
	if left := slices.Sorted(maps.Keys(g.settings())); len(left) < 2 {
		t.Errorf("the app has only %v", left)
	}
	g.s.must(t, "DELETE", g.hostileURL(), nil)
}
