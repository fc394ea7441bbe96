package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser = "azuresu"        // internal; signs in on the unix socket only
	adminRole = "azure_pg_admin" // owns databases, as on Azure
	entraRole = "azure_ad_user"  // its members' sign-ins go to the token check

	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second

	// maxSocketPath is what a unix socket's address can hold, less the file's own name.
	maxSocketPath = 107 - len("/.s.PGSQL.65535")
)

// cluster is one data folder and, while it runs, its server process.
type cluster struct {
	bin   binaries
	owner *owner
	root  string // holds data/, the key pair, the host rules and the log

	endpoint
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// endpoint is where a running server is reached from inside.
type endpoint struct {
	socket string // folder of the unix socket
	port   int    // private TCP port, loopback only
}

func (c *cluster) path(name string) string { return filepath.Join(c.root, name) }

// exists tells whether the data folder was initialised.
func (c *cluster) exists() bool {
	_, err := os.Stat(c.path("data/PG_VERSION"))
	return err == nil
}

// prepareRoot makes the folder of one server. Where the server's user cannot
// reach under preferred, the folder is a fresh one in a place it can.
func prepareRoot(o *owner, preferred string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(preferred), 0o755); err != nil {
		return "", fmt.Errorf("make data folder: %w", err)
	}
	if o.reaches(filepath.Dir(preferred)) {
		if err := os.MkdirAll(preferred, 0o700); err != nil {
			return "", fmt.Errorf("make data folder: %w", err)
		}
		return preferred, o.take(preferred)
	}
	for _, base := range []string{"/var/tmp", os.TempDir(), "/tmp"} { // the first outlives a reboot
		if !o.reaches(base) {
			continue
		}
		dir, err := os.MkdirTemp(base, "patchbay-pg-")
		if err != nil {
			continue
		}
		return dir, o.take(dir)
	}
	return "", fmt.Errorf("make data folder: user %q can enter neither %s nor a temporary folder", serverUser, filepath.Dir(preferred))
}

// initialise makes the data folder.
func (c *cluster) initialise(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.bin.initdb, "-D", c.path("data"), "-U", superuser,
		"--auth=trust", "--no-sync", "--no-locale", "-E", "UTF8", "--wal-segsize=1")
	cmd.SysProcAttr, cmd.Env, cmd.Dir = c.owner.process(), childEnv(), "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initialise data folder: %w: %s", err, lastLine(string(out)))
	}
	return nil
}

func childEnv() []string { return []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"} }

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// start runs the server and waits until it takes connections.
func (c *cluster) start(ctx context.Context) error {
	if err := c.endStale(); err != nil {
		return err
	}
	if err := c.makeSocketDir(); err != nil {
		return err
	}
	var err error
	for range 3 { // the free port may be taken by someone else before the server has it
		if c.port, err = freePort(); err != nil {
			return err
		}
		if err = c.launch(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (c *cluster) makeSocketDir() error {
	c.socket = c.path("run")
	if len(c.socket) <= maxSocketPath {
		if err := os.MkdirAll(c.socket, 0o700); err != nil {
			return fmt.Errorf("make socket folder: %w", err)
		}
		return c.owner.take(c.socket)
	}
	dir, err := os.MkdirTemp("/tmp", "patchbay-pg-run-")
	if err != nil {
		return fmt.Errorf("make socket folder: %w", err)
	}
	c.socket = dir
	return c.owner.take(dir)
}

func (c *cluster) launch(ctx context.Context) error {
	log, err := os.OpenFile(c.path("server.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("open server log: %w", err)
	}
	defer log.Close() // the child has its own copy
	cmd := exec.Command(c.bin.postgres, c.arguments()...)
	cmd.SysProcAttr, cmd.Env, cmd.Dir = c.owner.process(), childEnv(), "/"
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	done := make(chan struct{})
	c.cmd, c.done = cmd, done
	go func() { // owned by the cluster: stop and awaitReady wait for done
		defer close(done)
		_ = cmd.Wait() // how it ended stands in its log
	}()
	if err := c.awaitReady(ctx); err != nil {
		c.stop()
		return err
	}
	return nil
}

// arguments are settings that no ALTER SYSTEM may override.
func (c *cluster) arguments() []string {
	args := []string{"-D", c.path("data")}
	for _, s := range [][2]string{
		{"listen_addresses", "127.0.0.1"},
		{"port", strconv.Itoa(c.port)},
		{"unix_socket_directories", c.socket},
		{"hba_file", c.path("hba.conf")},
		{"ssl", "on"},
		{"ssl_cert_file", c.path("server.crt")},
		{"ssl_key_file", c.path("server.key")},
		{"password_encryption", "scram-sha-256"},
		{"fsync", "off"}, // a test cloud: survives its own end, not the machine's
		{"shared_buffers", "16MB"},
		{"max_connections", "100"},
		{"min_wal_size", "4MB"},
		{"max_wal_size", "64MB"},
		{"jit", "off"},
		// A failing statement may hold a password; none of them is written down.
		{"log_statement", "none"},
		{"log_min_error_statement", "panic"},
		{"log_min_duration_statement", "-1"},
	} {
		args = append(args, "-c", s[0]+"="+s[1])
	}
	return args
}

func (c *cluster) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := c.connect(ctx, "postgres")
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.done:
			return fmt.Errorf("start server: it ended at once: %s", c.lastLog())
		case <-ctx.Done():
			return fmt.Errorf("start server: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func (c *cluster) lastLog() string {
	raw, err := os.ReadFile(c.path("server.log"))
	if err != nil {
		return err.Error()
	}
	return lastLine(string(raw))
}

// connect opens a superuser session on the unix socket. The search path is
// pinned so that nothing a user creates can stand in for a built-in name.
func (c endpoint) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("connect to server: %w", err)
	}
	cfg.Host, cfg.Port, cfg.User, cfg.Database = c.socket, uint16(c.port), superuser, database
	cfg.Password, cfg.Fallbacks, cfg.TLSConfig = "", nil, nil
	cfg.RuntimeParams = map[string]string{"search_path": "pg_catalog", "application_name": "platform"}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to server: %w", err)
	}
	return conn, nil
}

// stop ends the server in order, and by force when that takes too long.
func (c *cluster) stop() {
	if c.cmd == nil {
		return
	}
	pid := c.cmd.Process.Pid
	for _, step := range []struct {
		signal syscall.Signal
		target int
	}{{syscall.SIGINT, pid}, {syscall.SIGQUIT, pid}, {syscall.SIGKILL, -pid}} {
		if c.ended(step.target, step.signal) {
			break
		}
	}
	c.cmd = nil
	if c.socket != c.path("run") {
		_ = os.RemoveAll(c.socket) // ours, temporary, and empty by now
	}
}

func (c *cluster) ended(target int, signal syscall.Signal) bool {
	select {
	case <-c.done:
		return true
	default:
	}
	_ = kill(target, signal) // an error means it has just ended
	select {
	case <-c.done:
		return true
	case <-time.After(stopTimeout):
		return false
	}
}

// endStale ends a server that an earlier, killed cloud left on this folder.
func (c *cluster) endStale() error {
	raw, err := os.ReadFile(c.path("data/postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read server's pid: %w", err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || !c.isOurs(pid) {
		return nil // the server itself removes a lock file whose process is gone
	}
	_ = kill(pid, syscall.SIGINT)
	deadline := time.Now().Add(stopTimeout)
	for c.isOurs(pid) {
		if time.Now().After(deadline) {
			return fmt.Errorf("end the server left running with pid %d: it does not stop", pid)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// isOurs guards against a reused pid: the process must run on our data folder.
func (c *cluster) isOurs(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	args := strings.Split(string(raw), "\x00")
	for n, a := range args {
		if a == "-D" && n+1 < len(args) && args[n+1] == c.path("data") {
			return true
		}
	}
	return false
}

// remove deletes the folder.
func (c *cluster) remove() error {
	c.stop()
	if err := os.RemoveAll(c.root); err != nil {
		return fmt.Errorf("remove data folder: %w", err)
	}
	return nil
}

// write puts a file into the root, readable by the server's user only. It is
// replaced by rename so that a running server never reads half of it.
func (c *cluster) write(name string, content []byte) error {
	next := c.path(name + ".next")
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := c.owner.take(next); err != nil {
		return fmt.Errorf("give %s to the server: %w", name, err)
	}
	if err := os.Rename(next, c.path(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// copyIn copies a file into the root under a new name.
func (c *cluster) copyIn(from, name string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	return c.write(name, raw)
}
