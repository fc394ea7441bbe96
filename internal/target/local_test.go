package target_test

import (
	"context"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/target"
)

// localLink is a connection without a source.
func localLink(id, auth, client string, change ...func(*connection.Connection)) *connection.Connection {
	c := link(id, auth, client, change...)
	c.ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceLinker/locations/l/connectors/" + c.Name
	c.Source = c.ID
	return c
}

func fromHere(address string) func(*connection.Connection) {
	return func(c *connection.Connection) {
		c.Properties.PublicNetwork = &connection.PublicNetwork{HasRules: true, CallerClientIP: "true", CallerAddress: address}
	}
}

// TestLocalFacts: no source is looked for, and no right on one is needed.
func TestLocalFacts(t *testing.T) {
	t.Parallel()
	c := localLink(blobID, connection.AuthSecret, "go")
	r := reader(t, world())
	r.Source = func(context.Context, string) (target.Source, error) {
		return target.Source{}, problem.New(problem.SourceNotFound, c.Source, "there is none")
	}
	if _, err := r.Facts(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	for _, right := range r.Reads(c) {
		if strings.Contains(strings.ToLower(right.Action), "servicelinker") {
			t.Errorf("%+v is needed", right)
		}
	}
}

// TestLocalAuth: a person or a key signs in, and nobody's managed identity.
func TestLocalAuth(t *testing.T) {
	t.Parallel()
	person := func(c *connection.Connection) { c.Properties.Auth.PrincipalID = principalID }
	for auth, allowed := range map[string]bool{
		connection.AuthSecret: true, connection.AuthUserAccount: true, connection.AuthSystemIdentity: false, connection.AuthUserIdentity: false,
	} {
		err := reader(t, world()).Check(localLink(blobID, auth, "go", person), nil)
		if auth == connection.AuthSecret {
			err = reader(t, world()).Check(localLink(blobID, auth, "go"), nil)
		}
		if allowed && err != nil || !allowed && !problem.Is(err, problem.AuthUnsupported) {
			t.Errorf("%s: %v", auth, err)
		}
	}
	if err := reader(t, world()).Check(link(blobID, connection.AuthUserAccount, "go", person), nil); !problem.Is(err, problem.AuthUnsupported) {
		t.Errorf("a person in an app: %v", err)
	}
}

// TestPersonIsGranted: rights go to the person as a user, or as the application it is.
func TestPersonIsGranted(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{"": "User", "ServicePrincipal": ""} {
		facets, err := derive(t, world(), localLink(blobID, connection.AuthUserAccount, "go", func(c *connection.Connection) {
			c.Properties.Auth.PrincipalID, c.Properties.Auth.PrincipalType = principalID, kind
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		roles := 0
		for _, f := range facets {
			if f.Kind == connection.KindIdentity {
				t.Errorf("an identity is switched on: %v", f)
			}
			if f.Kind == connection.KindRole {
				roles++
				if f.Want[connection.AttrPrincipalType].Text != want || f.Want[connection.AttrPrincipalID].Text != principalID {
					t.Errorf("%v", f.Want)
				}
			}
		}
		if roles == 0 {
			t.Error("no role is granted")
		}
	}
}

// TestCallerIsLetIn: by the address the caller had; one that is not known, or that
// firewalls cannot hold, is said and not guessed.
func TestCallerIsLetIn(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"203.0.113.7": "203.0.113.7", "": "", "2001:db8::1": ""} {
		c := localLink(dbID, connection.AuthSecret, "go", fromHere(address), func(c *connection.Connection) { c.Properties.Auth.Name = "ann" })
		r := reader(t, world())
		facts, err := r.Facts(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		facets, err := r.Derive(c, facts, given("p"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range facets {
			if f.Kind == connection.KindFirewall && !f.Scaffold {
				got += f.Want[connection.AttrStart].Text
			}
		}
		if got != want {
			t.Errorf("%q: %q is let in", address, got)
		}
		if said := strings.Contains(facts.Text(connection.FactWarning), "PATCHBAY_EGRESS_ADDRESS"); said != (address == "") {
			t.Errorf("%q: warning %q", address, facts.Text(connection.FactWarning))
		}
	}
}

// TestDaprOfATarget: a component is one setting that is a file; it can be had locally only.
func TestDaprOfATarget(t *testing.T) {
	t.Parallel()
	words := func(c *connection.Connection) {
		c.Properties.Configuration = &connection.Configuration{Dapr: map[string]any{"componentType": "state.azure.blobstorage", "secretStoreComponent": "vault",
			"metadata": []any{map[string]any{"name": "containerName", "value": "box"}}, "scopes": []any{"app1"}}}
	}
	c := localLink(blobID, connection.AuthSecret, "dapr", words)
	r := reader(t, world())
	if err := r.Check(c, nil); err != nil {
		t.Fatal(err)
	}
	facets, err := derive(t, world(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, f := range facets {
		if f.Kind != connection.KindSetting {
			continue
		}
		files++
		text := f.Want[connection.AttrValue]
		for _, word := range []string{"type: state.azure.blobstorage", "value: box", "secretStore: vault", "- app1", "secretKeyRef"} {
			if !strings.Contains(text.Text, word) {
				t.Errorf("%s lacks %s:\n%s", f.Name, word, text.Text)
			}
		}
		if text.Secret {
			t.Error("a file without a secret is hidden")
		}
	}
	if files != 1 {
		t.Errorf("%d files", files)
	}
	for name, row := range map[string]struct {
		c    *connection.Connection
		code problem.Code
	}{
		"in an app":       {link(blobID, connection.AuthSecret, "dapr", words), problem.OptionUnsupported},
		"without a word":  {localLink(blobID, connection.AuthSecret, "dapr"), problem.OptionUnsupported},
		"of another type": {localLink(blobID, connection.AuthSecret, "go", words), problem.OptionUnsupported},
	} {
		if err := r.Check(row.c, nil); !problem.Is(err, row.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
