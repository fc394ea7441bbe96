package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/seal"
)

const (
	group   = "/subscriptions/s/resourceGroups/g/providers/"
	site    = group + "Microsoft.Web/sites/app"
	account = group + "Microsoft.Storage/storageAccounts/st"
	server  = group + "Microsoft.DBforPostgreSQL/flexibleServers/pg"
)

// world is a small cloud in memory. Its driver treats every kind alike: a path
// holds things by folded name, a write that fails may have done its work or not.
type world struct {
	mu        sync.Mutex
	things    map[string]map[string]thing // path -> folded name -> thing
	principal int
	writes    []string
	reads     map[string]int
	// fail is asked before and after each write; an error makes the write fail there.
	fail func(write string, after bool) error
}

type thing struct {
	spelling string
	attrs    connection.Attrs
	outputs  map[string]string
}

func newWorld() *world {
	return &world{things: map[string]map[string]thing{}, reads: map[string]int{}}
}

func (w *world) Path(f connection.Facet) string {
	if f.Kind == connection.KindSetting {
		return f.Resource + "/config/appsettings"
	}
	return f.Resource + "/" + string(f.Kind) + "/" + f.Name
}

func (w *world) Fresh() bool { return true }

func (w *world) Rights(f connection.Facet) []engine.Right {
	return []engine.Right{{Action: "write/" + string(f.Kind), Scope: f.Resource}}
}

func (w *world) Read(_ context.Context, facets []connection.Facet) (engine.Basis, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	path := w.Path(facets[0])
	w.reads[path]++
	copied := map[string]thing{}
	for n, t := range w.things[path] {
		copied[n] = t
	}
	return copied, nil
}

func (w *world) State(b engine.Basis, f connection.Facet) connection.State {
	t, ok := b.(map[string]thing)[strings.ToLower(f.Name)]
	if !ok {
		return connection.State{}
	}
	seen := connection.Attrs{}
	for n, v := range t.attrs {
		if n != connection.AttrMark {
			seen[n] = v
		}
	}
	return connection.State{Exists: true, Attrs: seen, Outputs: t.outputs, Spelling: t.spelling, Mark: t.attrs[connection.AttrMark].Text}
}

func (w *world) Write(_ context.Context, _ engine.Basis, changes []plan.Change) ([]connection.State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	path := w.Path(changes[0].Facet)
	name := fmt.Sprintf("%s %s", changes[0].Action, path)
	w.writes = append(w.writes, name)
	if err := w.failing(name, false); err != nil {
		return nil, err
	}
	if w.things[path] == nil {
		w.things[path] = map[string]thing{}
	}
	var states []connection.State
	for _, c := range changes {
		states = append(states, w.writeOne(path, c))
	}
	return states, w.failing(name, true)
}

func (w *world) failing(name string, after bool) error {
	if w.fail == nil {
		return nil
	}
	return w.fail(name, after)
}

func (w *world) writeOne(path string, c plan.Change) connection.State {
	fold := strings.ToLower(c.Facet.Name)
	if c.Action == plan.Remove {
		delete(w.things[path], fold)
		if c.Restore != nil {
			w.things[path][fold] = thing{c.Restore.Spelling, c.Restore.Attrs, c.Restore.Outputs}
		}
		return connection.State{}
	}
	t := thing{spelling: c.Facet.Name, attrs: connection.Attrs{}, outputs: map[string]string{}}
	if old, ok := w.things[path][fold]; ok {
		t.spelling, t.outputs = old.spelling, old.outputs
	}
	for n, v := range c.Facet.Want {
		t.attrs[n] = v
	}
	if c.Facet.Kind == connection.KindIdentity && t.outputs["principalId"] == "" {
		w.principal++
		t.outputs = map[string]string{"principalId": fmt.Sprintf("principal-%d", w.principal)}
	}
	w.things[path][fold] = t
	return connection.State{Exists: true, Attrs: t.attrs, Outputs: t.outputs}
}

// put lays a thing down as a foreign hand would.
func (w *world) put(k connection.Key, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	path := w.Path(connection.Facet{Key: k})
	if w.things[path] == nil {
		w.things[path] = map[string]thing{}
	}
	w.things[path][strings.ToLower(k.Name)] = thing{spelling: k.Name, attrs: connection.Attrs{"value": connection.Hidden(value)}}
}

func (w *world) drop(k connection.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.things[w.Path(connection.Facet{Key: k})], strings.ToLower(k.Name))
}

// picture is everything there is, for comparing before and after.
func (w *world) picture() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]string{}
	app := w.things[site+"/identity/system"]["system"].outputs["principalId"]
	for path, things := range w.things {
		for _, t := range things {
			for _, n := range append(t.attrs.Names(), "") {
				if n == connection.AttrMark {
					continue // names the connection, which is another one each time
				}
				text := t.attrs[n].Text
				if text == app && app != "" {
					text = "the app" // an identity never comes back under an id it once had
				}
				out[path+" "+t.spelling+" "+n] = text
			}
		}
	}
	return out
}

func (w *world) value(k connection.Key) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.things[w.Path(connection.Facet{Key: k})][strings.ToLower(k.Name)].attrs["value"].Text
}

// catalog is a stand-in for targets: what a connection stands for depends on its
// client type, which tests use as the name of a recipe.
type catalog struct{ key string }

func (catalog) Check(c *connection.Connection, given connection.Secrets) error {
	if a := c.Properties.Auth; a != nil && a.Type == connection.AuthSecret && len(given) == 0 {
		return problem.New(problem.SecretNeeded, c.ID, "a secret is needed")
	}
	return nil
}
func (catalog) Type(*connection.Connection) string          { return "x" }
func (catalog) Reads(*connection.Connection) []engine.Right { return nil }

func (catalog) Describe(*connection.Connection) map[string]string { return nil }
func (k *catalog) Facts(context.Context, *connection.Connection) (engine.Facts, error) {
	return engine.Facts{"key": connection.Hidden(k.key)}, nil
}

func (k *catalog) Derive(c *connection.Connection, facts engine.Facts, secrets connection.Secrets) ([]connection.Facet, error) {
	value := facts["key"]
	if s, ok := secrets[connection.SecretSlot]; ok {
		value = connection.Hidden(s.Reveal())
	}
	name := "AZURE_X"
	if c.Infix != "" {
		name += "_" + c.Infix
	}
	setting := connection.Facet{Key: connection.Key{Kind: connection.KindSetting, Resource: c.Source, Name: name}, Want: connection.Attrs{"value": value}}
	host := connection.Facet{Key: connection.Key{Kind: connection.KindSetting, Resource: c.Source, Name: name + "_HOST"}, Want: connection.Attrs{"value": connection.Plain("host-" + c.Properties.ClientType)}}
	if c.Properties.Auth == nil || c.Properties.Auth.Type == connection.AuthSecret {
		return []connection.Facet{setting, host}, nil
	}
	if c.Properties.Auth.Type == connection.AuthServicePrincipalSecret { // the same for every source
		role := connection.Facet{Key: connection.Key{Kind: connection.KindRole, Resource: account, Name: "reader of p"}, Want: connection.Attrs{"principalId": connection.Plain("p")}}
		setting.After = []connection.Key{role.Key}
		return []connection.Facet{setting, role}, nil
	}
	id := connection.Key{Kind: connection.KindIdentity, Resource: c.Source, Name: "system"}
	role := connection.Facet{Key: connection.Key{Kind: connection.KindRole, Resource: account, Name: "reader"}, Want: connection.Attrs{"principalId": connection.Output(id, "principalId")}}
	admin := connection.Facet{Key: connection.Key{Kind: connection.KindAccess, Resource: server, Name: "engine"}, Want: connection.Attrs{}, Scaffold: true}
	user := connection.Facet{Key: connection.Key{Kind: connection.KindDBUser, Resource: server, Name: "aad_" + c.Name},
		Want: connection.Attrs{"principalId": connection.Output(id, "principalId")}, After: []connection.Key{admin.Key}}
	setting.After = []connection.Key{role.Key, user.Key}
	host.After = setting.After
	return []connection.Facet{setting, host, {Key: id, Want: connection.Attrs{}}, role, admin, user}, nil
}

// bench is one engine over a world and a real ledger.
type bench struct {
	t      *testing.T
	world  *world
	cat    *catalog
	ledger ledger.Ledger
	engine *engine.Engine
	dir    string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, world: newWorld(), cat: &catalog{key: "k1"}, dir: t.TempDir()}
	b.open()
	return b
}

func (b *bench) open() {
	b.t.Helper()
	box, err := seal.OpenKeyFile(filepath.Join(b.dir, "seal.key"))
	if err != nil {
		b.t.Fatal(err)
	}
	l, err := ledger.Open(b.t.Context(), ledger.Options{Path: filepath.Join(b.dir, "ledger.db"), Box: box})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { l.Close() })
	b.ledger = l
	b.engine = b.over(l)
}

func (b *bench) over(l ledger.Ledger) *engine.Engine {
	all := map[string]engine.Driver{"": b.world}
	return engine.New(engine.Options{Ledger: l, Targets: b.cat, Runner: "engine", Settle: time.Millisecond, Prober: silent{}, Drivers: engine.Drivers{
		connection.KindSetting: all, connection.KindIdentity: all, connection.KindRole: all, connection.KindAccess: all, connection.KindDBUser: all}})
}

type silent struct{}

func (silent) Probe(context.Context, *connection.Connection, engine.Facts, map[string]connection.Value) []engine.Finding {
	return []engine.Finding{{Name: engine.ItemExistence, Result: engine.ResultSuccess}}
}

func linker(name, auth, client string) *connection.Connection {
	return &connection.Connection{ID: site + "/providers/Microsoft.ServiceLinker/linkers/" + name, Name: name, Source: site,
		Properties: connection.Properties{ClientType: client, Auth: &connection.Auth{Type: auth}, Target: connection.Target{Type: "AzureResource", ID: account}}}
}

func password(text string) connection.Secrets {
	return connection.Secrets{connection.SecretSlot: connection.NewSecret(text)}
}

// do prepares, accepts and drains one request.
func (b *bench) do(r engine.Request) *ledger.Operation {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	p, err := b.engine.Prepare(ctx, r)
	if err != nil {
		b.t.Fatal(err)
	}
	op, _, err := b.engine.Accept(ctx, p)
	if err != nil {
		b.t.Fatal(err)
	}
	done, err := b.engine.Drain(ctx, op.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

func (b *bench) put(c *connection.Connection, s connection.Secrets) *ledger.Operation {
	b.t.Helper()
	return b.do(engine.Request{Verb: ledger.VerbCreate, Connection: c, Secrets: s})
}

func (b *bench) verb(v ledger.Verb, name string, force bool) *ledger.Operation {
	b.t.Helper()
	return b.do(engine.Request{Verb: v, Connection: linker(name, "", ""), Force: force})
}
