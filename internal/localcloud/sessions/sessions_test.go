package sessions

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

// TestCloseEndsSessions: whoever closes has nothing left running, talkative or silent.
func TestCloseEndsSessions(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	began, ended := make(chan netip.Addr), make(chan error, 1)
	s := Serve(l, nil, func(ctx context.Context, conn net.Conn, remote netip.Addr) {
		began <- remote
		_, err := io.ReadAll(conn)
		if ctx.Err() == nil {
			t.Error("the session's context outlives the server")
		}
		ended <- err
	})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if remote := <-began; remote != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("the client comes from %s", remote)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Close returns before its session has ended")
	}
	if _, err := net.DialTimeout("tcp", l.Addr().String(), time.Second); err == nil {
		t.Error("a closed server listens")
	}
}

// TestPlainTextIsNotServed: a client that speaks no TLS never reaches the handler.
func TestPlainTextIsNotServed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, providertest.New(t).ServerTLS(), func(context.Context, net.Conn, netip.Addr) { t.Error("served") })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil { // ends because the server hangs up
		t.Log(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
