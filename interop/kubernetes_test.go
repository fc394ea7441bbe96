//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/demo/outside"
)

const clusterName = "kube1"

// withCluster is a CLI beside a cloud whose cluster leads to a real API server.
func withCluster(t *testing.T) (*azure, *outside.Kubernetes) {
	t.Helper()
	a := newAzure(t, filepath.Join("..", ".cache", "interop", "newest", "bin", "az"))
	k, err := outside.StartKubernetes(t.Context(), filepath.Join("..", ".cache", "interop", "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
	})
	at := a.id("Microsoft.ContainerService/managedClusters/"+clusterName) + "?api-version=2025-10-01"
	body := object{"location": location, "identity": object{"type": "SystemAssigned"}, "properties": object{"dnsPrefix": clusterName,
		"agentPoolProfiles": []any{object{"name": "pool1", "mode": "System", "count": 1}},
		"oidcIssuerProfile": object{"enabled": true}, "securityProfile": object{"workloadIdentity": object{"enabled": true}}}}
	for _, m := range []struct {
		path string
		body any
	}{{at, body}, {"/_local/clusters/" + clusterName, object{"kubeconfig": k.Kubeconfig, "issuer": k.Issuer}}} {
		if _, err := a.cloud.Want(t.Context(), http.MethodPut, m.path, m.body, http.StatusOK, http.StatusCreated, http.StatusAccepted); err != nil {
			t.Fatal(err)
		}
		if m.path == at {
			if _, err := a.cloud.Settle(t.Context(), at, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
	}
	if status, raw, err := k.Call(t.Context(), http.MethodPost, "/api/v1/namespaces", object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": "shop"}}); err != nil || status != http.StatusCreated {
		t.Fatalf("make a namespace: %d %v %s", status, err, raw)
	}
	a.signIn()
	return a, k
}

// kubectl asks the cluster as a person would, and returns what it prints.
func (a *azure) kubectl(k *outside.Kubernetes, words ...string) string {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	r, err := outside.Exec(ctx, a.cloud.Program.Environ(), "kubectl", append([]string{"--kubeconfig", k.File, "-n", "shop"}, words...)...)
	if err != nil || r.Code != 0 {
		a.t.Fatalf("kubectl %s: %v %s", strings.Join(words, " "), err, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// clusterConnection spells a command on one connection of the cluster.
func clusterConnection(verb, name string, rest ...string) []string {
	words := append([]string{"aks", "connection"}, strings.Fields(verb)...)
	return append(append(words, "-g", group, "-n", clusterName, "--connection", name), rest...)
}

func TestClusterConnections(t *testing.T) {
	a, k := withCluster(t)
	who := a.az("identity", "create", "-g", group, "-n", "shopper", "-l", location)
	client := word(member(who, "clientId"))
	made := a.az(clusterConnection("create redis", "cache", "--tg", group, "--server", cache, "--database", "0", "--secret", "--client-type", "go", "--kube-namespace", "shop")...)
	if names, _ := json.Marshal(member(made, "kubernetesResourceName")); !strings.Contains(string(names), "sc-cache-secret") {
		t.Errorf("az names the objects %s", names)
	}
	if got := a.kubectl(k, "get", "secret", "sc-cache-secret", "-o", `go-template={{index .data "AZURE_REDIS_CONNECTIONSTRING" | base64decode}}`); !strings.HasPrefix(got, "rediss://") {
		t.Error("the Secret holds no address of the cache")
	}
	if got := a.kubectl(k, "get", "secret", "sc-cache-secret", "--show-managed-fields", "-o", `jsonpath={.metadata.managedFields[*].manager} {.metadata.managedFields[*].operation}`); got != "patchbay Apply" {
		t.Errorf("the Secret's fields are owned by %s", got)
	}
	a.az(clusterConnection("create storage-blob", "files", "--tg", group, "--account", account, "--workload-identity", word(member(who, "id")), "--client-type", "python", "--kube-namespace", "shop")...)
	if got := a.kubectl(k, "get", "serviceaccount", "sc-account-"+client, "-o", `go-template={{index .metadata.annotations "azure.workload.identity/client-id"}}`); got != client {
		t.Errorf("the service account stands for %q, not %s", got, client)
	}
	if list := items(a.az("aks", "connection", "list", "-g", group, "-n", clusterName)); len(list) != 2 {
		t.Errorf("az lists %d connections", len(list))
	}
	if shown := a.az(clusterConnection("show", "cache")...); word(member(shown, "scope")) != "shop" {
		t.Errorf("az shows the scope %v", member(shown, "scope"))
	}
	for name, want := range map[string]string{"cache": "AZURE_REDIS_CONNECTIONSTRING", "files": "AZURE_STORAGEBLOB_RESOURCEENDPOINT"} {
		if raw, _ := json.Marshal(a.az(clusterConnection("list-configuration", name)...)); !strings.Contains(string(raw), want) {
			t.Errorf("the configuration of %s has no %s", name, want)
		}
		if raw, _ := json.Marshal(a.az(clusterConnection("validate", name)...)); strings.Contains(string(raw), `"failure"`) {
			t.Errorf("validate %s: %s", name, raw)
		}
	}
	a.az(clusterConnection("delete", "cache", "--yes")...)
	a.az(clusterConnection("delete", "files", "--yes")...)
	if left := a.kubectl(k, "get", "secrets,serviceaccounts", "-o", "name"); left != "" {
		t.Errorf("left in the namespace: %s", left)
	}
	if left := items(a.az("identity", "federated-credential", "list", "-g", group, "--identity-name", "shopper")); len(left) > 0 {
		t.Errorf("the identity still trusts %v", left)
	}
}
