package ledgertest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
)

var connectionCases = []testCase{
	{"a connection is found by id in any case and by uid", func(t *testing.T, s Store) {
		l, c := s.Open(t, Opening{}), conn(site, "Db")
		c.Properties.Configuration = &connection.Configuration{Additional: map[string]string{"a": "1"}}
		accept(t, l, c, nil)
		for _, id := range []string{c.ID, strings.ToUpper(c.ID), "/" + c.ID, c.ID[1:]} {
			got, err := l.Connection(t.Context(), id)
			must(t, err)
			if d := cmp.Diff(c, got); d != "" {
				t.Fatal(d)
			}
		}
		got, err := l.ByUID(t.Context(), c.UID)
		must(t, err)
		equal(t, "id", got.ID, c.ID)
	}},
	{"what is not there is ErrNotFound", func(t *testing.T, s Store) {
		l := s.Open(t, Opening{})
		_, err := l.Connection(t.Context(), site+"/x")
		wantErr(t, err, ledger.ErrNotFound)
		_, err = l.ByUID(t.Context(), "x")
		wantErr(t, err, ledger.ErrNotFound)
		_, err = l.Operation(t.Context(), "x")
		wantErr(t, err, ledger.ErrNotFound)
		_, err = l.Journal(t.Context(), "x")
		wantErr(t, err, ledger.ErrNotFound)
		_, err = l.Given(t.Context(), "x")
		wantErr(t, err, ledger.ErrNotFound)
		_, _, err = l.Take(t.Context(), runner, "x")
		wantErr(t, err, ledger.ErrNotFound)
		wantErr(t, l.RequestUndo(t.Context(), "x"), ledger.ErrNotFound)
	}},
	{"connections of a source come by name", func(t *testing.T, s Store) {
		l := s.Open(t, Opening{})
		for _, name := range []string{"cache", "Alpha", "beta"} {
			accept(t, l, conn(site, name), nil)
		}
		accept(t, l, conn(other, "aaa"), nil)
		for source, want := range map[string]string{
			site: "[Alpha beta cache]", strings.ToLower(site): "[Alpha beta cache]", "": "[aaa Alpha beta cache]", "/none": "[]",
		} {
			list, err := l.Connections(t.Context(), source)
			must(t, err)
			names := []string{}
			for _, c := range list {
				names = append(names, c.Name)
			}
			equal(t, "names of "+source, names, want)
		}
	}},
	{"an operation's view stands until it ends, then the result", func(t *testing.T, s Store) {
		l, c := s.Open(t, Opening{}), conn(site, "db")
		op, lease := started(t, l, c, nil)
		c.State = connection.StateSucceeded
		finish(t, l, lease, op, c, false)
		state := func() string {
			got, err := l.ByUID(t.Context(), c.UID)
			must(t, err)
			return got.State
		}
		equal(t, "after create", state(), connection.StateSucceeded)

		pending := *c
		pending.State = connection.StateUpdating
		op = &ledger.Operation{Verb: ledger.VerbUpdate, Runner: runner, Before: c, Wanted: &pending}
		must(t, l.Accept(t.Context(), op, &pending, nil))
		equal(t, "names taken from the connection", op.UID+op.Connection+op.Source, c.UID+c.ID+c.Source)
		equal(t, "meanwhile", state(), connection.StateUpdating)
		op, lease = take(t, l, op)
		op.Status, op.Problem = ledger.Failed, &connection.Problem{Code: "X", Message: "m"}
		c.State = connection.StateFailed
		must(t, l.Finish(t.Context(), lease, op, c, false))
		equal(t, "afterwards", state(), connection.StateFailed)

		op = &ledger.Operation{Verb: ledger.VerbValidate, Runner: runner, UID: c.UID, Connection: c.ID, Source: c.Source}
		must(t, l.Accept(t.Context(), op, nil, nil))
		equal(t, "nil leaves it alone", state(), connection.StateFailed)
	}},
}

var operationCases = []testCase{
	{"an operation comes back as it was accepted", func(t *testing.T, s Store) {
		now := newClock()
		l, c := s.Open(t, Opening{Now: now.now}), conn(site, "db")
		op := &ledger.Operation{
			Verb: ledger.VerbUpdate, UID: c.UID, Connection: c.ID, Source: c.Source, Runner: runner, Caller: "me",
			Correlation: "corr", Wanted: c, Before: conn(site, "db"), Force: true, Forget: true, Message: "note",
		}
		must(t, l.Accept(t.Context(), op, c, nil))
		if op.ID == "" || op.Seq == 0 || op.Status != ledger.Accepted || !op.Accepted.Equal(now.now()) {
			t.Fatalf("not filled in: %+v", op)
		}
		got, err := l.Operation(t.Context(), op.ID)
		must(t, err)
		if d := cmp.Diff(op, got); d != "" {
			t.Fatal(d)
		}
	}},
	{"an operation comes back as it ended", func(t *testing.T, s Store) {
		now := newClock()
		l, c := s.Open(t, Opening{Now: now.now}), conn(site, "db")
		accepted := accept(t, l, c, nil)
		now.advance(time.Second)
		op, lease := take(t, l, accepted)
		if op.Status != ledger.Running || !op.Started.Equal(now.now()) {
			t.Fatalf("taken: %+v", op)
		}
		now.advance(time.Second)
		op.Status, op.Message, op.Report = ledger.Failed, "warning", []byte(`{"a":1}`)
		op.Problem = &connection.Problem{Code: "C", Message: "m", Resource: "r", Fix: "f"}
		must(t, l.Finish(t.Context(), lease, op, c, false))
		if !op.Ended.Equal(now.now()) {
			t.Fatalf("ended %v", op.Ended)
		}
		got, err := l.Operation(t.Context(), op.ID)
		must(t, err)
		if d := cmp.Diff(op, got); d != "" {
			t.Fatal(d)
		}
	}},
	{"a second operation on a connection is ErrBusy and leaves nothing", func(t *testing.T, s Store) {
		a, b, c := s.Open(t, Opening{}), s.Open(t, Opening{}), conn(site, "db")
		op := accept(t, a, c, nil)
		changed := *c
		changed.State = "changed"
		again := func(uid string) error {
			changed.UID = uid
			return b.Accept(t.Context(), &ledger.Operation{Verb: ledger.VerbUpdate, Runner: runner}, &changed, nil)
		}
		wantErr(t, again(c.UID), ledger.ErrBusy)
		wantErr(t, again("a racing create"), ledger.ErrBusy)
		changed.ID = c.ID + "-moved"
		wantErr(t, again(c.UID), ledger.ErrBusy)
		changed.ID = c.ID
		got, err := b.Connection(t.Context(), c.ID)
		must(t, err)
		equal(t, "connection", got.UID+got.State, c.UID+c.State)
		list, err := b.Operations(t.Context(), "", 0)
		must(t, err)
		equal(t, "operations", len(list), 1)

		op, lease := take(t, a, op)
		wantErr(t, again(c.UID), ledger.ErrBusy)
		finish(t, a, lease, op, c, false)
		wantErr(t, again("a late create"), ledger.ErrBusy)
		must(t, again(c.UID))
	}},
	{"of many racing accepts on one connection one gets through", func(t *testing.T, s Store) {
		const n = 8
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			l := s.Open(t, Opening{})
			wg.Go(func() {
				c := conn(site, "db")
				c.UID = fmt.Sprint("uid", i)
				errs[i] = l.Accept(t.Context(), &ledger.Operation{Verb: ledger.VerbCreate, Runner: runner}, c, nil)
			})
		}
		wg.Wait()
		through := 0
		for _, err := range errs {
			if err == nil {
				through++
				continue
			}
			wantErr(t, err, ledger.ErrBusy)
		}
		equal(t, "accepted", through, 1)
	}},
	{"operations are listed newest first", func(t *testing.T, s Store) {
		l, ids := s.Open(t, Opening{}), []string{}
		for i := range 5 {
			ids = append([]string{accept(t, l, conn(site, fmt.Sprint("c", i)), nil).ID}, ids...)
		}
		elsewhere := accept(t, l, conn(other, "x"), nil).ID
		for _, c := range []struct {
			source string
			limit  int
			want   []string
		}{
			{"", 0, append([]string{elsewhere}, ids...)},
			{strings.ToUpper(site), 0, ids},
			{site, 2, ids[:2]},
			{other, 9, []string{elsewhere}},
			{"/none", 0, []string{}},
		} {
			list, err := l.Operations(t.Context(), c.source, c.limit)
			must(t, err)
			got := []string{}
			for _, op := range list {
				got = append(got, op.ID)
			}
			equal(t, fmt.Sprint(c.source, c.limit), got, c.want)
		}
	}},
	{"an undo is seen by whoever takes the operation, until it ends", func(t *testing.T, s Store) {
		l, c := s.Open(t, Opening{}), conn(site, "db")
		op := accept(t, l, c, nil)
		must(t, l.RequestUndo(t.Context(), op.ID))
		op, lease := take(t, l, op)
		equal(t, "undo", op.Undo, true)
		op.Status = ledger.Canceled
		must(t, l.Finish(t.Context(), lease, op, nil, false))
		wantErr(t, l.RequestUndo(t.Context(), op.ID), ledger.ErrEnded)
		got, err := l.Operation(t.Context(), op.ID)
		must(t, err)
		equal(t, "undo afterwards", got.Undo, true)
	}},
	{"an operation must name its connection and end with an end", func(t *testing.T, s Store) {
		l, c := s.Open(t, Opening{}), conn(site, "db")
		if err := l.Accept(t.Context(), &ledger.Operation{Verb: ledger.VerbCreate}, nil, nil); err == nil {
			t.Fatal("accepted without a connection")
		}
		if err := l.Accept(t.Context(), &ledger.Operation{UID: "another"}, c, nil); err == nil {
			t.Fatal("accepted with another connection's uid")
		}
		op, lease := started(t, l, c, nil)
		if err := l.Finish(t.Context(), lease, op, c, false); err == nil {
			t.Fatal("finished as Running")
		}
		op.Status = ledger.Succeeded
		if err := l.Finish(t.Context(), lease, op, conn(site, "another"), false); err == nil {
			t.Fatal("finished with another connection")
		}
		must(t, l.Finish(t.Context(), lease, op, c, false))
	}},
}
