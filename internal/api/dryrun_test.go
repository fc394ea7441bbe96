package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/api/apitest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const rehearsed = `{"properties": {"parameters": {"actionName": "createOrUpdate", "clientType": "go",
	"targetService": {"type": "AzureResource", "id": "/t"}, "authInfo": {"authType": "secret", "name": "ann", "secretInfo": {"secretType": "rawValue", "value": "canary-1"}},
	"publicNetworkSolution": {"firewallRules": {"callerClientIP": "true"}}}}}`

// TestDryrunRoundTrip: what is sent is answered, less its secret and what the version
// does not know, and stands our document.
func TestDryrunRoundTrip(t *testing.T) {
	t.Parallel()
	for _, v := range api.Versions() {
		if v < api.V20221101Preview {
			continue
		}
		properties, secrets, err := api.ReplaceDryrun(v, nil, []byte(rehearsed))
		if err != nil || secrets[connection.SecretSlot].Reveal() != "canary-1" || properties.Auth.Name != "ann" || properties.PublicNetwork.CallerClientIP != "true" {
			t.Fatalf("%s: %+v, %v", v, properties, err)
		}
		c := &connection.Connection{ID: "/s/providers/Microsoft.ServiceLinker/dryruns/d", Name: "d", State: connection.StateSucceeded, Properties: *properties,
			Rehearsal: &connection.Rehearsal{
				Prerequisites: []connection.Prerequisite{{Code: "X", Message: "no"}, {Scope: "/t", Actions: []string{"a/write"}, Role: "Owner"}},
				Previews:      []connection.Preview{{Name: "configFirewallRule", Type: "configNetwork", Description: "d", Action: "a/write", Scope: "/t"}}}}
		raw, err := json.Marshal(api.EncodeDryrun(v, c))
		if err != nil || strings.Contains(string(raw), "canary") {
			t.Fatalf("%s: %s, %v", v, raw, err)
		}
		ours, err := apitest.Load(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := ours.Schema("Dryrun", raw); err != nil {
			t.Errorf("%s: %v in %s", v, err, raw)
		}
		for _, word := range []string{`"type":"basicError"`, `"type":"permissionsMissing"`, `"recommendedRole":"Owner"`, `"operationType":"configNetwork"`, `"actionName":"createOrUpdate"`} {
			if !strings.Contains(string(raw), word) {
				t.Errorf("%s: %s is missing in %s", v, word, raw)
			}
		}
		again, _, err := api.MergeDryrun(v, c, []byte(`{"properties": {"parameters": {"actionName": "createOrUpdate", "clientType": "python"}}}`))
		if err != nil || again.ClientType != "python" || again.Target.ID != "/t" || again.Auth.Name != "ann" {
			t.Errorf("%s: PATCH makes %+v, %v", v, again, err)
		}
		if same, _, err := api.MergeDryrun(v, c, []byte(`{"properties": {}}`)); err != nil || same.ClientType != "go" {
			t.Errorf("%s: an empty PATCH makes %+v, %v", v, same, err)
		}
	}
}

// TestLayConfiguration: members that are sent stand in place of the stored ones.
func TestLayConfiguration(t *testing.T) {
	t.Parallel()
	stored := &connection.Configuration{CustomizedKeys: map[string]string{"A": "B"}, Additional: map[string]string{"X": "1"}}
	if same, err := api.LayConfiguration(api.Newest, stored, nil); err != nil || same != stored {
		t.Errorf("%+v, %v", same, err)
	}
	got, err := api.LayConfiguration(api.Newest, stored, []byte(`{"customizedKeys": {"C": "D"}, "additionalConfigurations": null, "daprProperties": {"componentType": "state.redis"}}`))
	if err != nil || got.CustomizedKeys["A"] != "B" || got.CustomizedKeys["C"] != "D" || got.Additional != nil || got.Dapr["componentType"] != "state.redis" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, wrong := range []string{`[]`, `{"customizedKeys": {"A": 1}}`, `{`} {
		if _, err := api.LayConfiguration(api.Newest, stored, []byte(wrong)); !problem.Is(err, problem.BodyInvalid) && !problem.Is(err, problem.BodyNotJSON) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
