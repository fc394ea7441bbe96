package postgres

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Codes that stand where a startup message has its protocol version.
const (
	codeCancel = 80877102
	codeSSL    = 80877103
	codeGSS    = 80877104
	protocol3  = 3 << 16

	maxStartup     = 10000 // bytes; the server's own limit
	refusalTimeout = 10 * time.Second
)

var errStartup = errors.New("malformed startup message")

// gate listens where clients connect and lets them through to the server, or
// refuses them as the server would. It reads nothing of an admitted session:
// TLS ends at the server.
type gate struct {
	listener net.Listener
	source   netip.Addr // address towards the server; its host rules admit no other
	port     int        // the server's private port
	decide   func(from netip.Addr) verdict
	tls      *tls.Config

	work  sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once closed
}

// openGate listens on the real port of address.
func openGate(ctx context.Context, address string, port int, cfg *tls.Config, decide func(netip.Addr) verdict) (*gate, error) {
	source, err := netip.ParseAddr(address)
	if err != nil {
		return nil, fmt.Errorf("open gate: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(address, "5432"))
	if err != nil {
		return nil, fmt.Errorf("open gate: %w", err)
	}
	g := &gate{listener: l, source: source, port: port, decide: decide, tls: cfg, conns: map[net.Conn]struct{}{}}
	g.work.Add(1)
	go g.accept()
	return g, nil
}

// close stops listening, ends every session and waits for both.
func (g *gate) close() {
	_ = g.listener.Close()
	g.mu.Lock()
	for c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
	g.mu.Unlock()
	g.work.Wait()
}

func (g *gate) accept() {
	defer g.work.Done()
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		if !g.track(conn) {
			_ = conn.Close()
			return
		}
		g.work.Add(1)
		go func() {
			defer g.work.Done()
			defer g.forget(conn)
			g.serve(conn)
		}()
	}
}

func (g *gate) track(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns == nil {
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

func (g *gate) forget(c net.Conn) {
	_ = c.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

func (g *gate) serve(conn net.Conn) {
	from := netip.AddrPortFrom(netip.Addr{}, 0)
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		from = a.AddrPort()
	}
	switch g.decide(from.Addr()) {
	case open:
		g.forward(conn)
	case denied:
		_ = conn.SetDeadline(time.Now().Add(refusalTimeout))
		_ = refuse(conn, g.tls, from.Addr().Unmap()) // a client that hangs up has its answer
	case closed:
	}
}

func (g *gate) forward(client net.Conn) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: g.source.AsSlice()}}
	server, err := d.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(g.port)))
	if err != nil {
		return // the server is down; hanging up is what a dead host does
	}
	if !g.track(server) {
		_ = server.Close()
		return
	}
	defer g.forget(server)
	var copies sync.WaitGroup
	for _, way := range [][2]net.Conn{{server, client}, {client, server}} {
		copies.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			// PostgreSQL never half-closes: either end's going ends the session.
			_ = server.Close()
			_ = client.Close()
		})
	}
	copies.Wait()
}

// refuse answers a startup the way the server refuses a host it has no rule for.
func refuse(conn net.Conn, cfg *tls.Config, from netip.Addr) error {
	channel := "no encryption"
	for {
		code, body, err := readStartup(conn)
		if err != nil {
			return err
		}
		switch code {
		case codeSSL:
			if _, err := conn.Write([]byte{'S'}); err != nil {
				return err
			}
			secure := tls.Server(conn, cfg)
			if err := secure.Handshake(); err != nil {
				return err
			}
			conn, channel = secure, "SSL encryption"
		case codeGSS:
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return err
			}
		case protocol3:
			user, database := startupNames(body)
			_, err := conn.Write(fatal("28000", fmt.Sprintf(`no pg_hba.conf entry for host "%s", user "%s", database "%s", %s`,
				from, user, database, channel)))
			return errors.Join(err, conn.Close()) // over TLS, Close says so before it hangs up
		default: // a cancel request, or a protocol we do not speak
			return nil
		}
	}
}

// readStartup reads one message of the startup phase: length, code, body.
func readStartup(r io.Reader) (code uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("read startup message: %w", err)
	}
	length := binary.BigEndian.Uint32(head[:4])
	if length < 8 || length > maxStartup {
		return 0, nil, fmt.Errorf("length %d: %w", length, errStartup)
	}
	body = make([]byte, length-8)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, nil, fmt.Errorf("read startup message: %w", err)
	}
	code = binary.BigEndian.Uint32(head[4:])
	if code>>16 == protocol3>>16 {
		code = protocol3 // the minor version makes no difference to a refusal
	}
	return code, body, nil
}

// startupNames takes user and database from a startup message's parameters.
func startupNames(body []byte) (user, database string) {
	fields := bytes.Split(body, []byte{0})
	for n := 0; n+1 < len(fields) && len(fields[n]) > 0; n += 2 {
		switch string(fields[n]) {
		case "user":
			user = string(fields[n+1])
		case "database":
			database = string(fields[n+1])
		}
	}
	if database == "" {
		database = user
	}
	return user, database
}

// fatal is an ErrorResponse that ends the session.
func fatal(code, message string) []byte {
	var fields []byte
	for _, f := range []struct {
		tag  byte
		text string
	}{{'S', "FATAL"}, {'V', "FATAL"}, {'C', code}, {'M', message}} {
		fields = append(fields, f.tag)
		fields = append(fields, f.text...)
		fields = append(fields, 0)
	}
	fields = append(fields, 0)
	out := []byte{'E'}
	out = binary.BigEndian.AppendUint32(out, uint32(len(fields)+4))
	return append(out, fields...)
}
