package app

import (
	"context"
	"crypto/tls"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
)

// testAddress is the loopback address the tests' own sessions come from.
const testAddress = "127.77.255.9"

// letTestsIn opens a database server's firewall for the tests' own sessions.
func (c *cloudUnderTest) letTestsIn(server string) {
	c.t.Helper()
	c.arm("PUT", c.server(server)+"/firewallRules/tests", serverVersion, map[string]any{"properties": map[string]any{"startIpAddress": testAddress, "endIpAddress": testAddress}})
}

// sql runs statements on a server's db1 as its administrator and returns the first
// column of the last one's rows.
func (c *cloudUnderTest) sql(server string, statements ...string) []string {
	c.t.Helper()
	ctx := c.t.Context()
	host := c.arm("GET", c.server(server), serverVersion, nil).text("properties", "fullyQualifiedDomainName")
	roots, err := rootsWith(c.ready.CAFile)
	if err != nil {
		c.t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig("sslmode=disable port=5432 user=pgadmin dbname=db1 host=" + host)
	if err != nil {
		c.t.Fatal(err)
	}
	cfg.Password, cfg.TLSConfig = adminPassword, &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(testAddress)}}
	cfg.DialFunc = dialer.DialContext
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var out []string
	for _, statement := range statements {
		rows, err := conn.Query(ctx, statement)
		if err == nil {
			out, err = pgx.CollectRows(rows, firstColumn)
		}
		if err != nil {
			c.t.Fatalf("%s: %v", statement, err)
		}
	}
	return out
}

// firstColumn reads one row; statements that return nothing have none.
func firstColumn(row pgx.CollectableRow) (text string, err error) {
	return text, row.Scan(&text)
}

// world is a snapshot and the database users of pg1 that stand for identities.
func (c *cloudUnderTest) world() map[string]string {
	c.t.Helper()
	out := c.snapshot()
	out["users"] = strings.Join(c.sql("pg1", `SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'aad\_%' ORDER BY 1`), " ")
	return out
}
