package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/compute/kubernetestest"
)

const (
	clusterVersion = "2025-10-01"
	clusters       = "Microsoft.ContainerService/managedClusters"
)

// kube is a cluster of the cloud whose API server is a strict peer in this process.
type kube struct {
	*connector
	id   string
	peer *kubernetestest.Peer
}

// startKube starts a cloud with a cache, a storage account and a cluster whose features
// are given, and our server in front of it.
func startKube(t *testing.T, features map[string]any) *kube {
	t.Helper()
	c := startCloud(t)
	c.makeGroup()
	c.makeCache()
	c.makeAccount()
	properties := map[string]any{"dnsPrefix": "kube1", "agentPoolProfiles": []any{map[string]any{"name": "pool1", "mode": "System", "count": 1, "vmSize": "Standard_B2s"}}}
	for name, v := range features {
		properties[name] = v
	}
	k := &kube{id: c.group() + "/providers/" + clusters + "/kube1", peer: kubernetestest.New("default", "shop")}
	c.arm("PUT", k.id, clusterVersion, map[string]any{"location": "westeurope", "identity": map[string]any{"type": "SystemAssigned"}, "properties": properties})
	if a := c.call(c.ready.Endpoint, c.token, "PUT", "/_local/clusters/kube1", map[string]any{"kubeconfig": k.peer.Kubeconfig(t)}); a.Status != 200 {
		t.Fatalf("lead the cluster to the peer: %d %s", a.Status, a.Raw)
	}
	k.connector = c.newConnector().start()
	return k
}

func (k *kube) linker(name string) string {
	return k.id + "/providers/Microsoft.ServiceLinker/linkers/" + name
}

// scoped is the body of a linker in a namespace.
func scoped(target string, auth map[string]any, namespace string) map[string]any {
	b := body(target, auth)
	b["properties"].(map[string]any)["scope"] = namespace
	return b
}

func workloadIdentityOn() map[string]any {
	return map[string]any{"oidcIssuerProfile": map[string]any{"enabled": true}, "securityProfile": map[string]any{"workloadIdentity": map[string]any{"enabled": true}}}
}

// sees compares what the cluster holds.
func (k *kube) sees(when string, want any) {
	k.cloud.t.Helper()
	if d := cmp.Diff(plainJSON(k.cloud.t, want), plainJSON(k.cloud.t, k.peer.Look())); d != "" {
		k.cloud.t.Errorf("the cluster differs %s:\n%s", when, d)
	}
}

func plainJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestClusterBySecret(t *testing.T) {
	t.Parallel()
	k := startKube(t, nil)
	before := k.peer.Look()
	secret := "/api/v1/namespaces/shop/secrets/sc-cache1-secret"
	if op := k.do("PUT", k.linker("cache_1"), scoped(k.cloud.cache()+"/databases/0", map[string]any{"authType": "secret"}, "shop")); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	value := k.peer.Entry(secret, "AZURE_REDIS_CONNECTIONSTRING")
	if !strings.HasPrefix(value, "rediss://") {
		t.Fatalf("the Secret holds %v", k.peer.Object(secret)["data"])
	}
	if raw := string(k.call("POST", k.linker("cache_1")+"/listConfigurations", nil).Raw); !strings.Contains(raw, "AZURE_REDIS_CONNECTIONSTRING") {
		t.Errorf("list-configurations says %s", raw)
	}
	if op := k.do("POST", k.linker("cache_1")+"/validateLinker", nil); op.text("status") != "Succeeded" || strings.Contains(string(op.Raw), `"failure"`) {
		t.Errorf("validate: %s", op.Raw)
	}
	k.peer.Edit(secret, map[string]any{"AZURE_REDIS_CONNECTIONSTRING": nil, "THEIRS": "MQ=="})
	if op := k.do("POST", k.id+"/providers/Patchbay/connections/cache_1/repair", nil); op.text("status") != "Succeeded" {
		t.Errorf("repair: %s", op.Raw)
	}
	if got := k.peer.Entry(secret, "AZURE_REDIS_CONNECTIONSTRING"); got != value || k.peer.Entry(secret, "THEIRS") != "1" {
		t.Errorf("after a repair the Secret holds %v", k.peer.Object(secret)["data"])
	}
	k.peer.Edit(secret, map[string]any{"THEIRS": nil})
	if op := k.do("DELETE", k.linker("cache_1"), nil); op.text("status") != "Succeeded" {
		t.Fatalf("delete: %s", op.Raw)
	}
	k.sees("after the connection is gone", before)
}

func TestWorkloadIdentity(t *testing.T) {
	t.Parallel()
	k := startKube(t, workloadIdentityOn())
	before, u := k.peer.Look(), k.cloud.makeIdentity("shopper")
	files := scoped(k.cloud.account()+"/blobServices/default", u.auth(k.cloud), "shop")
	cache := scoped(k.cloud.cache()+"/databases/0", u.auth(k.cloud), "shop")
	for name, b := range map[string]map[string]any{"files": files, "cache": cache} {
		if op := k.do("PUT", k.linker(name), b); op.text("status") != "Succeeded" {
			t.Fatalf("create %s: %s", name, op.Raw)
		}
	}
	account := "/api/v1/namespaces/shop/serviceaccounts/sc-account-" + u.clientID
	meta, _ := k.peer.Object(account)["metadata"].(map[string]any)
	if got := fmt.Sprint(meta["annotations"]); got != "map[azure.workload.identity/client-id:"+u.clientID+"]" {
		t.Errorf("the service account has annotations %s", got)
	}
	issuer := k.cloud.arm("GET", k.id, clusterVersion, nil).text("properties", "oidcIssuerProfile", "issuerURL")
	if got := k.credentials(u); len(got) != 1 || got[0] != issuer+" system:serviceaccount:shop:sc-account-"+u.clientID {
		t.Errorf("the identity trusts %v", got)
	}
	if got := k.cloud.holders(k.cloud.account()); len(got) != 1 || got[0] != u.principalID {
		t.Errorf("the storage account lets in %v", got)
	}
	if op := k.do("DELETE", k.linker("files"), nil); op.text("status") != "Succeeded" {
		t.Fatalf("delete files: %s", op.Raw)
	}
	if k.peer.Object(account) == nil || len(k.credentials(u)) != 1 {
		t.Error("what the other connection needs went with the first")
	}
	if op := k.do("DELETE", k.linker("cache"), nil); op.text("status") != "Succeeded" {
		t.Fatalf("delete cache: %s", op.Raw)
	}
	k.sees("after both are gone", before)
	if left := k.credentials(u); len(left) > 0 {
		t.Errorf("the identity still trusts %v", left)
	}
}

// credentials lists whom an identity trusts.
func (k *kube) credentials(u userIdentity) []string {
	k.cloud.t.Helper()
	var out []string
	list, _ := k.cloud.arm("GET", u.id+"/federatedIdentityCredentials", identityVersion, nil).at("value").([]any)
	for _, one := range list {
		p, _ := one.(map[string]any)["properties"].(map[string]any)
		out = append(out, fmt.Sprint(p["issuer"], " ", p["subject"]))
	}
	return out
}

// A cluster that is away when its connection is deleted keeps nothing else from going: the
// connection stays, failed, and goes once the cluster is back.
func TestClusterAwayAtDelete(t *testing.T) {
	t.Parallel()
	k := startKube(t, workloadIdentityOn())
	before, u := k.peer.Look(), k.cloud.makeIdentity("shopper")
	if op := k.do("PUT", k.linker("files"), scoped(k.cloud.account()+"/blobServices/default", u.auth(k.cloud), "shop")); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	k.peer.Refuse()
	if op := k.do("DELETE", k.linker("files"), nil); op.text("status") != "Failed" || !strings.Contains(string(op.Raw), "sc-files-secret") {
		t.Errorf("delete while the cluster is away: %s", op.Raw)
	}
	if trusted, let := k.credentials(u), k.cloud.holders(k.cloud.account()); len(trusted)+len(let) > 0 {
		t.Errorf("what can be reached did not go: %v %v", trusted, let)
	}
	k.peer.Allow()
	if op := k.do("DELETE", k.linker("files"), nil); op.text("status") != "Succeeded" {
		t.Errorf("delete when the cluster is back: %s", op.Raw)
	}
	k.sees("after the second delete", before)
}

func TestClusterRefusals(t *testing.T) {
	t.Parallel()
	k := startKube(t, nil)
	k.peer.Set("/api/v1/namespaces/shop/secrets/sc-theirs-secret", map[string]any{"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": "sc-theirs-secret", "namespace": "shop"}, "data": map[string]any{"A": "MQ=="}})
	before, u := k.peer.Look(), k.cloud.makeIdentity("shopper")
	secret := map[string]any{"authType": "secret"}
	redis := k.cloud.cache() + "/databases/0"
	blob := k.cloud.account() + "/blobServices/default"
	for _, c := range []struct {
		name string
		body map[string]any
		want []string
	}{
		{"conn1", scoped(redis, secret, "nowhere"), []string{"NAMESPACE_NOT_FOUND", "kubectl create namespace nowhere"}},
		{"conn1", scoped(redis, secret, "No Such"), []string{"BODY_INVALID"}},
		{"theirs", scoped(redis, secret, "shop"), []string{"OBJECT_TAKEN", "kubectl delete secret sc-theirs-secret"}},
		{"conn1", scoped(blob, map[string]any{"authType": "systemAssignedIdentity"}, "shop"), []string{"AUTH_UNSUPPORTED"}},
		{"conn1", scoped(blob, u.auth(k.cloud), "shop"), []string{"WORKLOAD_IDENTITY_OFF", "az aks update --ids " + k.id + " --enable-oidc-issuer --enable-workload-identity"}},
	} {
		a := k.call("PUT", k.linker(c.name), c.body)
		for _, want := range c.want {
			if a.Status < 400 || !strings.Contains(string(a.Raw), want) {
				t.Errorf("%s: %d %s, want %s", c.name, a.Status, a.Raw, want)
			}
		}
	}
	k.sees("after refusals", before)
	k.peer.Refuse()
	if a := k.call("PUT", k.linker("conn1"), scoped(redis, secret, "shop")); !strings.Contains(string(a.Raw), "CLUSTER_REFUSED") {
		t.Errorf("without rights: %d %s", a.Status, a.Raw)
	}
	k.cloud.arm("POST", k.id+"/stop", clusterVersion, nil)
	if a := k.call("PUT", k.linker("conn1"), scoped(redis, secret, "shop")); !strings.Contains(string(a.Raw), "CLUSTER_") {
		t.Errorf("stopped: %d %s", a.Status, a.Raw)
	}
}
