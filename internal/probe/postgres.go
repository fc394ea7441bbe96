package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/problem"
)

// postgresPlace is where the app's settings point.
type postgresPlace struct {
	host, port, user, password, database string
	plain                                bool // TLS is switched off
}

// postgresForms tells how each client type's settings are read; the rest are libpq strings.
func postgresForms() map[string]func(*visit) (postgresPlace, error) {
	return map[string]func(*visit) (postgresPlace, error){
		"dotnet":     postgresADONET,
		"java":       func(v *visit) (postgresPlace, error) { return postgresJDBC(v.get("AZURE_POSTGRESQL_CONNECTIONSTRING")) },
		"springBoot": postgresSpring,
		"django":     postgresParts("AZURE_POSTGRESQL_NAME", "AZURE_POSTGRESQL_USER", ""),
		"nodejs":     postgresParts("AZURE_POSTGRESQL_DATABASE", "AZURE_POSTGRESQL_USER", "AZURE_POSTGRESQL_PORT"),
		"none":       postgresParts("AZURE_POSTGRESQL_DATABASE", "AZURE_POSTGRESQL_USERNAME", "AZURE_POSTGRESQL_PORT"),
	}
}

func (v *visit) postgresPlace() (postgresPlace, error) {
	read, ok := postgresForms()[v.client()]
	if !ok {
		read = postgresLibpq
	}
	place, err := read(v)
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	if err != nil {
		return postgresPlace{}, err
	}
	place.port = orElse(place.port, "5432")
	if port, err := strconv.ParseUint(place.port, 10, 16); err != nil || port == 0 {
		return postgresPlace{}, errors.New("its port is not a number")
	}
	for what, text := range map[string]string{"host": place.host, "database": place.database, "user": place.user} {
		if text == "" {
			return postgresPlace{}, fmt.Errorf("it names no %s", what)
		}
	}
	return place, nil
}

func postgresADONET(v *visit) (postgresPlace, error) {
	o, err := grammar.ParseADONET(v.get("AZURE_POSTGRESQL_CONNECTIONSTRING"))
	return postgresPlace{
		host: pick(o, "server", "host"), port: pick(o, "port"), database: pick(o, "database", "db"),
		user: pick(o, "user id", "username", "user name", "userid", "uid"), password: pick(o, "password", "pwd"),
		plain: strings.EqualFold(pick(o, "ssl mode", "sslmode"), "disable"),
	}, err
}

func postgresLibpq(v *visit) (postgresPlace, error) {
	o, err := grammar.ParseLibpq(v.get("AZURE_POSTGRESQL_CONNECTIONSTRING"))
	return postgresPlace{
		host: o["host"], port: o["port"], database: o["dbname"], user: o["user"], password: o["password"],
		plain: o["sslmode"] == "disable",
	}, err
}

func postgresJDBC(text string) (postgresPlace, error) {
	rest, ok := strings.CutPrefix(text, "jdbc:")
	u, err := url.Parse(rest)
	if err != nil || !ok || u.Scheme != "postgresql" {
		return postgresPlace{}, errors.New("it is not a JDBC URL of PostgreSQL")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return postgresPlace{}, errors.New("its parameters cannot be read")
	}
	return postgresPlace{
		host: u.Hostname(), port: u.Port(), database: strings.TrimPrefix(u.Path, "/"),
		user: q.Get("user"), password: q.Get("password"), plain: q.Get("sslmode") == "disable",
	}, nil
}

func postgresSpring(v *visit) (postgresPlace, error) {
	place, err := postgresJDBC(v.get("spring.datasource.url"))
	if err != nil {
		return place, err
	}
	place.user = v.get("spring.datasource.username")
	if !v.identity() {
		place.password = v.get("spring.datasource.password")
	}
	return place, nil
}

// postgresParts reads settings that hold one part each; no port setting means the usual one.
func postgresParts(database, user, port string) func(*visit) (postgresPlace, error) {
	return func(v *visit) (postgresPlace, error) {
		place := postgresPlace{host: v.get("AZURE_POSTGRESQL_HOST"), database: v.get(database), user: v.get(user)}
		if port != "" {
			place.port = v.get(port)
		}
		if !v.identity() {
			place.password = v.get("AZURE_POSTGRESQL_PASSWORD")
		}
		return place, nil
	}
}

func pick(o grammar.Options, names ...string) string {
	for _, name := range names {
		if text, ok := o[name]; ok {
			return text
		}
	}
	return ""
}

// postgres signs in as the app would. An identity's app would use a token; without
// one the server is asked far enough to see whether it lets the address in.
func (p *Prober) postgres(ctx context.Context, v *visit) outcome {
	place := postgresPlace{host: v.facts.Text(connection.FactHost), port: "5432", user: "patchbay", database: "postgres"}
	if !v.bare() {
		var err error
		if place, err = v.postgresPlace(); err != nil {
			return v.unsettled(err)
		}
	}
	withLogin := !v.bare() && (!v.identity() || v.token != "")
	if !withLogin || v.token != "" {
		place.password = v.token
	}
	cfg, err := p.postgresConfig(place)
	if err != nil {
		return v.unsettled(errors.New("it cannot be dialled"))
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		defer conn.Close(context.WithoutCancel(ctx))
		err = conn.Ping(ctx)
	}
	return v.postgresOutcome(place, withLogin, err)
}

// postgresConfig names everything, so that nothing is taken from this process's environment.
func (p *Prober) postgresConfig(place postgresPlace) (*pgx.ConnConfig, error) {
	g, _ := grammar.Lookup(grammar.Libpq)
	text := "sslmode=disable application_name=patchbay"
	for _, o := range [][2]string{{"host", place.host}, {"port", place.port}, {"user", place.user}, {"dbname", place.database}} {
		var err error
		if text, err = g.Add(text, o[0], o[1]); err != nil {
			return nil, err
		}
	}
	cfg, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, err
	}
	cfg.Password, cfg.Fallbacks = place.password, nil
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	cfg.DialFunc = pgconn.DialFunc(p.options.Dial)
	cfg.ConnectTimeout = p.options.Timeout
	if !place.plain {
		cfg.TLSConfig = p.tlsConfig(place.host)
	}
	return cfg, nil
}

// States of SQL that tell what is wrong.
const (
	stateBadPassword   = "28P01"
	stateNotAuthorised = "28000"
	stateNoDatabase    = "3D000"
	stateNoPrivilege   = "42501"
)

var shutOutHost = regexp.MustCompile(`(?:no pg_hba\.conf entry for|pg_hba\.conf rejects connection for) host "([^"]*)"`)

func (v *visit) postgresOutcome(place postgresPlace, withLogin bool, err error) outcome {
	var refused *pgconn.PgError
	switch {
	case err == nil && withLogin:
		return outcome{}
	case err == nil:
		return outcome{unproven: identityUnproven}
	case !errors.As(err, &refused):
		return v.noAnswer(net.JoinHostPort(place.host, place.port), err)
	}
	if m := shutOutHost.FindStringSubmatch(refused.Message); m != nil {
		return v.shutOut(m[1], "the server says: "+refused.Message)
	}
	switch refused.Code {
	case stateBadPassword, stateNotAuthorised, stateNoPrivilege, stateNoDatabase:
		if !withLogin {
			return outcome{unproven: identityUnproven}
		}
	default:
		return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: "the server says: " + refused.Message}
	}
	if refused.Code == stateNoDatabase {
		return outcome{code: problem.DatabaseMissing, detail: fmt.Sprintf("the server has no database %q", place.database), fix: v.newDatabase()}
	}
	return v.refused("the server says: " + refused.Message)
}

// newDatabase is the command that makes the target's database again.
func (v *visit) newDatabase() string {
	return "patchbay rest PUT " + v.c.Properties.Target.ID + "?api-version=" + v.facts.Text(connection.FactVersion) + " -b {} --wait"
}
