package ledgertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
)

// Environment of a test binary that is to be another process on a store.
const (
	envRole    = "LEDGERTEST_ROLE"
	envAddress = "LEDGERTEST_ADDRESS"
	envName    = "LEDGERTEST_NAME"   // drain, churn: prefix of the connections it makes
	envMarker  = "LEDGERTEST_MARKER" // drain: a file that exists while an operation runs
)

// perProcess is how many operations each draining process accepts.
const perProcess = 15

// Main runs the tests, or plays the other process when the environment says so. It
// returns the exit status. open opens the store at an address with the suite's TTL.
func Main(m *testing.M, open func(ctx context.Context, address string) (ledger.Ledger, error)) int {
	roles := map[string]func(context.Context, ledger.Ledger) error{"hold": hold, "drain": drain, "churn": churn}
	role, ok := roles[os.Getenv(envRole)]
	if !ok {
		return m.Run()
	}
	ctx := context.Background()
	l, err := open(ctx, os.Getenv(envAddress))
	if err == nil {
		err = role(ctx, l)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// hold takes the next operation, leaves traces of work everywhere, says so, and
// works on until it is killed.
func hold(ctx context.Context, l ledger.Ledger) error {
	op, lease, err := l.Take(ctx, runner, "")
	if err != nil {
		return err
	}
	if op == nil {
		return errors.New("nothing to take")
	}
	if _, err := l.Lock(ctx, lease, target); err != nil {
		return err
	}
	for _, r := range []*plan.Record{planted(l), {Key: key("second")}} {
		if err := errors.Join(l.Claim(ctx, lease, op.UID, []connection.Key{r.Key}), l.Store(ctx, lease, op.UID, r)); err != nil {
			return err
		}
	}
	if err := l.Append(ctx, lease, ledger.Entry{Phase: ledger.PhaseIntent, Sealed: []byte(canaryJournal)}); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(lease); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until killed, or the parent is gone
	return err
}

// drain accepts operations on one source, and runs whatever may run until its own
// have ended.
func drain(ctx context.Context, l ledger.Ledger) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	var last string
	for i := range perProcess {
		c := conn(site, os.Getenv(envName)+strconv.Itoa(i))
		op := &ledger.Operation{Verb: ledger.VerbCreate, Runner: runner, Wanted: c}
		if err := l.Accept(ctx, op, c, nil); err != nil {
			return err
		}
		last = op.ID
		if err := runNext(ctx, l); err != nil {
			return err
		}
	}
	for {
		op, err := l.Operation(ctx, last)
		if err != nil || op.Status.Done() {
			return err
		}
		if err := runNext(ctx, l); err != nil {
			return err
		}
	}
}

// churn works, with a line on standard output per write, until it is killed.
func churn(ctx context.Context, l ledger.Ledger) error {
	for i := 0; ; i++ {
		c := conn(site, os.Getenv(envName)+strconv.Itoa(i))
		op := &ledger.Operation{Verb: ledger.VerbCreate, Runner: runner, Wanted: c}
		if err := l.Accept(ctx, op, c, secrets("secret", canaryGiven)); err != nil {
			return err
		}
		fmt.Println("accept")
		_, lease, err := l.Take(ctx, runner, op.ID)
		if err != nil {
			return err
		}
		fmt.Println("take")
		for _, write := range []func() error{
			func() error { return l.Claim(ctx, lease, c.UID, []connection.Key{key(c.Name)}) },
			func() error {
				return l.Append(ctx, lease, ledger.Entry{Phase: ledger.PhaseIntent, Sealed: []byte(canaryJournal)})
			},
			func() error { return l.Store(ctx, lease, c.UID, &plan.Record{Key: key(c.Name)}) },
			func() error { return l.Append(ctx, lease, ledger.Entry{Phase: ledger.PhaseDone}) },
			func() error { op.Status = ledger.Succeeded; return l.Finish(ctx, lease, op, c, true) },
		} {
			if err := write(); err != nil {
				return err
			}
			fmt.Println("write")
		}
	}
}

// runNext runs one operation, if there is one; the marker shows two at once.
func runNext(ctx context.Context, l ledger.Ledger) error {
	op, lease, err := l.Take(ctx, runner, "")
	if err != nil || op == nil {
		time.Sleep(time.Millisecond)
		return err
	}
	marker := os.Getenv(envMarker)
	f, err := os.OpenFile(marker, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("two operations at once: %w", err)
	}
	err = l.Append(ctx, lease, ledger.Entry{Phase: ledger.PhaseStart})
	if err := errors.Join(err, f.Close(), os.Remove(marker)); err != nil {
		return err
	}
	op.Status = ledger.Succeeded
	return l.Finish(ctx, lease, op, op.Wanted, false)
}

// DrainEnv is the environment that makes a test binary with Main accept and run some
// operations on the store at address, as one of several processes that may be given
// the same marker, a file that must not exist.
func DrainEnv(address, name, marker string) []string {
	return []string{envRole + "=drain", envAddress + "=" + address, envName + "=" + name, envMarker + "=" + marker}
}

// child starts the test binary in a role.
func child(t testing.TB, s Store, role string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(append(os.Environ(), envRole+"="+role, envAddress+"="+s.Address), env...)
	c.Stderr = &testWriter{t}
	return c
}

// testWriter passes what a process says on standard error to the test's log.
type testWriter struct{ t testing.TB }

func (w *testWriter) Write(p []byte) (int, error) {
	w.t.Logf("child: %s", p)
	return len(p), nil
}

// holding starts a process that takes the next operation, and returns its lease.
func holding(t testing.TB, s Store) (*exec.Cmd, *ledger.Lease) {
	t.Helper()
	c := child(t, s, "hold")
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	must(t, err)
	var lease ledger.Lease
	must(t, json.Unmarshal(line, &lease))
	return c, &lease
}

var processCases = []testCase{
	{"a killed process's operation is taken over and its fence refused", func(t *testing.T, s Store) {
		now := &clock{at: time.Now()}
		l, c := s.Open(t, Opening{Now: now.now}), conn(site, "db")
		op := accept(t, l, c, secrets("secret", canaryGiven))
		later := accept(t, l, conn(site, "later"), nil)
		waiting := accept(t, l, conn(other, "waiting"), nil)
		process, old := holding(t, s)
		equal(t, "held", old.Operation, op.ID)
		equal(t, "at work", status(t, l, op.ID), ledger.Running)
		takeNone(t, l, runner, op.ID)
		if s.AtOnce {
			now.advance(2 * TTL)
			takeNone(t, l, runner, op.ID) // it lives, however slow it is
			equal(t, "slow", status(t, l, op.ID), ledger.Running)
			now.advance(-2 * TTL)
		}

		must(t, process.Process.Kill())
		_ = process.Wait()
		if !s.AtOnce {
			now.advance(TTL)
		}
		noCanary(t, s, "killed")
		equal(t, "dead", status(t, l, op.ID), ledger.Interrupted)
		equal(t, "not begun", status(t, l, later.ID), ledger.Accepted)
		_, side, err := l.Take(t.Context(), runner, waiting.ID)
		must(t, err)
		unlock, err := l.Lock(soon(t), side, target) // of a dead process
		must(t, err)
		unlock()

		got, lease := take(t, l, op)
		equal(t, "fence", lease.Fence, old.Fence+1)
		refused(t, l, old, got, c)
		inherited(t, l, got)
		finish(t, l, lease, got, c, false)
		noCanary(t, s, "finished")
		take(t, l, later)
	}},
	{"a kill at any moment leaves a store that goes on", func(t *testing.T, s Store) {
		now := &clock{at: time.Now()}
		for writes := 1; writes <= 9; writes++ {
			killedAfter(t, s, writes)
			if !s.AtOnce {
				now.advance(TTL)
			}
			l := s.Open(t, Opening{Now: now.now})
			for {
				op, lease, err := l.Take(t.Context(), runner, "")
				must(t, err)
				if op == nil {
					break
				}
				finish(t, l, lease, op, op.Wanted, true)
			}
			consistent(t, l)
			must(t, l.Close())
		}
		noCanary(t, s, "after all kills")
	}},
	{"processes on one source never run two operations at once", func(t *testing.T, s Store) {
		const processes = 4
		marker := filepath.Join(t.TempDir(), "running")
		done := make(chan error, processes)
		for i := range processes {
			c := child(t, s, "drain", DrainEnv(s.Address, string(rune('a'+i)), marker)...)
			must(t, c.Start())
			go func() { done <- c.Wait() }()
		}
		for range processes {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		list, err := s.Open(t, Opening{}).Operations(t.Context(), site, 1000)
		must(t, err)
		equal(t, "operations", len(list), processes*perProcess)
		for i, op := range list {
			if op.Status != ledger.Succeeded || i > 0 && list[i-1].Started.Before(op.Started) {
				t.Errorf("operation %d: %s, started %v", op.Seq, op.Status, op.Started)
			}
		}
	}},
}

// killedAfter lets a process work and kills it after some writes, wherever it is then.
func killedAfter(t testing.TB, s Store, writes int) {
	t.Helper()
	c := child(t, s, "churn", envName+"="+fmt.Sprintf("n%d-", writes))
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	lines := bufio.NewScanner(out)
	for range writes {
		if !lines.Scan() {
			t.Error("the process ended by itself")
			break
		}
	}
	must(t, c.Process.Kill())
	_ = c.Wait()
}

// consistent expects every connection to have its secret, and at most its record.
func consistent(t testing.TB, l ledger.Ledger) {
	t.Helper()
	all, err := l.Connections(t.Context(), "")
	must(t, err)
	for _, c := range all {
		kept, err := l.Kept(t.Context(), c.UID)
		equal(t, "kept of "+c.Name, reveal(t, kept, err)["secret"], canaryGiven)
		records, err := l.RecordsOf(t.Context(), c.UID)
		must(t, err)
		if len(records) > 1 || len(records) == 1 && owners(t, l, key(c.Name)) != c.UID {
			t.Errorf("records of %s: %+v", c.Name, records)
		}
	}
}

// inherited expects everything that the killed process had stored to be at hand.
func inherited(t testing.TB, l ledger.Ledger, op *ledger.Operation) {
	t.Helper()
	given, err := l.Given(t.Context(), op.ID)
	equal(t, "given", reveal(t, given, err)["secret"], canaryGiven)
	journal, err := l.Journal(t.Context(), op.ID)
	must(t, err)
	equal(t, "journal", string(journal[0].Sealed), canaryJournal)
	records, err := l.RecordsOf(t.Context(), op.UID)
	must(t, err)
	equal(t, "records", len(records), 2)
	equal(t, "previous", records[0].Previous.Attrs["value"].Text, canaryPrevious)
}
