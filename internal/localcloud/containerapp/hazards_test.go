package containerapp

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const (
	group         = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.App/"
	environmentID = group + "managedEnvironments/env1"
	appID         = group + "containerApps/app1"
)

type bench struct {
	t     *testing.T
	cloud *providertest.Cloud
	front *providertest.Front
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, cloud: providertest.New(t)}
	p, err := New(b.cloud, identity.New(b.cloud, "tenant"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	b.front = providertest.NewFront(b.cloud, p)
	b.run("PUT", environmentID, provider.Document{"location": "westeurope", "properties": map[string]any{}})
	return b
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.t.Context(), method, path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

type object = map[string]any

func app(configuration object, image string) provider.Document {
	return provider.Document{"location": "westeurope", "properties": object{
		"managedEnvironmentId": environmentID, "configuration": configuration,
		"template": object{"containers": []any{object{"name": "main", "image": image}}},
	}}
}

func ingress(more object) object {
	return object{"ingress": provider.Merge(object{"external": true, "targetPort": 8080.0}, more)}
}

func (b *bench) get(from, fqdn string) (int, string) {
	b.t.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: b.cloud.ClientTLS(), DialContext: d.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(b.t.Context(), "GET", "https://"+fqdn+"/hello", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func TestIngress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("PUT", appID, app(ingress(nil), "one"))
	doc := b.run("GET", appID, nil).Body
	fqdn := provider.Text(doc, "properties", "configuration", "ingress", "fqdn")
	first := provider.Text(doc, "properties", "latestRevisionName")
	if status, said := b.get("127.0.0.9", fqdn); status != 200 || !strings.Contains(said, first) {
		t.Errorf("%d %s", status, said)
	}
	for _, c := range []struct {
		name   string
		change object
		want   int
	}{
		{"another let in", object{"ipSecurityRestrictions": []any{object{"name": "a", "ipAddressRange": "127.0.0.1/32", "action": "Allow"}}}, 403},
		{"let in", object{"ipSecurityRestrictions": []any{object{"name": "a", "ipAddressRange": "127.0.0.8/29", "action": "Allow"}}}, 200},
		{"shut out", object{"ipSecurityRestrictions": []any{object{"name": "a", "ipAddressRange": "127.0.0.8/29", "action": "Deny"}}}, 403},
		{"another shut out", object{"ipSecurityRestrictions": []any{object{"name": "a", "ipAddressRange": "127.0.0.1", "action": "Deny"}}}, 200},
		{"internal", object{"ipSecurityRestrictions": nil, "external": false}, 404},
	} {
		b.run("PATCH", appID, provider.Document{"properties": object{"configuration": object{"ingress": c.change}}})
		if status, said := b.get("127.0.0.9", fqdn); status != c.want {
			t.Errorf("%s: %d %s", c.name, status, said)
		}
	}
	b.run("PUT", appID, app(ingress(nil), "two"))
	doc = b.run("GET", appID, nil).Body
	if provider.Text(doc, "properties", "configuration", "ingress", "fqdn") != fqdn || provider.Text(doc, "properties", "latestRevisionName") == first {
		t.Errorf("after another image: %v", doc)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	two := object{"secrets": []any{object{"name": "one", "value": "canary-1"}, object{"name": "two", "value": "canary-2"}}}
	r := b.run("PUT", appID, app(two, "image"))
	listed := func() string {
		raw, err := json.Marshal(b.run("POST", appID+"/listSecrets", nil).Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	shown, _ := json.Marshal([]any{b.run("GET", appID, nil).Body, r.Raw})
	if strings.Contains(string(shown), "canary") || !strings.Contains(string(shown), `"two"`) {
		t.Errorf("shown: %s", shown)
	}
	if l := listed(); !strings.Contains(l, "canary-1") || !strings.Contains(l, "canary-2") {
		t.Errorf("listed: %s", l)
	}
	b.run("PATCH", appID, provider.Document{"tags": object{"a": "b"}})
	if l := listed(); !strings.Contains(l, "canary-2") {
		t.Errorf("a PATCH of something else: %s", l)
	}
	var f *provider.Fault
	_, err := b.front.Run(t.Context(), "PATCH", appID, provider.Document{"properties": object{"configuration": object{"secrets": []any{object{"name": "one"}}}}})
	if !errors.As(err, &f) || f.Code != "ContainerAppSecretInvalid" {
		t.Errorf("a secret without a value: %v", err)
	}
	b.run("PATCH", appID, provider.Document{"properties": object{"configuration": object{"secrets": []any{object{"name": "one", "value": "canary-3"}}}}})
	if l := listed(); strings.Contains(l, "canary-2") || strings.Contains(l, "canary-1") || !strings.Contains(l, "canary-3") {
		t.Errorf("an entry left out stays: %s", l)
	}
	b.run("PUT", appID, app(object{}, "image"))
	if l := listed(); strings.Contains(l, "canary") {
		t.Errorf("a PUT without secrets keeps them: %s", l)
	}
}

func TestWritesAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	nowhere := app(ingress(nil), "image")
	nowhere["properties"].(object)["managedEnvironmentId"] = group + "managedEnvironments/other"
	for name, c := range map[string]struct {
		path string
		body provider.Document
		want int
	}{
		"no environment": {appID, nowhere, 400},
		"no container":   {appID, provider.Document{"location": "westeurope", "properties": object{"managedEnvironmentId": environmentID, "template": object{}}}, 400},
		"a bad name":     {group + "containerApps/App_1", app(nil, "image"), 400},
		"a bad port":     {appID, app(ingress(object{"targetPort": 0.0}), "image"), 400},
		"mixed actions": {appID, app(ingress(object{"ipSecurityRestrictions": []any{
			object{"ipAddressRange": "192.0.2.1", "action": "Allow"}, object{"ipAddressRange": "192.0.2.2", "action": "Deny"}}}), "image"), 400},
	} {
		var f *provider.Fault
		if _, err := b.front.Run(t.Context(), "PUT", c.path, c.body); !errors.As(err, &f) || f.Status != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.run("PUT", appID, app(nil, "image"))
	var f *provider.Fault
	if _, err := b.front.Run(t.Context(), "DELETE", environmentID, nil); !errors.As(err, &f) || f.Status != 409 {
		t.Errorf("an environment with an app: %v", err)
	}
	b.run("DELETE", appID, nil)
	b.run("DELETE", environmentID, nil)
}
