package containerapp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/compute/computetest"
	"github.com/patchbay/patchbay/internal/compute/containerapp"
	"github.com/patchbay/patchbay/internal/compute/identity"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	group  = "/subscriptions/00000000-0000-0000-0000-0000000000aa/resourceGroups/rg/providers/"
	app    = group + "Microsoft.App/containerApps/shop"
	theirs = group + "Microsoft.ManagedIdentity/userAssignedIdentities/theirs"
	mine   = group + "Microsoft.ManagedIdentity/userAssignedIdentities/mine"
	api    = "2025-07-01"
)

var _ engine.Driver = (*containerapp.Setting)(nil)

var (
	soon   = containerapp.Patience{Limit: 5 * time.Second, Pause: time.Millisecond}
	sooner = identity.Patience{Limit: 5 * time.Second, Pause: time.Millisecond}
)

type object = armtest.Object

// world is an app as the platform keeps it: secrets apart, revisions counted.
type world struct {
	*armtest.Server
	mu       sync.Mutex
	secrets  []any
	serial   int
	restarts int
	traffic  []string // what each write left of the traffic
	never    bool     // no further revision gets ready
	lose     bool     // a write changes nothing
}

func newWorld(t *testing.T) *world {
	w := &world{secrets: []any{object{"name": "foreign", "value": "hush"}, object{"name": "vaulted", "keyVaultUrl": "https://v/secrets/x", "identity": "system"}}}
	w.Server = armtest.New(t,
		armtest.Type{Name: "Microsoft.App/containerApps", Versions: []string{api}, Async: armtest.Async202, Patch: w.patch, Put: w.patch,
			Actions: map[string]func(string, object) any{"listsecrets": func(string, object) any { return object{"value": w.held()} }}},
		armtest.Type{Name: "Microsoft.App/containerApps/revisions", Versions: []string{api},
			Actions: map[string]func(string, object) any{"restart": func(string, object) any { w.restarts++; return nil }}})
	w.Set(app, object{"location": "westeurope", "tags": object{"owner": "them"},
		"identity": object{"type": "UserAssigned", "userAssignedIdentities": object{theirs: object{"principalId": "p", "clientId": "c"}}},
		"properties": object{"runningStatus": "Running", "outboundIpAddresses": []any{"192.0.2.1", "192.0.2.2", "192.0.2.1"}, "latestRevisionName": "shop--0", "latestReadyRevisionName": "shop--0",
			"configuration": object{"activeRevisionsMode": "Single", "registries": []any{object{"server": "r", "passwordSecretRef": "foreign"}},
				"secrets": []any{object{"name": "foreign"}, object{"name": "vaulted", "keyVaultUrl": "https://v/secrets/x", "identity": "system"}},
				"ingress": object{"fqdn": "shop.test", "traffic": []any{object{"latestRevision": true, "weight": 100.0}}}},
			"template": object{"revisionSuffix": "", "scale": object{"maxReplicas": 3.0},
				"containers": []any{
					object{"name": "web", "image": "i", "resources": object{"cpu": 0.25}, "probes": []any{object{"type": "Liveness"}},
						"env": []any{object{"name": "FOREIGN", "value": "1"}, object{"name": "HUSH", "secretRef": "foreign"}}},
					object{"name": "side", "image": "i", "env": []any{object{"name": "OTHER", "value": "2"}}}},
				"initContainers": []any{object{"name": "first", "image": "i"}}}}})
	for n := range 100 { // those to come as well: a patch cannot store them
		w.Set(fmt.Sprintf("%s/revisions/shop--%d", app, n), object{"properties": object{"active": n == 0, "provisioningState": "Provisioned"}})
	}
	return w
}

func (w *world) held() []any {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.secrets)
}

// patch does what the platform does with a write.
func (w *world) patch(_ string, before, after object) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lose {
		maps.Copy(after, before)
		return nil
	}
	identify(after)
	properties := after["properties"].(object)
	configuration := properties["configuration"].(object)
	given, _ := configuration["secrets"].([]any)
	if old := before["properties"].(object)["configuration"].(object)["secrets"]; !reflect.DeepEqual(given, old) {
		if err := w.take(configuration, given); err != nil {
			return err
		}
	}
	if ingress, ok := configuration["ingress"].(object); ok {
		raw, err := json.Marshal(ingress["traffic"])
		if err != nil {
			return err
		}
		w.traffic = append(w.traffic, string(raw))
	}
	template := properties["template"].(object)
	if template["revisionSuffix"] == nil {
		template["revisionSuffix"] = ""
	}
	if !reflect.DeepEqual(template, before["properties"].(object)["template"]) {
		w.serial++
		properties["latestRevisionName"] = fmt.Sprintf("shop--%d", w.serial)
		if !w.never {
			properties["latestReadyRevisionName"] = properties["latestRevisionName"]
		}
	}
	return nil
}

func (w *world) take(configuration object, given []any) error {
	var names []any
	for _, s := range given {
		entry := s.(object)
		if entry["value"] == nil && entry["keyVaultUrl"] == nil {
			return &armtest.Refusal{Status: http.StatusBadRequest, Code: "ContainerAppSecretInvalid", Message: fmt.Sprint(entry["name"])}
		}
		shown := maps.Clone(entry)
		delete(shown, "value")
		names = append(names, shown)
	}
	w.secrets = given
	configuration["secrets"] = names
	return nil
}

func identify(doc object) {
	i, ok := doc["identity"].(object)
	if !ok {
		return
	}
	kinds, _ := i["type"].(string)
	delete(i, "principalId")
	if strings.Contains(kinds, "SystemAssigned") {
		i["principalId"] = "own"
	}
	users, _ := i["userAssignedIdentities"].(object)
	for _, u := range users {
		u.(object)["principalId"], u.(object)["clientId"] = "p", "c"
	}
	if !strings.Contains(kinds, "UserAssigned") {
		delete(i, "userAssignedIdentities")
	}
}

// look is everything but the names of revisions.
func (w *world) look() any {
	all := w.Snapshot()
	for key, doc := range all {
		if strings.Contains(key, "/revisions/") {
			delete(all, key)
		}
		if p, ok := doc["properties"].(object); ok {
			delete(p, "latestRevisionName")
			delete(p, "latestReadyRevisionName")
		}
	}
	return object{"docs": all, "secrets": w.held()}
}

func setting(container, name string, value connection.Value) connection.Facet {
	return connection.Facet{Key: connection.Key{Kind: connection.KindSetting, Resource: containerapp.ContainerOf(app, container), Name: name},
		Want: connection.Attrs{connection.AttrValue: value}}
}

func identityFacet(name string) connection.Facet {
	return connection.Facet{Key: connection.Key{Kind: connection.KindIdentity, Resource: app, Name: name}, Want: connection.Attrs{}}
}

func suite(w *world, d engine.Driver, f connection.Facet, other, changed *connection.Facet) drivertest.World {
	return drivertest.World{Driver: d, Facet: f, Other: other, Changed: changed, Look: w.look, Writes: w.Writes,
		Vanish: func() { w.Remove(app) },
		Refuse: func() {
			w.Fail(armtest.Fault{Status: http.StatusForbidden, Code: "AuthorizationFailed", Message: "no"})
		},
	}
}

func TestDrivers(t *testing.T) {
	t.Parallel()
	settings := func(f, other, changed connection.Facet) func(*testing.T) drivertest.World {
		return func(t *testing.T) drivertest.World {
			w := newWorld(t)
			return suite(w, containerapp.NewSetting(w.Client(), soon), f, &other, &changed)
		}
	}
	for name, makes := range map[string]func(*testing.T) drivertest.World{
		"plain setting": settings(setting("web", "SHOP_HOST", connection.Plain("db")), setting("side", "SHOP_HOST", connection.Plain("db2")), setting("web", "SHOP_HOST", connection.Plain("x"))),
		"secret setting": settings(setting("web", "SHOP_KEY", connection.Hidden("s")), setting("side", "SHOP_KEY", connection.Hidden("other")),
			setting("web", "SHOP_KEY", connection.Hidden("t"))),
		"secret that becomes plain": settings(setting("web", "SHOP_KEY", connection.Hidden("s")), setting("web", "shop_key", connection.Hidden("s")), setting("web", "SHOP_KEY", connection.Plain("t"))),
		"init container":            settings(setting("first", "A", connection.Hidden("s")), setting("first", "B", connection.Plain("t")), setting("first", "A", connection.Hidden("u"))),
		"plain one of theirs":       settings(setting("web", "FOREIGN", connection.Hidden("s")), setting("web", "B", connection.Plain("t")), setting("web", "FOREIGN", connection.Plain("u"))),
		"secret one of theirs":      settings(setting("web", "HUSH", connection.Plain("s")), setting("web", "B", connection.Plain("t")), setting("web", "HUSH", connection.Hidden("u"))),
		"reference to a vault": settings(setting("web", "V", connection.Plain("@Microsoft.KeyVault(SecretUri=https://v/secrets/a)")), setting("web", "B", connection.Plain("t")),
			setting("web", "V", connection.Plain("@Microsoft.KeyVault(SecretUri=https://v/secrets/b)"))),
		"system identity": func(t *testing.T) drivertest.World {
			w, other := newWorld(t), identityFacet(mine)
			return suite(w, containerapp.NewIdentity(w.Client(), sooner), identityFacet(identity.System), &other, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Case{Make: makes})
		})
	}
}

// env reads a container's variables as somebody else does.
func (w *world) env(container string) map[string]string {
	out := map[string]string{}
	template := w.Doc(app)["properties"].(object)["template"].(object)
	for _, kind := range []string{"containers", "initContainers"} {
		for _, c := range template[kind].([]any) {
			if env, _ := c.(object)["env"].([]any); c.(object)["name"] == container {
				for _, e := range env {
					entry := e.(object)
					value, _ := entry["value"].(string)
					for _, s := range w.held() {
						if entry["secretRef"] == s.(object)["name"] {
							value, _ = s.(object)["value"].(string)
						}
					}
					out[entry["name"].(string)] = value
				}
			}
		}
	}
	return out
}

// foreign changes a document as somebody else does.
func (w *world) foreign(change func(doc object)) {
	doc := w.Doc(app)
	change(doc)
	w.Set(app, doc)
}

func (w *world) foreignSetting(name string, value *string) {
	w.foreign(func(doc object) {
		c := doc["properties"].(object)["template"].(object)["containers"].([]any)[0].(object)
		env, _ := c["env"].([]any)
		n := slices.IndexFunc(env, func(e any) bool { return e.(object)["name"] == name })
		switch {
		case value != nil && n >= 0:
			env[n] = object{"name": name, "value": *value}
		case value != nil:
			env = append(env, object{"name": name, "value": *value})
		case n >= 0:
			env = slices.Delete(env, n, n+1)
		}
		c["env"] = env
	})
}

func (w *world) foreignIdentity(name string, on bool) {
	w.foreign(func(doc object) {
		i := doc["identity"].(object)
		users, _ := i["userAssignedIdentities"].(object)
		if users == nil {
			users = object{}
		}
		system := strings.Contains(i["type"].(string), "SystemAssigned")
		switch {
		case name == identity.System:
			system = on
		case on:
			users[name] = object{}
		default:
			delete(users, name)
		}
		i["userAssignedIdentities"] = users
		i["type"] = map[[2]bool]string{{true, true}: "SystemAssigned,UserAssigned", {true, false}: "SystemAssigned", {false, true}: "UserAssigned", {}: "None"}[[2]bool{system, len(users) > 0}]
		identify(doc)
	})
}

func (w *world) identities() []string {
	i := w.Doc(app)["identity"].(object)
	users, _ := i["userAssignedIdentities"].(object)
	out := slices.Collect(maps.Keys(users))
	if strings.Contains(i["type"].(string), "SystemAssigned") {
		out = append(out, identity.System)
	}
	return out
}

// rest is the app without the first container's variables, the identities and revisions.
func (w *world) rest() any {
	doc := w.Doc(app)
	p := doc["properties"].(object)
	delete(doc, "identity")
	delete(p, "latestRevisionName")
	delete(p, "latestReadyRevisionName")
	delete(p["template"].(object)["containers"].([]any)[0].(object), "env")
	kept := func(s any) bool { n := s.(object)["name"]; return n != "foreign" && n != "vaulted" }
	p["configuration"].(object)["secrets"] = slices.DeleteFunc(p["configuration"].(object)["secrets"].([]any), kept)
	return []any{doc, slices.DeleteFunc(w.held(), kept)}
}

// TestConformance holds an app to what every compute must do, with settings in the open
// and in secrets.
func TestConformance(t *testing.T) {
	t.Parallel()
	computetest.Run(t, computetest.Case{Make: func(t *testing.T) computetest.World {
		w := newWorld(t)
		return computetest.World{
			Source: app, Mine: mine, Theirs: theirs,
			Drivers: map[connection.Kind]computetest.Driver{connection.KindSetting: containerapp.NewSetting(w.Client(), soon), connection.KindIdentity: containerapp.NewIdentity(w.Client(), sooner)},
			Setting: func(name, text string) connection.Facet {
				if strings.HasSuffix(name, "A") {
					return setting("web", name, connection.Plain(text))
				}
				return setting("web", name, connection.Hidden(text))
			},
			Identity: identityFacet, Settings: func() map[string]string { return w.env("web") }, Identities: w.identities, Rest: w.rest,
			Foreign: w.foreignSetting, ForeignIdentity: w.foreignIdentity,
			Read: func(ctx context.Context) (*compute.Source, error) {
				return containerapp.NewSources(w.Client()).Source(ctx, app)
			},
			Facts:  compute.Source{Outbound: []string{"192.0.2.1", "192.0.2.2"}},
			Writes: w.Writes, Restarts: func() int { w.mu.Lock(); defer w.mu.Unlock(); return w.serial + w.restarts },
			Vanish: func() { w.Remove(app) },
		}
	}})
}

func secretOf(t *testing.T, w *world, container, name string) string {
	t.Helper()
	for _, c := range w.Doc(app)["properties"].(object)["template"].(object)["containers"].([]any) {
		env, _ := c.(object)["env"].([]any)
		for _, e := range env {
			if c.(object)["name"] == container && e.(object)["name"] == name {
				ref, _ := e.(object)["secretRef"].(string)
				return ref
			}
		}
	}
	return ""
}

func TestSecretsAreNamedAfterSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := containerapp.NewSetting(w.Client(), soon)
	drivertest.Apply(t, d, plan.Create, setting("web", "AZURE_REDIS__Key.1", connection.Hidden("a")), setting("side", "AZURE_REDIS__Key.1", connection.Hidden("b")))
	if got := secretOf(t, w, "web", "AZURE_REDIS__Key.1"); got != "azure-redis--key-1" {
		t.Errorf("the secret is called %q", got)
	}
	if got := secretOf(t, w, "side", "AZURE_REDIS__Key.1"); !strings.HasPrefix(got, "azure-redis--key-1-") {
		t.Errorf("the second container's secret is called %q", got)
	}
	if raw, err := json.Marshal(w.Doc(app)); err != nil || w.Writes() != 1 || strings.Contains(string(raw), `"b"`) {
		t.Errorf("%d writes, %v, %s", w.Writes(), err, raw)
	}
}

// A value that changes in its secret alone reaches the app by a restart of its revision.
func TestChangedSecretRestartsTheRevision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := containerapp.NewSetting(w.Client(), soon)
	drivertest.Apply(t, d, plan.Create, setting("web", "K", connection.Hidden("a")))
	w.Set(app+"/revisions/shop--1", object{"properties": object{"active": true}})
	drivertest.Apply(t, d, plan.Update, setting("web", "K", connection.Hidden("b")))
	if w.restarts != 1 || w.serial != 1 {
		t.Errorf("%d restarts, %d revisions", w.restarts, w.serial)
	}
}

func sideBySide(doc object) {
	doc["properties"].(object)["configuration"].(object)["activeRevisionsMode"] = "Multiple"
}

// Where revisions run side by side, traffic that follows the latest one is held at the
// ready one while ours comes up, and given back.
func TestTrafficIsHeldUntilTheRevisionIsReady(t *testing.T) {
	t.Parallel()
	const held, follows = `[{"label":"patchbay-hold","revisionName":"shop--0","weight":100}]`, `[{"latestRevision":true,"weight":100}]`
	for _, never := range []bool{false, true} {
		w := newWorld(t)
		w.foreign(sideBySide)
		w.never = never
		w.Set(app+"/revisions/shop--1", object{"properties": object{"active": true, "provisioningState": map[bool]string{true: "Failed", false: "Provisioned"}[never]}})
		_, err := drivertest.TryApply(t, containerapp.NewSetting(w.Client(), soon), plan.Create, setting("web", "K", connection.Plain("a")))
		if never != problem.Is(err, problem.ARMFailed) {
			t.Errorf("never ready %t: %v", never, err)
		}
		if want := []string{held, follows}; !slices.Equal(w.traffic, want) {
			t.Errorf("traffic went %v, want %v", w.traffic, want)
		}
	}
}

// A hold that was cut off is lifted by the next write, whatever that is about.
func TestHoldThatWasCutOffIsLifted(t *testing.T) {
	t.Parallel()
	for name, action := range map[string]plan.Action{"removal": plan.Remove, "create": plan.Create} {
		w := newWorld(t)
		w.foreign(func(doc object) {
			sideBySide(doc)
			doc["properties"].(object)["configuration"].(object)["ingress"].(object)["traffic"] = []any{object{"revisionName": "shop--0", "weight": 100.0, "label": "patchbay-hold"}}
		})
		drivertest.Apply(t, containerapp.NewSetting(w.Client(), soon), action, setting("web", "K", connection.Plain("a")))
		if got, want := w.traffic[len(w.traffic)-1], `[{"latestRevision":true,"weight":100}]`; got != want {
			t.Errorf("%s: traffic %s, want %s", name, got, want)
		}
	}
}

// A secret stays while an active revision names it: its removal would be refused.
func TestSecretOfAnActiveRevisionStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.foreign(sideBySide)
	d, f := containerapp.NewSetting(w.Client(), soon), setting("web", "K", connection.Hidden("a"))
	drivertest.Apply(t, d, plan.Create, f)
	w.Set(app+"/revisions/shop--1", object{"properties": object{"active": true, "template": w.Doc(app)["properties"].(object)["template"]}})
	drivertest.Apply(t, d, plan.Remove, f)
	if _, there := w.env("web")["K"]; there || len(w.held()) != 3 {
		t.Errorf("the variable is there: %t; secrets %v", there, w.held())
	}
}

func TestSuffixIsNotUsedTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.foreign(func(doc object) { doc["properties"].(object)["template"].(object)["revisionSuffix"] = "v1" })
	drivertest.Apply(t, containerapp.NewSetting(w.Client(), soon), plan.Create, setting("web", "K", connection.Plain("a")))
	if got := w.Doc(app)["properties"].(object)["template"].(object)["revisionSuffix"]; got != "" {
		t.Errorf("the revision is called after the suffix %q again", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := containerapp.NewSetting(w.Client(), soon)
	if _, err := drivertest.TryApply(t, d, plan.Create, setting("none", "K", connection.Plain("a"))); !problem.Is(err, problem.BodyInvalid) {
		t.Errorf("a container that is not there: %v", err)
	}
	if _, err := drivertest.TryApply(t, d, plan.Remove, setting("none", "K", connection.Plain("a"))); err != nil {
		t.Errorf("removal from a container that went: %v", err)
	}
	w.lose = true
	if _, err := drivertest.TryApply(t, d, plan.Create, setting("web", "K", connection.Plain("a"))); !problem.Is(err, problem.WriteLost) {
		t.Errorf("a write that got lost: %v", err)
	}
	w.Remove(app)
	if _, err := containerapp.NewSources(w.Client()).Source(t.Context(), app); !problem.Is(err, problem.SourceNotFound) {
		t.Errorf("no app: %v", err)
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := containerapp.NewSources(w.Client()).Source(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	if got.Location != "westeurope" || got.HostName != "shop.test" || !slices.Equal(got.Scopes, []string{"web", "side", "first"}) || !slices.Equal(got.Outbound, []string{"192.0.2.1", "192.0.2.2"}) {
		t.Errorf("source %+v", got)
	}
}

// FuzzSecretNames: whatever a setting is called, its secrets have names the platform takes.
func FuzzSecretNames(f *testing.F) {
	for _, name := range []string{"A_B", "--", "Ä", "a.b:c", strings.Repeat("x", 300), "-9-"} {
		f.Add(name)
	}
	allowed := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	f.Fuzz(func(t *testing.T, name string) {
		for _, got := range containerapp.SecretNames("web", name) {
			if !allowed.MatchString(got) || len(got) > 253 {
				t.Errorf("the secret of %q is called %q", name, got)
			}
		}
	})
}
