package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// because says in a few words why a connection did not come about.
func because(err error) string {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &dns):
		return "has no address: the name is not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refuses the connection: nothing listens there"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), timeout(err):
		return "does not answer in time: it is down, or a firewall drops the traffic"
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid):
		return "shows a TLS certificate that does not hold: " + innermost(err).Error()
	case errors.As(err, &record):
		return "does not speak TLS"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "closes the connection at once"
	}
	return "cannot be reached: " + innermost(err).Error()
}

func timeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// innermost leaves out what wraps the cause: it may name users and databases. Of
// several causes it takes the last, the latest try.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if many, ok := err.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 {
			next = many.Unwrap()[len(many.Unwrap())-1]
		}
		if next == nil {
			return err
		}
		err = next
	}
}

// tlsConfig verifies the host against the given roots. The libraries' "require"
// mode would take any certificate; a probe carries a password and does not.
func (p *Prober) tlsConfig(host string) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: p.options.Roots, MinVersion: tls.VersionTLS12}
}

// dialTLS opens a connection and shakes hands.
func (p *Prober) dialTLS(ctx context.Context, host, port string) (net.Conn, error) {
	raw, err := p.options.Dial(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	return p.shake(ctx, raw, host)
}

// shake begins TLS on a connection, which it closes when that fails.
func (p *Prober) shake(ctx context.Context, raw net.Conn, host string) (net.Conn, error) {
	conn := tls.Client(raw, p.tlsConfig(host))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake's error says more
		return nil, err
	}
	return conn, nil
}

// local is the address a connection came from.
func local(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return ""
	}
	return host
}

func orElse(text, other string) string {
	if strings.TrimSpace(text) == "" {
		return other
	}
	return text
}
