package ledger_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
)

const fullSource = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/a"

func fullConn(name string) *connection.Connection {
	return &connection.Connection{
		UID: "uid-" + name, Name: name, Source: fullSource,
		ID: fullSource + "/providers/Microsoft.ServiceLinker/linkers/" + name,
	}
}

// startedInSmallStore opens a small store with one running operation.
func startedInSmallStore(t *testing.T, path string) (*ledger.SQLite, *ledger.Operation, *ledger.Lease) {
	t.Helper()
	l := open(t, ledger.Options{Path: path, Box: box(t, path), MaxPages: 80})
	op := &ledger.Operation{Verb: ledger.VerbCreate, Runner: "r"}
	if err := l.Accept(t.Context(), op, fullConn("db"), connection.Secrets{"secret": connection.NewSecret("s")}); err != nil {
		t.Fatal(err)
	}
	op, lease, err := l.Take(t.Context(), "r", "")
	if err != nil || op == nil {
		t.Fatal(op, err)
	}
	return l, op, lease
}

// Each write is too large for the store: it must say so, and leave nothing.
func TestFullStoreRefusesWholeTransactions(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1<<20)
	for name, write := range map[string]func(t *testing.T, l *ledger.SQLite, op *ledger.Operation, lease *ledger.Lease) error{
		"accept": func(t *testing.T, l *ledger.SQLite, _ *ledger.Operation, _ *ledger.Lease) error {
			given := connection.Secrets{"secret": connection.NewSecret(large), "certificate": connection.NewSecret("c")}
			return l.Accept(t.Context(), &ledger.Operation{Verb: ledger.VerbCreate, Runner: "r"}, fullConn("two"), given)
		},
		"append": func(t *testing.T, l *ledger.SQLite, _ *ledger.Operation, lease *ledger.Lease) error {
			return l.Append(t.Context(), lease, ledger.Entry{Phase: ledger.PhaseIntent, Note: large})
		},
		"store": func(t *testing.T, l *ledger.SQLite, op *ledger.Operation, lease *ledger.Lease) error {
			r := &plan.Record{Key: connection.Key{Kind: connection.KindSetting, Resource: fullSource, Name: "k"}, Outputs: map[string]string{"o": large}}
			return l.Store(t.Context(), lease, op.UID, r)
		},
		"claim": func(t *testing.T, l *ledger.SQLite, op *ledger.Operation, lease *ledger.Lease) error {
			k := connection.Key{Kind: connection.KindSetting, Resource: fullSource, Name: "k"}
			return l.Claim(t.Context(), lease, op.UID, []connection.Key{k, {Kind: k.Kind, Resource: k.Resource, Name: large}})
		},
		"finish": func(t *testing.T, l *ledger.SQLite, op *ledger.Operation, lease *ledger.Lease) error {
			end := *op
			end.Status, end.Report = ledger.Succeeded, []byte(large)
			return l.Finish(t.Context(), lease, &end, fullConn("db"), true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "store", "ledger.db")
			l, op, lease := startedInSmallStore(t, path)
			err := write(t, l, op, lease)
			if !errors.Is(err, ledger.ErrFull) {
				t.Fatalf("got %v", err)
			}
			if len(err.Error()) > 300 {
				t.Errorf("the error carries data: %d bytes", len(err.Error()))
			}
			untouched(t, l, op)
			goesOn(t, l, op, lease)
			wholeLife(t, open(t, ledger.Options{Path: path, Box: box(t, path)}))
		})
	}
}

// untouched expects the store as startedInSmallStore left it.
func untouched(t *testing.T, l *ledger.SQLite, op *ledger.Operation) {
	t.Helper()
	all, err := l.Operations(t.Context(), "", 0)
	if err != nil || len(all) != 1 || all[0].Status != ledger.Running {
		t.Fatalf("operations %v %v", all, err)
	}
	conns, err := l.Connections(t.Context(), "")
	if err != nil || len(conns) != 1 {
		t.Fatalf("connections %v %v", conns, err)
	}
	journal, err := l.Journal(t.Context(), op.ID)
	if err != nil || len(journal) != 0 {
		t.Fatalf("journal %v %v", journal, err)
	}
	records, err := l.RecordsOf(t.Context(), op.UID)
	if err != nil || len(records) != 0 {
		t.Fatalf("records %v %v", records, err)
	}
	given, err := l.Given(t.Context(), op.ID)
	if err != nil || given["secret"].Reveal() != "s" {
		t.Fatalf("given %v %v", len(given), err)
	}
	kept, err := l.Kept(t.Context(), op.UID)
	if err != nil || len(kept) != 0 {
		t.Fatalf("kept %v %v", len(kept), err)
	}
}

// goesOn expects that what fits still works on the same handle, under the same lease.
func goesOn(t *testing.T, l *ledger.SQLite, op *ledger.Operation, lease *ledger.Lease) {
	t.Helper()
	if err := l.Append(t.Context(), lease, ledger.Entry{Phase: ledger.PhaseDone}); err != nil {
		t.Fatal(err)
	}
	op.Status = ledger.Succeeded
	if err := l.Finish(t.Context(), lease, op, fullConn("db"), true); err != nil {
		t.Fatal(err)
	}
}

// wholeLife expects a whole life to work once there is room.
func wholeLife(t *testing.T, l *ledger.SQLite) {
	t.Helper()
	op := &ledger.Operation{Verb: ledger.VerbCreate, Runner: "r", Message: strings.Repeat("x", 1<<20)}
	if err := l.Accept(t.Context(), op, fullConn("two"), nil); err != nil {
		t.Fatal(err)
	}
	op, lease, err := l.Take(t.Context(), "r", "")
	if err != nil || op == nil {
		t.Fatal(op, err)
	}
	op.Status = ledger.Succeeded
	if err := l.Finish(t.Context(), lease, op, fullConn("two"), true); err != nil {
		t.Fatal(err)
	}
}

// A store filled by many small writes stops at a whole number of them.
func TestFullStoreKeepsWhatFitted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store", "ledger.db")
	l, op, lease := startedInSmallStore(t, path)
	fitted := 0
	for ; fitted < 10000; fitted++ {
		err := l.Append(t.Context(), lease, ledger.Entry{Phase: ledger.PhaseCall, Note: strings.Repeat("n", 500)})
		if errors.Is(err, ledger.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	journal, err := l.Journal(t.Context(), op.ID)
	if err != nil || len(journal) != fitted || fitted == 0 || fitted == 10000 {
		t.Fatalf("%d entries of %d, %v", len(journal), fitted, err)
	}
	op.Status = ledger.Succeeded
	if err := l.Finish(t.Context(), lease, op, fullConn("db"), true); err != nil {
		t.Fatalf("finish needs no room: %v", err)
	}
	kept, err := l.Kept(t.Context(), op.UID)
	if err != nil || kept["secret"].Reveal() != "s" {
		t.Fatalf("kept %d, %v", len(kept), err)
	}
}
