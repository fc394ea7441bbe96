package target_test

import (
	"context"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/target"
)

const kube = group + "/providers/Microsoft.ContainerService/managedClusters/kube1"

// inKube moves a connection into a namespace of a cluster.
func inKube(c *connection.Connection, namespace string) *connection.Connection {
	c.Source, c.ID, c.Properties.Scope, c.UID = kube, kube+"/providers/Microsoft.ServiceLinker/linkers/"+c.Name, namespace, "uid1"
	return c
}

func onCluster(t *testing.T, w *cloud, found target.Cluster, c *connection.Connection) ([]connection.Facet, error) {
	t.Helper()
	r := reader(t, w)
	r.Cluster = func(context.Context, *connection.Connection) (target.Cluster, error) { return found, nil }
	facts, err := r.Facts(t.Context(), c)
	if err != nil {
		return nil, err
	}
	return r.Derive(c, facts, nil)
}

func TestClusterAsSource(t *testing.T) {
	t.Parallel()
	on := target.Cluster{Source: target.Source{Location: "westeurope", Addresses: []string{"198.51.100.7"}}, Issuer: "https://issuer.test/", Webhook: true}
	for _, row := range []struct {
		name string
		c    *connection.Connection
	}{
		{"cluster-secret", inKube(link(cacheID, secret, "go"), "")},
		{"cluster-workload-identity", inKube(byUserIdentity(blobID, "go"), "shop")},
		{"cluster-no-settings", inKube(byUserIdentity(blobID, "go", optOutSettings), "shop")},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			facets, err := onCluster(t, world().known(), on, row.c)
			if err != nil {
				t.Fatal(err)
			}
			checkGraph(t, facets)
			golden(t, row.name, text(facets))
		})
	}
}

func TestClusterWithoutWorkloadIdentity(t *testing.T) {
	t.Parallel()
	for name, found := range map[string]target.Cluster{"neither": {}, "issuer only": {Issuer: "https://issuer.test/"}, "webhook only": {Webhook: true}} {
		_, err := onCluster(t, world().known(), found, inKube(byUserIdentity(blobID, "go"), "shop"))
		if !problem.Is(err, problem.WorkloadIdentityOff) || !strings.Contains(problem.As(err).FixText(), "az aks update --ids "+kube) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatAClusterCannotDo(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		c    *connection.Connection
		want problem.Code
	}{
		"fine":            {inKube(link(cacheID, secret, "go"), "shop-1"), ""},
		"system identity": {inKube(link(blobID, system, "go"), ""), problem.AuthUnsupported},
		"namespace":       {inKube(link(cacheID, secret, "go"), "Shop"), problem.BodyInvalid},
		"long namespace":  {inKube(link(cacheID, secret, "go"), strings.Repeat("a", 64)), problem.BodyInvalid},
		"name":            {inKube(link(cacheID, secret, "go", func(c *connection.Connection) { c.Name = "._." }), ""), problem.ConnectionName},
		"vault": {inKube(link(cacheID, secret, "go", func(c *connection.Connection) {
			c.Properties.SecretStore = &connection.SecretStore{KeyVaultID: group + "/providers/Microsoft.KeyVault/vaults/v"}
		}), ""), problem.OptionUnsupported},
		"entry": {inKube(link(cacheID, secret, "go", configure(connection.Configuration{Additional: map[string]string{"A:B": "1"}})), ""), problem.SettingName},
	} {
		err := reader(t, world()).Check(row.c, nil)
		if row.want == "" && err != nil || row.want != "" && !problem.Is(err, row.want) {
			t.Errorf("%s: %v, want %s", name, err, row.want)
		}
	}
}
