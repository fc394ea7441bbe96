package probe

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/problem"
)

// mysqlPlace is where the app's settings point.
type mysqlPlace struct {
	host, port, user, password, database string
	plain                                bool // TLS is switched off
}

// mysqlForms tells how each client type's settings are read.
func mysqlForms() map[string]func(*visit) (mysqlPlace, error) {
	return map[string]func(*visit) (mysqlPlace, error){
		"dotnet":     mysqlADONET,
		"java":       func(v *visit) (mysqlPlace, error) { return mysqlJDBC(v.get(mysqlPrefix + "CONNECTIONSTRING")) },
		"go":         mysqlDSN,
		"springBoot": mysqlSpring,
		"python":     mysqlParts{database: "NAME", user: "USER"}.read,
		"django":     mysqlParts{database: "NAME", user: "USER"}.read,
		"nodejs":     mysqlParts{database: "DATABASE", user: "USER", port: "PORT", tls: "SSL", plain: "false"}.read,
		"php":        mysqlParts{database: "DBNAME", user: "USERNAME", port: "PORT", tls: "FLAG"}.read,
		"ruby":       mysqlParts{database: "DATABASE", user: "USERNAME", tls: "SSLMODE", plain: "disabled"}.read,
		"none":       mysqlParts{database: "DATABASE", user: "USERNAME", port: "PORT", tls: "SSL", plain: "false"}.read,
	}
}

const mysqlPrefix = "AZURE_MYSQL_"

func (v *visit) mysqlPlace() (mysqlPlace, error) {
	read, ok := mysqlForms()[v.client()]
	if !ok {
		return mysqlPlace{}, fmt.Errorf("nobody knows how %s reads it", v.client())
	}
	place, err := read(v)
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	if err != nil {
		return mysqlPlace{}, err
	}
	place.port = orElse(place.port, "3306")
	if port, err := strconv.ParseUint(place.port, 10, 16); err != nil || port == 0 {
		return mysqlPlace{}, errors.New("its port is not a number")
	}
	for what, text := range map[string]string{"host": place.host, "database": place.database, "user": place.user} {
		if text == "" {
			return mysqlPlace{}, fmt.Errorf("it names no %s", what)
		}
	}
	return place, nil
}

func mysqlADONET(v *visit) (mysqlPlace, error) {
	o, err := grammar.ParseADONET(v.get(mysqlPrefix + "CONNECTIONSTRING"))
	mode := strings.ToLower(pick(o, "ssl mode", "sslmode"))
	return mysqlPlace{
		host: pick(o, "server", "host", "data source", "datasource", "address", "addr"), port: pick(o, "port"),
		database: pick(o, "database", "initial catalog"),
		user:     pick(o, "user id", "userid", "username", "user name", "uid", "user"), password: pick(o, "password", "pwd"),
		plain: mode == "none" || mode == "disabled",
	}, err
}

func mysqlJDBC(text string) (mysqlPlace, error) {
	rest, ok := strings.CutPrefix(text, "jdbc:")
	u, err := url.Parse(rest)
	if err != nil || !ok || u.Scheme != "mysql" {
		return mysqlPlace{}, errors.New("it is not a JDBC URL of MySQL")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return mysqlPlace{}, errors.New("its parameters cannot be read")
	}
	plain := false
	for name, values := range q { // Connector/J writes it sslMode
		plain = plain || strings.EqualFold(name, "sslmode") && strings.EqualFold(values[0], "disabled")
	}
	return mysqlPlace{
		host: u.Hostname(), port: u.Port(), database: strings.TrimPrefix(u.Path, "/"),
		user: q.Get("user"), password: q.Get("password"), plain: plain,
	}, nil
}

func mysqlDSN(v *visit) (mysqlPlace, error) {
	cfg, err := driver.ParseDSN(v.get(mysqlPrefix + "CONNECTIONSTRING"))
	if err != nil {
		return mysqlPlace{}, errors.New("it is not a data source name of go-sql-driver") // whose words may quote it
	}
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil || cfg.Net != "tcp" {
		return mysqlPlace{}, errors.New("it names no host and port")
	}
	return mysqlPlace{host: host, port: port, database: cfg.DBName, user: cfg.User, password: cfg.Passwd,
		plain: cfg.TLSConfig == "" || cfg.TLSConfig == "false"}, nil
}

func mysqlSpring(v *visit) (mysqlPlace, error) {
	place, err := mysqlJDBC(v.get("spring.datasource.url"))
	if err != nil {
		return place, err
	}
	place.user = v.get("spring.datasource.username")
	if !v.identity() {
		place.password = v.get("spring.datasource.password")
	}
	return place, nil
}

// mysqlParts names settings that hold one part each; "" is a part without a setting, and
// then the usual holds. plain is what switches TLS off; "" there means an empty setting.
type mysqlParts struct{ database, user, port, tls, plain string }

func (n mysqlParts) read(v *visit) (mysqlPlace, error) {
	get := func(name string) string {
		if name == "" {
			return ""
		}
		return v.get(mysqlPrefix + name)
	}
	place := mysqlPlace{host: get("HOST"), database: get(n.database), user: get(n.user), port: get(n.port)}
	if !v.identity() {
		place.password = get("PASSWORD")
	}
	place.plain = n.tls != "" && strings.EqualFold(get(n.tls), n.plain)
	return place, nil
}

// mysql signs in as the app would. An identity's app would use a token; without one the
// server is asked far enough to see whether it lets the address in.
func (p *Prober) mysql(ctx context.Context, v *visit) outcome {
	place := mysqlPlace{host: v.facts.Text(connection.FactHost), port: "3306", user: "patchbay"}
	if !v.bare() {
		var err error
		if place, err = v.mysqlPlace(); err != nil {
			return v.unsettled(err)
		}
	}
	withLogin := !v.bare() && (!v.identity() || v.token != "")
	if !withLogin || v.token != "" {
		place.password = v.token
	}
	return v.mysqlOutcome(place, withLogin, p.mysqlTry(ctx, place))
}

func (p *Prober) mysqlTry(ctx context.Context, place mysqlPlace) error {
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", net.JoinHostPort(place.host, place.port), place.user, place.password, place.database
	cfg.DialFunc, cfg.Timeout, cfg.Logger = p.options.Dial, p.options.Timeout, &driver.NopLogger{}
	if !place.plain {
		cfg.TLS, cfg.AllowCleartextPasswords = p.tlsConfig(place.host), true
	}
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close() // nothing was written
	return db.PingContext(ctx)
}

// Errors of MySQL that tell what is wrong.
const (
	mysqlNoRight    = 1044
	mysqlBadLogin   = 1045
	mysqlNoDatabase = 1049
	mysqlHostShut   = 1130
	mysqlNoPassword = 1698 // MariaDB's refusal of an account that signs in otherwise
	mysqlLocked     = 3118
	mysqlWantsTLS   = 3159
	mysqlGateShut   = 9000
)

var mysqlShutOut = regexp.MustCompile(`(?:IP address|Host) '([^']*)'`)

func (v *visit) mysqlOutcome(place mysqlPlace, withLogin bool, err error) outcome {
	var refused *driver.MySQLError
	switch {
	case err == nil && withLogin:
		return outcome{}
	case err == nil:
		return outcome{unproven: identityUnproven}
	case !errors.As(err, &refused):
		return v.noAnswer(net.JoinHostPort(place.host, place.port), mysqlCause(err))
	}
	said := "the server says: " + refused.Message
	switch refused.Number {
	case mysqlHostShut, mysqlGateShut:
		address := ""
		if m := mysqlShutOut.FindStringSubmatch(refused.Message); m != nil {
			address = m[1]
		}
		return v.shutOut(address, said)
	case mysqlWantsTLS:
		return outcome{stage: atSettings, code: problem.SettingChanged, detail: "the app's settings switch TLS off; " + said, fix: v.repair(" --force")}
	case mysqlNoRight, mysqlBadLogin, mysqlNoDatabase, mysqlNoPassword, mysqlLocked:
		if !withLogin {
			return outcome{unproven: identityUnproven}
		}
	default:
		return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: said}
	}
	if refused.Number == mysqlNoDatabase {
		return outcome{code: problem.DatabaseMissing, detail: fmt.Sprintf("the server has no database %q", place.database), fix: v.newDatabase()}
	}
	return v.refused(said)
}

// mysqlCause names what the driver hides: a connection that ended before the server's
// first word.
func mysqlCause(err error) error {
	if errors.Is(err, driver.ErrInvalidConn) || errors.Is(err, sqldriver.ErrBadConn) {
		return io.EOF
	}
	return err
}
