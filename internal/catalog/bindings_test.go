package catalog

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
)

// TestBindings: what the Functions runtime reads of each target, by auth type.
func TestBindings(t *testing.T) {
	t.Parallel()
	secret, system, user := connection.AuthSecret, connection.AuthSystemIdentity, connection.AuthUserIdentity
	const credential = "__credential"
	want := map[string]map[string][]string{}
	for name, suffix := range map[string]string{
		"storage-blob": "__serviceUri", "storage-queue": "__serviceUri", "storage-table": "__serviceUri",
		"eventhub": "__fullyQualifiedNamespace", "servicebus": "__fullyQualifiedNamespace",
		"cosmos-sql": "__accountEndpoint", "signalr": "__serviceUri",
	} {
		want[name] = map[string][]string{secret: {""}, system: {credential, suffix}, user: {"__clientId", credential, suffix}}
	}
	want["sql"] = map[string][]string{secret: {""}, system: {""}, user: {""}}
	got := map[string]map[string][]string{}
	c, err := read(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range c.entries {
		for _, b := range e.whole().Bindings {
			names := slices.Concat(slices.Collect(maps.Values(b.Names)), slices.Collect(maps.Keys(b.Add)), slices.Collect(maps.Keys(b.Tells)))
			slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
			for _, auth := range b.Auth {
				if got[e.head.Name] == nil {
					got[e.head.Name] = map[string][]string{}
				}
				got[e.head.Name][auth] = names
			}
		}
	}
	for _, byAuth := range want {
		for _, names := range byAuth {
			slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestSharedBindings: services of one account that share a binding's name are told apart.
func TestSharedBindings(t *testing.T) {
	t.Parallel()
	c, err := read(files)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, e := range c.entries {
		for _, b := range e.whole().Bindings {
			got[e.head.Name] = append(got[e.head.Name], slices.Collect(maps.Values(b.Shared))...)
		}
	}
	maps.DeleteFunc(got, func(_ string, names []string) bool { return len(names) == 0 })
	want := map[string][]string{"storage-blob": {"__blobServiceUri", "__blobServiceUri"}, "storage-queue": {"__queueServiceUri", "__queueServiceUri"},
		"storage-table": {"__tableServiceUri", "__tableServiceUri"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestBindingsOfSettingsThatAreNotThere: a file that names what it does not write is refused.
func TestBindingsOfSettingsThatAreNotThere(t *testing.T) {
	t.Parallel()
	c, err := read(files)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(c.entries, func(e entry) bool { return e.head.Name == "storage-blob" })
	for name, wrong := range map[string]Binding{
		"unknown setting":   {Auth: []string{connection.AuthSecret}, Clients: []string{"none"}, Names: map[string]string{"AZURE_NOTHING": ""}},
		"of another auth":   {Auth: []string{connection.AuthSystemIdentity}, Clients: []string{"none"}, Names: map[string]string{"AZURE_STORAGEBLOB_CONNECTIONSTRING": ""}},
		"of another client": {Auth: []string{connection.AuthSecret}, Clients: []string{"springBoot"}, Names: map[string]string{"AZURE_STORAGEBLOB_CONNECTIONSTRING": ""}},
		"shared only":       {Auth: []string{connection.AuthSecret}, Clients: []string{"none"}, Shared: map[string]string{"AZURE_NOTHING": ""}},
		"no client":         {Auth: []string{connection.AuthSecret}, Names: map[string]string{"AZURE_STORAGEBLOB_CONNECTIONSTRING": ""}},
	} {
		target := *c.entries[at].whole()
		target.Bindings = []Binding{wrong}
		if len(target.checkBindings()) == 0 {
			t.Errorf("%s is not refused", name)
		}
	}
}
