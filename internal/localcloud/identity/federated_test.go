package identity_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

func TestFederatedCredentials(t *testing.T) {
	t.Parallel()
	cloud := providertest.New(t)
	front := providertest.NewFront(cloud, identity.New(cloud, "tenant"))
	at := "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/who"
	send := func(method, path string, body provider.Document) string {
		_, err := front.Run(t.Context(), method, path, body)
		var f *provider.Fault
		if errors.As(err, &f) {
			return f.Code
		} else if err != nil {
			t.Fatal(err)
		}
		return ""
	}
	credential := func(issuer, subject string, audiences ...any) provider.Document {
		return provider.Document{"properties": map[string]any{"issuer": issuer, "subject": subject, "audiences": audiences}}
	}
	const issuer, audience = "https://issuer.test/", "api://AzureADTokenExchange"
	send("PUT", at, provider.Document{"location": "westeurope"})
	for _, c := range []struct {
		name string
		body provider.Document
		want string
	}{
		{"one", credential(issuer, "system:serviceaccount:a:b", audience), ""},
		{"one", credential(issuer, "system:serviceaccount:a:b", audience), ""},
		{"two", credential(issuer, "system:serviceaccount:a:b", audience), "Conflict"},
		{"two", credential(issuer, "system:serviceaccount:a:c", audience), ""},
		{"three", credential("http://issuer.test", "s", audience), "BadRequest"},
		{"three", credential(issuer, "", audience), "BadRequest"},
		{"three", credential(issuer, "s", audience, "another"), "BadRequest"},
		{"-x", credential(issuer, "s", audience), "BadRequest"},
	} {
		if got := send("PUT", at+"/federatedIdentityCredentials/"+c.name, c.body); got != c.want {
			t.Errorf("PUT %s %v: %q, want %q", c.name, c.body, got, c.want)
		}
	}
	for n := range 18 {
		send("PUT", fmt.Sprintf("%s/federatedIdentityCredentials/more%d", at, n), credential(issuer, fmt.Sprint("s", n), audience))
	}
	if got := send("PUT", at+"/federatedIdentityCredentials/last", credential(issuer, "last", audience)); got != "FederatedIdentityCredentialLimitExceeded" {
		t.Errorf("the 21st credential: %q", got)
	}
	for range 2 {
		if got := send("DELETE", at+"/federatedIdentityCredentials/two", nil); got != "" {
			t.Errorf("delete: %q", got)
		}
	}
}
