package redis

import (
	"context"
	"crypto/tls"
	"net"
)

func tlsClient(ctx context.Context, conn net.Conn, cfg *tls.Config) (net.Conn, error) {
	c := tls.Client(conn, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}
