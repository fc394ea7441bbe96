package facet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"net"

	driver "github.com/go-sql-driver/mysql"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Errors of MySQL that are told apart.
const (
	mysqlTooMany     = 1040
	mysqlDenied      = 1045
	mysqlNoDatabase  = 1049
	mysqlStopping    = 1053
	mysqlHostDenied  = 1130
	mysqlNoGrants    = 1141
	mysqlCannotUser  = 1396
	mysqlNotAllowed  = 9000 // a gateway's word for a closed firewall
	mysqlSyntaxError = 1064
)

// within runs do in one session on the facet's server, signed in as the engine's
// administrator, and makes problems of its errors.
func (d *MySQLUser) within(ctx context.Context, f connection.Facet, do func(*sql.Conn) error) error {
	connector, err := d.connector(ctx, f)
	if err != nil {
		return mysqlRefused(f, err)
	}
	db := sql.OpenDB(connector)
	defer db.Close() // the work is done or has failed already
	trying, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := db.Conn(trying)
	if err != nil {
		return mysqlRefused(f, &mysqlUnreached{err})
	}
	defer conn.Close() // as above
	return mysqlRefused(f, do(conn))
}

// connector says everything itself. The session's mode is pinned: quoting relies on it.
func (d *MySQLUser) connector(ctx context.Context, f connection.Facet) (sqldriver.Connector, error) {
	host, port, err := splitHost(f, d.options.Port)
	if err != nil {
		return nil, err
	}
	login := known(f.Want, connection.AttrLogin)
	if login == "" {
		return nil, problem.New(problem.DatabaseRefused, f.Resource, "the administrator to sign in as is not known yet")
	}
	token, err := d.options.Token(ctx)
	if err != nil {
		return nil, err
	}
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd = "tcp", net.JoinHostPort(host, fmt.Sprint(port)), login, token
	cfg.TLS = &tls.Config{ServerName: host, RootCAs: d.options.Roots, MinVersion: tls.VersionTLS12}
	cfg.AllowCleartextPasswords = true // a token is sent in clear, inside TLS that was verified
	cfg.InterpolateParams, cfg.Logger = true, &driver.NopLogger{}
	cfg.Params = map[string]string{"sql_mode": "''"}
	if d.options.Dial != nil {
		cfg.DialFunc = d.options.Dial
	}
	made, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("make connection settings: %w", err)
	}
	return made, nil
}

// splitHost reads host and port out of a facet's host.
func splitHost(f connection.Facet, usual uint16) (host string, port uint16, err error) {
	if host = known(f.Want, connection.AttrHost); host == "" {
		return "", 0, problem.New(problem.DatabaseRefused, f.Resource, "the server's host is not known yet")
	}
	name, text, err := net.SplitHostPort(host)
	if err != nil {
		return host, usual, nil // no port in it
	}
	if _, err := fmt.Sscanf(text, "%d", &port); err != nil || port == 0 {
		return "", 0, problem.New(problem.DatabaseRefused, f.Resource, "%q is not a host and port", host)
	}
	return name, port, nil
}

// mysqlUnreached is a session that did not come about.
type mysqlUnreached struct{ cause error }

func (e *mysqlUnreached) Error() string { return e.cause.Error() }
func (e *mysqlUnreached) Unwrap() error { return e.cause }

// mysqlRefused turns an error of the server into a problem, its number included.
func mysqlRefused(f connection.Facet, err error) error {
	var own *problem.Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	p := &problem.Error{Code: problem.DatabaseRefused, Attempt: fmt.Sprintf("work on database user %q", f.Name), Resource: f.Resource, Cause: err}
	var answer *driver.MySQLError
	if errors.As(err, &answer) {
		said := answer.Message
		if answer.Number == mysqlSyntaxError {
			said = "syntax error" // the rest quotes the statement
		}
		p.Detail = fmt.Sprintf("%s (error %d)", said, answer.Number)
		kept := &driver.MySQLError{Number: answer.Number, Message: said}
		p.Cause = kept
		var unreached *mysqlUnreached
		if errors.As(err, &unreached) {
			p.Cause = &mysqlUnreached{kept}
		}
	}
	return p
}

func isMySQL(err error, numbers ...uint16) bool {
	var answer *driver.MySQLError
	if !errors.As(err, &answer) {
		return false
	}
	for _, n := range numbers {
		if answer.Number == n {
			return true
		}
	}
	return false
}

// mysqlPassing tells whether a refusal to let the engine in may end by itself: the network
// is not open yet, or the administrator is not known yet.
func mysqlPassing(err error) bool {
	var unreached *mysqlUnreached
	var untrusted *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unreached) || errors.As(err, &untrusted) || errors.As(err, &unknown) {
		return false
	}
	var answer *driver.MySQLError
	return !errors.As(err, &answer) || isMySQL(err, mysqlTooMany, mysqlDenied, mysqlStopping, mysqlHostDenied, mysqlNotAllowed)
}
