package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

func settingKey(name string) connection.Key {
	return connection.Key{Kind: connection.KindSetting, Resource: site, Name: name}
}

func (b *bench) must(op *ledger.Operation, want ledger.Status) {
	b.t.Helper()
	if op.Status != want {
		b.t.Fatalf("%s ended %s (%+v), want %s", op.Verb, op.Status, op.Problem, want)
	}
}

func TestLifeOfAnIdentityConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.world.put(settingKey("FOREIGN"), "theirs")
	before := b.world.picture()
	b.must(b.put(linker("c1", connection.AuthSystemIdentity, "go"), nil), ledger.Succeeded)
	if got := b.world.value(settingKey("AZURE_X")); got != "k1" {
		t.Errorf("setting = %q", got)
	}
	if n := len(b.world.things[server+"/access/engine"]); n != 0 {
		t.Error("scaffolding still stands")
	}
	again := b.put(linker("c1", connection.AuthSystemIdentity, "go"), nil)
	b.must(again, ledger.Succeeded)
	settings := 0
	for _, w := range b.world.writes {
		if strings.HasSuffix(w, "appsettings") {
			settings++
		}
	}
	if settings != 1 {
		t.Errorf("settings were written %d times, want once", settings)
	}
	b.must(b.verb(ledger.VerbDelete, "c1", false), ledger.Succeeded)
	if d := cmp.Diff(before, b.world.picture()); d != "" {
		t.Errorf("delete does not restore: %s", d)
	}
	if _, err := b.engine.Connection(t.Context(), linker("c1", "", "").ID); !problem.Is(err, problem.ConnectionNotFound) {
		t.Errorf("connection after delete: %v", err)
	}
}

func TestReplacedValuesComeBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.world.put(settingKey("azure_x"), "mine")
	before := b.world.picture()
	b.must(b.put(linker("c1", connection.AuthSecret, "go"), password("p1")), ledger.Succeeded)
	b.must(b.put(linker("c1", connection.AuthSecret, "java"), nil), ledger.Succeeded)
	if got := b.world.value(settingKey("AZURE_X")); got != "p1" {
		t.Errorf("after an update without the secret the setting is %q", got)
	}
	b.must(b.verb(ledger.VerbDelete, "c1", false), ledger.Succeeded)
	if d := cmp.Diff(before, b.world.picture()); d != "" {
		t.Error(d)
	}
}

func TestChangedValueIsLeft(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		t.Run(fmt.Sprint("force=", force), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.must(b.put(linker("c1", connection.AuthSecret, "go"), password("p1")), ledger.Succeeded)
			b.world.put(settingKey("AZURE_X"), "theirs")
			drift, err := b.engine.Drift(t.Context(), "")
			if err != nil || len(drift) != 1 || len(drift[0].Changes) != 1 || drift[0].Changes[0].Action != plan.Leave {
				t.Fatalf("drift = %+v, %v", drift, err)
			}
			b.must(b.verb(ledger.VerbRepair, "c1", force), ledger.Succeeded)
			want := map[bool]string{false: "theirs", true: "p1"}[force]
			if got := b.world.value(settingKey("AZURE_X")); got != want {
				t.Errorf("after repair: %q, want %q", got, want)
			}
		})
	}
}

func TestRepairAfterARerun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.must(b.put(linker("c1", connection.AuthSystemIdentity, "go"), nil), ledger.Succeeded)
	b.world.drop(connection.Key{Kind: connection.KindIdentity, Resource: site, Name: "system"})
	b.world.drop(settingKey("AZURE_X"))
	drift, err := b.engine.Drift(t.Context(), site)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]plan.Reason{}
	for _, c := range drift[0].Changes {
		reasons[string(c.Facet.Kind)] = c.Reason
	}
	want := map[string]plan.Reason{"identity": plan.Missing, "role": plan.Replaced, "dbuser": plan.Replaced, "setting": plan.Missing}
	if d := cmp.Diff(want, reasons); d != "" {
		t.Error(d)
	}
	b.must(b.verb(ledger.VerbRepair, "c1", false), ledger.Succeeded)
	role := b.world.things[account+"/role/reader"]["reader"]
	if role.attrs["principalId"].Text != "principal-2" {
		t.Errorf("role belongs to %q", role.attrs["principalId"].Text)
	}
	if drift, _ := b.engine.Drift(t.Context(), site); len(drift[0].Changes) != 0 {
		t.Errorf("still drifted: %+v", drift[0].Changes)
	}
}

func TestSiblingsDoNotClash(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.must(b.put(linker("c1", connection.AuthSecret, "go"), password("p1")), ledger.Succeeded)
	b.must(b.put(linker("c2", connection.AuthSecret, "go"), password("p2")), ledger.Succeeded)
	if got := b.world.value(settingKey("AZURE_X_C2")); got != "p2" {
		t.Errorf("second connection's setting = %q", got)
	}
	b.must(b.verb(ledger.VerbDelete, "c1", false), ledger.Succeeded)
	if got := b.world.value(settingKey("AZURE_X_C2")); got != "p2" {
		t.Errorf("after deleting the first: %q", got)
	}
}

func TestSharedFacetsStayUntilTheLastOwnerGoes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.must(b.put(linker("c1", connection.AuthSystemIdentity, "go"), nil), ledger.Succeeded)
	b.must(b.put(linker("c2", connection.AuthSystemIdentity, "go"), nil), ledger.Succeeded)
	b.must(b.verb(ledger.VerbDelete, "c1", false), ledger.Succeeded)
	if len(b.world.things[site+"/identity/system"]) != 1 || len(b.world.things[account+"/role/reader"]) != 1 {
		t.Error("a shared facet went with its first owner")
	}
	b.must(b.verb(ledger.VerbDelete, "c2", false), ledger.Succeeded)
	if n := len(b.world.picture()); n != 0 {
		t.Errorf("left over: %v", b.world.picture())
	}
}

// writesOf records the writes of one verb on a fresh bench.
func writesOf(t *testing.T, verb ledger.Verb) []string {
	b := newBench(t)
	b.setUp(verb)
	b.world.writes = nil
	b.must(b.run(verb), ledger.Succeeded)
	return b.world.writes
}

func (b *bench) setUp(verb ledger.Verb) {
	b.t.Helper()
	b.world.put(settingKey("azure_x"), "mine")
	if verb != ledger.VerbCreate {
		b.must(b.put(linker("c1", connection.AuthSystemIdentity, "go"), nil), ledger.Succeeded)
	}
}

func (b *bench) run(verb ledger.Verb) *ledger.Operation {
	b.t.Helper()
	switch verb {
	case ledger.VerbDelete:
		return b.verb(verb, "c1", false)
	case ledger.VerbUpdate:
		return b.put(linker("c1", connection.AuthSecret, "java"), password("p9"))
	}
	return b.put(linker("c1", connection.AuthSystemIdentity, "go"), nil)
}

func TestEveryFailedWriteIsUndone(t *testing.T) {
	t.Parallel()
	for _, verb := range []ledger.Verb{ledger.VerbCreate, ledger.VerbUpdate, ledger.VerbDelete} {
		for n, write := range writesOf(t, verb) {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/after=%v", verb, n, after), func(t *testing.T) {
					t.Parallel()
					b := newBench(t)
					b.setUp(verb)
					before := b.world.picture()
					failed := false
					b.world.fail = func(w string, aft bool) error {
						if failed || w != write || aft != after {
							return nil
						}
						failed = true
						return errors.New("no")
					}
					op := b.run(verb)
					if strings.Contains(write, "/access/") && strings.HasPrefix(write, "remove") {
						b.must(op, ledger.Succeeded) // taking scaffolding down is tried again
						return
					}
					b.must(op, ledger.Failed)
					if d := cmp.Diff(before, b.world.picture()); d != "" {
						t.Errorf("%s failed (after=%v): %s", write, after, d)
					}
				})
			}
		}
	}
}

func TestFailedCreateOwnsNothingAndMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.world.fail = func(w string, after bool) error {
		if strings.HasSuffix(w, "appsettings") {
			return errors.New("no")
		}
		return nil
	}
	b.must(b.put(linker("c1", connection.AuthSecret, "go"), password("p")), ledger.Failed)
	c, err := b.engine.Connection(t.Context(), linker("c1", "", "").ID)
	if err != nil || c.State != connection.StateFailed || c.Problem == nil {
		t.Fatalf("connection = %+v, %v", c, err)
	}
	if records, _ := b.ledger.RecordsOf(t.Context(), c.UID); len(records) != 0 {
		t.Errorf("it owns %+v", records)
	}
	b.world.fail = nil
	b.must(b.put(linker("c1", connection.AuthSecret, "go"), password("p")), ledger.Succeeded)
}

func TestValidateNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.must(b.put(linker("c1", connection.AuthSystemIdentity, "go"), nil), ledger.Succeeded)
	faults := []struct {
		key  connection.Key
		code problem.Code
	}{
		{settingKey("AZURE_X"), problem.SettingMissing},
		{connection.Key{Kind: connection.KindRole, Resource: account, Name: "reader"}, problem.RoleMissing},
		{connection.Key{Kind: connection.KindDBUser, Resource: server, Name: "aad_c1"}, problem.DBUserMissing},
		{connection.Key{Kind: connection.KindIdentity, Resource: site, Name: "system"}, problem.IdentityOff},
	}
	for _, f := range faults {
		b.world.drop(f.key)
		if got := b.failing(); len(got) != 1 || got[0] != string(f.code) {
			t.Errorf("without %s: %v, want %s", f.key, got, f.code)
		}
		b.must(b.verb(ledger.VerbRepair, "c1", false), ledger.Succeeded)
		if got := b.failing(); len(got) != 0 {
			t.Errorf("after repair: %v", got)
		}
	}
}

// failing validates and returns the codes of failed items.
func (b *bench) failing() []string {
	b.t.Helper()
	op := b.verb(ledger.VerbValidate, "c1", false)
	b.must(op, ledger.Succeeded)
	var r engine.Report
	if err := json.Unmarshal(op.Report, &r); err != nil {
		b.t.Fatal(err)
	}
	var codes []string
	for _, f := range r.Findings {
		if f.Result == engine.ResultFailure {
			codes = append(codes, f.Code)
		}
	}
	return codes
}

func TestKeptSecretsGoWhenTheyServeNoMore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.must(b.put(linker("c1", connection.AuthSecret, "go"), password("p1")), ledger.Succeeded)
	c, err := b.engine.Connection(t.Context(), linker("c1", "", "").ID)
	if err != nil {
		t.Fatal(err)
	}
	kept := func() int {
		s, err := b.ledger.Kept(t.Context(), c.UID)
		if err != nil {
			t.Fatal(err)
		}
		return len(s)
	}
	if kept() != 1 {
		t.Fatal("the password is not kept")
	}
	b.must(b.do(engine.Request{Verb: ledger.VerbUpdate, Connection: linker("c1", connection.AuthSecret, "go"), Secrets: password("p2"), Forget: true}), ledger.Succeeded)
	if kept() != 0 {
		t.Error("the old password is kept although the new one is not to be")
	}
	b.must(b.put(linker("c1", connection.AuthSecret, "go"), password("p3")), ledger.Succeeded)
	b.must(b.put(linker("c1", connection.AuthSystemIdentity, "go"), nil), ledger.Succeeded)
	if kept() != 0 {
		t.Error("the password is kept although nothing uses it any more")
	}
}
