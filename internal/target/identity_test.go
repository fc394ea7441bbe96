package target_test

import (
	"context"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	user      = connection.AuthUserIdentity
	principal = connection.AuthServicePrincipalSecret

	subscription  = "22222222-2222-2222-2222-222222222222"
	identities    = "/subscriptions/" + subscription + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
	ownIdentities = "/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
	shopper       = "/subscriptions/" + subscription + "/resourcegroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/Shopper"
	clientID      = "aaaaaaaa-0000-4000-8000-00000000000a"
	principalID   = "bbbbbbbb-0000-4000-8000-00000000000b"
	tenant        = "cccccccc-0000-4000-8000-00000000000c"
)

func identityDoc(id, client, principal string) map[string]any {
	return map[string]any{"id": id, "properties": map[string]any{"clientId": client, "principalId": principal, "tenantId": tenant}}
}

// known is the world with some identities in it.
func (c *cloud) known() *cloud {
	list := map[string]any{"value": []any{
		identityDoc(strings.Replace(shopper, "Shopper", "other", 1), "dddddddd-0000-4000-8000-00000000000d", "p"),
		identityDoc(shopper, clientID, strings.ToUpper(principalID)),
	}}
	return c.answer(identities, list).answer(ownIdentities, list)
}

func byUserIdentity(id, client string, change ...func(*connection.Connection)) *connection.Connection {
	return link(id, user, client, append([]func(*connection.Connection){func(c *connection.Connection) {
		c.Properties.Auth.ClientID, c.Properties.Auth.SubscriptionID = strings.ToUpper(clientID), subscription
	}}, change...)...)
}

func byServicePrincipal(id, client string, change ...func(*connection.Connection)) *connection.Connection {
	return link(id, principal, client, append([]func(*connection.Connection){func(c *connection.Connection) {
		c.Properties.Auth.ClientID, c.Properties.Auth.PrincipalID = clientID, principalID
	}}, change...)...)
}

// TestIdentityFacts: an identity is found by its client id wherever it lies in the
// subscription, and looked for only when something is granted to it.
func TestIdentityFacts(t *testing.T) {
	t.Parallel()
	noSubscription := func(c *connection.Connection) { c.Properties.Auth.SubscriptionID = "" }
	for _, row := range []struct {
		name  string
		c     *connection.Connection
		want  map[string]string
		lists string // the collection that is read, "" for none
	}{
		{"found", byUserIdentity(blobID, "go"), map[string]string{"identity.id": shopper, "identity.principalId": strings.ToUpper(principalID), "tenantId": tenant}, identities},
		{"in the source's subscription", byUserIdentity(blobID, "go", noSubscription), map[string]string{"identity.id": shopper}, ownIdentities},
		{"without settings", byUserIdentity(dbID, "go", optOutSettings), map[string]string{"identity.id": shopper}, identities},
		{"nothing granted", byUserIdentity(blobID, "go", optOutAuth), map[string]string{"identity.id": ""}, ""},
		{"service principal", byServicePrincipal(blobID, "go"), map[string]string{"identity.id": "", "tenantId": tenant}, ""},
		{"service principal, nothing granted", byServicePrincipal(dbID, "go", optOutAuth), map[string]string{"tenantId": tenant}, ""},
		{"system identity", link(blobID, system, "go"), map[string]string{"identity.id": "", "engine.principalId": ""}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := world().known()
			facts, err := reader(t, w).Facts(context.Background(), row.c)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range row.want {
				if got := facts.Text(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			for _, path := range []string{identities, ownIdentities} {
				want := 0
				if path == row.lists {
					want = 1
				}
				if got := w.seen["GET "+path]; got != want {
					t.Errorf("%s was read %d times, want %d", path, got, want)
				}
			}
		})
	}
}

// TestIdentityOnALaterPage: the collection has no filter, so every page counts.
func TestIdentityOnALaterPage(t *testing.T) {
	t.Parallel()
	w := world()
	r := reader(t, w)
	more := strings.TrimSuffix(identities, "userAssignedIdentities") + "page2"
	w.answer(identities, map[string]any{"value": []any{}, "nextLink": w.base + more})
	w.answer(more, map[string]any{"value": []any{identityDoc(shopper, clientID, principalID)}})
	facts, err := r.Facts(context.Background(), byUserIdentity(blobID, "go"))
	if err != nil || facts.Text(connection.FactIdentity) != shopper {
		t.Errorf("%v %v", facts, err)
	}
}

func TestIdentityNotFound(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		cloud *cloud
		code  problem.Code
		words string
	}{
		{"no such client id", world().answer(identities, map[string]any{"value": []any{identityDoc(shopper, principalID, clientID)}}), problem.IdentityNotFound, clientID},
		{"no such subscription", world(), problem.IdentityNotFound, subscription},
		{"no right to look", world().answer(identities, 403), problem.EngineLacksRight, "N/t/read"},
		{"broken cloud", world().answer(identities, 500), problem.ARMRefused, "InternalServerError"},
		{"target gone too", world().answer(account, 404), problem.TargetNotFound, account},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			facts, err := reader(t, row.cloud).Facts(context.Background(), byUserIdentity(blobID, "go"))
			if !problem.Is(err, row.code) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(row.words)) {
				t.Fatalf("%v is not %s with %q", err, row.code, row.words)
			}
			if row.code != problem.IdentityNotFound {
				return
			}
			if p := problem.As(err); !strings.Contains(p.Fix, "patchbay rest GET "+identities) || p.Resource != "/subscriptions/"+subscription {
				t.Errorf("%s on %s does not help", p.Fix, p.Resource)
			}
			if facts.Text("endpoint") == "" {
				t.Error("the facts of what is there are missing")
			}
		})
	}
}

func TestCheckPrincipals(t *testing.T) {
	t.Parallel()
	auth := func(f func(*connection.Auth)) func(*connection.Connection) {
		return func(c *connection.Connection) { f(c.Properties.Auth) }
	}
	noClient := auth(func(a *connection.Auth) { a.ClientID = "" })
	noObject := auth(func(a *connection.Auth) { a.PrincipalID = "" })
	for _, row := range []struct {
		name   string
		c      *connection.Connection
		given  connection.Secrets
		code   problem.Code // "" when it is accepted
		phrase string
	}{
		{"user identity", byUserIdentity(dbID, "go"), nil, "", ""},
		{"user identity without a subscription", byUserIdentity(dbID, "go", auth(func(a *connection.Auth) { a.SubscriptionID = "" })), nil, "", ""},
		{"user identity that is not named", byUserIdentity(dbID, "go", noClient), nil, problem.BodyInvalid, "authInfo.clientId is missing"},
		{"user identity that nothing needs", byUserIdentity(dbID, "go", noClient, optOutAuth, optOutSettings), nil, "", ""},
		{"user identity by its name", byUserIdentity(dbID, "go", auth(func(a *connection.Auth) { a.ClientID = "shopper" })), nil, problem.BodyInvalid, `"shopper", which is no GUID`},
		{"a path for a subscription", byUserIdentity(dbID, "go", auth(func(a *connection.Auth) { a.SubscriptionID = "x/../y" })), nil, problem.BodyInvalid, "subscriptionId"},
		{"redis has no settings for it", byUserIdentity(cacheID, "springBoot"), nil, problem.ClientUnsupported, "key only"},
		{"service principal", byServicePrincipal(dbID, "go"), given("s"), "", ""},
		{"service principal without its secret", byServicePrincipal(dbID, "go"), nil, problem.SecretNeeded, "secret of service principal " + clientID},
		{"service principal without settings needs none", byServicePrincipal(dbID, "go", optOutSettings), nil, "", ""},
		{"service principal without object id", byServicePrincipal(dbID, "go", noObject), given("s"), problem.BodyInvalid, "authInfo.principalId is missing"},
		{"service principal that is granted nothing", byServicePrincipal(dbID, "go", noObject, optOutAuth), given("s"), "", ""},
		{"service principal without client id", byServicePrincipal(dbID, "go", noClient), given("s"), problem.BodyInvalid, "authInfo.clientId is missing"},
		{"a role by a wrong name", byServicePrincipal(blobID, "go", auth(func(a *connection.Auth) { a.Roles = []string{"Storage Blob Data Readr"} })), given("s"), problem.OptionUnsupported, "did you mean"},
	} {
		err := reader(t, world()).Check(row.c, row.given)
		switch {
		case row.code == "" && err != nil:
			t.Errorf("%s: %v", row.name, err)
		case row.code != "" && (!problem.Is(err, row.code) || !strings.Contains(err.Error(), row.phrase)):
			t.Errorf("%s: %v is not %s with %q", row.name, err, row.code, row.phrase)
		case row.code == problem.BodyInvalid && !strings.HasPrefix(problem.As(err).Fix, "--"):
			t.Errorf("%s: %q is no fix", row.name, problem.As(err).Fix)
		}
	}
}

// TestWhatIsGrantedIsNamedAfterWhoGetsIt: two apps that sign in as the same share their
// rights; the one goes on when the other is taken down. Each source carries its own.
func TestWhatIsGrantedIsNamedAfterWhoGetsIt(t *testing.T) {
	t.Parallel()
	other := func(c *connection.Connection) { c.Source += "2" }
	for name, row := range map[string]struct {
		one, two *connection.Connection
		shared   bool
	}{
		"user identity":     {byUserIdentity(cacheID, "go"), byUserIdentity(cacheID, "go", other), true},
		"service principal": {byServicePrincipal(cacheID, "go"), byServicePrincipal(cacheID, "go", other), true},
		"one as the other":  {byUserIdentity(cacheID, "go"), byServicePrincipal(cacheID, "go", other), true},
		"system identity":   {link(cacheID, system, "go"), link(cacheID, system, "go", other), false},
	} {
		keys := map[connection.Kind][]string{}
		for _, c := range []*connection.Connection{row.one, row.two} {
			c.Properties.Auth.Roles = []string{"Redis Cache Contributor"}
			facets, err := derive(t, world().known(), c, given("s"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range facets {
				keys[f.Kind] = append(keys[f.Kind], f.Fold())
			}
		}
		for _, kind := range []connection.Kind{connection.KindRole, connection.KindAccess} {
			if k := keys[kind]; len(k) != 2 || (k[0] == k[1]) != row.shared {
				t.Errorf("%s: %s facets %v", name, kind, k)
			}
		}
		if k := keys[connection.KindIdentity]; len(k) == 2 && k[0] == k[1] {
			t.Errorf("%s: two sources have one identity facet %v", name, k)
		}
	}
}

// TestDeriveWithoutAnIdentity: what is not known stops the derivation; nobody is let in
// under an empty id.
func TestDeriveWithoutAnIdentity(t *testing.T) {
	t.Parallel()
	r := reader(t, world())
	known := connection.Facts{connection.FactIdentityPrincipal: connection.Plain(principalID)}
	for name, row := range map[string]struct {
		c     *connection.Connection
		facts connection.Facts
	}{
		"no principal":        {byUserIdentity(blobID, "go"), connection.Facts{}},
		"no id":               {byUserIdentity(blobID, "go"), known},
		"no object id":        {byServicePrincipal(blobID, "go", func(c *connection.Connection) { c.Properties.Auth.PrincipalID = "" }), known},
		"an auth type of his": {link(blobID, connection.AuthUserAccount, "go"), known},
	} {
		if _, err := r.Derive(row.c, row.facts, given("s")); err == nil || !strings.Contains(err.Error(), "derive identity") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestServicePrincipalSettingsHideTheSecret: the secret is a secret wherever it goes.
func TestServicePrincipalSettingsHideTheSecret(t *testing.T) {
	t.Parallel()
	for _, id := range []string{dbID, cacheID, blobID} {
		facets, err := derive(t, world(), byServicePrincipal(id, "go"), given("can ary"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range facets {
			v := f.Want[connection.AttrValue]
			if strings.Contains(v.Text, "can ary") {
				found = true
				if !v.Secret || !strings.HasSuffix(f.Name, "_CLIENTSECRET") {
					t.Errorf("%s shows the secret", f.Name)
				}
			}
		}
		if !found {
			t.Errorf("%s: the app gets no secret", id)
		}
	}
}
