package kubernetes_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/compute/kubernetes"
	"github.com/patchbay/patchbay/internal/compute/kubernetestest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// handsOut is an ARM whose cluster gives out a kubeconfig, and counts how often.
func handsOut(t *testing.T, config any) (*kubernetes.Clusters, *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	s := armtest.New(t, armtest.Type{Name: connection.TypeCluster, Versions: []string{"2025-10-01"}, Actions: map[string]func(string, armtest.Object) any{
		"listclusterusercredential": func(string, armtest.Object) any {
			asked.Add(1)
			return armtest.Object{"kubeconfigs": []any{armtest.Object{"name": "clusterUser", "value": raw}}}
		}}})
	s.Set(cluster, armtest.Object{"location": "westeurope", "properties": armtest.Object{}})
	token := func(_ context.Context, audience string) (string, error) { return "entra for " + audience, nil }
	return kubernetes.NewClusters(s.Client(), token), &asked
}

func TestCredentialsAreKept(t *testing.T) {
	t.Parallel()
	p := kubernetestest.New(namespace)
	clusters, asked := handsOut(t, p.Kubeconfig(t))
	d := kubernetes.NewSetting(clusters.Open)
	for range 3 {
		if _, err := d.Read(t.Context(), []connection.Facet{settingFacet("A", "1")}); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("ARM was asked %d times", n)
	}
	gone := settingFacet("A", "1")
	gone.Resource = strings.Replace(gone.Resource, "Kube1", "Kube2", 1)
	if basis, err := d.Read(t.Context(), []connection.Facet{gone}); err != nil || d.State(basis, gone).Exists {
		t.Errorf("a cluster that is gone: %v", err)
	}
}

// kubeconfig is one with a server and a user.
func kubeconfig(server, user object) object {
	return object{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{object{"name": "c", "cluster": server}}, "users": []any{object{"name": "u", "user": user}},
		"contexts": []any{object{"name": "c", "context": object{"cluster": "c", "user": "u"}}}}
}

// Programs and files that a kubeconfig names are for another machine: nothing is run or
// read, and a token of ours goes where a program would have fetched one.
func TestKubeconfigsOfOthers(t *testing.T) {
	t.Parallel()
	var said atomic.Value
	said.Store("")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said.Store(r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	trusted := kubernetestest.New().Kubeconfig(t)["clusters"].([]any)[0].(object)["cluster"].(object)["certificate-authority-data"]
	here := object{"server": server.URL, "certificate-authority-data": trusted} // test servers of one process share a certificate
	for name, c := range map[string]struct {
		config any
		want   problem.Code
		said   string
	}{
		"a program":      {kubeconfig(here, object{"exec": object{"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/false", "interactiveMode": "Never"}}), problem.ClusterRefused, "Bearer entra for 6dae42f8-4368-4678-94ff-3960e28e3630"},
		"a file":         {kubeconfig(here, object{"tokenFile": "/etc/hostname"}), problem.ClusterRefused, ""},
		"not verified":   {kubeconfig(object{"server": server.URL, "insecure-skip-tls-verify": true}, object{"token": "x"}), problem.ClusterUnreached, ""},
		"not encrypted":  {kubeconfig(object{"server": "http://127.0.0.1:1"}, object{"token": "x"}), problem.ClusterRefused, ""},
		"nobody listens": {kubeconfig(object{"server": "https://127.0.0.1:1"}, object{"token": "x"}), problem.ClusterUnreached, ""},
		"no context":     {object{"apiVersion": "v1", "kind": "Config"}, problem.ClusterRefused, ""},
		"not a config":   {"hush: [", problem.ClusterRefused, ""},
	} {
		said.Store("")
		clusters, _ := handsOut(t, c.config)
		_, err := drivertest.TryApply(t, kubernetes.NewSetting(clusters.Open), plan.Create, settingFacet("A", "1"))
		if !problem.Is(err, c.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if got := said.Load(); got != c.said {
			t.Errorf("%s: the server was shown %q, want %q", name, got, c.said)
		}
	}
}
