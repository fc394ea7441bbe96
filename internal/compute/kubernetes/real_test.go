//go:build interop

package kubernetes_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/patchbay/patchbay/demo/outside"
	"github.com/patchbay/patchbay/internal/compute/kubernetes"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/plan"
)

// real is the real API server, for as many worlds as there are tests: each has a
// namespace of its own.
type real struct {
	*outside.Kubernetes
	api kubernetes.API
}

func startReal(t *testing.T) *real {
	t.Helper()
	k, err := outside.StartKubernetes(t.Context(), filepath.Join("..", "..", "..", ".cache", "interop", "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", k.File)
	if err != nil {
		t.Fatal(err)
	}
	api, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &real{k, api}
}

// space makes a namespace for one test and returns its name.
func (r *real) space(t *testing.T) string {
	t.Helper()
	name := "t" + strings.ToLower(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, t.Name()))
	name = name[max(0, len(name)-60):]
	r.call(t, http.MethodPost, "/api/v1/namespaces", object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": name}})
	return name
}

func (r *real) call(t *testing.T, method, path string, body any) object {
	t.Helper()
	status, raw, err := r.Call(t.Context(), method, path, body)
	if err != nil || status >= 300 {
		t.Fatalf("%s %s: %d %v %s", method, path, status, err, raw)
	}
	var out object
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// look is everything in a namespace without what changes by itself.
func (r *real) look(t *testing.T, namespace string) any {
	t.Helper()
	out := []any{}
	for _, kind := range []string{"secrets", "serviceaccounts"} {
		items, _ := r.call(t, http.MethodGet, "/api/v1/namespaces/"+namespace+"/"+kind, nil)["items"].([]any)
		for _, one := range items {
			meta := one.(object)["metadata"].(object)
			for _, name := range []string{"resourceVersion", "uid", "creationTimestamp", "managedFields"} {
				delete(meta, name)
			}
			out = append(out, one)
		}
	}
	return out
}

func TestDriversOnTheRealServer(t *testing.T) {
	r := startReal(t)
	in := func(f connection.Facet, namespace string) connection.Facet {
		f.Resource = strings.Replace(f.Resource, "/namespaces/shop", "/namespaces/"+namespace, 1)
		return f
	}
	// A subtest of its own, so that the parallel ones end before the server does.
	t.Run("drivers", func(t *testing.T) {
		t.Run("setting", func(t *testing.T) {
			drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
				n := r.space(t)
				foreign := theirs()
				foreign["metadata"].(object)["namespace"] = n
				r.call(t, http.MethodPost, "/api/v1/namespaces/"+n+"/secrets", foreign)
				other, changed := in(settingFacet("REDIS_HOST", "h"), n), in(settingFacet("REDIS_KEY", "another"), n)
				return drivertest.World{Driver: kubernetes.NewSetting(opened(r.api)), Facet: in(settingFacet("REDIS_KEY", "k=1;ü"), n),
					Other: &other, Changed: &changed, Look: func() any { return r.look(t, n) },
					Vanish: func() { r.call(t, http.MethodDelete, "/api/v1/namespaces/"+n+"/secrets/"+secret, nil) }}
			}})
		})
		for name, f := range map[string]connection.Facet{
			"secret": objectFacet(connection.ObjectSecret, "sc-conn2-secret", ""), "account": objectFacet(connection.ObjectAccount, account, client),
		} {
			t.Run(name, func(t *testing.T) {
				drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
					n := r.space(t)
					return drivertest.World{Driver: kubernetes.NewObject(opened(r.api)), Facet: in(f, n), Look: func() any { return r.look(t, n) }}
				}})
			})
		}
		t.Run("others' entries", func(t *testing.T) { r.othersEntries(t, in) })
	})
}

// othersEntries shows that an entry somebody took over stays theirs, and that a Secret
// that holds it is let go instead of deleted.
func (r *real) othersEntries(t *testing.T, in func(connection.Facet, string) connection.Facet) {
	n := r.space(t)
	whole, d, s := in(objectFacet(connection.ObjectSecret, secret, ""), n), kubernetes.NewObject(opened(r.api)), kubernetes.NewSetting(opened(r.api))
	drivertest.Apply(t, d, plan.Create, whole)
	a, b := in(settingFacet("A", "1"), n), in(settingFacet("B", "1"), n)
	drivertest.Apply(t, s, plan.Create, a, b)
	at := "/api/v1/namespaces/" + n + "/secrets/" + secret
	o := r.call(t, http.MethodGet, at, nil)
	o["data"].(object)["A"] = encoded("theirs")
	r.call(t, http.MethodPut, at, o)
	drivertest.Apply(t, s, plan.Update, in(settingFacet("B", "2"), n))
	data := r.call(t, http.MethodGet, at, nil)["data"].(object)
	if data["A"] != encoded("theirs") || data["B"] != encoded("2") {
		t.Errorf("the Secret holds %v", data)
	}
	drivertest.Apply(t, s, plan.Remove, b)
	drivertest.Apply(t, d, plan.Remove, whole)
	o = r.call(t, http.MethodGet, at, nil)
	if data, _ := o["data"].(object); len(data) != 1 || data["A"] != encoded("theirs") {
		t.Errorf("in the end the Secret holds %v", data)
	}
	if labels := o["metadata"].(object)["labels"]; labels != nil {
		t.Errorf("our mark stays: %v", labels)
	}
}
