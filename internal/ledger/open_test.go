package ledger_test

import (
	"bytes"
	"database/sql"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/ledger/ledgertest"
	"github.com/patchbay/patchbay/internal/plan"
)

func TestOpenMakesPrivateFiles(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // rights are not in the mode there
	}
	root := t.TempDir()
	dir := filepath.Join(root, "deep", "store")
	path := filepath.Join(dir, "ledger.db")
	l := open(t, ledger.Options{Path: path, Box: strangeBox(t)})
	op := &ledger.Operation{Verb: ledger.VerbCreate, Runner: "r"}
	if err := l.Accept(t.Context(), op, fullConn("db"), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Take(t.Context(), "r", ""); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(root, "deep"), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %#o", p, info.Mode().Perm())
		}
		seen[filepath.Ext(p)] = true
		return nil
	})
	if err != nil || !seen[".db"] || !seen[".db-wal"] || !seen[".db-shm"] || !seen[".lock"] {
		t.Errorf("saw %v, %v", seen, err)
	}
}

func TestOpenTakesRightsOfOthersAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, ledger.Options{Path: path, Box: strangeBox(t)})
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestOpenTakesAnyPath(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "what?.db", "50%41.db", "a#b.db", "ä&x=y.db", "file:x.db"} {
		path := filepath.Join(t.TempDir(), name)
		open(t, ledger.Options{Path: path, Box: strangeBox(t)})
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s is not where it should be: %v", name, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"not a database": {make: func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, want: "not a database"},
		"a newer schema": {make: func(t *testing.T, path string) {
			_ = open(t, ledger.Options{Path: path, Box: strangeBox(t)}).Close()
			change(t, path, `INSERT INTO migrations VALUES (9999, 0)`)
		}, want: "use a newer one"},
		"a folder": {make: func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, want: "open ledger"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			c.make(t, path)
			_, err := ledger.Open(t.Context(), ledger.Options{Path: path, Box: strangeBox(t)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(dir, "keyless")}); err == nil {
		t.Error("opened without a key")
	}
}

// change runs a statement on a closed store, as a stranger would.
func change(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestRacingGoroutinesOpenOneNewStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			l, err := ledger.Open(t.Context(), ledger.Options{Path: path, Box: strangeBox(t)})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := l.Connections(t.Context(), ""); err != nil {
				t.Error(err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Each process opens the same new file, runs operations and ends.
func TestRacingProcessesOpenOneNewStore(t *testing.T) {
	t.Parallel()
	for range 3 {
		root := t.TempDir()
		path := filepath.Join(root, "store", "ledger.db")
		box(t, path)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				c := exec.Command(os.Args[0])
				c.Env = append(os.Environ(), ledgertest.DrainEnv(path, string(rune('a'+i)), filepath.Join(root, "marker"))...)
				if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
		wg.Wait()
	}
}

// A reader neither takes an interrupted operation nor leaves a trace of its look.
func TestReadingWritesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store", "ledger.db")
	l := open(t, ledger.Options{Path: path, Box: strangeBox(t)})
	k := connection.Key{Kind: connection.KindSetting, Resource: fullSource, Name: "k"}
	op := &ledger.Operation{Verb: ledger.VerbCreate, Runner: "r"}
	if err := l.Accept(t.Context(), op, fullConn("db"), nil); err != nil {
		t.Fatal(err)
	}
	op, lease, err := l.Take(t.Context(), "r", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Store(t.Context(), lease, op.UID, &plan.Record{Key: k}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	locks := filepath.Join(filepath.Dir(path), "locks")
	if err := os.RemoveAll(locks); err != nil {
		t.Fatal(err)
	}

	l = open(t, ledger.Options{Path: path, Box: strangeBox(t)})
	before := dataFiles(t, path)
	for range 2 {
		_, e1 := l.Connection(t.Context(), fullConn("db").ID)
		_, e2 := l.Connections(t.Context(), "")
		_, e3 := l.Operations(t.Context(), "", 0)
		_, e4 := l.Journal(t.Context(), op.ID)
		_, e5 := l.Kept(t.Context(), op.UID)
		_, e6 := l.Given(t.Context(), op.ID)
		_, e7 := l.Records(t.Context(), []connection.Key{k})
		_, e8 := l.RecordsOf(t.Context(), op.UID)
		got, e9 := l.Operation(t.Context(), op.ID)
		for _, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8, e9} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if got.Status != ledger.Interrupted {
			t.Errorf("status %s", got.Status)
		}
	}
	if !bytes.Equal(before, dataFiles(t, path)) {
		t.Error("the store has changed")
	}
	if _, err := os.Stat(locks); err == nil {
		t.Error("a lock file was made")
	}
}

// dataFiles reads the store and its log from another process.
func dataFiles(t *testing.T, path string) []byte {
	t.Helper()
	out, err := exec.Command("cat", path, path+"-wal").Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A stranger who can write the store cannot move a sealed value to another place.
func TestSealedValuesStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, ledger.Options{Path: path, Box: strangeBox(t)})
	for _, name := range []string{"one", "two"} {
		op := &ledger.Operation{Verb: ledger.VerbCreate, Runner: "r"}
		given := connection.Secrets{"secret": connection.NewSecret("s-" + name)}
		if err := l.Accept(t.Context(), op, fullConn(name), given); err != nil {
			t.Fatal(err)
		}
		op, lease, err := l.Take(t.Context(), "r", "")
		if err != nil {
			t.Fatal(err)
		}
		op.Status = ledger.Succeeded
		if err := l.Finish(t.Context(), lease, op, fullConn(name), true); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, path, `UPDATE kept SET sealed = (SELECT sealed FROM kept WHERE uid = 'uid-one') WHERE uid = 'uid-two'`)
	l = open(t, ledger.Options{Path: path, Box: strangeBox(t)})
	if kept, err := l.Kept(t.Context(), "uid-one"); err != nil || kept["secret"].Reveal() != "s-one" {
		t.Errorf("untouched one: %v", err)
	}
	if _, err := l.Kept(t.Context(), "uid-two"); err == nil || strings.Contains(err.Error(), "s-one") {
		t.Errorf("moved one: %v", err)
	}
}

func BenchmarkOpenExisting(b *testing.B) {
	path := filepath.Join(b.TempDir(), "ledger.db")
	o := ledger.Options{Path: path, Box: strangeBox(b)}
	open(b, o)
	for b.Loop() {
		l, err := ledger.Open(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		_ = l.Close()
	}
}

func BenchmarkOpenNew(b *testing.B) {
	for b.Loop() {
		o := ledger.Options{Path: filepath.Join(b.TempDir(), "ledger.db"), Box: strangeBox(b)}
		l, err := ledger.Open(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		_ = l.Close()
	}
}

func BenchmarkAppend(b *testing.B) {
	l := open(b, ledger.Options{Path: filepath.Join(b.TempDir(), "ledger.db"), Box: strangeBox(b)})
	if err := l.Accept(b.Context(), &ledger.Operation{Verb: ledger.VerbCreate, Runner: "r"}, fullConn("db"), nil); err != nil {
		b.Fatal(err)
	}
	_, lease, err := l.Take(b.Context(), "r", "")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := l.Append(b.Context(), lease, ledger.Entry{Phase: ledger.PhaseDone, Step: "s", Sealed: []byte("state")}); err != nil {
			b.Fatal(err)
		}
	}
}
