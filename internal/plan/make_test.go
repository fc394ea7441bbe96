package plan

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
)

type clearStamps struct{}

func (clearStamps) Stamp(v connection.Value) string {
	if v.Secret {
		return "mac:" + v.Text
	}
	return "=" + v.Text
}
func (s clearStamps) Same(v connection.Value, stamp string) bool { return s.Stamp(v) == stamp }

const (
	app    = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/app"
	store  = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/st"
	server = "/subscriptions/s/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg"
)

var (
	identityKey = connection.Key{Kind: connection.KindIdentity, Resource: app, Name: "system"}
	roleKey     = connection.Key{Kind: connection.KindRole, Resource: store, Name: "r1 system"}
	settingKey  = connection.Key{Kind: connection.KindSetting, Resource: app, Name: "AZURE_X"}
	adminKey    = connection.Key{Kind: connection.KindAccess, Resource: server, Name: "engine"}
	featureKey  = connection.Key{Kind: connection.KindFeature, Resource: server, Name: "entra"}
	userKey     = connection.Key{Kind: connection.KindDBUser, Resource: server, Name: "aad_c"}
)

func identity() connection.Facet {
	return connection.Facet{Key: identityKey, Want: connection.Attrs{}}
}
func role() connection.Facet {
	return connection.Facet{Key: roleKey, Want: connection.Attrs{"roleId": connection.Plain("r1"), "principalId": connection.Output(identityKey, "principalId")}}
}
func setting(v string, after ...connection.Key) connection.Facet {
	return connection.Facet{Key: settingKey, Want: connection.Attrs{"value": connection.Hidden(v)}, After: after}
}
func admin() connection.Facet {
	return connection.Facet{Key: adminKey, After: []connection.Key{featureKey}, Want: connection.Attrs{"principalId": connection.Plain("engine")}, Scaffold: true}
}
func user() connection.Facet {
	return connection.Facet{Key: userKey, Want: connection.Attrs{"principalId": connection.Output(identityKey, "principalId")}, After: []connection.Key{adminKey}}
}
func here(attrs connection.Attrs, outputs map[string]string) connection.State {
	return connection.State{Exists: true, Attrs: attrs, Outputs: outputs}
}
func record(k connection.Key, written connection.Attrs, owners ...string) *Record {
	r := &Record{Key: k, Owners: owners, Written: map[string]string{}, Outputs: map[string]string{"id": "old"}}
	for n, v := range written {
		r.Written[n] = clearStamps{}.Stamp(v)
	}
	return r
}

type world struct {
	desired, context []connection.Facet
	observed         map[connection.Key]connection.State
	records          []*Record
	mode             Mode
	hold             bool
}

func (w world) plan() (*Plan, error) {
	in := Input{UID: "me", Desired: w.desired, Context: w.context, Mode: w.mode, Hold: w.hold, Stamps: clearStamps{},
		Observed: map[string]connection.State{}, Records: map[string]*Record{},
		Path: func(f connection.Facet) string {
			if f.Kind == connection.KindSetting {
				return f.Resource + "/config/appsettings"
			}
			return f.Resource + "/" + f.Name
		}}
	for k, s := range w.observed {
		in.Observed[k.Fold()] = s
	}
	for _, r := range w.records {
		in.Records[r.Key.Fold()] = r
	}
	return Make(in)
}

// summary flattens a plan to "step: kind action reason" in order, then quiet ones.
func summary(p *Plan) []string {
	var out []string
	for _, s := range p.Steps {
		for _, c := range s.Changes {
			line := string(c.Facet.Kind) + " " + string(c.Action) + " " + string(c.Reason)
			if s.Dismantle {
				line = "dismantle " + line
			}
			out = append(out, line)
		}
	}
	for _, c := range p.Quiet {
		out = append(out, string(c.Facet.Kind)+" "+string(c.Action))
	}
	return out
}

func TestMake(t *testing.T) {
	t.Parallel()
	on := here(nil, map[string]string{"principalId": "p1"})
	off := connection.State{}
	plain := connection.Plain
	cases := map[string]struct {
		w    world
		want []string
	}{
		"everything new, settings last": {
			world{desired: []connection.Facet{setting("v", roleKey), role(), identity()}},
			[]string{"identity create new", "role create new", "setting create new"}},
		"all right is kept": {
			world{desired: []connection.Facet{identity(), role()},
				observed: map[connection.Key]connection.State{identityKey: on, roleKey: here(connection.Attrs{"principalId": plain("p1")}, nil)},
				records:  []*Record{record(identityKey, nil, "me"), record(roleKey, connection.Attrs{"principalId": plain("p1")}, "me")}},
			[]string{"identity keep", "role keep"}},
		"right before us is found": {
			world{desired: []connection.Facet{identity()}, observed: map[connection.Key]connection.State{identityKey: on}},
			[]string{"identity found"}},
		"identity off replaces what hangs on it": {
			world{desired: []connection.Facet{identity(), role()}, mode: Mend,
				observed: map[connection.Key]connection.State{identityKey: off, roleKey: off},
				records:  []*Record{record(identityKey, nil, "me"), record(roleKey, connection.Attrs{"principalId": plain("p1")}, "me")}},
			[]string{"identity create missing", "role create replaced"}},
		"identity back under a new id": {
			world{desired: []connection.Facet{identity(), role()}, mode: Mend,
				observed: map[connection.Key]connection.State{identityKey: here(nil, map[string]string{"principalId": "p2"}), roleKey: off},
				records:  []*Record{record(identityKey, nil, "me"), record(roleKey, connection.Attrs{"principalId": plain("p1")}, "me")}},
			[]string{"role create replaced", "identity keep"}},
		"a value changed by somebody else is left when mending": {
			world{desired: []connection.Facet{setting("v")}, mode: Mend,
				observed: map[connection.Key]connection.State{settingKey: here(connection.Attrs{"value": connection.Hidden("theirs")}, nil)},
				records:  []*Record{record(settingKey, connection.Attrs{"value": connection.Hidden("v")}, "me")}},
			[]string{"setting leave"}},
		"and written when insisting": {
			world{desired: []connection.Facet{setting("v")}, mode: Insist,
				observed: map[connection.Key]connection.State{settingKey: here(connection.Attrs{"value": connection.Hidden("theirs")}, nil)},
				records:  []*Record{record(settingKey, connection.Attrs{"value": connection.Hidden("v")}, "me")}},
			[]string{"setting update changed"}},
		"a rotated key moves the setting": {
			world{desired: []connection.Facet{setting("v2")}, mode: Mend,
				observed: map[connection.Key]connection.State{settingKey: here(connection.Attrs{"value": connection.Hidden("v1")}, nil)},
				records:  []*Record{record(settingKey, connection.Attrs{"value": connection.Hidden("v1")}, "me")}},
			[]string{"setting update moved"}},
		"delete removes settings first and identity last": {
			world{context: []connection.Facet{setting("v", roleKey, userKey), role(), identity(), user(), admin()},
				observed: map[connection.Key]connection.State{identityKey: on, roleKey: here(connection.Attrs{"principalId": plain("p1")}, nil),
					settingKey: here(connection.Attrs{"value": connection.Hidden("v")}, nil), userKey: {Unknown: true}, featureKey: here(nil, nil)},
				records: []*Record{record(featureKey, nil, "me"), record(identityKey, nil, "me"), record(roleKey, connection.Attrs{"principalId": plain("p1")}, "me"),
					record(settingKey, connection.Attrs{"value": connection.Hidden("v")}, "me"), record(userKey, nil, "me")}},
			[]string{"access create new", "setting remove unwanted", "dbuser remove unwanted", "role remove unwanted", "feature remove unwanted", "identity remove unwanted", "dismantle access remove unwanted"}},
		"shared, found and changed things stay": {
			world{observed: map[connection.Key]connection.State{identityKey: on, roleKey: here(connection.Attrs{"principalId": plain("p1")}, nil),
				settingKey: here(connection.Attrs{"value": connection.Hidden("theirs")}, nil)},
				records: []*Record{record(identityKey, nil, "me", "other"), {Key: roleKey, Owners: []string{"me"}, Found: true},
					record(settingKey, connection.Attrs{"value": connection.Hidden("v")}, "me")}},
			[]string{"identity keep", "role keep", "setting leave"}},
		"a previous value that cannot be read back keeps the setting": {
			world{observed: map[connection.Key]connection.State{settingKey: here(connection.Attrs{"value": connection.Hidden("v")}, nil)},
				records: []*Record{{Key: settingKey, Owners: []string{"me"}, Written: map[string]string{"value": "mac:v"}, Previous: &connection.State{Exists: true, Unknown: true}}}},
			[]string{"setting leave"}},
		"scaffolding stands only while a write leans on it": {
			world{desired: []connection.Facet{identity(), user(), admin()}, observed: map[connection.Key]connection.State{identityKey: on, userKey: {Unknown: true, Why: "not an administrator yet"}}},
			[]string{"access create new", "dbuser create new", "dismantle access remove unwanted", "identity found"}},
		"scaffolding found standing stays": {
			world{desired: []connection.Facet{identity(), user(), admin()}, observed: map[connection.Key]connection.State{identityKey: on, adminKey: here(nil, nil)}},
			[]string{"dbuser create new", "identity found", "access found"}},
		"scaffolding left by a dead operation goes": {
			world{observed: map[connection.Key]connection.State{adminKey: here(nil, nil)}, records: []*Record{{Key: adminKey, Owners: []string{"me"}, Scaffold: true}}},
			[]string{"dismantle access remove unwanted"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := c.w.plan()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, summary(p)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMakeRefusesClashes(t *testing.T) {
	t.Parallel()
	theirs := here(connection.Attrs{"value": connection.Hidden("theirs")}, nil)
	w := world{desired: []connection.Facet{setting("v")}, observed: map[connection.Key]connection.State{settingKey: theirs},
		records: []*Record{record(settingKey, connection.Attrs{"value": connection.Hidden("theirs")}, "other")}}
	var clash *Clash
	if _, err := w.plan(); !errors.As(err, &clash) || clash.Owner != "other" {
		t.Errorf("err = %v, want a clash with other", err)
	}
	marked := here(nil, map[string]string{"principalId": "p1"})
	marked.Mark = "somebody"
	w = world{desired: []connection.Facet{identity()}, observed: map[connection.Key]connection.State{identityKey: marked}}
	if _, err := w.plan(); !errors.As(err, &clash) || !clash.Foreign {
		t.Errorf("err = %v, want a foreign mark", err)
	}
}

func TestMixedUpdateHasNoCircle(t *testing.T) {
	t.Parallel()
	other := settingKey
	other.Name = "AZURE_OLD"
	w := world{desired: []connection.Facet{setting("v")}, context: []connection.Facet{
		{Key: other, After: []connection.Key{userKey}}, user(), admin()},
		observed: map[connection.Key]connection.State{other: here(nil, nil), userKey: {Unknown: true}},
		records:  []*Record{record(other, nil, "me"), record(userKey, nil, "me")}}
	p, err := w.plan()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"access create new", "setting create new", "setting remove unwanted", "dbuser remove unwanted", "dismantle access remove unwanted"}
	if d := cmp.Diff(want, summary(p)); d != "" {
		t.Error(d)
	}
}

// TestScaffoldingSharesNoStep holds that a path which carries both scaffolding and a
// thing to be removed after it makes two steps, not a circle.
func TestScaffoldingSharesNoStep(t *testing.T) {
	t.Parallel()
	rule := func(name string, scaffold bool) connection.Facet {
		return connection.Facet{Key: connection.Key{Kind: connection.KindFirewall, Resource: server, Name: name}, Scaffold: scaffold}
	}
	engine, apps, own := rule("engine", true), rule("app", false), user()
	own.After = []connection.Key{engine.Key}
	own.Want = connection.Attrs{}
	one := func(connection.Facet) string { return server + "/firewallRules" }
	in := Input{UID: "me", Context: []connection.Facet{engine, apps, own}, Stamps: clearStamps{},
		Observed: map[string]connection.State{apps.Fold(): here(nil, nil), userKey.Fold(): {Unknown: true}},
		Records:  map[string]*Record{apps.Fold(): record(apps.Key, nil, "me"), userKey.Fold(): record(userKey, nil, "me")}}
	in.Path = func(f connection.Facet) string {
		if f.Kind == connection.KindFirewall {
			return one(f)
		}
		return f.Name
	}
	p, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"firewall create new", "dbuser remove unwanted", "firewall remove unwanted", "dismantle firewall remove unwanted"}
	if d := cmp.Diff(want, summary(p)); d != "" {
		t.Error(d)
	}
}

// TestAnotherGranteeHasNoCircle: the app signs in as somebody else. The new right comes
// before the settings, the old one goes after them, though both lie on one path; an
// identity is swapped in one write, whatever waits for it.
func TestAnotherGranteeHasNoCircle(t *testing.T) {
	t.Parallel()
	key := func(kind connection.Kind, resource, name string) connection.Key {
		return connection.Key{Kind: kind, Resource: resource, Name: name}
	}
	oldID, newID := key(connection.KindIdentity, app, "/ids/old"), key(connection.KindIdentity, app, "/ids/new")
	oldRole, newRole := key(connection.KindRole, store, "r1 old"), key(connection.KindRole, store, "r1 new")
	oldRule, newRule := key(connection.KindFirewall, store, "1.1.1.1"), key(connection.KindFirewall, store, "2.2.2.2")
	gone := key(connection.KindSetting, app, "AZURE_OLD")
	after := []connection.Key{newID, newRole, newRule}
	in := Input{UID: "me", Stamps: clearStamps{},
		Desired:  []connection.Facet{{Key: newID}, {Key: newRole}, {Key: newRule}, setting("v", after...)},
		Observed: map[string]connection.State{}, Records: map[string]*Record{},
		Path: func(f connection.Facet) string { return f.Resource + "/" + string(f.Kind) }}
	for _, k := range []connection.Key{oldID, oldRole, oldRule, gone} {
		in.Observed[k.Fold()], in.Records[k.Fold()] = here(nil, nil), record(k, nil, "me")
	}
	p, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"role create new", "identity create new", "identity remove unwanted", "firewall create new", "firewall remove unwanted",
		"setting create new", "setting remove unwanted", "role remove unwanted"}
	if d := cmp.Diff(want, summary(p)); d != "" {
		t.Error(d)
	}
	place := map[string]int{}
	for n, s := range p.Steps {
		place[s.ID] = n
		for _, need := range s.Needs {
			if at, ok := place[need]; !ok || at >= n {
				t.Errorf("%s stands before %s, which it needs", s.ID, need)
			}
		}
	}
}
