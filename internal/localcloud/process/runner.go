// Package process runs what the local cloud's computes run: programs of this machine,
// each with exactly the environment it is given and a token endpoint for its identity.
//
// It promises that a program that ends is started again, that it and all it started have
// ended when Stop returns, and that nothing of the cloud's own environment reaches it. It
// knows no resource type and must never write a value of an environment to a log.
package process

import (
	"context"
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
)

const (
	// grace is how long a process has to end by itself before its group is killed.
	grace = 5 * time.Second
	// A process that ends by itself is started again after a pause that doubles
	// between these bounds.
	firstPause, lastPause = 500 * time.Millisecond, 15 * time.Second
)

// Spec is everything that decides what a program is; an equal one needs no restart.
type Spec struct {
	Args, Env    []string
	Dir, LogFile string
	Mark         string // differs when something outside Args and Env asks for a restart
}

func (s Spec) equal(o Spec) bool {
	return slices.Equal(s.Args, o.Args) && slices.Equal(s.Env, o.Env) && s.Mark == o.Mark
}

// Runner owns programs by key. Make one with NewRunner.
type Runner struct {
	logf func(string, ...any)

	mu     sync.Mutex
	apps   map[string]*app
	starts map[string]int
}

// app is one program and the goroutine that looks after it.
type app struct {
	spec   Spec
	cancel context.CancelFunc
	done   chan struct{}
	pid    int // under the runner's lock
}

// NewRunner makes a runner of nothing.
func NewRunner(logf func(string, ...any)) *Runner {
	return &Runner{logf: logf, apps: map[string]*app{}, starts: map[string]int{}}
}

// Start makes a key run what the spec says. The caller serialises calls per key.
func (r *Runner) Start(key string, s Spec) error {
	r.mu.Lock()
	old := r.apps[key]
	r.mu.Unlock()
	if old != nil && old.spec.equal(s) {
		return nil
	}
	r.Stop(key)
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return fmt.Errorf("make app folder: %w", err)
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

// Stop ends a program and waits for it.
func (r *Runner) Stop(key string) {
	r.mu.Lock()
	a := r.apps[key]
	delete(r.apps, key)
	r.mu.Unlock()
	if a != nil {
		a.cancel()
		<-a.done
	}
}

// Close ends every program and waits for them.
func (r *Runner) Close() {
	r.mu.Lock()
	var keys []string
	for key, a := range r.apps {
		a.cancel()
		keys = append(keys, key)
	}
	r.mu.Unlock()
	for _, key := range keys {
		r.Stop(key)
	}
}

// State returns the running process, 0 for none, and how often it was started.
func (r *Runner) State(key string) (pid, starts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.apps[key]; a != nil {
		pid = a.pid
	}
	return pid, r.starts[key]
}

func (r *Runner) setPID(key string, a *app, pid int) {
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
func (r *Runner) supervise(ctx context.Context, key string, a *app, first chan struct{}) {
	defer close(a.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	started := sync.OnceFunc(func() { close(first) })
	defer started()
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		began := time.Now()
		if err := r.once(ctx, key, a, started); err != nil {
			note(a.spec.LogFile, err)
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
func (r *Runner) once(ctx context.Context, key string, a *app, started func()) error {
	out, err := os.OpenFile(a.spec.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
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

func command(s Spec, out io.Writer) (*exec.Cmd, error) {
	path, err := lookPath(s.Args[0], s.Dir, s.Env)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: s.Args, Env: s.Env, Dir: s.Dir, Stdout: out, Stderr: out}
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
