package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

var update = flag.Bool("update", false, "write golden files and docs/cli.md anew")

// world is what one script plays in.
type world struct {
	api      *fakeAPI
	local    *fakeLocal
	contexts *fakeContexts
	input    string
	terminal bool
	inside   bool // operations run in this process
	cancel   bool // end the context once an operation is being followed
	opened   int
	options  ContextOptions
	code     int
	served   ServeOptions
	lastErr  string
	argv     []string // of the program that run was to start
	environ  []string
	ended    int // its exit code
}

// deps builds what Main needs around a world.
func (w *world) deps(env func(string) (string, bool), out, err *bytes.Buffer) Deps {
	return Deps{
		Streams: Streams{In: strings.NewReader(w.input), Out: out, Err: err, InTerminal: w.terminal,
			ReadSecret: func(context.Context) (string, error) { return "typed-secret", nil }},
		Env: env, Version: Version{Version: "1.2.3", Commit: "abc1234"}, Targets: testTargets(),
		Connect: func(_ context.Context, o ContextOptions) (API, Defaults, error) {
			w.opened++
			w.options = o
			if w.api == nil {
				return nil, Defaults{}, problem.New(problem.NoContext, "", "no cloud is configured")
			}
			if o.Logf != nil {
				o.Logf("GET /x 200 3ms")
			}
			return w.api, Defaults{Context: "local", Subscription: testSub, InProcess: w.inside}, nil
		},
		Exec: func(argv, env []string) (int, error) {
			w.argv, w.environ = argv, env
			if argv[0] == "nothing" {
				return 0, errors.New("no such program")
			}
			return w.ended, nil
		},
		Environ: func() []string { return []string{"HOME=there", "A_STRING=mine"} },
		Local:   w.local, Contexts: w.contexts, Poll: time.Millisecond, Preview: fakePreview,
		Serve: func(_ context.Context, o ServeOptions, ready func(ReadyInfo)) error {
			w.served = o
			ready(ReadyInfo{Endpoint: "https://127.0.0.1:9"})
			return nil
		},
	}
}

func newWorld() *world {
	return &world{api: newFakeAPI(), local: &fakeLocal{}, contexts: &fakeContexts{list: []ContextInfo{
		{Name: "local", Endpoint: "https://127.0.0.1:8443", Server: true, Subscription: testSub, Current: true},
		{Name: "work", Endpoint: "https://management.azure.com"},
	}}}
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Values["world"] = newWorld()
			e.Setenv("SUB", "/subscriptions/"+testSub)
			e.Setenv("APP", "/subscriptions/"+testSub+"/resourceGroups/rg1/providers/Microsoft.Web/sites/app1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"patchbay": runMain, "code": checkCode, "fake": setFake, "called": checkCalled, "put": checkPut, "input": setInput, "ran": checkRan,
		},
	})
}

// runMain runs the command line in this process.
func runMain(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value("world").(*world)
	var out, err bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if w.cancel {
		w.api.streamed = func(ctx context.Context) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
	}
	w.api.calls = nil
	env := func(name string) (string, bool) { v := ts.Getenv(name); return v, v != "" }
	w.code = Main(ctx, w.deps(env, &out, &err), args)
	w.lastErr = err.String()
	fmt.Fprint(ts.Stdout(), out.String())
	fmt.Fprint(ts.Stderr(), err.String())
	if (w.code != 0) != neg {
		ts.Fatalf("exit code %d\n%s%s", w.code, out.String(), err.String())
	}
}

func checkCode(ts *testscript.TestScript, _ bool, args []string) {
	if w := ts.Value("world").(*world); strconv.Itoa(w.code) != args[0] {
		ts.Fatalf("exit code %d, want %s", w.code, args[0])
	}
}

// checkRan compares the program that was started, and that it has a setting.
func checkRan(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value("world").(*world)
	if neg {
		if w.argv != nil {
			ts.Fatalf("%v was started", w.argv)
		}
		return
	}
	if !slices.Contains(w.environ, args[0]) {
		ts.Fatalf("the environment %v lacks %s", w.environ, args[0])
	}
	if got := strings.Join(w.argv, " "); got != strings.Join(args[1:], " ") {
		ts.Fatalf("%s was started", got)
	}
	w.argv, w.environ = nil, nil
}

func setInput(ts *testscript.TestScript, _ bool, args []string) {
	ts.Value("world").(*world).input = strings.ReplaceAll(args[0], `\n`, "\n")
}

// setFake tells the world how to behave: fake WHAT ARGS…
func setFake(ts *testscript.TestScript, _ bool, args []string) {
	w := ts.Value("world").(*world)
	rest := args[1:]
	switch args[0] {
	case "terminal":
		w.terminal = true
	case "inside":
		w.inside = true
	case "cancel":
		w.cancel = true
	case "nothing":
		w.cancel, w.terminal, w.inside, w.api.streamed, w.api.outcome = false, false, false, nil, nil
	case "broken-stream":
		w.api.streamed = func(context.Context) error { return errors.New("connection reset") }
	case "exits":
		w.ended, _ = strconv.Atoi(rest[0])
	case "drift":
		w.api.drift[rest[0]] = rest[1]
	case "runtime":
		w.api.runtime = rest[0]
	case "fail":
		w.api.fail[rest[0]] = problem.New(problem.Code(rest[1]), "", "%s", rest[2])
	case "outcome":
		w.api.outcome = problem.New(problem.Code(rest[0]), "/the/resource", "%s", rest[1])
	case "finding":
		w.api.report = append(w.api.report, map[string]any{"name": rest[0], "result": rest[1], "description": orNil(rest[2]), "errorCode": orNil(rest[3]), "errorMessage": orNil(strings.Join(rest[4:], ""))})
	case "answer":
		status, _ := strconv.Atoi(rest[1])
		header := http.Header{}
		for _, h := range rest[3:] {
			name, value, _ := strings.Cut(h, ":")
			header.Set(name, value)
		}
		w.api.raw[rest[0]] = &api.Response{Status: status, Header: header, Body: []byte(rest[2])}
	case "status":
		w.api.status[rest[0]] = []map[string]any{{"status": "InProgress"}, {"status": rest[1]}}
	case "operation":
		op := w.api.ops[w.api.order[len(w.api.order)-1]]
		op.Status = rest[0]
	default:
		ts.Fatalf("fake what? %q", args[0])
	}
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// checkCalled looks for a call the API got in the last run.
func checkCalled(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value("world").(*world)
	want := strings.Join(args, " ")
	if slices.Contains(w.api.calls, want) == neg {
		ts.Fatalf("calls:\n%s", strings.Join(w.api.calls, "\n"))
	}
}

// checkPut compares the body of the last PUT or plan with a file.
func checkPut(ts *testscript.TestScript, _ bool, args []string) {
	w := ts.Value("world").(*world)
	if len(w.api.bodies) == 0 {
		ts.Fatalf("nothing was put")
	}
	got, err := json.MarshalIndent(w.api.bodies[len(w.api.bodies)-1]["properties"], "", "  ")
	ts.Check(err)
	want := strings.TrimSpace(ts.ReadFile(args[0]))
	if string(got) != strings.ReplaceAll(want, "$SUB", "/subscriptions/"+testSub) {
		ts.Fatalf("body:\n%s", got)
	}
}

// fakeLocal is a local cloud that only notes what it is told.
type fakeLocal struct {
	options LocalStartOptions
	running bool
}

var readyInfo = ReadyInfo{Endpoint: "https://127.0.0.1:8443", CAFile: "/home/u/ca.pem", SubscriptionID: testSub,
	TenantID: "t", ClientID: "c", ClientSecret: "s'ecret"}

func (l *fakeLocal) Start(_ context.Context, o LocalStartOptions) (ReadyInfo, error) {
	l.options = o
	if l.running {
		return ReadyInfo{}, problem.New(problem.LocalRunning, "", "a local cloud is already running")
	}
	l.running = true
	return readyInfo, nil
}

func (l *fakeLocal) RunForeground(_ context.Context, o LocalStartOptions, ready func(ReadyInfo)) error {
	l.options = o
	ready(readyInfo)
	return nil
}

func (l *fakeLocal) Stop(context.Context) error {
	if !l.running {
		return problem.New(problem.LocalNotRunning, "", "no local cloud is running")
	}
	l.running = false
	return nil
}

func (l *fakeLocal) Status(context.Context) (LocalStatus, error) {
	if !l.running {
		return LocalStatus{}, nil
	}
	return LocalStatus{Running: true, Endpoint: readyInfo.Endpoint, SubscriptionID: testSub, PID: 42, Since: testStart}, nil
}

func (l *fakeLocal) Reset(context.Context) error { return nil }

func (l *fakeLocal) Env(context.Context) ([]EnvVar, error) {
	return []EnvVar{{"ARM_ENDPOINT", readyInfo.Endpoint}, {"ARM_CLIENT_SECRET", readyInfo.ClientSecret}}, nil
}

type fakeContexts struct{ list []ContextInfo }

func (c *fakeContexts) List() ([]ContextInfo, error) { return c.list, nil }
func (c *fakeContexts) Current() (string, error)     { return "local", nil }
func (c *fakeContexts) Use(name string) error {
	for i := range c.list {
		c.list[i].Current = c.list[i].Name == name
	}
	return nil
}
