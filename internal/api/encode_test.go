package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/api/apitest"
	"github.com/patchbay/patchbay/internal/connection"
)

// checkAnswers holds a connection's answers in every version to the documents.
func checkAnswers(t *testing.T, contracts map[api.Version]*apitest.Contract, name, wire string) {
	t.Helper()
	c := &connection.Connection{ID: somewhere, Name: "c1", State: connection.StateSucceeded, Properties: *api.Unwire(object(t, wire))}
	for v, contract := range contracts {
		for status, answer := range map[int]any{http.StatusOK: api.Encode(v, c), http.StatusCreated: api.EncodeAccepted(v, c)} {
			raw, err := json.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			method := http.MethodGet
			if status == http.StatusCreated {
				method = http.MethodPut
			}
			if err := contract.Response(method, somewhere, status, nil, raw); err != nil {
				t.Errorf("%s in %s: %v", name, v, err)
			}
		}
	}
}

func sample(t *testing.T, wire string) *connection.Connection {
	t.Helper()
	at := time.Date(2026, 3, 4, 5, 6, 7, 890123400, time.FixedZone("", 3600))
	return &connection.Connection{
		ID: somewhere, Name: "c1", State: connection.StateSucceeded, Properties: *api.Unwire(object(t, wire)),
		System: connection.SystemData{CreatedBy: "ann@example.com", CreatedByType: "User", CreatedAt: at, LastModifiedBy: "bot", LastModifiedByType: "Application", LastModifiedAt: at},
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	for name, c := range cases(t, "testdata/answers.txtar") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := sample(t, c["stored"])
			if c["state"] != "" {
				conn.State = c["state"]
			}
			for part, want := range c {
				kind, version, ok := strings.Cut(part, " ")
				if !ok {
					continue
				}
				encode := api.Encode
				if kind == "put" {
					encode = api.EncodeAccepted
				}
				got := plain(t, encode(api.Version(version), conn)).(map[string]any)
				if d := cmp.Diff(plain(t, object(t, want)), got["properties"]); d != "" {
					t.Errorf("%s: %s", part, d)
				}
			}
		})
	}
}

func TestEncodeEnvelope(t *testing.T) {
	t.Parallel()
	got := api.Encode(api.V20220501, sample(t, `{"targetService": {"type": "AzureResource"}}`))
	delete(got, "properties")
	want := map[string]any{"id": somewhere, "name": "c1", "type": "microsoft.servicelinker/linkers", "systemData": map[string]any{
		"createdBy": "ann@example.com", "createdByType": "User", "createdAt": "2026-03-04T04:06:07.8901234Z",
		"lastModifiedBy": "bot", "lastModifiedByType": "Application", "lastModifiedAt": "2026-03-04T04:06:07.8901234Z",
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEncodeConfigurations(t *testing.T) {
	t.Parallel()
	rows := []api.Row{{Name: "A", Value: "1"}}
	for v, want := range map[api.Version]string{
		api.V20220501:        `{"configurations": [{"name": "A", "value": "1"}]}`,
		api.V20221101Preview: `{"configurations": [{"name": "A", "value": "1"}]}`,
		api.V20240701Preview: `{"configurations": [{"name": "A", "value": "1", "configType": "Default", "keyVaultReferenceIdentity": null, "description": ""}]}`,
	} {
		if d := cmp.Diff(plain(t, object(t, want)), plain(t, api.EncodeConfigurations(v, rows))); d != "" {
			t.Errorf("%s: %s", v, d)
		}
	}
	kept := []api.Row{{Name: "A", Value: "@Microsoft.KeyVault(SecretUri=https://v/secrets/a)"}}
	raw, err := json.Marshal(api.EncodeConfigurations(api.Newest, kept))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(raw); !strings.Contains(got, "KeyVaultSecret") || !strings.Contains(got, "Key vault secret.") {
		t.Errorf("a reference: %s", got)
	}
	if d := cmp.Diff(plain(t, object(t, `{"configurations": []}`)), plain(t, api.EncodeConfigurations(api.Newest, nil))); d != "" {
		t.Error(d)
	}
}

// A secret in an answer is caught by the document.
func TestDocumentForbidsSecretsInAnswers(t *testing.T) {
	t.Parallel()
	for _, v := range api.Versions() {
		contract, err := apitest.Load(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, auth := range []string{
			`{"authType": "secret", "secretInfo": {"secretType": "rawValue", "value": "leak"}}`,
			`{"authType": "servicePrincipalSecret", "clientId": "c", "principalId": "p", "secret": "leak"}`,
			`{"authType": "servicePrincipalCertificate", "clientId": "c", "principalId": "p", "certificate": "leak"}`,
		} {
			body := `{"properties": {"targetService": {"type": "AzureResource"}, "authInfo": ` + auth + `}}`
			if err := contract.Response(http.MethodGet, somewhere, http.StatusOK, nil, []byte(body)); err == nil {
				t.Errorf("%s: an answer with a secret is accepted: %s", v, auth)
			}
			if err := contract.Request(http.MethodPut, somewhere, []byte(body)); err != nil {
				t.Errorf("%s: %v", v, err)
			}
		}
	}
}
