package facet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Numbers of errors that are told apart.
const (
	sqlNoDatabase    = 4060
	sqlLoginFailed   = 18456
	sqlFirewall      = 40615
	sqlUnavailable   = 40613
	sqlStillStarting = 40197
	sqlNameTaken     = 15023
	sqlPrincipalHas  = 15063
)

// dialSQL adapts a dial function to the driver. With a host name of its own it is handed
// names, which the driver would look up itself otherwise.
type dialSQL func(ctx context.Context, network, address string) (net.Conn, error)

// HostName implements mssql.HostDialer.
func (dialSQL) HostName() string { return "" }

func (d dialSQL) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d(ctx, network, address)
}

// within runs do on a session in the facet's database, signed in as the engine with its
// token, and makes problems of its errors.
func (d *SQLUser) within(ctx context.Context, f connection.Facet, do func(*sql.Conn) error) error {
	connector, err := d.connector(f)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	opening, cancel := context.WithTimeout(ctx, connectTimeout)
	conn, err := db.Conn(opening)
	cancel()
	if err != nil {
		return refusedBySQL(f, err)
	}
	defer conn.Close()
	return refusedBySQL(f, do(conn))
}

// connector says everything itself: nothing of the process's environment counts.
func (d *SQLUser) connector(f connection.Facet) (*mssql.Connector, error) {
	host, port, err := d.endpoint(f)
	if err != nil {
		return nil, err
	}
	database, err := needed(f, connection.AttrDatabase)
	if err != nil {
		return nil, err
	}
	cfg := msdsn.Config{
		Host: host, Port: port, Database: database, AppName: "patchbay", Protocols: []string{"tcp"}, Encryption: msdsn.EncryptionRequired,
		TLSConfig: &tls.Config{ServerName: host, RootCAs: d.options.Roots, MinVersion: tls.VersionTLS12}, DialTimeout: connectTimeout, ConnTimeout: 3 * connectTimeout,
		DisableRetry: true,
	}
	connector, err := mssql.NewSecurityTokenConnector(cfg, d.options.Token)
	if err != nil {
		return nil, fmt.Errorf("make connection settings: %w", err)
	}
	if d.options.Dial != nil {
		connector.Dialer = dialSQL(d.options.Dial)
	}
	return connector, nil
}

func (d *SQLUser) endpoint(f connection.Facet) (host string, port uint64, err error) {
	host = known(f.Want, connection.AttrHost)
	if host == "" {
		return "", 0, problem.New(problem.DatabaseRefused, f.Resource, "the server's host is not known yet")
	}
	host = strings.TrimPrefix(host, "tcp:")
	name, text, split := strings.Cut(host, ",") // the way SQL Server's clients write a port
	if !split {
		return host, 1433, nil
	}
	if port, err = strconv.ParseUint(text, 10, 16); err != nil {
		return "", 0, problem.New(problem.DatabaseRefused, f.Resource, "%q is not a host and port", host)
	}
	return name, port, nil
}

// refusedBySQL turns an error of the server into a problem, its number included.
func refusedBySQL(f connection.Facet, err error) error {
	var own *problem.Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	p := &problem.Error{Code: problem.DatabaseRefused, Attempt: fmt.Sprintf("work on database user %q", f.Name), Resource: f.Resource, Cause: err}
	var answer mssql.Error
	if errors.As(err, &answer) {
		kept := numbered(answer)
		p.Detail = fmt.Sprintf("%s (error %d)", strings.TrimPrefix(kept.message, "login error: "), kept.number)
		p.Cause = kept
	}
	return p
}

// sqlRefusal keeps of a server's answer its number and its sentence.
type sqlRefusal struct {
	number  int32
	message string
}

func (e *sqlRefusal) Error() string { return e.message }

// numbered takes the first of several errors: the others follow from it.
func numbered(e mssql.Error) *sqlRefusal {
	if len(e.All) > 0 {
		return &sqlRefusal{e.All[0].Number, e.All[0].Message}
	}
	return &sqlRefusal{e.Number, e.Message}
}

func isNumber(err error, numbers ...int32) bool {
	var kept *sqlRefusal
	var raw mssql.Error
	if !errors.As(err, &kept) && errors.As(err, &raw) {
		kept = numbered(raw)
	}
	for _, n := range numbers {
		if kept != nil && kept.number == n {
			return true
		}
	}
	return false
}

// passingSQL tells whether a refusal to let the engine in may end by itself: the network
// is not open yet, the administrator is not known yet, the database wakes up.
func passingSQL(err error) bool {
	if isNumber(err, sqlLoginFailed, sqlFirewall, sqlUnavailable, sqlStillStarting) {
		return true
	}
	var untrusted *tls.CertificateVerificationError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &untrusted) || errors.As(err, &invalid) {
		return false
	}
	var network net.Error
	return errors.As(err, &network)
}
