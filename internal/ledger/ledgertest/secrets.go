package ledgertest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
)

// Canaries, one per place where a secret enters the ledger.
const (
	canaryGiven    = "canary-given-4711"
	canaryKept     = "canary-kept-4712"
	canaryPrevious = "canary-previous-4713"
	canaryJournal  = "canary-journal-4714"
	canaryStamp    = "canary-stamp-4715"
)

// noCanary searches everything the store keeps, in the encodings a slip could have.
func noCanary(t testing.TB, s Store, when string) {
	t.Helper()
	rest := s.Rest(t)
	if !bytes.Contains(rest, []byte("linkers")) {
		t.Fatalf("%s: nothing of the store was searched (%d bytes)", when, len(rest))
	}
	for _, c := range []string{canaryGiven, canaryKept, canaryPrevious, canaryJournal, canaryStamp} {
		for how, form := range map[string]string{
			"plain": c, "hex": hex.EncodeToString([]byte(c)), "base64": base64.RawStdEncoding.EncodeToString([]byte(c)),
		} {
			if bytes.Contains(rest, []byte(form)) {
				t.Errorf("%s: %s stands in the store (%s)", when, c, how)
			}
		}
	}
}

// plant puts a canary into every place a running operation has.
func plant(t testing.TB, l ledger.Ledger, lease *ledger.Lease, uid string) {
	t.Helper()
	must(t, l.Store(t.Context(), lease, uid, planted(l)))
	must(t, l.Append(t.Context(), lease, ledger.Entry{Phase: ledger.PhaseIntent, Sealed: []byte(canaryJournal)}))
}

func planted(l ledger.Ledger) *plan.Record {
	return &plan.Record{
		Key:      key("planted"),
		Written:  map[string]string{"value": l.Stamp(connection.Hidden(canaryStamp))},
		Previous: &connection.State{Exists: true, Attrs: connection.Attrs{"value": connection.Hidden(canaryPrevious)}},
	}
}

// reveal returns secrets by slot as they are.
func reveal(t testing.TB, s connection.Secrets, err error) map[string]string {
	t.Helper()
	must(t, err)
	out := map[string]string{}
	for slot, v := range s {
		out[slot] = v.Reveal()
	}
	return out
}

func secrets(slotsAndTexts ...string) connection.Secrets {
	out := connection.Secrets{}
	for i := 0; i < len(slotsAndTexts); i += 2 {
		out[slotsAndTexts[i]] = connection.NewSecret(slotsAndTexts[i+1])
	}
	return out
}

var secretCases = []testCase{
	{"given secrets are kept slot by slot, or dropped", func(t *testing.T, s Store) {
		l, c := s.Open(t, Opening{}), conn(site, "db")
		for i, row := range []struct {
			given connection.Secrets
			keep  bool
			kept  map[string]string
		}{
			{secrets("secret", "one", "certificate", "cert"), true, map[string]string{"secret": "one", "certificate": "cert"}},
			{secrets("secret", "two"), true, map[string]string{"secret": "two", "certificate": "cert"}},
			{secrets("secret", "three"), false, map[string]string{"secret": "two", "certificate": "cert"}},
			{nil, true, map[string]string{"secret": "two", "certificate": "cert"}},
		} {
			op := &ledger.Operation{Verb: ledger.VerbUpdate, Runner: runner}
			must(t, l.Accept(t.Context(), op, c, row.given))
			given, err := s.Open(t, Opening{}).Given(t.Context(), op.ID)
			equal(t, "given", reveal(t, given, err), reveal(t, row.given, nil))
			op, lease := take(t, l, op)
			finish(t, l, lease, op, c, row.keep)
			given, err = l.Given(t.Context(), op.ID)
			equal(t, "given after the end", len(reveal(t, given, err)), 0)
			kept, err := l.Kept(t.Context(), c.UID)
			if got := reveal(t, kept, err); len(got) != len(row.kept) || got["secret"] != row.kept["secret"] || got["certificate"] != row.kept["certificate"] {
				t.Fatalf("row %d: kept %v, want %v", i, got, row.kept)
			}
		}
	}},
	{"no secret is stored in the clear", func(t *testing.T, s Store) {
		l, c := s.Open(t, Opening{}), conn(site, "db")
		op, lease := started(t, l, c, secrets("secret", canaryKept))
		finish(t, l, lease, op, c, true)
		noCanary(t, s, "kept")
		op = &ledger.Operation{Verb: ledger.VerbUpdate, Runner: runner, Wanted: c, Before: c}
		must(t, l.Accept(t.Context(), op, c, secrets("secret", canaryGiven)))
		noCanary(t, s, "accepted")
		op, lease = take(t, l, op)
		plant(t, l, lease, c.UID)
		noCanary(t, s, "running")
		got, err := l.Records(t.Context(), []connection.Key{key("planted")})
		must(t, err)
		equal(t, "previous value", got[0].Previous.Attrs["value"].Text, canaryPrevious)
		equal(t, "previous is secret", got[0].Previous.Attrs["value"].Secret, true)
		finish(t, l, lease, op, c, false)
		noCanary(t, s, "finished")
		must(t, l.Close())
		noCanary(t, s, "closed")
	}},
	{"another key opens nothing sealed and loses nothing else", func(t *testing.T, s Store) {
		l, strange, c := s.Open(t, Opening{}), s.Open(t, Opening{OtherKey: true}), conn(site, "db")
		op, lease := started(t, l, c, secrets("secret", canaryKept))
		finish(t, l, lease, op, c, true)
		op = &ledger.Operation{Verb: ledger.VerbUpdate, Runner: runner}
		must(t, l.Accept(t.Context(), op, c, secrets("secret", canaryGiven)))
		op, lease = take(t, l, op)
		must(t, l.Append(t.Context(), lease, ledger.Entry{Phase: ledger.PhaseStart, Note: "n"}))
		plant(t, l, lease, c.UID)

		_, err := strange.Given(t.Context(), op.ID)
		wantErr(t, err, ledger.ErrSeal)
		_, err = strange.Kept(t.Context(), c.UID)
		wantErr(t, err, ledger.ErrSeal)
		entries, err := strange.Journal(t.Context(), op.ID)
		wantErr(t, err, ledger.ErrSeal)
		equal(t, "entries that still come", len(entries), 2)
		equal(t, "sealed part", entries[1].Sealed, []byte(nil))
		records, err := strange.RecordsOf(t.Context(), c.UID)
		must(t, err)
		if p := records[0].Previous; p == nil || !p.Unknown || !p.Exists || len(p.Attrs) != 0 {
			t.Fatalf("previous state %+v", p)
		}
		_, err = strange.Connection(t.Context(), c.ID)
		must(t, err)
	}},
}
