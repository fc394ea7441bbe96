package facet_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/localcloud/appconfig"
	"github.com/patchbay/patchbay/internal/localcloud/keyvault"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const configStore = group + "/providers/Microsoft.AppConfiguration/configurationStores/storeone"

// shortly is patience for what is never allowed: long enough for a delete to be complete.
var shortly = facet.Patience{Limit: 600 * time.Millisecond, Pause: 20 * time.Millisecond}

// keep is a real vault or store of the local cloud, reached as one principal.
type keep struct {
	t        *testing.T
	cloud    *providertest.Cloud
	front    *providertest.Front
	endpoint string
	token    string
	writes   atomic.Int64
}

func newKeep(t *testing.T, make func(provider.Cloud) provider.Provider, resource, uri, audience string, body provider.Document, actions ...string) *keep {
	t.Helper()
	k := &keep{t: t, cloud: providertest.New(t)}
	p := make(k.cloud)
	t.Cleanup(func() { _ = p.Close() })
	k.front = providertest.NewFront(k.cloud, p)
	if _, err := k.front.Run(t.Context(), "PUT", resource, body); err != nil {
		t.Fatal(err)
	}
	doc, _ := k.cloud.Store().Get(resource)
	k.endpoint = strings.TrimRight(provider.Text(doc, "properties", uri), "/")
	who := k.cloud.Directory().NewManagedIdentity("/engine", "engine")
	k.cloud.Grants().Allow(who.ObjectID, resource, actions...)
	var err error
	if k.token, _, err = k.cloud.Directory().Token(who.ObjectID, audience); err != nil {
		t.Fatal(err)
	}
	return k
}

// RoundTrip counts writes on their way.
func (k *keep) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		k.writes.Add(1)
	}
	tr := &http.Transport{TLSClientConfig: k.cloud.ClientTLS(), DisableKeepAlives: true}
	return tr.RoundTrip(r)
}

func (k *keep) plane() facet.DataPlane {
	return facet.DataPlane{Token: func(context.Context) (string, error) { return k.token, nil }, HTTP: &http.Client{Transport: k}, Patience: shortly}
}

func (k *keep) get(path string) map[string]any {
	k.t.Helper()
	req, err := http.NewRequest(http.MethodGet, k.endpoint+path, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+k.token)
	tr := &http.Transport{TLSClientConfig: k.cloud.ClientTLS(), DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	raw, _ := io.ReadAll(resp.Body)
	_ = json.Unmarshal(raw, &out)
	return out
}

func (k *keep) world(d engine.Driver, f, changed connection.Facet, look func() any) drivertest.World {
	return drivertest.World{Driver: d, Facet: f, Changed: &changed, Look: look, Writes: func() int { return int(k.writes.Load()) },
		Refuse: k.cloud.Grants().Clear, Unknowable: true, Parameters: []string{connection.AttrURI, connection.AttrMark}}
}

func newSecretKeep(t *testing.T) *keep {
	const actions = "Microsoft.KeyVault/vaults/secrets/"
	return newKeep(t, keyvault.New, keyVault, "vaultUri", "https://vault.azure.net", provider.Document{"location": "westeurope", "properties": map[string]any{
		"tenantId": tenant, "sku": map[string]any{"name": "standard"}, "enableRbacAuthorization": true}},
		actions+"getSecret/action", actions+"setSecret/action", actions+"delete", actions+"readMetadata/action", actions+"recover/action")
}

func (k *keep) secret(name, value string) connection.Facet {
	f := facetOf(connection.KindSecret, keyVault, name, map[string]string{connection.AttrURI: k.endpoint + "/secrets/" + name, connection.AttrMark: uid})
	f.Want[connection.AttrValue] = connection.Hidden(value)
	return f
}

// secrets are the values there are, by name.
func (k *keep) secrets() map[string]any {
	out := map[string]any{}
	list, _ := k.get("/secrets?api-version=7.4")["value"].([]any)
	for _, item := range list {
		id, _ := item.(map[string]any)["id"].(string)
		name := id[strings.LastIndex(id, "/")+1:]
		out[name] = k.get("/secrets/" + name + "?api-version=7.4")["value"]
	}
	return out
}

func secretWorld(t *testing.T) drivertest.World {
	k := newSecretKeep(t)
	drivertest.Apply(t, facet.NewSecret(k.plane()), plan.Create, k.secret("theirs", "v"))
	k.writes.Store(0)
	return k.world(facet.NewSecret(k.plane()), k.secret("ours", "one;'\"@%={ü\n"), k.secret("ours", "two"), func() any { return k.secrets() })
}

// TestDeletedSecretComesBack: the name of a deleted secret is taken; ours is recovered,
// a stranger's is left alone.
func TestDeletedSecretComesBack(t *testing.T) {
	t.Parallel()
	k := newSecretKeep(t)
	d := facet.NewSecret(k.plane())
	first := drivertest.Apply(t, d, plan.Create, k.secret("ours", "one"))[0]
	drivertest.Apply(t, d, plan.Remove, k.secret("ours", "one"))
	again := drivertest.Apply(t, d, plan.Create, k.secret("ours", "two"))[0]
	if k.secrets()["ours"] != "two" || again.Outputs[connection.OutVersion] == first.Outputs[connection.OutVersion] || again.Mark != uid {
		t.Errorf("secrets %v, state %+v", k.secrets(), again)
	}
	stranger := k.secret("theirs", "x")
	delete(stranger.Want, connection.AttrMark)
	drivertest.Apply(t, d, plan.Create, stranger)
	drivertest.Apply(t, d, plan.Remove, stranger)
	k.cloud.Advance(time.Second)
	if _, err := drivertest.TryApply(t, d, plan.Create, k.secret("theirs", "y")); !problem.Is(err, problem.ForeignMark) {
		t.Errorf("over a stranger's: %v", err)
	}
}

// TestRightsThatComeLate: a write waits for its role.
func TestRightsThatComeLate(t *testing.T) {
	t.Parallel()
	k := newSecretKeep(t)
	claims, err := k.cloud.Directory().Verify(k.token, "https://vault.azure.net")
	if err != nil {
		t.Fatal(err)
	}
	k.cloud.Grants().Clear()
	late := time.AfterFunc(100*time.Millisecond, func() {
		k.cloud.Grants().Allow(claims.ObjectID, keyVault, "Microsoft.KeyVault/vaults/secrets/getSecret/action", "Microsoft.KeyVault/vaults/secrets/setSecret/action", "Microsoft.KeyVault/vaults/secrets/readMetadata/action")
	})
	defer late.Stop()
	f := k.secret("ours", "one")
	if s := drivertest.Observe(t, facet.NewSecret(k.plane()), f)[0]; !s.Unknown || s.Why == "" {
		t.Errorf("before: %+v", s)
	}
	drivertest.Apply(t, facet.NewSecret(k.plane()), plan.Create, f)
	if k.secrets()["ours"] != "one" {
		t.Error("it was not written")
	}
}

func newConfigKeep(t *testing.T) *keep {
	const actions = "Microsoft.AppConfiguration/configurationStores/keyValues/"
	return newKeep(t, appconfig.New, configStore, "endpoint", "https://azconfig.io", provider.Document{"location": "westeurope", "sku": map[string]any{"name": "standard"},
		"properties": map[string]any{}}, actions+"read", actions+"write", actions+"delete")
}

func (k *keep) configKey(name, value string) connection.Facet {
	return facetOf(connection.KindConfigKey, configStore, name, map[string]string{
		connection.AttrURI: k.endpoint, connection.AttrMark: uid, connection.AttrValue: value, connection.AttrContentType: ""})
}

func (k *keep) keyValues() map[string]any {
	out := map[string]any{}
	list, _ := k.get("/kv?api-version=1.0")["items"].([]any)
	for _, item := range list {
		one := item.(map[string]any)
		out[one["key"].(string)] = one["value"]
	}
	return out
}

func configKeyWorld(t *testing.T) drivertest.World {
	k := newConfigKeep(t)
	drivertest.Apply(t, facet.NewConfigKey(k.plane()), plan.Create, k.configKey("theirs", "v"))
	k.writes.Store(0)
	return k.world(facet.NewConfigKey(k.plane()), k.configKey("A/b:c ü", "one"), k.configKey("A/b:c ü", "two"), func() any { return k.keyValues() })
}

// TestConfigKeyWrittenInBetween: what somebody else wrote after our look stays.
func TestConfigKeyWrittenInBetween(t *testing.T) {
	t.Parallel()
	k := newConfigKeep(t)
	d, f := facet.NewConfigKey(k.plane()), k.configKey("key", "ours")
	basis, err := d.Read(t.Context(), []connection.Facet{f})
	if err != nil {
		t.Fatal(err)
	}
	drivertest.Apply(t, d, plan.Create, k.configKey("key", "theirs"))
	_, err = d.Write(t.Context(), basis, []plan.Change{{Facet: f, Action: plan.Create}})
	if !problem.Is(err, problem.WriteLost) || k.keyValues()["key"] != "theirs" {
		t.Errorf("%v, %v", err, k.keyValues())
	}
}
