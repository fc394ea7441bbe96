package ledger_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/ledger/ledgertest"
	"github.com/patchbay/patchbay/internal/seal"
)

func TestMain(m *testing.M) {
	os.Exit(ledgertest.Main(m, func(ctx context.Context, path string) (ledger.Ledger, error) {
		box, err := seal.OpenKeyFile(keyBeside(path))
		if err != nil {
			return nil, err
		}
		return ledger.Open(ctx, ledger.Options{Path: path, Box: box, LeaseTTL: ledgertest.TTL})
	}))
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	ledgertest.Run(t, func(t testing.TB) ledgertest.Store {
		path := filepath.Join(t.TempDir(), "store", "ledger.db")
		return ledgertest.Store{
			Address: path,
			AtOnce:  true,
			Rest:    func(t testing.TB) []byte { return atRest(t, path) },
			Open: func(t testing.TB, o ledgertest.Opening) ledger.Ledger {
				opts := ledger.Options{Path: path, Box: box(t, path), LeaseTTL: o.TTL, Now: o.Now}
				if opts.LeaseTTL == 0 {
					opts.LeaseTTL = ledgertest.TTL
				}
				if o.OtherKey {
					opts.Box = strangeBox(t)
				}
				return open(t, opts)
			},
		}
	})
}

// keyBeside keeps the key out of the folder that is searched for secrets.
func keyBeside(path string) string { return filepath.Join(filepath.Dir(filepath.Dir(path)), "key") }

func box(t testing.TB, path string) *seal.Box {
	t.Helper()
	b, err := seal.OpenKeyFile(keyBeside(path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func strangeBox(t testing.TB) *seal.Box {
	t.Helper()
	b, err := seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, o ledger.Options) *ledger.SQLite {
	t.Helper()
	l, err := ledger.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// atRest reads all files of a store from another process: in this one, closing a
// descriptor of the file would drop SQLite's locks on it.
func atRest(t testing.TB, path string) []byte {
	t.Helper()
	out, err := exec.Command("find", filepath.Dir(path), "-type", "f", "-exec", "cat", "{}", "+").Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
