package app

import (
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/target"
)

// TestSecretsOfEveryTarget drives a connection by each way in that knows a secret, to each
// target that has a file, through good and bad days, with settings in the app, in a vault
// and in a store. Neither what is kept, logged, planned and answered nor any command line
// tells the secret.
func TestSecretsOfEveryTarget(t *testing.T) {
	t.Parallel()
	o := plant(t)
	stop := make(chan struct{})
	var lines []byte
	var wg sync.WaitGroup
	wg.Go(func() { lines = watch(stop) })
	a := &aviary{connector: o.s, t: t, secrets: canaries{"the engine's client secret": o.s.engine.ClientSecret, "the user's client secret": o.c.ready.ClientSecret, "the user's token": o.c.token}}
	ways := 0
	for name := range o.all {
		t.Run(name, func(t *testing.T) {
			o.c.t, a.t = t, t
			g := o.field(t, name)
			all := a.secrets
			a.secrets = planted(g)
			for _, auth := range g.target.Offered(target.ReadyAuth()) {
				if clients := g.clients(auth); len(clients) > 0 && secretive(g.target, auth) {
					a.days(g, auth, clients[0])
					ways++
				}
			}
			a.secrets.searchFolder(t, name, a.home, "seal.key")
			maps.Copy(all, a.secrets)
			a.secrets = all
		})
	}
	o.c.t, a.t = t, t
	t.Run("stores", func(t *testing.T) { a.t, o.c.t = t, t; a.stores(o) })
	o.c.t, a.t = t, t
	close(stop)
	wg.Wait()
	a.search("at the end")
	a.secrets.searchText(t, "the command lines of all processes", lines)
	t.Logf("%d ways in, %d secrets", ways, len(a.secrets))
}

// secretive tells whether an app that signs in so has a secret. A principal's goes the
// same way whatever the target; two stand for all, one of which has users in a database.
func secretive(t *catalog.Target, auth string) bool {
	how := t.Auth[auth]
	principal := auth == connection.AuthServicePrincipalSecret || auth == connection.AuthServicePrincipalCertificate
	return how.Given || how.Key != "" || principal && (t.Name == "storage-blob" || t.Name == "postgres-flexible")
}

// planted are the target's keys and the secret that its user gives, which a test tells
// apart only when they are long.
func planted(g *field) canaries {
	found := canaries{g.name + "'s principal": g.sp.ClientSecret}
	for name, key := range g.target.Keys {
		if !key.Open && len(g.facts[name]) >= 12 {
			found[g.name+"'s "+name] = g.facts[name]
		}
	}
	if len(g.Secret.Value) >= 12 {
		found[g.name+"'s secret"] = g.Secret.Value
	}
	return found
}

// days makes a connection that fails first, looks at it from every side and removes it.
func (a *aviary) days(g *field, auth, client string) {
	a.t.Helper()
	info, _ := g.auth(a.t, auth, "canary")
	if pem, ok := info["certificate"].(string); ok {
		private := strings.Split(pem[strings.Index(pem, "PRIVATE KEY"):], "\n")
		a.secrets[g.name+"'s certificate"] = private[2]
	}
	url := g.site + "/providers/Microsoft.ServiceLinker/linkers/canary"
	plan := strings.Replace(url, "Microsoft.ServiceLinker/linkers", "Patchbay/connections", 1) + "/plan"
	body := g.body(info, client)
	when := g.name + " by " + auth
	a.secrets.searchText(a.t, when+": the plan", a.call("POST", plan, body).Raw)
	g.c.faults(map[string]any{"method": "PUT", "path": "/config/appsettings$", "status": 400, "code": "Refused"})
	failed := a.do("PUT", url, body)
	g.c.faults()
	if failed.text("status") != "Failed" {
		a.t.Errorf("%s: is made although the app refuses its settings: %s", when, failed.Raw)
	}
	a.secrets.searchText(a.t, when+": the failure", failed.Raw)
	a.secrets.searchText(a.t, when+": the failed connection", a.call("GET", url, nil).Raw)
	op := a.do("PUT", url, body)
	if op.text("status") != "Succeeded" {
		a.t.Errorf("%s: %s", when, op.Raw)
	}
	if configs := a.call("POST", url+"/listConfigurations", nil); len(a.secrets.in(configs.Raw)) == 0 {
		a.t.Errorf("%s: not even its configurations tell the secret, so that nothing was looked for: %s", when, tail(configs.Raw, 300))
	}
	id := op.text("id")
	for _, path := range []string{url, "/providers/Patchbay/operations/" + id, "/providers/Patchbay/operations/" + id + "/events"} {
		a.secrets.searchText(a.t, when+": GET "+path, a.call("GET", path, nil).Raw)
	}
	a.looked(when, url)
	a.secrets.searchText(a.t, when+": the deletion", a.do("DELETE", url, nil).Raw)
}

// looked validates and compares.
func (a *aviary) looked(when, url string) {
	a.t.Helper()
	validation := a.call("POST", url+"/validateLinker", nil)
	a.secrets.searchText(a.t, when+": the validation", a.await(validation.Header.Get("X-Patchbay-Operation")).Raw)
	a.secrets.searchText(a.t, when+": what was found", a.cloud.call("", a.cloud.token, "GET", validation.Header.Get("Azure-AsyncOperation"), nil).Raw)
}

// stores keeps a given password in a vault, and a fetched key in a store with a vault
// behind it: there they may be, and nowhere else.
func (a *aviary) stores(o *orchard) {
	a.t.Helper()
	vault, store := o.c.vault("canaries"), o.c.configStore("canaries")
	o.c.makeVault("canaries", map[string]any{"enableRbacAuthorization": true})
	o.c.makeConfigStore("canaries", map[string]any{})
	for name, kept := range map[string][2]string{"selfhosted-postgres": {vault, ""}, "confluent-cloud": {vault, ""}, "redis": {vault, store}, "storage-queue": {vault, store}} {
		g := o.field(a.t, name)
		linkers := g.site + "/providers/Microsoft.ServiceLinker/linkers/"
		for helped, id := range map[string]string{"vault_abcde": kept[0], "store_abcde": kept[1]} {
			if id != "" {
				a.must(a.t, "PUT", linkers+helped, helper(id))
			}
		}
		info, _ := g.auth(a.t, connection.AuthSecret, "canary")
		a.must(a.t, "PUT", linkers+"kept", keptIn(g.body(info, "java"), kept[0], kept[1]))
		for setting, value := range g.settings() {
			for _, secret := range a.secrets.in([]byte(value)) {
				a.t.Errorf("%s: %s stands in the app's %s, not in the vault", name, secret, setting)
			}
		}
		a.secrets.searchText(a.t, name+": GET", a.call("GET", linkers+"kept", nil).Raw)
		a.looked(name+" in a vault", linkers+"kept")
		a.must(a.t, "DELETE", linkers+"kept", nil)
	}
}
