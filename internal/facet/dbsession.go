package facet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// connectTimeout bounds one try to sign in; a closed firewall answers nothing.
const connectTimeout = 10 * time.Second

// within runs do on a connection to one database of the facet's server, signed
// in as the engine's administrator, and makes problems of its errors.
func (d *DBUser) within(ctx context.Context, f connection.Facet, database string, do func(*pgx.Conn) error) error {
	conn, err := d.connect(ctx, f, database)
	if err != nil {
		return refusedBy(f, err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // the work is done or has failed already
	}()
	return refusedBy(f, do(conn))
}

func (d *DBUser) connect(ctx context.Context, f connection.Facet, database string) (*pgx.Conn, error) {
	config, err := d.config(ctx, f, database)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, config)
}

// config says everything itself: nothing of the process's PG* environment counts.
func (d *DBUser) config(ctx context.Context, f connection.Facet, database string) (*pgx.ConnConfig, error) {
	host, port, err := d.endpoint(f)
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
	config, err := pgx.ParseConfig("host=localhost sslmode=disable passfile=/dev/null")
	if err != nil {
		return nil, fmt.Errorf("make connection settings: %w", err)
	}
	config.Host, config.Port, config.Database, config.User, config.Password = host, port, database, login, token
	config.TLSConfig = &tls.Config{ServerName: host, RootCAs: d.options.Roots, MinVersion: tls.VersionTLS12}
	config.Fallbacks = nil
	config.RuntimeParams = map[string]string{"application_name": "patchbay", "search_path": "pg_catalog"}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	if d.options.Dial != nil {
		config.DialFunc = d.options.Dial
	}
	if d.options.Lookup != nil {
		config.LookupFunc = d.options.Lookup
	}
	return config, nil
}

func (d *DBUser) endpoint(f connection.Facet) (host string, port uint16, err error) {
	host = known(f.Want, connection.AttrHost)
	if host == "" {
		return "", 0, problem.New(problem.DatabaseRefused, f.Resource, "the server's host is not known yet")
	}
	name, text, err := net.SplitHostPort(host)
	if err != nil {
		return host, d.options.Port, nil // no port in it
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, problem.New(problem.DatabaseRefused, f.Resource, "%q is not a host and port", host)
	}
	return name, uint16(n), nil
}
