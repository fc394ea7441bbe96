package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/ledger"
)

// watched is a ledger that tells of failed writes as they are journalled.
type watched struct {
	ledger.Ledger
	failed func()
}

func (w *watched) Append(ctx context.Context, l *ledger.Lease, e ledger.Entry) error {
	err := w.Ledger.Append(ctx, l, e)
	if e.Phase == ledger.PhaseFailed {
		w.failed()
	}
	return err
}

// twoApps are connections of two sources that sign in as the same.
func twoApps() (one, two *connection.Connection) {
	one, two = linker("c1", connection.AuthServicePrincipalSecret, "go"), linker("c1", connection.AuthServicePrincipalSecret, "go")
	two.Source = group + "Microsoft.Web/sites/second"
	two.ID = two.Source + "/providers/Microsoft.ServiceLinker/linkers/c1"
	return one, two
}

// through runs one create by an engine of its own over a watched ledger.
func (b *bench) through(failed func(), c *connection.Connection) *ledger.Operation {
	b.t.Helper()
	e := b.over(&watched{b.ledger, failed})
	p, err := e.Prepare(b.t.Context(), engine.Request{Verb: ledger.VerbCreate, Connection: c})
	if err != nil {
		b.t.Error(err)
		return nil
	}
	op, _, err := e.Accept(b.t.Context(), p)
	if err == nil {
		op, err = e.Drain(b.t.Context(), op.ID)
	}
	if err != nil {
		b.t.Error(err)
	}
	return op
}

const (
	theirRole   = account + "/role/reader of p"
	firstWrite  = "create " + site + "/config/appsettings"
	secondWrite = "create " + group + "Microsoft.Web/sites/second/config/appsettings"
)

// TestUndoLeavesWhatOthersCameToRelyOn: while the first create fails, a second one finds
// the right that the first has written. The first takes back only what is its own.
func TestUndoLeavesWhatOthersCameToRelyOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, two := twoApps()
	b.world.fail = func(write string, after bool) error {
		if write == firstWrite && !after {
			return errors.New("the cloud refuses")
		}
		return nil
	}
	b.must(b.through(func() { b.must(b.put(two, nil), ledger.Succeeded) }, one), ledger.Failed)
	if len(b.world.things[theirRole]) != 1 {
		t.Fatal("the second app's right went with the first app")
	}
	found, err := b.engine.Drift(t.Context(), two.ID)
	if err != nil || len(found) != 1 || len(found[0].Changes) != 0 {
		t.Errorf("drift of the second: %+v %v", found, err)
	}
	b.must(b.do(engine.Request{Verb: ledger.VerbDelete, Connection: two}), ledger.Succeeded)
	if left := b.world.picture(); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

// TestTheLastToFailTakesDownWhatItWasLeft: both creates fail, and the second does so after
// the first has left the right to it.
func TestTheLastToFailTakesDownWhatItWasLeft(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, two := twoApps()
	b.world.fail = func(write string, after bool) error {
		if (write == firstWrite || write == secondWrite) && !after {
			return errors.New("the cloud refuses")
		}
		return nil
	}
	secondFailed, firstDone, secondDone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	b.must(b.through(func() {
		go func() {
			defer close(secondDone)
			if op := b.through(func() { close(secondFailed); <-firstDone }, two); op == nil || op.Status != ledger.Failed {
				t.Errorf("the second ended as %+v", op)
			}
		}()
		<-secondFailed
	}, one), ledger.Failed)
	if len(b.world.things[theirRole]) != 1 {
		t.Error("the first took the right away that the second still owned")
	}
	close(firstDone)
	<-secondDone
	if left := b.world.picture(); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	if records, err := b.ledger.Records(t.Context(), []connection.Key{{Kind: connection.KindRole, Resource: account, Name: "reader of p"}}); err != nil || len(records) != 0 {
		t.Errorf("records left: %v %v", records, err)
	}
}
