package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
)

const (
	// grace is how long a process has to end by itself before its group is killed.
	grace = 5 * time.Second
	// A process that ends by itself is started again after a pause that doubles
	// between these bounds.
	firstPause, lastPause = 500 * time.Millisecond, 15 * time.Second
)

// spec is everything that decides what a site runs; an equal one needs no restart.
type spec struct {
	argv, env    []string
	dir, logFile string
	mark         string // differs when something outside argv and env asks for a restart
}

func (s spec) equal(o spec) bool {
	return slices.Equal(s.argv, o.argv) && slices.Equal(s.env, o.env) && s.mark == o.mark
}

// runner owns the processes of all sites.
type runner struct {
	logf func(string, ...any)

	mu     sync.Mutex
	apps   map[string]*app
	starts map[string]int
}

// app is one site's process and the goroutine that looks after it.
type app struct {
	spec   spec
	cancel context.CancelFunc
	done   chan struct{}
	pid    int // under the runner's lock
}

func newRunner(logf func(string, ...any)) *runner {
	return &runner{logf: logf, apps: map[string]*app{}, starts: map[string]int{}}
}

// start makes a site run what the spec says. The caller serialises calls per site.
func (r *runner) start(key string, s spec) error {
	r.mu.Lock()
	old := r.apps[key]
	r.mu.Unlock()
	if old != nil && old.spec.equal(s) {
		return nil
	}
	r.stop(key)
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return fmt.Errorf("make site folder: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &app{spec: s, cancel: cancel, done: make(chan struct{})}
	r.mu.Lock()
	r.apps[key] = a
	r.mu.Unlock()
	first := make(chan struct{})
	go r.supervise(ctx, key, a, first)
	<-first // so that a pid is there, or the first start has failed, when the write is answered
	return nil
}

// stop ends a site's process and waits for it.
func (r *runner) stop(key string) {
	r.mu.Lock()
	a := r.apps[key]
	delete(r.apps, key)
	r.mu.Unlock()
	if a != nil {
		a.cancel()
		<-a.done
	}
}

func (r *runner) close() {
	r.mu.Lock()
	var keys []string
	for key, a := range r.apps {
		a.cancel()
		keys = append(keys, key)
	}
	r.mu.Unlock()
	for _, key := range keys {
		r.stop(key)
	}
}

// state returns the running process and how often the site was started.
func (r *runner) state(key string) (pid, starts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.apps[key]; a != nil {
		pid = a.pid
	}
	return pid, r.starts[key]
}

func (r *runner) setPID(key string, a *app, pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.pid = pid
	if pid != 0 {
		r.starts[key]++
	}
}

// supervise runs the process until it is cancelled, starting it again when it ends.
// It keeps its thread, because a child asked to die with its parent dies with the
// thread that started it.
func (r *runner) supervise(ctx context.Context, key string, a *app, first chan struct{}) {
	defer close(a.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	started := sync.OnceFunc(func() { close(first) })
	defer started()
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		began := time.Now()
		if err := r.once(ctx, key, a, started); err != nil {
			note(a.spec.logFile, err)
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		started()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// once runs the process one time.
func (r *runner) once(ctx context.Context, key string, a *app, started func()) error {
	out, err := os.OpenFile(a.spec.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd, err := command(a.spec, out)
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.setPID(key, a, cmd.Process.Pid)
	started()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		terminateGroup(cmd.Process.Pid)
		overdue := time.AfterFunc(grace, func() { killGroup(cmd.Process.Pid) })
		<-ended
		overdue.Stop()
		err = nil
	}
	killGroup(cmd.Process.Pid) // what the process left behind
	r.setPID(key, a, 0)
	return err
}

func command(s spec, out io.Writer) (*exec.Cmd, error) {
	path, err := lookPath(s.argv[0], s.dir, s.env)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: s.argv, Env: s.env, Dir: s.dir, Stdout: out, Stderr: out}
	ownGroup(cmd)
	return cmd, nil
}

// lookPath finds a program by the app's own PATH, not the cloud's.
func lookPath(name, dir string, env []string) (string, error) {
	candidates := []string{name}
	if !strings.ContainsRune(name, filepath.Separator) {
		candidates = nil
		for _, v := range env {
			if list, ok := strings.CutPrefix(v, "PATH="); ok {
				for _, d := range filepath.SplitList(list) {
					candidates = append(candidates, filepath.Join(d, name))
				}
			}
		}
	}
	for _, c := range candidates {
		if !filepath.IsAbs(c) {
			c = filepath.Join(dir, c)
		}
		if info, err := os.Stat(c); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return c, nil
		}
	}
	return "", fmt.Errorf("start %q: %w", name, exec.ErrNotFound)
}

// note writes a line about the process into its log.
func note(logFile string, err error) {
	out, openErr := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if openErr != nil {
		return // the log is the only place to tell
	}
	defer out.Close()
	fmt.Fprintf(out, "-- %s the app ended: %v\n", time.Now().UTC().Format(time.RFC3339), err)
}

// dir is a folder of one site's own.
func (s *Sites) dir(siteID, name string) string {
	sum := sha256.Sum256([]byte(id.Fold(siteID)))
	return filepath.Join(s.cloud.Dir("sites"), hex.EncodeToString(sum[:8]), name)
}

func (s *Sites) logFile(siteID string) string { return filepath.Join(s.dir(siteID, ""), "app.log") }
