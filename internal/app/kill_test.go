package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// change is one request for a change of a connection.
type change struct {
	method, path string
	body         any
}

// try is call where the server may die before it has answered.
func (s *connector) try(ch change) (answer, error) {
	s.cloud.t.Helper()
	raw, err := json.Marshal(ch.body)
	if err != nil {
		s.cloud.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.cloud.t.Context(), ch.method, s.ready.Endpoint+versioned(ch.path), bytes.NewReader(raw))
	if err != nil {
		s.cloud.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.cloud.token)
	resp, err := s.cloud.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{Status: resp.StatusCode, Header: resp.Header}
	if a.Raw, err = io.ReadAll(resp.Body); err != nil {
		return answer{}, err
	}
	_ = json.Unmarshal(a.Raw, &a.Body) // 202 and 204 carry none
	return a, nil
}

// eventually looks again and again until what it waits for is there.
func eventually(t testing.TB, what string, there func() bool) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !there() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// gone tells whether a process has ended and was waited for.
func gone(cmd *exec.Cmd) bool { return !alive(cmd.Process.Pid) }

// kill ends the server as a power cut would.
func (s *connector) kill() {
	s.cloud.t.Helper()
	_ = syscall.Kill(s.cmd.Process.Pid, syscall.SIGKILL)
	eventually(s.cloud.t, "the server's end", func() bool { return gone(s.cmd) })
}

// sendToMortal sends a change to a server that may die of it, and tells whether it did.
func (s *connector) sendToMortal(ch change) (survived bool) {
	s.cloud.t.Helper()
	a, err := s.try(ch)
	if err == nil && a.Status >= 400 {
		s.cloud.t.Fatalf("%s %s: %d %s", ch.method, ch.path, a.Status, a.Raw)
	}
	eventually(s.cloud.t, "the operation's end or the server's", func() bool {
		if gone(s.cmd) {
			return true
		}
		op, err := s.try(change{"GET", "/providers/Patchbay/operations/" + a.Header.Get("X-Patchbay-Operation"), nil})
		survived = err == nil && ended(op.text("status"))
		return survived
	})
	return survived
}

func ended(status string) bool {
	return status == "Succeeded" || status == "Failed" || status == "Canceled"
}

// newest is the operation accepted last.
func (s *connector) newest() string {
	s.cloud.t.Helper()
	list, _ := s.call("GET", "/providers/Patchbay/operations", nil).at("value").([]any)
	if len(list) == 0 {
		s.cloud.t.Fatal("no operation was accepted")
	}
	first, _ := list[0].(map[string]any)
	id, _ := first["id"].(string)
	return id
}

// phases lists the phases of an operation's journal.
func phases(op answer) []string {
	var out []string
	journal, _ := op.at("journal").([]any)
	for _, v := range journal {
		e, _ := v.(map[string]any)
		out = append(out, fmt.Sprint(e["phase"]))
	}
	return out
}

// TestKilledAtEveryJournalEntry kills the server after each journal entry of a create
// and of a delete, and, where an entry says that a write is done, also before it: the
// next server finishes the operation or takes it back.
func TestKilledAtEveryJournalEntry(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"create", "delete"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			c, s := stage(t)
			c.letTestsIn("pg1")
			path := s.linker("app1", "pgid")
			create, remove := change{"PUT", path, databaseByIdentity(c, "pg1")}, change{"DELETE", path, nil}
			do, back := create, remove
			s.start()
			if verb == "delete" {
				do, back = remove, create
				s.do(create.method, create.path, create.body)
			}
			newDeaths(t, s, do, back).all()
		})
	}
}

// deaths is one change, what leads back from it, and the worlds on both sides.
type deaths struct {
	*connector
	t             *testing.T
	do, back      change
	before, after map[string]string
	outcomes      map[string]int
}

// newDeaths runs the change once undisturbed, and back.
func newDeaths(t *testing.T, s *connector, do, back change) *deaths {
	t.Helper()
	d := &deaths{connector: s, t: t, do: do, back: back, outcomes: map[string]int{}}
	d.before = s.cloud.world()
	d.must(do)
	d.after = s.cloud.world()
	if cmp.Equal(d.before, d.after) {
		t.Fatal("the change changes nothing")
	}
	d.must(back)
	return d
}

// must makes a change that nothing disturbs; what a failed one left is taken away by it too.
func (d *deaths) must(ch change) answer {
	d.t.Helper()
	op := d.connector.do(ch.method, ch.path, ch.body)
	if op.text("status") != "Succeeded" {
		d.t.Fatalf("%s %s: %d %s", ch.method, ch.path, op.Status, op.Raw)
	}
	return op
}

// all dies at every entry until one run survives.
func (d *deaths) all() {
	for n := 1; ; n++ {
		died, entries := d.at(n)
		if !died {
			break
		}
		if n <= len(entries) && entries[n-1] == "done" {
			d.at(-n)
		}
	}
	d.t.Logf("outcomes: %v", d.outcomes)
	if d.outcomes["after"] == 0 {
		d.t.Error("no interrupted operation was ever finished")
	}
}

// at kills the server at one entry and looks at what the next one makes of it.
// entries are the phases the journal had when it was over.
func (d *deaths) at(n int) (died bool, entries []string) {
	d.t.Helper()
	d.stop()
	d.start(fmt.Sprintf("%s=%d", dieAt, n))
	if d.sendToMortal(d.do) {
		if n > 0 && n < 5 {
			d.t.Fatalf("a run survived entry %d", n)
		}
		return false, nil
	}
	d.start()
	op := d.await(d.newest())
	entries = phases(op)
	d.judge(n, op)
	d.restore()
	return true, entries
}

// judge compares the world with both sides of the change.
func (d *deaths) judge(n int, op answer) {
	d.t.Helper()
	want, side := d.after, "after"
	if op.text("status") != "Succeeded" {
		want, side = d.before, "before"
	}
	d.outcomes[side]++
	if diff := cmp.Diff(want, d.cloud.world()); diff != "" {
		d.t.Errorf("killed at entry %d: %s, but the world is not as %s: %s\n%s", n, op.text("status"), side, diff, op.Raw)
	}
	if slices.Contains([]string{"Accepted", "Updating", "Deleting"}, d.call("GET", d.do.path, nil).text("properties", "provisioningState")) {
		d.t.Errorf("killed at entry %d: the linker is still under way", n)
	}
}

// restore goes back to the world before, from whatever side.
func (d *deaths) restore() {
	d.t.Helper()
	switch state := d.call("GET", d.do.path, nil); {
	case state.Status == http.StatusNotFound && d.back.method == "DELETE":
	default:
		d.must(d.back)
	}
	if diff := cmp.Diff(d.before, d.cloud.world()); diff != "" {
		d.t.Fatalf("the way back leads elsewhere: %s", diff)
	}
}

// stop ends the server in good order.
func (s *connector) stop() {
	s.cloud.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	eventually(s.cloud.t, "the server's end", func() bool { return gone(s.cmd) })
}

// TestKilledThenRefused kills the server in the middle of a create that the cloud then
// does not let the next server finish: everything is taken back.
func TestKilledThenRefused(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	c.letTestsIn("pg1")
	s.start()
	path := s.linker("app1", "pgid")
	d := newDeaths(t, s, change{"PUT", path, databaseByIdentity(c, "pg1")}, change{"DELETE", path, nil})
	s.stop()
	s.start(dieAt + "=12")
	if s.sendToMortal(d.do) {
		t.Fatal("the server survived")
	}
	c.faults(map[string]any{"method": "PUT", "path": "/config/appsettings$", "status": 403})
	s.start()
	op := s.await(s.newest())
	c.faults()
	if op.text("status") != "Failed" {
		t.Errorf("a refused create: %s", op.Raw)
	}
	d.judge(12, op)
	d.restore()
}

// workTakes is how long the cloud's long-running operations take where that matters.
// It stays the same through a test: later work never overtakes earlier work.
const workTakes = 700 * time.Millisecond

// asyncDelay makes the cloud's long-running operations take so long.
func (c *cloudUnderTest) asyncDelay(d time.Duration) {
	c.t.Helper()
	c.call(c.ready.Endpoint, c.token, "POST", "/_local/advance", map[string]any{"action": "asyncDelay", "milliseconds": d.Milliseconds()})
}

// waits for the engine to poll a long-running operation of the cloud.
func (s *connector) awaitPolling() {
	s.cloud.t.Helper()
	eventually(s.cloud.t, "the engine asks after long work", func() bool {
		return slices.ContainsFunc(s.cloud.requests(), func(r logged) bool {
			return r.Caller == s.engine.ObjectID && strings.Contains(strings.ToLower(r.Path), "/operationstatuses/")
		})
	})
}

// TestKilledWhileTheCloudWorks kills the server while it waits for a long-running
// operation: the next one finishes.
func TestKilledWhileTheCloudWorks(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	c.letTestsIn("pg1")
	path := s.linker("app1", "pgid")
	s.start()
	d := newDeaths(t, s, change{"PUT", path, databaseByIdentity(c, "pg1")}, change{"DELETE", path, nil})
	c.forget()
	c.asyncDelay(workTakes)
	if _, err := s.try(d.do); err != nil {
		t.Fatal(err)
	}
	s.awaitPolling()
	s.kill()
	s.start()
	op := s.await(s.newest())
	if op.text("status") != "Succeeded" {
		t.Errorf("the operation was not finished: %s", op.Raw)
	}
	if starts := count(phases(op), "start"); starts != 2 {
		t.Errorf("the operation was started %d times", starts)
	}
	d.judge(0, op)
	d.restore()
}

func count(list []string, word string) int {
	n := 0
	for _, w := range list {
		if w == word {
			n++
		}
	}
	return n
}

// beside starts a second server over the same state.
func (s *connector) beside() *connector {
	s.cloud.t.Helper()
	other := &connector{cloud: s.cloud, engine: s.engine, home: shortDir(s.cloud.t)}
	readyFile := filepath.Join(other.home, "ready.json")
	env := []string{"AZURE_TENANT_ID=" + s.cloud.ready.TenantID, "AZURE_CLIENT_ID=" + s.engine.ClientID, "AZURE_CLIENT_SECRET=" + s.engine.ClientSecret, "PATCHBAY_EGRESS_ADDRESS=" + localEgress}
	other.cmd = start(s.cloud.t, other.home, env, readyFile, &other.ready, "serve", "--upstream", s.cloud.ready.Endpoint, "--upstream-ca", s.cloud.ready.CAFile,
		"--state", filepath.Join(s.home, "state"), "--ready-file", readyFile)
	return other
}

// TestSecondServerLeavesTheLivingAlone starts a second server over the state of one
// that is at work: it keeps its hands off until the first is dead, then finishes.
func TestSecondServerLeavesTheLivingAlone(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	c.letTestsIn("pg1")
	s.start()
	path := s.linker("app1", "pgid")
	d := newDeaths(t, s, change{"PUT", path, databaseByIdentity(c, "pg1")}, change{"DELETE", path, nil})
	c.asyncDelay(3 * workTakes)
	if _, err := s.try(d.do); err != nil {
		t.Fatal(err)
	}
	id := s.newest()
	c.forget()
	second := s.beside()
	s.awaitPolling()
	second.idleThrough(c, 4)
	op := second.call("GET", "/providers/Patchbay/operations/"+id, nil)
	if op.text("status") != "Running" || count(phases(op), "start") != 1 {
		t.Errorf("while the first server lives the second says: %s", op.Raw)
	}
	s.kill()
	op = second.await(id)
	if op.text("status") != "Succeeded" || count(phases(op), "start") != 2 {
		t.Errorf("after the first server's death: %s", op.Raw)
	}
	second.home = s.home
	d.connector = second
	d.judge(0, op)
	d.restore()
}

// idleThrough waits until the cloud has been asked n times after the long work that
// the first server waits for: time enough for a second one to lay hands on it.
func (s *connector) idleThrough(c *cloudUnderTest, n int) {
	c.t.Helper()
	eventually(c.t, "more polls", func() bool {
		polls := 0
		for _, r := range c.requests() {
			if strings.Contains(strings.ToLower(r.Path), "/operationstatuses/") {
				polls++
			}
		}
		return polls >= n
	})
}
