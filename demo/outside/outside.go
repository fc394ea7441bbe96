// Package outside sees Patchbay as a stranger does: through the built binary, the
// ready file it writes and plain HTTP. The demo and the interoperability tests
// read the state of the world with it, so that what they claim does not rest on
// the code they judge. It imports nothing of the product.
package outside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Program is a built patchbay with a home of its own.
type Program struct {
	Path string // of the binary
	Dir  string // holds everything the program keeps; the caller removes it
}

// Result is how one run of a program ended.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// NewProgram makes the folder of a fresh installation of the binary at path.
func NewProgram(path string) (*Program, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "patchbay-")
	if err != nil {
		return nil, err
	}
	// A database server runs as a user of its own and must be able to pass through.
	return &Program{Path: path, Dir: dir}, os.Chmod(dir, 0o711)
}

// Run runs the program to its end. A code other than 0 is no error; a program
// that cannot be run is.
func (p *Program) Run(ctx context.Context, args ...string) (Result, error) {
	return Exec(ctx, p.Environ(), p.Path, args...)
}

// Must is Run for commands that have to succeed; it returns standard output.
func (p *Program) Must(ctx context.Context, args ...string) (string, error) {
	r, err := p.Run(ctx, args...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("patchbay %s: exit status %d: %s", strings.Join(args, " "), r.Code, strings.TrimSpace(r.Stderr))
	}
	return r.Stdout, err
}

// Environ is this process's environment without anything that would lead the
// program or an Azure client elsewhere.
func (p *Program) Environ() []string {
	return append(Clean(os.Environ()), "PATCHBAY_HOME="+filepath.Join(p.Dir, "home"), "NO_COLOR=1")
}

// Clean drops the variables of Azure clients, Patchbay and proxies.
func Clean(environ []string) []string {
	var kept []string
	for _, e := range environ {
		name, _, _ := strings.Cut(strings.ToUpper(e), "=")
		if strings.HasPrefix(name, "AZURE_") || strings.HasPrefix(name, "ARM_") ||
			strings.HasPrefix(name, "PATCHBAY_") || strings.HasSuffix(name, "_PROXY") {
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

// Exec runs any program with exactly the given environment. Output goes through
// files, so that a daemon which the program leaves behind holds no pipe open.
func Exec(ctx context.Context, environ []string, path string, args ...string) (Result, error) {
	out, err := os.CreateTemp("", "patchbay-out-")
	if err != nil {
		return Result{}, err
	}
	defer discard(out)
	errs, err := os.CreateTemp("", "patchbay-err-")
	if err != nil {
		return Result{}, err
	}
	defer discard(errs)

	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, out, errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return Result{}, fmt.Errorf("run %s %s: %w", filepath.Base(path), strings.Join(args, " "), err)
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: content(out), Stderr: content(errs)}, nil
}

func discard(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}

func content(f *os.File) string {
	b, err := os.ReadFile(f.Name())
	if err != nil {
		return err.Error()
	}
	return string(bytes.ToValidUTF8(b, []byte("?")))
}

// Until calls done about ten times a second until it is true or the time is over;
// then the error says what was awaited and why it is not so.
func Until(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("waited %s for %s: %w", limit, what, errors.Join(err, errors.New("not so yet")))
		case <-tick.C:
		}
	}
}
