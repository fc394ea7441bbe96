//go:build interop

package interop

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/demo/outside"
)

// place is a kind of source as the newest CLI names it.
type place struct {
	words  []string // before "connection"
	id     string   // after the group's providers
	kind   string
	naming []string // the options that name it
	sticky bool     // its settings' names stay with it
}

var places = map[string]place{
	"function app":     {[]string{"functionapp"}, "Microsoft.Web/sites/functions", "functionapp,linux", []string{"-n", "functions"}, false},
	"slot of a webapp": {[]string{"webapp"}, "Microsoft.Web/sites/" + siteName + "/slots/blue", "app,linux", []string{"-n", siteName, "--slot", "blue"}, true},
}

func (p place) connection(verb, name string, rest ...string) []string {
	words := slices.Concat(p.words, []string{"connection"}, strings.Fields(verb), []string{"-g", group}, p.naming)
	if name != "" {
		words = append(words, "--connection", name)
	}
	return append(words, rest...)
}

// TestFunctionAppsAndSlots lives two connections on each of them with the newest CLI: a
// key of a cache, and a system identity on a storage account.
func TestFunctionAppsAndSlots(t *testing.T) {
	a := newAzure(t, clients[len(clients)-1].path)
	a.signIn()
	for name, p := range places {
		t.Run(name, func(t *testing.T) {
			b := *a // its failures are this test's
			b.t = t
			b.put(b.id(p.id)+"?api-version="+outside.WebVersion, object{"location": location, "kind": p.kind, "properties": object{"reserved": true,
				"siteConfig": object{"linuxFxVersion": "PYTHON|3.12", "appSettings": []any{object{"name": "OWN", "value": "1"}}}}})
			b.lives(p)
		})
	}
}

func (a *azure) lives(p place) {
	a.t.Helper()
	for _, one := range []struct {
		name, verb string
		rest       []string
		settings   []string
	}{
		{"cache", "create redis", []string{"--tg", group, "--server", cache, "--database", "0", "--secret", "--client-type", "python"}, redisSettings},
		{"files", "create storage-blob", []string{"--tg", group, "--account", account, "--system-identity", "--client-type", "python"}, blobSettings},
	} {
		begun := time.Now()
		printed := a.az(p.connection(one.verb, one.name, one.rest...)...)
		equal(a.t, one.verb+": state", word(member(printed, "provisioningState")), "Succeeded")
		equal(a.t, one.verb+": id", strings.EqualFold(word(member(printed, "id")), a.id(p.id)+"/providers/Microsoft.ServiceLinker/linkers/"+one.name), true)
		a.stays(p, one.settings)
		sameConfigurations(a.t, member(a.az(p.connection("list-configuration", one.name)...), "configurations"), a.sourceOf(p), one.settings)
		equal(a.t, "show", word(member(a.az(p.connection("show", one.name)...), "name")), one.name)
		validated("success")(a, a.az(p.connection("validate", one.name)...), outside.Site{})
		a.t.Logf("%5.1f s  az %s connection %s …, list-configuration, show, validate", time.Since(begun).Seconds(), strings.Join(p.words, " "), one.verb)
	}
	listed("cache", "files")(a, a.az(p.connection("list", "")...), outside.Site{})
	equal(a.t, "identity", a.sourceOf(p).Identity, "SystemAssigned")
	for _, name := range []string{"cache", "files"} {
		a.az(p.connection("delete", name, "--yes")...)
	}
	after := a.sourceOf(p)
	equal(a.t, "settings after the deletes", after.Names(), []string{"OWN"})
	equal(a.t, "identity after the deletes", after.Identity, "None")
	a.stays(place{id: p.id}, slices.Concat(redisSettings, blobSettings))
}

func (a *azure) sourceOf(p place) outside.Site {
	a.t.Helper()
	site, err := a.cloud.ReadSite(a.t.Context(), a.id(p.id))
	if err != nil {
		a.t.Fatal(err)
	}
	return site
}

// stays looks whether names are among those that stay in their slot.
func (a *azure) stays(p place, names []string) {
	a.t.Helper()
	site, _, _ := strings.Cut(a.id(p.id), "/slots/")
	raw, err := a.cloud.Want(a.t.Context(), http.MethodGet, site+"/config/slotConfigNames?api-version="+outside.WebVersion, nil, http.StatusOK)
	if err != nil {
		a.t.Fatal(err)
	}
	var there []string
	for _, one := range items(member(raw, "properties", "appSettingNames")) {
		there = append(there, word(one))
	}
	for _, name := range names {
		equal(a.t, name+" stays in its slot", slices.Contains(there, name), p.sticky)
	}
}
