package engine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/problem"
)

const here = group + "Microsoft.ServiceLinker/locations/l"

func local(name, auth, client string) *connection.Connection {
	id := here + "/connectors/" + name
	c := linker(name, auth, client)
	c.ID, c.Source = id, id
	return c
}

// TestLocalConnection: its settings are written nowhere and rendered for whoever asks;
// the rest is written, validated and taken back as for any other.
func TestLocalConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	before := b.world.picture()
	c := local("dev", "systemAssignedIdentity", "go") // stands for any auth type that grants
	if op := b.do(engine.Request{Verb: ledger.VerbCreate, Connection: c}); op.Status != ledger.Succeeded {
		t.Fatalf("%+v", op.Problem)
	}
	for path := range b.world.picture() {
		if strings.Contains(path, "appsettings") {
			t.Errorf("%s was written", path)
		}
	}
	got, err := b.engine.Generate(t.Context(), c.ID, func(*connection.Properties) {})
	if err != nil || len(got.Configurations) == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	listed, err := b.engine.Within(t.Context(), here+"/connectors")
	if err != nil || len(listed) != 1 || listed[0].ID != c.ID {
		t.Errorf("%v, %v", listed, err)
	}
	if drift, err := b.engine.Drift(t.Context(), c.ID); err != nil || len(drift) != 1 || len(drift[0].Changes) != 0 {
		t.Errorf("drift %+v, %v", drift, err)
	}
	if op := b.do(engine.Request{Verb: ledger.VerbDelete, Connection: c}); op.Status != ledger.Succeeded {
		t.Fatalf("%+v", op.Problem)
	}
	if d := cmp.Diff(before, b.world.picture()); d != "" {
		t.Error(d)
	}
}

// TestLocalConnectionsAreApart: each stands by itself, so that none carries its name in
// its settings because of another.
func TestLocalConnectionsAreApart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, name := range []string{"ann", "bob"} {
		c := local(name, "secret", "go")
		if op := b.do(engine.Request{Verb: ledger.VerbCreate, Connection: c, Secrets: password("p")}); op.Status != ledger.Succeeded {
			t.Fatalf("%+v", op.Problem)
		}
		stored, err := b.engine.Connection(t.Context(), c.ID)
		if err != nil || stored.Infix != "" {
			t.Errorf("%s: infix %q, %v", name, stored.Infix, err)
		}
	}
}

// TestDryrun: the plan of a rehearsal is the plan of the change; nothing is written; it is
// no connection to anybody who lists them.
func TestDryrun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	before := b.world.picture()
	c := linker("try", "systemAssignedIdentity", "go")
	wanted := c.ID
	c.ID = site + "/providers/Microsoft.ServiceLinker/dryruns/try"
	c.Source, c.Rehearsal = c.ID, &connection.Rehearsal{For: wanted}
	request := engine.Request{Verb: ledger.VerbDryrun, Connection: c}
	p, err := b.engine.Prepare(t.Context(), request)
	if err != nil || len(p.Rights) == 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	if op := b.do(request); op.Status != ledger.Succeeded {
		t.Fatalf("%+v", op.Problem)
	}
	if d := cmp.Diff(before, b.world.picture()); d != "" || len(b.world.writes) > 0 {
		t.Errorf("%v was written: %s", b.world.writes, d)
	}
	stored, err := b.engine.Connection(t.Context(), c.ID)
	if err != nil || stored.State != connection.StateSucceeded || len(stored.Rehearsal.Prerequisites) != 0 {
		t.Fatalf("%+v, %v", stored, err)
	}
	planned, err := b.engine.Prepare(t.Context(), engine.Request{Verb: ledger.VerbCreate, Connection: linker("try", "systemAssignedIdentity", "go")})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := b.engine.Plan(t.Context(), planned)
	if err != nil {
		t.Fatal(err)
	}
	changes := 0
	for _, s := range plan.Steps {
		if !s.Dismantle {
			changes += len(s.Changes)
		}
	}
	if len(stored.Rehearsal.Previews) != changes || changes == 0 {
		t.Errorf("%d previews of %d changes", len(stored.Rehearsal.Previews), changes)
	}
	for _, preview := range stored.Rehearsal.Previews {
		if preview.Action == "" || preview.Scope == "" || preview.Type == "" || preview.Name == "" || preview.Description == "" {
			t.Errorf("%+v", preview)
		}
	}
	for _, scope := range []string{"", site} {
		if all, err := b.engine.Connections(t.Context(), scope); err != nil || len(all) != 0 {
			t.Errorf("%q lists %v, %v", scope, all, err)
		}
	}
	if op := b.do(engine.Request{Verb: ledger.VerbDelete, Connection: c}); op.Status != ledger.Succeeded {
		t.Fatalf("%+v", op.Problem)
	}
	if _, err := b.engine.Connection(t.Context(), c.ID); !problem.Is(err, problem.ConnectionNotFound) {
		t.Errorf("after DELETE: %v", err)
	}
}

// lacking is a Permissions that lacks what it is told.
type lacking []engine.Right

func (l lacking) Missing(_ context.Context, rights []engine.Right) ([]engine.Right, error) {
	return l, nil
}

// TestDryrunOfTheImpossible: what stands in the way is the result, not a failure.
func TestDryrunOfTheImpossible(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	options := b.engine.Options
	options.Permissions = lacking{{Action: "Microsoft.Authorization/roleAssignments/write", Scope: account}, {Action: "x/write", Scope: strings.ToUpper(account)}}
	b.engine = engine.New(options)
	c := linker("try", "systemAssignedIdentity", "go")
	wanted := c.ID
	c.ID = site + "/providers/Microsoft.ServiceLinker/dryruns/try"
	c.Source, c.Rehearsal = c.ID, &connection.Rehearsal{For: wanted}
	if op := b.do(engine.Request{Verb: ledger.VerbDryrun, Connection: c}); op.Status != ledger.Succeeded {
		t.Fatalf("%+v", op.Problem)
	}
	stored, err := b.engine.Connection(t.Context(), c.ID)
	if err != nil || len(stored.Rehearsal.Prerequisites) != 1 {
		t.Fatalf("%+v, %v", stored, err)
	}
	if p := stored.Rehearsal.Prerequisites[0]; p.Code != "" || len(p.Actions) != 2 || p.Role != "Owner" || len(stored.Rehearsal.Previews) == 0 {
		t.Errorf("%+v %+v", p, stored.Rehearsal.Previews)
	}
}
