package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/api"
)

// screen replays what is written to a terminal: cursor up, erase line, new lines.
type screen struct {
	lines []string
	row   int
}

func (s *screen) Write(b []byte) (int, error) {
	text := string(b)
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b[2K"):
			s.at(s.row)
			s.lines[s.row] = ""
			text = text[4:]
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexAny(text, "Am")
			if text[end] == 'A' {
				up := 0
				for _, c := range text[2:end] {
					up = up*10 + int(c-'0')
				}
				s.row -= up
			}
			text = text[end+1:]
		case text[0] == '\n':
			s.row++
			text = text[1:]
		case text[0] == '\r':
			text = text[1:]
		default:
			end := strings.IndexAny(text, "\x1b\n\r")
			if end < 0 {
				end = len(text)
			}
			s.at(s.row)
			s.lines[s.row] += text[:end]
			text = text[end:]
		}
	}
	return len(b), nil
}

func (s *screen) at(row int) {
	for len(s.lines) <= row {
		s.lines = append(s.lines, "")
	}
}

func TestLiveProgressRedrawsInPlace(t *testing.T) {
	t.Parallel()
	term := &screen{}
	s := &shell{Deps: Deps{Streams: Streams{Err: term, ErrTerminal: true, Width: func() int { return 44 }},
		Env: func(string) (string, bool) { return "", false }}}
	p := newLiveProgress(s)
	app := "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/app1"
	at := func(n int64, phase, step string) api.JournalEntry {
		return api.JournalEntry{Seq: n, At: testStart.Add(time.Duration(n) * 100 * time.Millisecond), Phase: phase, Step: step}
	}
	for _, e := range []api.JournalEntry{
		at(1, "start", ""), at(2, "intent", "identity "+app), at(3, "intent", "setting "+app+"/config/appsettings"),
		at(4, "done", "identity "+app), at(4, "done", "identity "+app), at(5, "failed", "setting "+app+"/config/appsettings"),
		at(6, "intent", "role "+strings.Repeat("界", 40)),
		at(7, "undo", "identity "+app), at(8, "undone", "identity "+app),
	} {
		p.entry(e)
	}
	ended := testStart.Add(time.Second)
	p.end(&api.Operation{Verb: "create", Status: "Failed", Connection: app + linkerSegment + "c1", Started: &testStart, Ended: &ended})
	p.close()
	want := []string{
		"↩ identity app1 undone",
		"✗ setting app1/appsettings 0.2s",
		"role 界界",
		"create c1 (app1): failed in 1.0s",
	}
	if len(term.lines) != len(want) {
		t.Fatalf("screen:\n%s", strings.Join(term.lines, "\n"))
	}
	for i, w := range want {
		got := strings.Join(strings.Fields(term.lines[i]), " ")
		if !strings.Contains(got, w) {
			t.Errorf("line %d: %q, want %q", i, got, w)
		}
		if n := displayWidth(term.lines[i]); n > 44 {
			t.Errorf("line %d is %d columns wide: %q", i, n, term.lines[i])
		}
	}
}

func TestProgressViews(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		terminal, quiet bool
		env             map[string]string
		live, colour    bool
	}{
		"a terminal":          {terminal: true, live: true, colour: true},
		"a pipe":              {},
		"a dumb terminal":     {terminal: true, env: map[string]string{"TERM": "dumb"}},
		"without colours":     {terminal: true, env: map[string]string{"NO_COLOR": "1"}, live: true},
		"only errors, please": {terminal: true, quiet: true, colour: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shell{Deps: Deps{Streams: Streams{Err: &bytes.Buffer{}, ErrTerminal: c.terminal},
				Env: func(n string) (string, bool) { v, ok := c.env[n]; return v, ok }}, g: globals{onlyErrors: c.quiet}}
			view := s.progress()
			defer view.close()
			if _, live := view.(*liveProgress); live != c.live {
				t.Errorf("live: %v", live)
			}
			if painted := s.paint(red, "x") != "x"; painted != c.colour {
				t.Errorf("colour: %v", painted)
			}
		})
	}
}

func TestLiveViewEndToEnd(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var out, errs bytes.Buffer
	deps := w.deps(func(string) (string, bool) { return "", false }, &out, &errs)
	term := &screen{}
	deps.Streams.Err, deps.Streams.ErrTerminal = term, true
	code := Main(context.Background(), deps, strings.Fields("webapp connection create redis -g rg1 -n app1 --connection c1 --tg rg2 --server c --secret --client-type none -o none"))
	got := strings.Join(term.lines, "\n")
	if code != 0 || !strings.Contains(got, "✓ identity app1") || !strings.HasSuffix(strings.TrimSpace(got), "created c1 (app1) in 1.4s") {
		t.Errorf("code %d, screen:\n%s", code, got)
	}
	if !w.api.closed {
		t.Error("the API was not closed")
	}
}

func TestStepLabel(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"setting /subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/app1/config/appsettings":                                               "setting app1/appsettings",
		"role:/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/st1/providers/Microsoft.Authorization/roleAssignments/1234": "role 1234",
		"something else": "something else", "": "",
		"lock /subscriptions/s/resourceGroups/g": "lock g",
	} {
		if got := stepLabel(id); got != want {
			t.Errorf("stepLabel(%q) = %q, want %q", id, got, want)
		}
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"drift":          "\x1b[31mDrifted   \x1b[0m  c (n)\n   \x1b[32m+\x1b[0m setting AZURE_REDIS_HOST on n (missing)\n",
		"drift -o jsonc": "\x1b[1m\"action\"\x1b[0m: \x1b[32m\"create\"\x1b[0m",
		"drift -o json":  "\n    \"name\": \"c\"",
		"webapp connection list -g g -n n -o jsonc --query [].name": "[\n  \x1b[32m\"c\"\x1b[0m\n]\n",
	} {
		w := newWorld()
		id := "/subscriptions/" + testSub + "/resourceGroups/g/providers/Microsoft.Web/sites/n" + linkerSegment + "c"
		w.api.linkers[strings.ToLower(id)] = linkerOf(id, map[string]any{"properties": map[string]any{}})
		w.api.drift["c"] = drifted
		_, out, _ := run(t.Context(), w, func(d *Deps) { d.Streams.OutTerminal = true }, line)
		if !strings.Contains(out, want) {
			t.Errorf("%s:\n%q\nwant %q", line, out, want)
		}
		_, out, _ = run(t.Context(), w, func(d *Deps) {
			d.Streams.OutTerminal = true
			d.Env = func(name string) (string, bool) { return "1", name == "NO_COLOR" }
		}, line)
		if strings.Contains(out, "\x1b") {
			t.Errorf("%s: colours in spite of NO_COLOR: %q", line, out)
		}
	}
}
