package probe

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/patchbay/patchbay/internal/connection/grammar"
)

// tdsPlace is where the app's settings point. A service principal's client id and secret
// stand for user and password.
type tdsPlace struct {
	host           string
	port           uint64
	database       string
	user, password string
}

// tdsParts names the settings that hold one part each; "" where a client type has none.
type tdsParts struct{ server, port, database, user, password string }

// tdsPartsOf tells which client types read parts. The names of user and password differ
// for a service principal.
func tdsPartsOf(client string, principal bool) (tdsParts, bool) {
	all := map[string]tdsParts{
		"python": {"SERVER", "PORT", "DATABASE", "USER", "PASSWORD"},
		"nodejs": {"SERVER", "PORT", "DATABASE", "USERNAME", "PASSWORD"},
		"php":    {"SERVERNAME", "", "DATABASE", "UID", "PASSWORD"},
		"ruby":   {"HOST", "PORT", "DATABASE", "USERNAME", "PASSWORD"},
		"django": {"HOST", "PORT", "NAME", "USER", "PASSWORD"},
		"none":   {"HOST", "PORT", "DATABASE", "USERNAME", "PASSWORD"},
	}
	parts, ok := all[client]
	if ok && principal && client == "nodejs" {
		parts.user, parts.password = "CLIENTID", "CLIENTSECRET"
	}
	return parts, ok
}

// fabric tells whether the target is a database of Microsoft Fabric, whose every client type
// reads one connection string.
func (v *visit) fabric() bool { return v.targetName() == "fabric-sql" }

func (v *visit) tdsPlace() (tdsPlace, error) {
	place, err := v.tdsRead()
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	if err != nil {
		return tdsPlace{}, err
	}
	if place.port == 0 {
		place.port = 1433
	}
	needed := map[string]string{"host": place.host, "database": place.database}
	if !v.identity() {
		needed["user"] = place.user
	}
	for what, text := range needed {
		if text == "" {
			return tdsPlace{}, fmt.Errorf("it names no %s", what)
		}
	}
	return place, nil
}

// tdsRead reads the settings in the notation of their client type.
func (v *visit) tdsRead() (tdsPlace, error) {
	const whole = "AZURE_SQL_CONNECTIONSTRING"
	if v.fabric() {
		return tdsString(v.client(), v.get("FABRIC_SQL_CONNECTIONSTRING"))
	}
	if parts, ok := tdsPartsOf(v.client(), v.bearer()); ok {
		if v.certified() {
			parts.password = "CLIENTCERTIFICATE"
		}
		return v.tdsFromParts(parts)
	}
	if v.client() == "springBoot" {
		place, err := tdsJDBC(v.get("spring.datasource.url"))
		if err == nil && (!v.identity() || v.bearer()) {
			place.user, place.password = v.get("spring.datasource.username"), v.get("spring.datasource.password")
		}
		return place, err
	}
	return tdsString(v.client(), v.get(whole))
}

func (v *visit) tdsFromParts(parts tdsParts) (tdsPlace, error) {
	get := func(name string) string {
		if name == "" {
			return ""
		}
		return v.get("AZURE_SQL_" + name)
	}
	place := tdsPlace{database: get(parts.database)}
	var err error
	if place.host, place.port, err = tdsServer(get(parts.server)); err != nil {
		return place, err
	}
	if port := get(parts.port); port != "" {
		if place.port, err = strconv.ParseUint(port, 10, 16); err != nil {
			return place, errors.New("its port is not a number")
		}
	}
	if !v.identity() || v.bearer() {
		place.user, place.password = get(parts.user), get(parts.password)
	}
	return place, nil
}

// tdsServer reads a server as SQL Server's clients write it: tcp:HOST,PORT.
func tdsServer(text string) (host string, port uint64, err error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "tcp:")
	host, digits, named := strings.Cut(text, ",")
	if named {
		if port, err = strconv.ParseUint(strings.TrimSpace(digits), 10, 16); err != nil {
			return "", 0, errors.New("its port is not a number")
		}
	}
	return host, port, nil
}

// tdsString reads a whole connection string.
func tdsString(client, text string) (tdsPlace, error) {
	switch client {
	case "java", "springBoot":
		return tdsJDBC(text)
	case "python":
		return tdsPairs(braced(text))
	case "go", "none":
		return tdsDSN(text)
	}
	o, err := grammar.ParseADONET(text)
	return tdsPairs(map[string]string(o), err)
}

// tdsPairs picks the parts out of named ones; ADO.NET and ODBC know several names for each.
func tdsPairs(o map[string]string, err error) (tdsPlace, error) {
	if err != nil {
		return tdsPlace{}, err
	}
	place := tdsPlace{
		database: pick(o, "initial catalog", "database"), user: pick(o, "user id", "uid", "user"), password: pick(o, "password", "pwd"),
	}
	place.host, place.port, err = tdsServer(pick(o, "data source", "server", "address", "addr", "network address"))
	return place, err
}

// tdsDSN reads what go-mssqldb takes, by its own rules.
func tdsDSN(text string) (tdsPlace, error) {
	cfg, err := msdsn.Parse(text)
	if err != nil {
		return tdsPlace{}, errors.New("it is not a connection string of go-mssqldb") // its own words may quote values
	}
	return tdsPlace{host: cfg.Host, port: cfg.Port, database: cfg.Database, user: cfg.User, password: cfg.Password}, nil
}

// tdsJDBC reads a URL of Microsoft's JDBC driver: the server, then properties.
func tdsJDBC(text string) (tdsPlace, error) {
	rest, ok := strings.CutPrefix(text, "jdbc:sqlserver://")
	if !ok {
		return tdsPlace{}, errors.New("it is not a JDBC URL of SQL Server")
	}
	server, properties, _ := strings.Cut(rest, ";")
	o, err := braced(properties)
	if err != nil {
		return tdsPlace{}, err
	}
	place := tdsPlace{host: server, database: pick(o, "databasename", "database"), user: pick(o, "user", "username"), password: pick(o, "password")}
	if host, port, named := strings.Cut(server, ":"); named {
		if place.port, err = strconv.ParseUint(port, 10, 16); err != nil {
			return tdsPlace{}, errors.New("its port is not a number")
		}
		place.host = host
	}
	return place, nil
}

// braced reads pairs between semicolons; a value in braces holds anything, a closing
// brace doubled.
func braced(text string) (map[string]string, error) {
	out := map[string]string{}
	for strings.Trim(text, " ;") != "" {
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			return nil, errors.New("a pair has no value")
		}
		var value string
		var err error
		if value, text, err = bracedValue(rest); err != nil {
			return nil, err
		}
		key = strings.ToLower(strings.Trim(key, " ;"))
		if _, twice := out[key]; !twice { // the first one counts
			out[key] = value
		}
	}
	return out, nil
}

func bracedValue(text string) (value, rest string, err error) {
	if !strings.HasPrefix(strings.TrimLeft(text, " "), "{") {
		value, rest, _ = strings.Cut(text, ";")
		return strings.TrimSpace(value), rest, nil
	}
	text = strings.TrimLeft(text, " ")[1:]
	var out strings.Builder
	for {
		part, after, closed := strings.Cut(text, "}")
		if !closed {
			return "", "", errors.New("a brace is not closed")
		}
		out.WriteString(part)
		if !strings.HasPrefix(after, "}") {
			_, rest, _ = strings.Cut(after, ";")
			return out.String(), rest, nil
		}
		out.WriteByte('}')
		text = after[1:]
	}
}
