package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"pgregory.net/rapid"

	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/compute/computetest"
	"github.com/patchbay/patchbay/internal/compute/process"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// dotenvOf is what Compose itself reads in an env file.
func dotenvOf(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	all, err := dotenv.ParseWithLookup(bytes.NewReader(raw), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatalf("Compose refuses the file: %v\n%s", err, raw)
	}
	return all
}

type counting struct {
	*process.Setting
	wrote func()
}

func (c *counting) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	defer c.wrote()
	return c.Setting.Write(ctx, b, changes)
}

// world is a service and its env file; the entry is judged by TestProperty.
func world(t *testing.T) computetest.World {
	t.Helper()
	dir := t.TempDir()
	file, env := filepath.Join(dir, "compose.yaml"), filepath.Join(dir, "web.env")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) []byte {
		c, err := process.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return c.Raw
	}
	write(file, files["comments"])
	write(env, "# theirs\nFOREIGN=a b # kept\n")
	source := connection.FileID(connection.TypeComposeService, file, "web")
	writes, last := 0, read(env)
	d := &counting{process.NewComposeSetting(), func() {
		if now := read(env); !bytes.Equal(now, last) {
			writes, last = writes+1, now
		}
	}}
	return computetest.World{
		Source:  source,
		Drivers: map[connection.Kind]computetest.Driver{connection.KindSetting: d},
		Setting: func(name, value string) connection.Facet {
			return connection.Facet{Key: connection.Key{Kind: connection.KindSetting, Resource: connection.FileID(connection.TypeComposeEnvFile, env), Name: name},
				Want: connection.Attrs{connection.AttrValue: connection.Hidden(value)}}
		},
		Settings: func() map[string]string { return dotenvOf(t, read(env)) },
		Rest:     func() any { return string(read(file)) },
		Foreign: func(name string, value *string) {
			var kept []string
			for _, line := range strings.SplitAfter(string(read(env)), "\n") {
				if !strings.HasPrefix(line, name+"=") {
					kept = append(kept, line)
				}
			}
			if value != nil {
				kept = append(kept, fmt.Sprintf("%s=%q\n", name, *value))
			}
			write(env, strings.Join(kept, ""))
			last = read(env)
		},
		Merges: true, Rightless: true,
		Read: func(ctx context.Context) (*compute.Source, error) {
			return Sources{Outbound: []string{"203.0.113.9"}}.Source(ctx, source)
		},
		Facts:  compute.Source{Outbound: []string{"203.0.113.9"}},
		Writes: func() int { return writes },
		Vanish: func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			write(dir, "") // nothing can be there any more
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	computetest.Run(t, computetest.Case{Make: world})
}

// toggleEntry makes one entry of the service web come or go.
func toggleEntry(t *testing.T, file, name, value string, there bool) error {
	t.Helper()
	f := connection.Facet{Key: connection.Key{Kind: connection.KindObject, Resource: connection.FileID(connection.TypeComposeService, file, "web"), Name: name},
		Want: connection.Attrs{connection.AttrValue: connection.Plain(value)}}
	b, err := Entry{}.Read(t.Context(), []connection.Facet{f})
	if err != nil {
		return err
	}
	change := plan.Change{Facet: f, Action: plan.Remove}
	if there {
		change.Action = plan.Create
	}
	states, err := Entry{}.Write(t.Context(), b, []plan.Change{change})
	if err == nil && states[0].Exists != there {
		t.Errorf("the entry %s is %+v", name, states[0])
	}
	return err
}

// TestProperty: entries come and go at random among edits of others; the file is at every
// step what the others have written, with our words in it.
func TestProperty(t *testing.T) {
	t.Parallel()
	total := 0
	texts := []string{"plain", "comments", "crlf", "scalar", "flow list", "long", "anchors", "flow map", "json", "literal", "secrets", "no end"}
	rapid.Check(t, func(r *rapid.T) {
		text := files[rapid.SampledFrom(texts).Draw(r, "file")]
		file := filepath.Join(t.TempDir(), "compose.yaml")
		put := func(raw string) {
			if err := os.WriteFile(file, []byte(raw), 0o644); err != nil {
				r.Fatal(err)
			}
		}
		put(text)
		entries := []struct{ name, value string }{{entryEnvFile + "./.patchbay/web.env", ""}, {entryEnvFile + "./more.env", ""},
			{entrySecret + "web_A", "./.patchbay/secrets/web/A"}, {entrySecret + "web_B", "./.patchbay/secrets/web/B"}}
		on, lines := map[int]bool{}, 0
		for range rapid.IntRange(2, 12).Draw(r, "steps") {
			total++
			i := rapid.IntRange(0, len(entries)).Draw(r, "entry")
			if i == len(entries) { // somebody else adds a comment on top
				lines++
				raw, err := os.ReadFile(file)
				if err != nil {
					r.Fatal(err)
				}
				put(fmt.Sprintf("# theirs %d\n", lines) + string(raw))
				text = fmt.Sprintf("# theirs %d\n", lines) + text
				continue
			}
			on[i] = !on[i]
			if err := toggleEntry(t, file, entries[i].name, entries[i].value, on[i]); err != nil {
				r.Fatalf("%s: %v", entries[i].name, err)
			}
		}
		for i := len(entries) - 1; i >= 0; i-- {
			if err := toggleEntry(t, file, entries[i].name, entries[i].value, false); err != nil {
				r.Fatalf("%s: %v", entries[i].name, err)
			}
		}
		if now := read(r, file); now != text {
			r.Fatalf("left:\n%q\nwas:\n%q", now, text)
		}
	})
	if total < 200 && !t.Failed() {
		t.Errorf("only %d operations", total)
	}
}

func read(r *rapid.T, file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		r.Fatal(err)
	}
	return string(raw)
}

// TestWriteLost: an entry that somebody adds between our read and our write is told.
func TestWriteLost(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "compose.yaml")
	f := connection.Facet{Key: connection.Key{Kind: connection.KindObject, Resource: connection.FileID(connection.TypeComposeService, file, "web"), Name: entryEnvFile + "./a.env"}}
	if err := os.WriteFile(file, []byte(files["plain"]), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := Entry{}.Read(t.Context(), []connection.Facet{f})
	if err != nil {
		t.Fatal(err)
	}
	theirs := files["plain"] + "    env_file: a.env\n"
	if err := os.WriteFile(file, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Entry{}.Write(t.Context(), b, []plan.Change{{Facet: f, Action: plan.Create}})
	raw, _ := os.ReadFile(file)
	if !problem.Is(err, problem.WriteLost) || string(raw) != theirs {
		t.Errorf("%v\n%s", err, raw)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := (Entry{}).Write(t.Context(), b, []plan.Change{{Facet: f, Action: plan.Remove}}); err != nil {
		t.Errorf("taking an entry out of a file that is gone: %v", err)
	}
	if _, err := (Entry{}).Write(t.Context(), b, []plan.Change{{Facet: f, Action: plan.Create}}); !problem.Is(err, problem.SourceNotFound) {
		t.Errorf("an entry in a file that is gone: %v", err)
	}
}

// FuzzDotenv: what we write to an env file is what Compose reads.
func FuzzDotenv(f *testing.F) {
	for _, value := range []string{"", "plain", "it's $HOME ${X:-y} $$", "two\nlines\r\n", "`\\", "\\'", "a #b"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		path := filepath.Join(t.TempDir(), "x.env")
		fc := connection.Facet{Key: connection.Key{Kind: connection.KindSetting, Resource: connection.FileID(connection.TypeComposeEnvFile, path), Name: "A.b-C"},
			Want: connection.Attrs{connection.AttrValue: connection.Hidden(value)}}
		d := process.NewComposeSetting()
		b, err := d.Read(t.Context(), []connection.Facet{fc})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Write(t.Context(), b, []plan.Change{{Facet: fc, Action: plan.Create}})
		if strings.ContainsRune(value, 0) {
			if err == nil {
				t.Error("a zero byte was written")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if got := dotenvOf(t, raw)["A.b-C"]; got != value {
			t.Errorf("Compose reads %q, want %q in %q", got, value, raw)
		}
	})
}
