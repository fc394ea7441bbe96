package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
)

func key(name string) connection.Key {
	return connection.Key{Kind: connection.KindSetting, Resource: site, Name: name}
}

// record is one with every member set.
func record(name string) *plan.Record {
	return &plan.Record{
		Key: key(name), Found: true, Written: map[string]string{"value": "=x"}, Outputs: map[string]string{"id": "i"},
		Scaffold: true, Spelling: strings.ToUpper(name),
		Previous: &connection.State{
			Exists: true, Unknown: true, Why: "w", Spelling: "S", Mark: "m", Outputs: map[string]string{"o": "1"},
			Attrs: connection.Attrs{"plain": connection.Plain("p"), "hidden": connection.Hidden("<h&>")},
		},
	}
}

// owners lists who owns a key, or "none".
func owners(t testing.TB, l ledger.Ledger, k connection.Key) string {
	t.Helper()
	found, err := l.Records(t.Context(), []connection.Key{k})
	must(t, err)
	if len(found) == 0 {
		return "none"
	}
	return strings.Join(found[0].Owners, ",")
}

var recordCases = []testCase{
	{"a record comes back as it was stored", func(t *testing.T, s Store) {
		l, c := s.Open(t, Opening{}), conn(site, "db")
		_, lease := started(t, l, c, nil)
		want := record("Key")
		want.Owners = []string{"ignored"}
		must(t, l.Store(t.Context(), lease, c.UID, want))
		want.Owners = []string{c.UID}
		got, err := s.Open(t, Opening{}).Records(t.Context(), []connection.Key{key("KEY")})
		must(t, err)
		if d := cmp.Diff([]*plan.Record{want}, got); d != "" {
			t.Fatal(d)
		}
		equal(t, "secret flag", got[0].Previous.Attrs["hidden"].Secret, true)
		bare := &plan.Record{Key: key("kEY")}
		must(t, l.Store(t.Context(), lease, c.UID, bare))
		bare.Owners = []string{c.UID}
		got, err = l.RecordsOf(t.Context(), c.UID)
		must(t, err)
		if d := cmp.Diff([]*plan.Record{bare}, got); d != "" {
			t.Fatal("not replaced as a whole: " + d)
		}
	}},
	{"records come in the order asked for, unknown ones left out", func(t *testing.T, s Store) {
		l, c := s.Open(t, Opening{}), conn(site, "db")
		_, lease := started(t, l, c, nil)
		must(t, l.Claim(t.Context(), lease, c.UID, []connection.Key{key("a"), key("b"), key("c")}))
		names := func(list []*plan.Record, err error) []string {
			must(t, err)
			out := []string{}
			for _, r := range list {
				out = append(out, r.Key.Name)
			}
			return out
		}
		asked := []connection.Key{key("c"), key("none"), key("A"), key("c")}
		equal(t, "records", names(l.Records(t.Context(), asked)), "[c a]")
		equal(t, "of the connection", names(l.RecordsOf(t.Context(), c.UID)), "[a b c]")
		equal(t, "none asked", names(l.Records(t.Context(), nil)), "[]")
		equal(t, "of nobody", names(l.RecordsOf(t.Context(), "x")), "[]")
	}},
	{"a claim owns and keeps what stands", func(t *testing.T, s Store) {
		l, a, b := s.Open(t, Opening{}), conn(site, "a"), conn(site, "b")
		op, lease := started(t, l, a, nil)
		must(t, l.Claim(t.Context(), lease, a.UID, []connection.Key{key("k"), key("k2")}))
		got, err := l.Records(t.Context(), []connection.Key{key("k")})
		must(t, err)
		equal(t, "claimed", got[0].Claimed, true)
		must(t, l.Store(t.Context(), lease, a.UID, record("k")))
		finish(t, l, lease, op, a, false)
		_, lease = started(t, l, b, nil)
		must(t, l.Claim(t.Context(), lease, b.UID, []connection.Key{key("K")}))
		got, err = l.Records(t.Context(), []connection.Key{key("k")})
		must(t, err)
		want := record("k")
		want.Owners = []string{a.UID, b.UID}
		if d := cmp.Diff(want, got[0]); d != "" {
			t.Fatal(d)
		}
	}},
	{"a record goes with its last owner", func(t *testing.T, s Store) {
		l, a, b := s.Open(t, Opening{}), conn(site, "a"), conn(site, "b")
		op, lease := started(t, l, a, nil)
		must(t, l.Store(t.Context(), lease, a.UID, record("k")))
		finish(t, l, lease, op, a, false)
		_, lease = started(t, l, b, nil)
		must(t, l.Store(t.Context(), lease, b.UID, record("k")))
		for _, c := range []struct {
			uid    string
			gone   bool
			owners string
		}{
			{"stranger", false, a.UID + "," + b.UID}, {a.UID, false, b.UID}, {a.UID, false, b.UID},
			{b.UID, true, "none"}, {b.UID, true, "none"},
		} {
			gone, err := l.Release(t.Context(), lease, c.uid, key("K"))
			must(t, err)
			equal(t, "gone", gone, c.gone)
			equal(t, "owners", owners(t, l, key("k")), c.owners)
		}
	}},
	{"a removed connection takes along what it alone owns", func(t *testing.T, s Store) {
		l, a, b := s.Open(t, Opening{}), conn(site, "a"), conn(site, "b")
		op, lease := started(t, l, a, connection.Secrets{connection.SecretSlot: connection.NewSecret("x")})
		must(t, l.Claim(t.Context(), lease, a.UID, []connection.Key{key("shared"), key("alone")}))
		finish(t, l, lease, op, a, true)
		op, lease = started(t, l, b, nil)
		must(t, l.Claim(t.Context(), lease, b.UID, []connection.Key{key("shared")}))
		finish(t, l, lease, op, b, true)

		op = &ledger.Operation{Verb: ledger.VerbDelete, Runner: runner, Before: a}
		must(t, l.Accept(t.Context(), op, a, nil))
		op, lease = take(t, l, op)
		must(t, l.Append(t.Context(), lease, ledger.Entry{Phase: ledger.PhaseEnd, Note: "gone"}))
		finish(t, l, lease, op, nil, true)
		_, err := l.Connection(t.Context(), a.ID)
		wantErr(t, err, ledger.ErrNotFound)
		equal(t, "shared", owners(t, l, key("shared")), b.UID)
		equal(t, "alone", owners(t, l, key("alone")), "none")
		kept, err := l.Kept(t.Context(), a.UID)
		must(t, err)
		equal(t, "kept", len(kept), 0)
		equal(t, "operation for audit", status(t, l, op.ID), ledger.Succeeded)
		journal, err := l.Journal(t.Context(), op.ID)
		must(t, err)
		equal(t, "journal for audit", len(journal), 1)
		accept(t, l, a, nil) // the name is free again
	}},
	{"values are stamped, secret ones by a keyed code", func(t *testing.T, s Store) {
		l, strange := s.Open(t, Opening{}), s.Open(t, Opening{OtherKey: true})
		plain, hidden, later := connection.Plain("v"), connection.Hidden("v"), connection.Output(key("k"), "id")
		equal(t, "plain stamp", l.Stamp(plain), "=v")
		if st := l.Stamp(hidden); !strings.HasPrefix(st, "mac:") || len(st) < 40 || st == strange.Stamp(hidden) {
			t.Fatalf("secret stamp %q", st)
		}
		for i, c := range []struct {
			v     connection.Value
			stamp string
			want  bool
		}{
			{plain, l.Stamp(plain), true}, {hidden, l.Stamp(hidden), true},
			{plain, l.Stamp(hidden), true}, {hidden, l.Stamp(plain), true}, // what is observed is often not known to be secret
			{connection.Plain("w"), l.Stamp(plain), false}, {connection.Hidden("w"), l.Stamp(hidden), false},
			{hidden, strange.Stamp(hidden), false}, {plain, "", false}, {connection.Plain(""), "", false},
			{later, l.Stamp(later), false}, {later, "=", false},
		} {
			equal(t, fmt.Sprint("row ", i), l.Same(c.v, c.stamp), c.want)
		}
	}},
}

var lockCases = []testCase{
	{"a resource has one writer at a time", func(t *testing.T, s Store) {
		a, b := s.Open(t, Opening{}), s.Open(t, Opening{})
		_, mine := started(t, a, conn(site, "a"), nil)
		_, theirs := started(t, b, conn(other, "b"), nil)
		unlock, err := a.Lock(soon(t), mine, target)
		must(t, err)
		elsewhere, err := b.Lock(soon(t), theirs, target+"/x")
		must(t, err)
		elsewhere()
		for l, lease := range map[ledger.Ledger]*ledger.Lease{b: theirs, a: mine} {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
			_, err = l.Lock(ctx, lease, strings.ToUpper(target))
			cancel()
			wantErr(t, err, context.DeadlineExceeded)
		}
		got := make(chan error, 1)
		go func() {
			again, err := b.Lock(soon(t), theirs, target)
			if err == nil {
				again()
			}
			got <- err
		}()
		unlock()
		unlock() // twice is as good as once
		must(t, <-got)
		unlock, err = a.Lock(soon(t), mine, target)
		must(t, err)
		unlock()
	}},
	{"an old unlock leaves a new lock alone", func(t *testing.T, s Store) {
		now := newClock()
		l := s.Open(t, Opening{Now: now.now})
		op, old := started(t, l, conn(site, "a"), nil)
		stale, err := l.Lock(soon(t), old, target)
		must(t, err)
		now.advance(TTL)
		_, lease := take(t, l, op)
		_, err = l.Lock(soon(t), lease, target) // of the same operation's dead runner
		must(t, err)
		stale()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		_, err = l.Lock(ctx, lease, target)
		wantErr(t, err, context.DeadlineExceeded)
	}},
	{"a lock ends with its operation", func(t *testing.T, s Store) {
		l := s.Open(t, Opening{})
		op, lease := started(t, l, conn(site, "a"), nil)
		_, err := l.Lock(soon(t), lease, target)
		must(t, err)
		finish(t, l, lease, op, conn(site, "a"), false)
		_, lease = started(t, l, conn(other, "b"), nil)
		_, err = l.Lock(soon(t), lease, target)
		must(t, err)
	}},
	{"a lock of a dead lease is free for who waits", func(t *testing.T, s Store) {
		now := newClock()
		a, b := s.Open(t, Opening{Now: now.now}), s.Open(t, Opening{Now: now.now})
		_, dead := started(t, a, conn(site, "a"), nil)
		_, err := a.Lock(soon(t), dead, target)
		must(t, err)
		waiting := accept(t, b, conn(other, "b"), nil)
		_, lease := take(t, b, waiting)
		must(t, a.Close())
		if !s.AtOnce {
			now.advance(TTL)
		}
		_, err = b.Lock(soon(t), lease, target)
		must(t, err)
	}},
	{"who waits for a lock hears that the lease was taken", func(t *testing.T, s Store) {
		now := newClock()
		l := s.Open(t, Opening{Now: now.now})
		_, holder := started(t, l, conn(site, "a"), nil)
		op, lease := started(t, l, conn(other, "b"), nil)
		_, err := l.Lock(soon(t), holder, target)
		must(t, err)
		got := make(chan error, 1)
		go func() {
			_, err := l.Lock(soon(t), lease, target)
			got <- err
		}()
		now.advance(TTL - time.Second)
		must(t, l.Renew(t.Context(), holder))
		now.advance(time.Second)
		take(t, l, op)
		if err := <-got; !errors.Is(err, ledger.ErrFenced) {
			t.Fatalf("got %v", err)
		}
	}},
}
