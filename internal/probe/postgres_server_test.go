package probe_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// authority is a certificate for loopback that is its own root.
type authority struct {
	cert, key []byte
	roots     *x509.CertPool
	pair      tls.Certificate
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "probe test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		DNSNames: []string{"localhost", "*.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	a := &authority{
		cert:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}),
		roots: x509.NewCertPool(),
	}
	a.roots.AppendCertsFromPEM(a.cert)
	a.pair, err = tls.X509KeyPair(a.cert, a.key)
	return a, err
}

func tlsOf(a *authority) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.pair}, MinVersion: tls.VersionTLS12}
}

// server is a real PostgreSQL with TLS. It lets in 127.0.0.1 only.
type server struct {
	*authority
	port string
	dir  string
	run  *exec.Cmd
	log  bytes.Buffer
}

var shared struct {
	*server
	err error
}

// TestMain owns the one database server the tests share.
func TestMain(m *testing.M) {
	shared.server, shared.err = startServer()
	code := m.Run()
	if shared.server != nil {
		shared.stop()
	}
	os.Exit(code)
}

func postgres(t *testing.T) *server {
	t.Helper()
	if shared.err != nil {
		t.Fatalf("start PostgreSQL: %v", shared.err)
	}
	return shared.server
}

const hba = `
local   all all                     trust
hostssl all admin      127.0.0.1/32 scram-sha-256
hostssl all app        127.0.0.1/32 scram-sha-256
hostnossl all app      127.0.0.1/32 scram-sha-256
hostssl all aad_orders 127.0.0.1/32 password
`

func startServer() (*server, error) {
	a, err := newAuthority()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		return nil, err
	}
	s := &server{authority: a, dir: dir}
	if err := s.start(); err != nil {
		s.stop()
		return nil, fmt.Errorf("%w\n%s", err, s.log.String())
	}
	return s, nil
}

func (s *server) start() error {
	for name, text := range map[string]string{"cert.pem": string(s.cert), "key.pem": string(s.key), "pw": "admin-password"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := s.own(); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	if out, err := s.command("initdb", "-D", data, "-U", "admin", "--auth=scram-sha-256", "--pwfile="+s.dir+"/pw", "--no-sync", "-E", "UTF8").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o644); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	_ = listener.Close() // only its number is wanted
	s.run = s.command("postgres", "-D", data, "-p", s.port, "-h", "127.0.0.1", "-k", s.dir, "-c", "fsync=off", "-c", "ssl=on",
		"-c", "ssl_cert_file="+s.dir+"/cert.pem", "-c", "ssl_key_file="+s.dir+"/key.pem")
	s.run.Stdout, s.run.Stderr = &s.log, &s.log
	if err := s.run.Start(); err != nil {
		return err
	}
	return s.fill()
}

// fill waits until the server answers and makes users and databases.
func (s *server) fill() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var conn *pgx.Conn
	for {
		var err error
		conn, err = pgx.Connect(ctx, fmt.Sprintf("host=%s port=%s user=admin dbname=postgres", s.dir, s.port))
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond) // between two tries, until the deadline
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		"CREATE ROLE app LOGIN PASSWORD 'p;w ''\"d%'", "CREATE ROLE aad_orders LOGIN PASSWORD 'token'",
		"CREATE DATABASE orders", "CREATE DATABASE closed", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// command runs a program of PostgreSQL, which refuses to run as root.
func (s *server) command(name string, args ...string) *exec.Cmd {
	path, err := exec.LookPath(name)
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		path, err = found[len(found)-1], nil
	}
	if err != nil {
		path = name
	}
	c := exec.Command(path, args...)
	c.Dir = s.dir
	c.SysProcAttr = &syscall.SysProcAttr{}
	if uid, gid, ok := unprivileged(); ok {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return c
}

// own gives the folder to the user the server runs as.
func (s *server) own() error {
	uid, gid, ok := unprivileged()
	if !ok {
		return nil
	}
	return filepath.WalkDir(s.dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, int(uid), int(gid)))
	})
}

// unprivileged is the user postgres when the tests run as root.
func unprivileged() (uid, gid uint32, ok bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u = &user.User{Uid: "65534", Gid: "65534"}
	}
	uid64, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid64, _ := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(uid64), uint32(gid64), true
}

func (s *server) stop() {
	if s.run != nil && s.run.Process != nil {
		_ = s.run.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = s.run.Wait()
	}
	_ = os.RemoveAll(s.dir)
}
