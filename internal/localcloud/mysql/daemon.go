package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
	pollPause    = 15 * time.Millisecond

	// maxSocketPath is what a unix socket's address can hold.
	maxSocketPath = 107
)

// daemon is one data folder and, while it runs, its MariaDB process. The process
// listens on a unix socket only: whoever comes over the network comes through the gate.
type daemon struct {
	bin    binaries
	owner  *owner
	root   string // holds data/, the pid file and the log
	socket string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	db   *sql.DB       // sessions of the platform's own superuser
}

func (d *daemon) path(name string) string { return filepath.Join(d.root, name) }

// exists tells whether the data folder was initialised.
func (d *daemon) exists() bool {
	_, err := os.Stat(d.path("data/mysql"))
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
	for _, base := range []string{"/var/tmp", os.TempDir()} { // the first outlives a reboot
		if !o.reaches(base) {
			continue
		}
		if dir, err := os.MkdirTemp(base, "patchbay-my-"); err == nil {
			return dir, o.take(dir)
		}
	}
	return "", fmt.Errorf("make data folder: user %q can enter neither %s nor a temporary folder", serverUser, filepath.Dir(preferred))
}

// initialise makes the data folder. The superuser signs in by being us, on the socket.
func (d *daemon) initialise(ctx context.Context) error {
	if err := os.MkdirAll(d.path("tmp"), 0o700); err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	if err := d.owner.take(d.path("tmp")); err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	cmd := exec.CommandContext(ctx, d.bin.install, "--no-defaults", "--datadir="+d.path("data"), "--tmpdir="+d.path("tmp"),
		"--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=8M", "--innodb-flush-method=nosync")
	cmd.SysProcAttr, cmd.Env, cmd.Dir = d.owner.attributes(), childEnv(), "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initialise data folder: %w: %s", err, lastLine(string(out)))
	}
	return nil
}

func childEnv() []string { return []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", "TZ=UTC"} }

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// start runs the server and waits until it takes connections.
func (d *daemon) start(ctx context.Context) error {
	if err := d.endStale(); err != nil {
		return err
	}
	if err := d.placeSocket(); err != nil {
		return err
	}
	log, err := os.OpenFile(d.path("server.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("open server log: %w", err)
	}
	defer log.Close() // the child has its own copy
	cmd := exec.Command(d.bin.server, d.arguments()...)
	cmd.SysProcAttr, cmd.Env, cmd.Dir = d.owner.attributes(), childEnv(), "/"
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	done := make(chan struct{})
	d.cmd, d.done = cmd, done
	go func() { // owned by the daemon: stop and awaitReady wait for done
		defer close(done)
		_ = cmd.Wait() // how it ended stands in its log
	}()
	if err := d.awaitReady(ctx); err != nil {
		d.stop()
		return err
	}
	return nil
}

// placeSocket keeps the socket beside the data, or in a temporary folder when the
// path would be too long for an address.
func (d *daemon) placeSocket() error {
	d.socket = d.path("socket")
	if len(d.socket) <= maxSocketPath {
		return nil
	}
	dir, err := os.MkdirTemp("/tmp", "patchbay-my-run-")
	if err != nil {
		return fmt.Errorf("make socket folder: %w", err)
	}
	d.socket = filepath.Join(dir, "socket")
	return d.owner.take(dir)
}

// arguments are the server's settings; nothing is read from files.
func (d *daemon) arguments() []string {
	return []string{
		"--no-defaults", "--datadir=" + d.path("data"), "--tmpdir=" + d.path("tmp"), "--pid-file=" + d.path("pid"), "--socket=" + d.socket,
		"--skip-networking", "--skip-name-resolve",
		// The gate says whom it speaks for: rights of 'user'@'host' are judged by that address.
		"--proxy-protocol-networks=localhost",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci",
		"--secure-file-priv=" + d.path("tmp"), "--local-infile=OFF", "--skip-symbolic-links",
		"--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--innodb-flush-method=nosync", // survives its own end, not the machine's
		"--innodb-flush-log-at-trx-commit=0", "--performance-schema=OFF", "--skip-log-bin", "--max-connections=100",
		"--log-warnings=0", // refused sign-ins are the gate's to tell
	}
}

func (d *daemon) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	db, err := d.open()
	if err != nil {
		return err
	}
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			d.db = db
			return nil
		}
		select {
		case <-d.done:
			return errors.Join(fmt.Errorf("start server: it ended at once: %s", d.lastLog()), db.Close())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("start server: %w: %w", ctx.Err(), err), db.Close())
		case <-tick.C:
		}
	}
}

func (d *daemon) lastLog() string {
	raw, err := os.ReadFile(d.path("server.log"))
	if err != nil {
		return err.Error()
	}
	return lastLine(string(raw))
}

// open makes a pool of superuser sessions; it connects when it is used.
func (d *daemon) open() (*sql.DB, error) {
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.DBName = "unix", d.socket, superuser, "mysql"
	cfg.Logger = &driver.NopLogger{}
	cfg.InterpolateParams = true
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to server: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(4)
	return db, nil
}

// dial opens a connection of a client whose address is told to the server.
func (d *daemon) dial(ctx context.Context, from, to net.Addr) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", d.socket)
	if err != nil {
		return nil, fmt.Errorf("reach server: %w", err)
	}
	if _, err := conn.Write([]byte(proxyLine(from, to))); err != nil {
		return nil, errors.Join(fmt.Errorf("reach server: %w", err), conn.Close())
	}
	return conn, nil
}

// proxyLine is version 1 of the PROXY protocol.
func proxyLine(from, to net.Addr) string {
	a, aok := from.(*net.TCPAddr)
	b, bok := to.(*net.TCPAddr)
	if !aok || !bok || a.IP.To4() == nil || b.IP.To4() == nil {
		return "PROXY UNKNOWN\r\n"
	}
	return fmt.Sprintf("PROXY TCP4 %s %s %d %d\r\n", a.IP.To4(), b.IP.To4(), a.Port, b.Port)
}

// stop ends the server in order, and by force when that takes too long.
func (d *daemon) stop() {
	if d.db != nil {
		_ = d.db.Close() // the sessions end with the server
		d.db = nil
	}
	if d.cmd == nil {
		return
	}
	askToEnd(d.cmd.Process)
	select {
	case <-d.done:
	case <-time.After(stopTimeout):
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	d.cmd = nil
	if d.socket != d.path("socket") {
		_ = os.RemoveAll(filepath.Dir(d.socket)) // ours, temporary, and empty by now
	}
}

// endStale ends a server that an earlier, killed cloud left on this folder.
func (d *daemon) endStale() error {
	raw, err := os.ReadFile(d.path("pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read server's pid: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || !d.isOurs(pid) {
		return nil
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("end the server left running with pid %d: %w", pid, err)
	}
	askToEnd(process)
	for deadline := time.Now().Add(stopTimeout); alive(pid) && d.isOurs(pid); {
		if time.Now().After(deadline) {
			return fmt.Errorf("end the server left running with pid %d: it does not stop", pid)
		}
		time.Sleep(pollPause)
	}
	return nil
}

// isOurs guards against a reused pid: the process must run on our data folder.
func (d *daemon) isOurs(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	for _, a := range strings.Split(string(raw), "\x00") {
		if a == "--datadir="+d.path("data") {
			return true
		}
	}
	return false
}

// remove deletes the folder.
func (d *daemon) remove() error {
	d.stop()
	if err := os.RemoveAll(d.root); err != nil {
		return fmt.Errorf("remove data folder: %w", err)
	}
	return nil
}
