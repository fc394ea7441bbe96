package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

// armDelay is what every ARM call takes longer in the benchmarks of parallelism.
const armDelay = 100 * time.Millisecond

// BenchmarkCreate measures how parallel a create is: its wall time against the longest
// chain of calls in which each starts after the one before has ended, with a delay
// added to every ARM call. "ratio" is to stay below 1.3.
func BenchmarkCreate(b *testing.B) {
	for _, k := range []struct {
		name string
		body func(c *cloudUnderTest) map[string]any
	}{
		{"blob-by-identity", blobByIdentity},
		{"postgres-by-identity", func(c *cloudUnderTest) map[string]any { return databaseByIdentity(c, "pg1") }},
	} {
		b.Run(k.name, func(b *testing.B) {
			_, s := stage(b)
			s.start()
			body := k.body(s.cloud)
			s.createTimed(b, body) // the first one signs in everywhere and opens every connection
			var runs []created
			for b.Loop() {
				runs = append(runs, s.createTimed(b, body))
			}
			for len(runs) < 5 {
				runs = append(runs, s.createTimed(b, body))
			}
			report(b, runs)
		})
	}
}

// created is what one create took.
type created struct {
	calls, links int // ARM calls, and those of the longest chain
	wall, chain  time.Duration
	timeline     string
}

func (c created) ratio() float64 { return float64(c.wall) / float64(c.chain) }

// report tells of the run in the middle: this machine may do other things meanwhile.
func report(b *testing.B, runs []created) {
	slices.SortFunc(runs, func(x, y created) int { return cmp.Compare(x.ratio(), y.ratio()) })
	middle := runs[len(runs)/2]
	b.ReportMetric(0, "ns/op") // it holds the deletes as well
	b.ReportMetric(middle.ratio(), "ratio")
	b.ReportMetric(float64(middle.calls), "calls")
	b.ReportMetric(float64(middle.links), "chain-calls")
	b.ReportMetric(middle.wall.Seconds()*1000, "wall-ms")
	b.ReportMetric(middle.chain.Seconds()*1000, "chain-ms")
	if testing.Verbose() { // the benchmark's own log is cut after ten lines
		fmt.Fprintf(os.Stderr, "%s: the calls of the run in the middle, those of the longest chain marked\n%s", b.Name(), middle.timeline)
	}
}

// timeline prints calls with the times they began and ended at.
func timeline(began time.Time, calls, chain []logged) string {
	var text strings.Builder
	for _, r := range calls {
		mark := " "
		if slices.Contains(chain, r) {
			mark = "*"
		}
		from := r.Start.Sub(began)
		fmt.Fprintf(&text, "%s %5d-%5d ms %s %s\n", mark, from.Milliseconds(), (from + took(r)).Milliseconds(), r.Method, short(r.Path))
	}
	return text.String()
}

// createTimed creates a connection under delay and measures from the request to the
// operation's end; then it deletes the connection again.
func (s *connector) createTimed(b *testing.B, body map[string]any) created {
	b.Helper()
	one := s.timeCreate(body)
	s.cloud.faults()
	if op := s.do("DELETE", s.linker("app1", "bench"), nil); op.text("status") != "Succeeded" {
		b.Fatalf("delete: %s", op.Raw)
	}
	return one
}

func (s *connector) timeCreate(body map[string]any) created {
	s.cloud.t.Helper()
	s.cloud.faults(map[string]any{"path": ".*", "delayMs": armDelay.Milliseconds()})
	s.cloud.forget()
	began := time.Now()
	op := s.do("PUT", s.linker("app1", "bench"), body)
	if op.text("status") != "Succeeded" {
		s.cloud.t.Fatalf("create: %d %s", op.Status, op.Raw)
	}
	var times operationTimes
	if err := json.Unmarshal(op.Raw, &times); err != nil {
		s.cloud.t.Fatal(err)
	}
	// Our own looks at the operation make the server ask for our rights: not the create's.
	var calls []logged
	for _, r := range s.cloud.requests() {
		if r.Caller == s.engine.ObjectID || r.Start.Before(times.AcceptedAt) {
			calls = append(calls, r)
		}
	}
	end := times.EndedAt
	chain := longestChain(calls)
	one := created{calls: len(calls), links: len(chain), wall: end.Sub(began), timeline: timeline(began, calls, chain)}
	for _, r := range chain {
		one.chain += took(r)
	}
	return one
}

func took(r logged) time.Duration { return time.Duration(r.DurationMs * float64(time.Millisecond)) }

// longestChain finds the calls that took longest together, each beginning when the one
// before has ended: nothing could be faster that waits for each of them.
func longestChain(calls []logged) []logged {
	sort.Slice(calls, func(i, j int) bool { return calls[i].Start.Before(calls[j].Start) })
	best, before := make([]time.Duration, len(calls)), make([]int, len(calls))
	last := -1
	for i, r := range calls {
		before[i] = -1
		for j := range i {
			if ended := calls[j].Start.Add(took(calls[j])); !ended.After(r.Start) && best[j] > best[i] {
				best[i], before[i] = best[j], j
			}
		}
		best[i] += took(r)
		if last < 0 || best[i] > best[last] {
			last = i
		}
	}
	var chain []logged
	for ; last >= 0; last = before[last] {
		chain = append(chain, calls[last])
	}
	slices.Reverse(chain)
	return chain
}

// short is the end of a path, which tells what it is about.
func short(path string) string {
	if i := strings.LastIndex(path, "/providers/"); i >= 0 {
		return path[i+len("/providers/"):]
	}
	return path
}

func TestLongestChain(t *testing.T) {
	t.Parallel()
	at := func(name string, from, to int) logged {
		return logged{Path: name, Start: time.UnixMilli(int64(from)), DurationMs: float64(to - from)}
	}
	var names []string
	for _, r := range longestChain([]logged{at("c", 10, 20), at("a", 0, 10), at("b", 0, 5), at("d", 12, 40), at("e", 41, 50)}) {
		names = append(names, r.Path)
	}
	if got := strings.Join(names, " "); got != "a d e" {
		t.Errorf("the longest chain is %s", got)
	}
}

// BenchmarkStartUp measures the shortest command there is.
func BenchmarkStartUp(b *testing.B) {
	binary := build(b)
	for b.Loop() {
		if out, err := exec.Command(binary, "version").CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
}

// build makes the program as people get it.
func build(b *testing.B) string {
	b.Helper()
	binary := filepath.Join(shortDir(b), "patchbay")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../../cmd/patchbay")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return binary
}

// BenchmarkList lists connections through one server with our command and, where it is
// installed, with the Azure CLI: the medians and their ratio.
func BenchmarkList(b *testing.B) {
	c, s := stage(b)
	s.start()
	for n := range 3 {
		if op := s.do("PUT", s.linker("app1", fmt.Sprintf("c%d", n)), cacheByKey(c)); op.text("status") != "Succeeded" {
			b.Fatalf("create: %s", op.Raw)
		}
	}
	binary, term := build(b), s.terminal()
	ours := func() *exec.Cmd {
		cmd := exec.Command(binary, "webapp", "connection", "list", "-g", "rg1", "-n", "app1", "-o", "json")
		cmd.Env = program(term.home, nil).Env
		return cmd
	}
	az := s.azureCLI(b)
	var our, theirs []time.Duration
	for b.Loop() {
		our = append(our, timed(b, ours()))
		if az != nil {
			b.StopTimer()
			theirs = append(theirs, timed(b, az("webapp", "connection", "list", "-g", "rg1", "-n", "app1", "-o", "json")))
			b.StartTimer()
		}
	}
	b.ReportMetric(median(our).Seconds()*1000, "ours-ms")
	if az == nil {
		b.Log("no az on this machine: only our own time is measured")
		return
	}
	b.ReportMetric(median(theirs).Seconds()*1000, "az-ms")
	b.ReportMetric(float64(median(theirs))/float64(median(our)), "az/ours")
}

// timed runs a command that is to list three connections.
func timed(b *testing.B, cmd *exec.Cmd) time.Duration {
	b.Helper()
	var err strings.Builder
	cmd.Stderr = &err
	began := time.Now()
	out, failed := cmd.Output()
	if failed != nil || strings.Count(string(out), `"provisioningState"`) != 3 {
		b.Fatalf("%v: %v\n%s%s", cmd.Args, failed, out, err.String())
	}
	return time.Since(began)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// azureCLI signs the Azure CLI in at the server, in a profile of its own; nil when it
// is not installed.
func (s *connector) azureCLI(b *testing.B) func(args ...string) *exec.Cmd {
	b.Helper()
	path, err := exec.LookPath("az")
	if err != nil {
		return nil
	}
	home, trust, cloud := shortDir(b), s.trust(), s.cloud.ready
	az := func(args ...string) *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.Env = append(program(home, nil).Env, "AZURE_CONFIG_DIR="+home, "REQUESTS_CA_BUNDLE="+trust, "AZURE_CORE_COLLECT_TELEMETRY=0", "AZURE_CORE_NO_COLOR=1")
		return cmd
	}
	for _, args := range [][]string{
		{"cloud", "register", "-n", "bench", "--endpoint-resource-manager", s.ready.Endpoint, "--endpoint-management", s.ready.Endpoint,
			"--endpoint-active-directory", cloud.Endpoint + "/adfs", "--endpoint-active-directory-resource-id", cloud.Endpoint,
			"--endpoint-active-directory-graph-resource-id", cloud.Endpoint + "/"},
		{"cloud", "set", "-n", "bench"},
		{"login", "--service-principal", "-u", cloud.ClientID, "--password=" + cloud.ClientSecret, "--tenant", cloud.TenantID},
		{"account", "set", "-s", cloud.SubscriptionID},
	} {
		if out, err := az(args...).CombinedOutput(); err != nil {
			b.Fatalf("az %s: %v\n%s", args[0], err, out)
		}
	}
	return az
}
