package aks

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const clusterID = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.ContainerService/managedClusters/kube1"

type bench struct {
	t     *testing.T
	cloud *providertest.Cloud
	front *providertest.Front
	p     *Provider
}

func newBench(t *testing.T, more object) *bench {
	t.Helper()
	b := &bench{t: t, cloud: providertest.New(t)}
	b.p = New(b.cloud).(*Provider)
	b.front = providertest.NewFront(b.cloud, b.p)
	b.run("PUT", clusterID, cluster(more))
	return b
}

func cluster(more object) provider.Document {
	properties := object{"dnsPrefix": "kube1", "agentPoolProfiles": []any{object{"name": "pool1", "mode": "System", "count": 1.0}}}
	return provider.Document{"location": "West Europe", "properties": provider.Merge(properties, more)}
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.t.Context(), method, path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (b *bench) refused(code, method, path string, d provider.Document) {
	b.t.Helper()
	_, err := b.front.Run(b.t.Context(), method, path, d)
	var f *provider.Fault
	if !errors.As(err, &f) || f.Code != code {
		b.t.Errorf("%s %s: %v, want %s", method, path, err, code)
	}
}

func (b *bench) config(action string) string {
	b.t.Helper()
	list, _ := b.run("POST", clusterID+"/"+action, nil).Body["kubeconfigs"].([]any)
	if len(list) != 1 {
		b.t.Fatalf("%s answered %v", action, list)
	}
	raw, err := base64.StdEncoding.DecodeString(provider.Text(list[0].(object), "value"))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	webhook := object{"securityProfile": object{"workloadIdentity": object{"enabled": true}}}
	b.refused("OIDCIssuerRequired", "PUT", clusterID, cluster(webhook))
	on := provider.Merge(webhook, object{"oidcIssuerProfile": object{"enabled": true}})
	b.run("PATCH", clusterID, provider.Document{"tags": object{"team": "web"}, "properties": on})
	doc := b.run("GET", clusterID, nil).Body
	if provider.Text(doc, "properties", "oidcIssuerProfile", "issuerURL") != "" || provider.Text(doc, "tags", "team") != "web" {
		t.Errorf("a PATCH changes tags and nothing else, and left %v", doc)
	}
	b.run("PUT", clusterID, cluster(on))
	if issuer := provider.Text(b.run("GET", clusterID, nil).Body, "properties", "oidcIssuerProfile", "issuerURL"); !strings.HasPrefix(issuer, "https://") {
		t.Errorf("the issuer is %q", issuer)
	}
	b.refused("OIDCIssuerFeatureCannotBeDisabled", "PUT", clusterID, cluster(nil))
	b.refused("AgentPoolProfilesRequired", "PUT", clusterID, cluster(object{"agentPoolProfiles": nil}))
	b.refused("InvalidParameter", "PUT", clusterID, cluster(object{"dnsPrefix": nil}))
}

func TestOutboundAddressIsAResource(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	ips, _ := provider.At(b.run("GET", clusterID, nil).Body, "properties", "networkProfile", "loadBalancerProfile", "effectiveOutboundIPs").([]any)
	if len(ips) != 1 {
		t.Fatalf("outbound addresses: %v", ips)
	}
	at := provider.Text(ips[0].(object), "id")
	if ip := provider.Text(b.run("GET", at, nil).Body, "properties", "ipAddress"); ip == "" || !strings.Contains(at, "/MC_Rg_kube1_westeurope/") {
		t.Errorf("%s has the address %q", at, ip)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	given := object{"apiVersion": "v1", "contexts": []any{object{"name": "c", "context": object{"cluster": "c", "user": "u"}}},
		"clusters": []any{object{"name": "c", "cluster": object{"server": "https://127.0.0.1:6443"}}}, "users": []any{object{"name": "u", "user": object{"token": "hush"}}}}
	b := newBench(t, nil)
	if got := b.config("listClusterUserCredential"); strings.Contains(got, "6443") || !strings.Contains(got, ":443") {
		t.Errorf("a cluster that nobody leads anywhere gives %s", got)
	}
	if status, _, err := b.p.lead(t.Context(), "PUT", "kube1", object{"kubeconfig": given, "issuer": "https://issuer.test"}); err != nil || status != 200 {
		t.Fatalf("lead: %d %v", status, err)
	}
	for _, action := range []string{"listClusterUserCredential", "listClusterAdminCredential"} {
		if got := b.config(action); !strings.Contains(got, "https://127.0.0.1:6443") || !strings.Contains(got, "hush") {
			t.Errorf("%s gives %s", action, got)
		}
	}
	if doc := b.run("GET", clusterID, nil).Body; strings.Contains(fmt.Sprint(doc), "hush") {
		t.Error("a credential stands in the document")
	}
	b.run("POST", clusterID+"/stop", nil)
	if got := b.config("listClusterUserCredential"); strings.Contains(got, "6443") {
		t.Errorf("a stopped cluster's server is still there: %s", got)
	}
	b.run("POST", clusterID+"/start", nil)
	b.run("PUT", clusterID, cluster(object{"disableLocalAccounts": true}))
	b.refused("BadRequest", "POST", clusterID+"/listClusterAdminCredential", nil)
	b.refused("BadRequest", "POST", clusterID+"/listClusterUserCredential", nil)
	b.run("PUT", clusterID, cluster(object{"disableLocalAccounts": true, "aadProfile": object{"managed": true}}))
	if got := b.config("listClusterUserCredential"); strings.Contains(got, "hush") || !strings.Contains(got, "kubelogin") || !strings.Contains(got, "6443") {
		t.Errorf("a cluster that signs in with Entra gives %s", got)
	}
}

func TestPoolsAndLever(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	if got := provider.Text(b.run("GET", clusterID+"/agentPools/pool1", nil).Body, "properties", "mode"); got != "System" {
		t.Errorf("the pool's mode is %q", got)
	}
	for rest, body := range map[string]object{"other": {"kubeconfig": "{}"}, "kube1": {}} {
		if _, _, err := b.p.lead(t.Context(), "PUT", rest, body); err == nil {
			t.Errorf("lead %s %v was taken", rest, body)
		}
	}
}
