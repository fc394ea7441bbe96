package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/compute/computetest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const theirs = "# about\nexport FOREIGN=\"a $HOME\" # kept\n\n  ODD = x y # z\nnot a line of ours\n"

func world(t *testing.T) computetest.World {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "Sub.env")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(theirs)
	load := func() []byte {
		c, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return c.Raw
	}
	writes, last := 0, load()
	source := connection.FileID(connection.TypeEnvFile, path)
	d := &counting{Setting: NewSetting(), wrote: func() {
		if now := load(); !bytes.Equal(now, last) {
			writes, last = writes+1, now
		}
	}}
	return computetest.World{
		Source:  source,
		Drivers: map[connection.Kind]computetest.Driver{connection.KindSetting: d},
		Setting: func(name, value string) connection.Facet {
			return connection.Facet{Key: connection.Key{Kind: connection.KindSetting, Resource: source, Name: name},
				Want: connection.Attrs{connection.AttrValue: connection.Hidden(value)}}
		},
		Settings: func() map[string]string {
			all := map[string]string{}
			for _, e := range parseEnv(load(), shells).entries {
				if e.name != "" {
					all[e.name] = e.value
				}
			}
			return all
		},
		Rest: func() any {
			var rest []string
			for _, e := range parseEnv(load(), shells).entries {
				if e.name == "" {
					rest = append(rest, e.before)
				}
			}
			return rest
		},
		Foreign: func(name string, value *string) {
			e := parseEnv(load(), shells)
			if i := e.last(name); i >= 0 {
				e.entries = append(e.entries[:i:i], e.entries[i+1:]...)
			}
			if value != nil {
				e.set(name, *value, shells.quote(*value))
			}
			write(string(e.bytes()))
			last = load()
		},
		Rightless: true,
		Merges:    true, // somebody else's line is merged, whenever it came
		Read: func(ctx context.Context) (*compute.Source, error) {
			return Sources{Outbound: []string{"203.0.113.9"}}.Source(ctx, source)
		},
		Facts:  compute.Source{Outbound: []string{"203.0.113.9"}},
		Writes: func() int { return writes },
		Vanish: func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir, nil, 0o600); err != nil { // nothing can be there any more
				t.Fatal(err)
			}
		},
	}
}

type counting struct {
	*Setting
	wrote func()
}

func (c *counting) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	defer c.wrote()
	return c.Setting.Write(ctx, b, changes)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	computetest.Run(t, computetest.Case{Make: world})
}

func facet(path, name, value string) connection.Facet {
	return connection.Facet{Key: connection.Key{Kind: connection.KindSetting, Resource: connection.FileID(connection.TypeEnvFile, path), Name: name},
		Want: connection.Attrs{connection.AttrValue: connection.Hidden(value)}}
}

func put(t *testing.T, path, name, value string) error {
	t.Helper()
	d, f := NewSetting(), facet(path, name, value)
	b, err := d.Read(t.Context(), []connection.Facet{f})
	if err != nil {
		return err
	}
	_, err = d.Write(t.Context(), b, []plan.Change{{Facet: f, Action: plan.Create}})
	return err
}

// TestFile: a new file is for its owner only and goes with its last variable; one that
// was there keeps what is not ours.
func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "x.env")
	if err := put(t, path, "A", "it's $1"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	d, f := NewSetting(), facet(path, "A", "")
	b, err := d.Read(t.Context(), []connection.Facet{f})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), b, []plan.Change{{Facet: f, Action: plan.Remove}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file stayed: %v", err)
	}
}

// TestRefused: what cannot be written is refused with a code, and nothing is written.
func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked.env")
	if err := os.WriteFile(locked, []byte("B=1\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, name, value string
		code              problem.Code
	}{
		{locked, "A", "1", problem.SourceUnusable},
		{dir, "A", "1", problem.SourceUnusable},
		{filepath.Join(locked, "x"), "A", "1", problem.SourceUnusable},
		{filepath.Join(dir, "x.env"), "A:B", "secret-canary", problem.SettingName},
		{filepath.Join(dir, "x.env"), "A", "secret-canary\x00", problem.SettingName},
	} {
		err := put(t, c.path, c.name, c.value)
		if !problem.Is(err, c.code) || strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s %q: %v, want %s", c.path, c.name, err, c.code)
		}
	}
	if raw, _ := os.ReadFile(locked); string(raw) != "B=1\n" {
		t.Errorf("the read-only file holds %q", raw)
	}
	if _, err := os.Stat(filepath.Join(dir, "x.env")); err == nil {
		t.Error("a refused setting left a file")
	}
}

// TestWriteLost: somebody who writes our variable between our read and our write wins,
// and it is told.
func TestWriteLost(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.env")
	d, f := NewSetting(), facet(path, "A", "ours")
	b, err := d.Read(t.Context(), []connection.Facet{f})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("A=theirs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), b, []plan.Change{{Facet: f, Action: plan.Create}}); !problem.Is(err, problem.WriteLost) {
		t.Errorf("the write gave %v", err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != "A=theirs\n" {
		t.Errorf("the file holds %q", raw)
	}
}

// TestAtOnce: writers of different variables at the same moment lose nothing.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.env")
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			if err := put(t, path, fmt.Sprintf("V%d", n), "x"); err != nil {
				t.Errorf("V%d: %v", n, err)
			}
		})
	}
	all.Wait()
	raw, err := os.ReadFile(path)
	if err != nil || strings.Count(string(raw), "='x'") != 8 {
		t.Errorf("%v %s", err, raw)
	}
}

// TestShell: a shell that reads the file has the values.
func TestShell(t *testing.T) {
	t.Parallel()
	for n, value := range []string{"", "plain", "a b", `it's "q" $HOME \ ` + "`id`", "two\nlines", `ends in \`, "ü#%", "'"} {
		path := filepath.Join(t.TempDir(), "x.env")
		if err := put(t, path, "A", value); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("sh", "-c", `. "$1"; printf %s "$A"`, "sh", path).Output()
		if err != nil || string(out) != value {
			t.Errorf("%d: the shell has %q, want %q (%v)", n, out, value, err)
		}
	}
}

func FuzzEnvFile(f *testing.F) {
	f.Add("A=1\nB='two\nlines' # x\nexport C=\"\\\"\"\n", "A", "it's\\")
	f.Add("A='unclosed\nB=2", "C", "x\r\n")
	f.Add("\ufeffA: 1\r\nA=2", "A", "`'")
	f.Fuzz(func(t *testing.T, file, name, value string) {
		for _, r := range []reader{shells, compose} {
			e := parseEnv([]byte(file), r)
			if string(e.bytes()) != file {
				t.Fatalf("%q came back as %q", file, e.bytes())
			}
			if e.open || !variable.MatchString(name) || strings.ContainsRune(value, 0) {
				return
			}
			others := map[string]string{}
			for _, one := range e.entries {
				if one.name != "" && one.name != name {
					others[one.name] = one.value
				}
			}
			e.set(name, value, r.quote(value))
			back := parseEnv(e.bytes(), r)
			if got, ok := back.get(name); !ok || got != value {
				t.Fatalf("%q set to %q reads %q in %q", name, value, got, e.bytes())
			}
			for other, want := range others {
				if got, _ := back.get(other); got != want {
					t.Fatalf("%q was %q and is %q in %q", other, want, got, e.bytes())
				}
			}
		}
	})
}

// TestFaster: who saves between our read and our rename is read again and kept; who never
// stops is told of, and keeps what they wrote.
func TestFaster(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.env")
	save := func(n int) {
		if err := os.WriteFile(path, fmt.Appendf(nil, "THEIRS=%d\n", n), 0o644); err != nil {
			t.Error(err)
		}
	}
	calls := 0
	editing := func(busy int) Edit {
		return func(old []byte, _ bool) ([]byte, bool, error) {
			if calls++; calls <= busy {
				save(calls)
			}
			return append(bytes.Clone(old), "OURS=1\n"...), true, nil
		}
	}
	if err := Change(t.Context(), path, Private, editing(1)); err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != "THEIRS=1\nOURS=1\n" {
		t.Errorf("the file holds %q", raw)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	calls = 0
	if err := Change(t.Context(), path, Kept, editing(99)); !problem.Is(err, problem.WriteLost) {
		t.Errorf("against somebody who never stops: %v", err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != fmt.Sprintf("THEIRS=%d\n", triesMost) {
		t.Errorf("the file holds %q", raw)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".patchbay-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left %v %v", left, err)
	}
}
