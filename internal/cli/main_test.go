package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

// run runs one command line in a world and returns code, output and errors.
func run(ctx context.Context, w *world, change func(*Deps), line string) (int, string, string) {
	var out, errs bytes.Buffer
	deps := w.deps(func(string) (string, bool) { return "", false }, &out, &errs)
	if change != nil {
		change(&deps)
	}
	code := Main(ctx, deps, strings.Fields(line))
	return code, out.String(), errs.String()
}

// TestNothingStartsEarly: a command that needs no API opens none, and neither does
// one whose command line is wrong.
func TestNothingStartsEarly(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "version", "--help", "webapp", "webapp connection create", "webapp connection create redis --help",
		"webapp connection list-support-types", "local status", "local env", "context list", "completion bash",
		"webapp connection list -g g", "webapp connection show -g g -n n", "webapp connection list -g g -n n --query [",
		"webapp connection create redis -g g -n n", "webapp connection delete -g g -n n --connection c", "repair",
		"rest GET", "rest PUT /x -b {", "operation show", "drift --all -g g", "webapp connection wait -g g -n n --connection c",
		"webapp connection update redis -g g -n n --connection c", "nonsense",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.local.running = true
			run(t.Context(), w, nil, line)
			if w.opened != 0 {
				t.Errorf("an API was opened")
			}
		})
	}
}

// TestAnAPIIsClosed: whatever happens after it was opened.
func TestAnAPIIsClosed(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"drift", "repair --all", "operation list", "operation show 1", "operation resume 1", "rest GET /x",
		"webapp connection list -g g -n n", "webapp connection show -g g -n n --connection c",
		"webapp connection list-configuration -g g -n n --connection c", "webapp connection validate -g g -n n --connection c",
		"webapp connection delete -g g -n n --connection c -y", "webapp connection wait -g g -n n --connection c --deleted",
		"webapp connection create redis -g g -n n --tg g --server s --secret", "webapp connection update redis -g g -n n --connection c --secret",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			run(t.Context(), w, nil, line)
			if w.opened != 1 || !w.api.closed {
				t.Errorf("opened %d times, closed: %v", w.opened, w.api.closed)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, row := range problem.Registry() {
		t.Run(string(row.Code), func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.api.fail["list"] = problem.New(row.Code, "", "it is so")
			code, out, errs := run(t.Context(), w, nil, "webapp connection list -g g -n n")
			if code != row.Exit || out != "" || !strings.HasPrefix(errs, "error: it is so\n  code: "+string(row.Code)+"\n") {
				t.Errorf("code %d, want %d\n%s%s", code, row.Exit, out, errs)
			}
			if row.Fix != "" && !strings.Contains(errs, "\n  fix: ") {
				t.Errorf("no fix:\n%s", errs)
			}
		})
	}
}

func TestOtherErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code int
		want string
	}{
		"a bare error":   {errors.New("boom"), 1, "error: boom\n  code: INTERNAL"},
		"a wrapped one":  {fmt.Errorf("list: %w", problem.New(problem.StoreFull, "", "no room")), 1, "code: STORE_FULL"},
		"an interrupted": {context.Canceled, 130, "interrupted\n"},
		"control codes":  {problem.New(problem.ARMRefused, "", "bad\x1b[2J\u202eword\nline"), 1, `bad\x1b[2J\u202eword` + "\nline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, errs := run(t.Context(), newWorld(), func(d *Deps) {
				d.Connect = func(context.Context, ContextOptions) (API, Defaults, error) { return nil, Defaults{}, c.err }
			}, "drift")
			if code != c.code || !strings.Contains(errs, c.want) {
				t.Errorf("code %d\n%s", code, errs)
			}
		})
	}
}

// TestInterruptAtAPrompt: ctrl-C ends a question, and nothing is written.
func TestInterruptAtAPrompt(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"webapp connection delete -g g -n n --connection c",
		"webapp connection create postgres-flexible -g g -n n --tg g --server s --database d",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		w := newWorld()
		w.terminal = true
		asked, never := io.Pipe()
		code, _, errs := run(ctx, w, func(d *Deps) {
			d.Streams.In = asked
			d.Streams.Err = writerFunc(func(b []byte) (int, error) {
				if strings.HasSuffix(string(b), ": ") {
					cancel()
				}
				return len(b), nil
			})
		}, line)
		_ = never.Close()
		if code != 130 || len(w.api.ops) != 0 {
			t.Errorf("%s: code %d, %v\n%s", line, code, w.api.calls, errs)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestInProcessStreamEnds: with no server to go on, a broken stream is the end.
func TestInProcessStreamEnds(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.inside = true
	w.api.streamed = func(context.Context) error { return problem.New(problem.StoreFull, "", "no room") }
	code, _, errs := run(t.Context(), w, nil, "webapp connection create redis -g g -n n --tg g --server s --secret --connection c")
	if code != 1 || !strings.Contains(errs, "STORE_FULL") {
		t.Errorf("code %d\n%s", code, errs)
	}
}

// TestOperationThatCannotBeSeen: a stream that is refused is not asked for again.
func TestOperationThatCannotBeSeen(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.api.fail["operation"] = problem.New(problem.TokenExpired, "", "too late")
	code, _, errs := run(t.Context(), w, nil, "webapp connection create redis -g g -n n --tg g --server s --secret --connection c")
	if code != 4 || !strings.Contains(errs, "TOKEN_EXPIRED") {
		t.Errorf("code %d\n%s", code, errs)
	}
}

// TestOperationLostForAWhile: a server that restarts is waited for, not for ever.
func TestOperationLostForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.api.fail["operation"] = problem.New(problem.ARMUnreached, "", "nobody answers")
	code, _, errs := run(t.Context(), w, nil, "webapp connection create redis -g g -n n --tg g --server s --secret --connection c")
	if code != 1 || !strings.Contains(errs, "ARM_UNREACHED") {
		t.Errorf("code %d\n%s", code, errs)
	}
}

// TestNoSubscription: names cannot be made into an id without one.
func TestNoSubscription(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"webapp connection list -g g -n n":                                                                                            2,
		"rest GET /subscriptions/{subscription}/resourceGroups":                                                                       2,
		"webapp connection list --source-id /subscriptions/s/resourceGroups/g/providers/P/sites/n":                                    0,
		"webapp connection list -g g -n n --subscription s":                                                                           0,
		"webapp connection create redis --source-id /subscriptions/s/resourceGroups/g/providers/P/sites/n --tg g --server s --secret": 2,
	} {
		w := newWorld()
		code, _, errs := run(t.Context(), w, func(d *Deps) {
			d.Connect = func(context.Context, ContextOptions) (API, Defaults, error) { return w.api, Defaults{}, nil }
		}, line)
		if code != want || want == 2 && !strings.Contains(errs, "code: NO_CONTEXT\n  fix: give --subscription ID") {
			t.Errorf("%s: code %d\n%s", line, code, errs)
		}
	}
}

// TestWriterThatFails: a full pipe is an error, not a success.
func TestWriterThatFails(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"version", "version -o json", "webapp connection list -g g -n n"} {
		code, _, _ := run(t.Context(), newWorld(), func(d *Deps) {
			d.Streams.Out = writerFunc(func([]byte) (int, error) { return 0, io.ErrClosedPipe })
		}, line)
		if code == 0 {
			t.Errorf("%s: exit code 0", line)
		}
	}
}

func TestExtraCommandsAndSources(t *testing.T) {
	t.Parallel()
	ran := false
	change := func(d *Deps) {
		d.Extra = func() []*cobra.Command {
			return []*cobra.Command{{Use: "sample", RunE: func(*cobra.Command, []string) error { ran = true; return nil }}}
		}
		d.Sources = append([]SourceCommand{WebApp()}, SourceCommand{Name: "spring", Display: "Spring app",
			ID:      "/subscriptions/{subscription}/resourceGroups/{resource-group}/providers/Microsoft.AppPlatform/Spring/{service}/apps/{app}",
			Options: []SourceOption{{Name: "service", Help: "The `service`."}, {Name: "app", Help: "The `app`."}}})
	}
	if code, _, errs := run(t.Context(), newWorld(), change, "sample"); code != 0 || !ran {
		t.Errorf("code %d\n%s", code, errs)
	}
	w := newWorld()
	code, _, errs := run(t.Context(), w, change, "spring connection create redis -g g --service s1 --app a1 --tg g --server c --secret --connection c1 -o none")
	want := "put /subscriptions/" + testSub + "/resourceGroups/g/providers/Microsoft.AppPlatform/Spring/s1/apps/a1/providers/Microsoft.ServiceLinker/linkers/c1"
	if code != 0 || !contains(w.api.calls, want) {
		t.Errorf("code %d %v\n%s", code, w.api.calls, errs)
	}
}

func TestOutcomeWords(t *testing.T) {
	t.Parallel()
	at := testStart
	for want, op := range map[string]api.Operation{
		"created c (n) in 0ms":    {Verb: "create", Status: "Succeeded", Started: &at, Ended: &at},
		"deleted c (n)":           {Verb: "delete", Status: "Succeeded"},
		"repair c (n): failed":    {Verb: "repair", Status: "Failed"},
		"rotate c (n): succeeded": {Verb: "rotate", Status: "Succeeded"},
	} {
		op.Connection = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/n" + linkerSegment + "c"
		if got := endLine(&op); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
