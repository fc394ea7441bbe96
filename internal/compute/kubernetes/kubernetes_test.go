package kubernetes_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/compute/kubernetes"
	"github.com/patchbay/patchbay/internal/compute/kubernetestest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	cluster   = "/subscriptions/s/resourceGroups/Rg/providers/Microsoft.ContainerService/managedClusters/Kube1"
	namespace = "shop"
	secret    = "sc-conn1-secret"
	account   = "sc-account-2c5f0a31-6a9d-4f0e-9d58-2f7a1c3b9e11"
	client    = "2c5f0a31-6a9d-4f0e-9d58-2f7a1c3b9e11"
	inSpace   = "/api/v1/namespaces/" + namespace
	secretAt  = inSpace + "/secrets/" + secret
)

var (
	_ engine.Driver = (*kubernetes.Setting)(nil)
	_ engine.Driver = (*kubernetes.Object)(nil)
)

func opened(api kubernetes.API) kubernetes.Open {
	return func(context.Context, string) (kubernetes.API, error) { return api, nil }
}

func labels(p *kubernetestest.Peer) object {
	meta, _ := p.Object(secretAt)["metadata"].(object)
	out, _ := meta["labels"].(object)
	return out
}

type object = map[string]any

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func settingFacet(name, value string) connection.Facet {
	return connection.Facet{
		Key:  connection.Key{Kind: connection.KindSetting, Resource: connection.SecretID(cluster, namespace, secret), Name: name},
		Want: connection.Attrs{connection.AttrValue: connection.Hidden(value)},
	}
}

func objectFacet(kind, name, clientID string) connection.Facet {
	f := connection.Facet{
		Key:  connection.Key{Kind: connection.KindObject, Resource: connection.NamespaceID(cluster, namespace), Name: connection.ObjectName(kind, name)},
		Want: connection.Attrs{connection.AttrMark: connection.Plain("uid1")},
	}
	if clientID != "" {
		f.Want[connection.AttrClientID] = connection.Plain(clientID)
	}
	return f
}

// theirs is a Secret with an entry of somebody else's beside ours.
func theirs() object {
	return object{"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": object{"name": secret, "namespace": namespace, "labels": object{"team": "web"}}, "data": object{"THEIRS": encoded("1")}}
}

func TestSettingDriver(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
		p := kubernetestest.New(namespace)
		api := p.Client(t)
		p.Set(secretAt, theirs())
		other, changed := settingFacet("REDIS_HOST", "h"), settingFacet("REDIS_KEY", "another")
		return drivertest.World{
			Driver: kubernetes.NewSetting(opened(api)), Facet: settingFacet("REDIS_KEY", "k=1;ü"), Other: &other, Changed: &changed,
			Look: p.Look, Writes: p.Writes, Vanish: func() { p.Vanish(namespace) }, Refuse: p.Refuse, Unknowable: true,
		}
	}})
}

func TestObjectDriver(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]connection.Facet{
		"secret": objectFacet(connection.ObjectSecret, "sc-conn2-secret", ""), "account": objectFacet(connection.ObjectAccount, account, client),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Case{Make: func(t *testing.T) drivertest.World {
				p := kubernetestest.New(namespace)
				api := p.Client(t)
				p.Set(secretAt, theirs())
				return drivertest.World{Driver: kubernetes.NewObject(opened(api)), Facet: f,
					Look: p.Look, Writes: p.Writes, Vanish: func() { p.Vanish(namespace) }, Refuse: p.Refuse, Unknowable: true}
			}})
		})
	}
}

// Somebody else's write between our read and our write is kept, and ours comes true.
func TestOtherWritersAreNotLost(t *testing.T) {
	t.Parallel()
	for name, action := range map[string]plan.Action{"put": plan.Create, "removal": plan.Remove} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := kubernetestest.New(namespace)
			api := p.Client(t)
			p.Set(secretAt, theirs())
			d, f := kubernetes.NewSetting(opened(api)), settingFacet("REDIS_KEY", "k")
			if action == plan.Remove {
				drivertest.Apply(t, d, plan.Create, f)
			}
			p.Before(func() { p.Edit(secretAt, object{"THEIRS": encoded("2"), "NEW": encoded("3")}) })
			drivertest.Apply(t, d, action, f)
			for key, want := range map[string]string{"THEIRS": "2", "NEW": "3"} {
				if got := p.Entry(secretAt, key); got != want {
					t.Errorf("%s is %q after our %s", key, got, name)
				}
			}
			if s := drivertest.Observe(t, d, f)[0]; s.Exists == (action == plan.Remove) {
				t.Errorf("our %s did not come true: %+v", name, s)
			}
		})
	}
}

// An entry of ours that somebody changed is theirs: it stays when others of ours are written.
func TestTakenOverEntryIsLeft(t *testing.T) {
	t.Parallel()
	p := kubernetestest.New(namespace)
	api := p.Client(t)
	drivertest.Apply(t, kubernetes.NewObject(opened(api)), plan.Create, objectFacet(connection.ObjectSecret, secret, ""))
	d := kubernetes.NewSetting(opened(api))
	drivertest.Apply(t, d, plan.Create, settingFacet("A", "1"), settingFacet("B", "1"))
	p.Edit(secretAt, object{"A": encoded("theirs")})
	drivertest.Apply(t, d, plan.Update, settingFacet("B", "2"))
	if a, b := p.Entry(secretAt, "A"), p.Entry(secretAt, "B"); a != "theirs" || b != "2" {
		t.Errorf("A is %q, B is %q", a, b)
	}
	if labels(p)["patchbay/connection"] != "uid1" {
		t.Error("an apply of entries took our mark away")
	}
}

// A Secret in which others keep something is let go, not deleted.
func TestObjectWithForeignEntriesStays(t *testing.T) {
	t.Parallel()
	p := kubernetestest.New(namespace)
	api := p.Client(t)
	d, f := kubernetes.NewObject(opened(api)), objectFacet(connection.ObjectSecret, secret, "")
	drivertest.Apply(t, d, plan.Create, f)
	p.Edit(secretAt, object{"THEIRS": encoded("1")})
	drivertest.Apply(t, d, plan.Remove, f)
	if p.Entry(secretAt, "THEIRS") != "1" {
		t.Fatalf("the Secret is %v", p.Object(secretAt))
	}
	if left := labels(p); len(left) > 0 {
		t.Errorf("our mark stays: %v", left)
	}
}

func TestRefusalsNameTheCluster(t *testing.T) {
	t.Parallel()
	p := kubernetestest.New(namespace)
	api := p.Client(t)
	p.Refuse()
	_, err := drivertest.TryApply(t, kubernetes.NewSetting(opened(api)), plan.Create, settingFacet("A", "hunter2"))
	if !problem.Is(err, problem.ClusterRefused) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a refused read gave %v", err)
	}
}
