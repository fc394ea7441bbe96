package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

// terminal is a person's machine: a home folder with a saved context.
type terminal struct {
	cloud *cloudUnderTest
	home  string
}

// terminalAt saves a context for the cloud itself (the work is done in the command's
// own process) or for a server.
func (c *cloudUnderTest) terminalAt(context savedContext) *terminal {
	c.t.Helper()
	context.SubscriptionID, context.TenantID = c.ready.SubscriptionID, c.ready.TenantID
	context.ClientID, context.ClientSecret = c.ready.ClientID, c.ready.ClientSecret
	t := &terminal{cloud: c, home: shortDir(c.t)}
	raw, err := json.Marshal(contextFile{Current: "c", Contexts: map[string]savedContext{"c": context}})
	if err == nil {
		err = os.WriteFile(filepath.Join(t.home, "contexts.json"), raw, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return t
}

// alone is a terminal without any server.
func (c *cloudUnderTest) alone() *terminal {
	return c.terminalAt(savedContext{Endpoint: c.ready.Endpoint, CAFile: c.ready.CAFile})
}

// terminal is one whose commands talk to the server.
func (s *connector) terminal() *terminal {
	s.cloud.t.Helper()
	return s.cloud.terminalAt(savedContext{Endpoint: s.ready.Endpoint, CAFile: s.trust(), Server: true})
}

// trust is a file with the authorities of both the server and the cloud behind it,
// where the commands sign in.
func (s *connector) trust() string {
	s.cloud.t.Helper()
	var all []byte
	for _, file := range []string{s.ready.CAFile, s.cloud.ready.CAFile} {
		raw, err := os.ReadFile(file)
		if err != nil {
			s.cloud.t.Fatal(err)
		}
		all = append(all, raw...)
	}
	path := filepath.Join(s.home, "trust.pem")
	if err := os.WriteFile(path, all, 0o600); err != nil {
		s.cloud.t.Fatal(err)
	}
	return path
}

// said is what a command printed and how it ended.
type said struct {
	args     []string
	code     int
	out, err string
}

// run runs one command line to its end.
func (t *terminal) run(args ...string) said {
	cmd := program(t.home, nil, args...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	_ = cmd.Run() // the exit code tells
	return said{args, cmd.ProcessState.ExitCode(), out.String(), err.String()}
}

// TestTwentyCreatesFromFourProcesses creates twenty connections on one app from four
// processes at a time that share nothing but the folder of the ledger.
func TestTwentyCreatesFromFourProcesses(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	foreign := map[string]string{"FOREIGN": "theirs", "azure_redis_other": "mine"}
	c.makeSite("app1", foreign)
	c.makeCache()
	c.makeAccount()
	term := c.alone()
	c.forget()
	failed := make(chan said, 20)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := range 5 {
				if s := term.run(createLine(fmt.Sprintf("c%d%d", worker, n), n%2 == 0)...); s.code != 0 {
					failed <- s
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for s := range failed {
		t.Errorf("%v: exit %d\n%s", s.args, s.code, s.err)
	}
	c.checkTwenty(term, foreign)
}

func createLine(name string, cache bool) []string {
	line := []string{"webapp", "connection", "create"}
	if cache {
		line = append(line, "redis", "--server", "cache1")
	} else {
		line = append(line, "storage-blob", "--account", "store1")
	}
	return append(line, "-g", "rg1", "-n", "app1", "--tg", "rg1", "--secret", "--connection", name, "--client-type", "go", "--debug")
}

// checkTwenty looks at settings, log and operations when all is over.
func (c *cloudUnderTest) checkTwenty(term *terminal, foreign map[string]string) {
	c.t.Helper()
	settings := c.settings("app1")
	for name, value := range foreign {
		if settings[name] != value {
			c.t.Errorf("the foreign setting %s is %q now", name, settings[name])
		}
		delete(settings, name)
	}
	kinds := map[string]int{}
	for name, value := range settings {
		kinds[name[:len("AZURE_REDIS")]]++
		if !strings.HasSuffix(name, "_CONNECTIONSTRING") || value == "" {
			c.t.Errorf("an odd setting: %s", name)
		}
	}
	if len(settings) != 20 || kinds["AZURE_REDIS"] != 12 {
		c.t.Errorf("%d settings, %v", len(settings), kinds)
	}
	writes := 0
	for _, r := range c.requests() {
		if r.Method == "PUT" && strings.HasSuffix(strings.ToLower(r.Path), "/config/appsettings") {
			writes++
		}
	}
	if writes != 20 {
		c.t.Errorf("the app's settings were written %d times", writes)
	}
	term.checkSucceeded(20)
}

// checkSucceeded lists the operations: that many, all well, one after the other.
func (t *terminal) checkSucceeded(n int) {
	t.cloud.t.Helper()
	s := t.run("operation", "list", "-o", "json")
	var list []operationTimes
	if err := json.Unmarshal([]byte(s.out), &list); err != nil {
		t.cloud.t.Fatalf("operation list: %v\n%s%s", err, s.out, s.err)
	}
	if len(list) != n {
		t.cloud.t.Errorf("%d operations, want %d", len(list), n)
	}
	checkOrder(t.cloud.t, list)
}

// operationTimes is when an operation ran.
type operationTimes struct {
	Status, Source, Connection     string
	AcceptedAt, StartedAt, EndedAt time.Time
}

// checkOrder holds that the operations of each source ran in order of acceptance, one
// at a time.
func checkOrder(t testing.TB, list []operationTimes) {
	t.Helper()
	bySource := map[string][]operationTimes{}
	for _, op := range list {
		if op.Status != "Succeeded" {
			t.Errorf("%s: %s", op.Connection, op.Status)
		}
		bySource[op.Source] = append(bySource[op.Source], op)
	}
	for _, ops := range bySource {
		sort.Slice(ops, func(i, j int) bool { return ops[i].AcceptedAt.Before(ops[j].AcceptedAt) })
		for i := range ops[1:] {
			if ops[i+1].StartedAt.Before(ops[i].EndedAt) {
				t.Errorf("%s was accepted after %s and started before that ended", ops[i+1].Connection, ops[i].Connection)
			}
		}
	}
}

// TestParallelPutsOnTwoApps sends twenty PUTs for two apps at once to one server.
func TestParallelPutsOnTwoApps(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs"})
	c.makeSite("app2", map[string]string{})
	c.makeCache()
	s := c.newConnector().start()
	c.forget()
	ids := make(chan string, 20)
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			a, err := s.try(change{"PUT", s.linker(fmt.Sprintf("app%d", n%2+1), fmt.Sprintf("c%d", n)), cacheByKey(c)})
			if err != nil || a.Status != 201 {
				t.Errorf("PUT: %d %v %s", a.Status, err, a.Raw)
				return
			}
			ids <- a.Header.Get("X-Patchbay-Operation")
		})
	}
	wg.Wait()
	close(ids)
	for id := range ids {
		s.await(id)
	}
	var list struct{ Value []operationTimes }
	if err := json.Unmarshal(s.call("GET", "/providers/Patchbay/operations", nil).Raw, &list); err != nil || len(list.Value) != 20 {
		t.Fatalf("%d operations: %v", len(list.Value), err)
	}
	checkOrder(t, list.Value)
	if one, two := len(c.settings("app1")), len(c.settings("app2")); one != 11 || two != 10 {
		t.Errorf("%d and %d settings", one, two)
	}
	if n := len(s.allWrites()); n != 20 {
		t.Errorf("%d writes for 20 creates", n)
	}
}

// allWrites are the engine's writes since the log was emptied.
func (s *connector) allWrites() []logged {
	s.cloud.t.Helper()
	var out []logged
	for _, r := range s.cloud.requests() {
		if r.Caller == s.engine.ObjectID && (r.Method == "PUT" || r.Method == "PATCH" || r.Method == "DELETE") {
			out = append(out, r)
		}
	}
	return out
}

// TestSecondOperationOnAConnection: while one is under way, another on the same
// connection is refused, and one on another connection of the app waits its turn.
func TestSecondOperationOnAConnection(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{})
	c.makeCache()
	s := c.newConnector().start()
	c.faults(map[string]any{"method": "PUT", "path": "/config/appsettings$", "delayMs": 3000, "times": 1})
	first := s.call("PUT", s.linker("app1", "one"), cacheByKey(c))
	if first.Status != 201 {
		t.Fatalf("PUT: %d %s", first.Status, first.Raw)
	}
	for _, ch := range []change{{"PUT", s.linker("app1", "one"), cacheByKey(c)}, {"DELETE", s.linker("app1", "ONE"), nil}} {
		a := s.call(ch.method, ch.path, ch.body)
		if a.Status != 409 || !strings.Contains(string(a.Raw), `"CONNECTION_BUSY"`) {
			t.Errorf("a second %s: %d %s", ch.method, a.Status, a.Raw)
		}
	}
	other := s.call("PUT", s.linker("app1", "two"), cacheByKey(c))
	if other.Status != 201 {
		t.Fatalf("PUT of another connection: %d %s", other.Status, other.Raw)
	}
	times := make([]operationTimes, 2)
	for i, a := range []answer{first, other} {
		if err := json.Unmarshal(s.await(a.Header.Get("X-Patchbay-Operation")).Raw, &times[i]); err != nil {
			t.Fatal(err)
		}
	}
	checkOrder(t, times)
}
