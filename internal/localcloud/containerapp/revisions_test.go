package containerapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

// actAs makes the test binary the program of a container: it shows its variables.
const actAs = "CONTAINER_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(actAs) == "" {
		os.Exit(m.Run())
	}
	err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(os.Environ())
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// program is an app whose first container runs; more are variables of it.
func program(mode string, more ...any) provider.Document {
	env := append([]any{object{"name": actAs, "value": "1"}, object{"name": "S", "secretRef": "one"}}, more...)
	doc := app(ingress(nil), "local/it")
	properties := doc["properties"].(object)
	properties["configuration"].(object)["activeRevisionsMode"] = mode
	properties["configuration"].(object)["secrets"] = []any{object{"name": "one", "value": "first"}}
	properties["template"] = object{"containers": []any{object{"name": "main", "image": "local/it", "command": []any{os.Args[0]}, "env": env}}}
	return doc
}

func (b *bench) refused(method, path string, body provider.Document, code string) {
	b.t.Helper()
	var f *provider.Fault
	if _, err := b.front.Run(b.t.Context(), method, path, body); !errors.As(err, &f) || f.Code != code {
		b.t.Errorf("%s %s: %v, want %s", method, path, err, code)
	}
}

// member reads a member of the app's properties.
func (b *bench) member(path ...string) string {
	b.t.Helper()
	return provider.Text(b.run("GET", appID, nil).Body, append([]string{"properties"}, path...)...)
}

// until waits for the app's latest revision to be ready.
func (b *bench) until(ready bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); (b.member("latestRevisionName") == b.member("latestReadyRevisionName")) != ready; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("latest %s, ready %s", b.member("latestRevisionName"), b.member("latestReadyRevisionName"))
		}
	}
}

// variables are what the program at the app's address was given.
func (b *bench) variables() map[string]string {
	b.t.Helper()
	status, said := b.get("127.0.0.9", b.member("configuration", "ingress", "fqdn"))
	var list []string
	if err := json.Unmarshal([]byte(said), &list); err != nil {
		b.t.Fatalf("%d %s: %v", status, said, err)
	}
	out := map[string]string{}
	for _, v := range list {
		name, value, _ := strings.Cut(v, "=")
		out[name] = value
	}
	return out
}

func patch(properties object) provider.Document { return provider.Document{"properties": properties} }

func TestProgramGetsExactlyItsVariables(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("PUT", appID, program("Single", object{"name": "PLAIN", "value": "x"}))
	b.until(true)
	got := b.variables()
	if got["S"] != "first" || got["PLAIN"] != "x" || got["CONTAINER_APP_NAME"] != "app1" || got["CONTAINER_APP_REVISION"] != b.member("latestRevisionName") {
		t.Errorf("variables %v", got)
	}
	var names []string
	for name := range got {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := "CONTAINER_APP_NAME CONTAINER_APP_REPLICA_NAME CONTAINER_APP_REVISION CONTAINER_TEST HOME IDENTITY_ENDPOINT IDENTITY_HEADER LANG PATH PLAIN PORT S SSL_CERT_FILE"; strings.Join(names, " ") != want {
		t.Errorf("variables\n%s, want\n%s", strings.Join(names, " "), want)
	}
}

// A write that changes secrets only does not reach a running replica until its revision
// is restarted.
func TestSecretAloneDoesNotReachTheProgram(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("PUT", appID, program("Single"))
	b.until(true)
	revision := b.member("latestRevisionName")
	b.run("PATCH", appID, patch(object{"configuration": object{"secrets": []any{object{"name": "one", "value": "second"}}}}))
	if got := b.variables()["S"]; got != "first" || b.member("latestRevisionName") != revision {
		t.Errorf("S is %q in %s", got, b.member("latestRevisionName"))
	}
	b.run("POST", appID+"/revisions/"+revision+"/restart", nil)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if status, _ := b.get("127.0.0.9", b.member("configuration", "ingress", "fqdn")); status == http.StatusOK {
			break
		} else if time.Now().After(end) {
			t.Fatal(status)
		}
	}
	if got := b.variables()["S"]; got != "second" {
		t.Errorf("S is %q after a restart", got)
	}
}

// PUT answers 201 with the app, PATCH 202 without; both say InProgress until their work
// is done, and meanwhile nothing else is taken.
func TestWritesTakeTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, err := b.front.Do(t.Context(), "PUT", appID, program("Single"))
	if err != nil || r.Status != http.StatusCreated || r.Later == nil || b.member("provisioningState") != "InProgress" {
		t.Fatalf("PUT: %+v %v", r, err)
	}
	b.refused("PATCH", appID, provider.Document{"tags": object{"a": "b"}}, "ContainerAppOperationInProgress")
	if err := r.Finish(t.Context()); err != nil || b.member("provisioningState") != "Succeeded" {
		t.Errorf("%s %v", b.member("provisioningState"), err)
	}
	r, err = b.front.Do(t.Context(), "PATCH", appID, provider.Document{"tags": object{"a": "b"}})
	if err != nil || r.Status != http.StatusAccepted || len(r.Body) != 0 || b.member("provisioningState") != "InProgress" {
		t.Errorf("PATCH: %+v %v", r, err)
	}
	if err := r.Finish(t.Context()); err != nil || b.member("provisioningState") != "Succeeded" {
		t.Errorf("%s %v", b.member("provisioningState"), err)
	}
}

// A merge patch replaces arrays whole: what is left out is gone.
func TestArraysAreReplacedWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	doc := program("Single")
	template := doc["properties"].(object)["template"].(object)
	template["containers"] = append(template["containers"].([]any), object{"name": "side", "image": "i"})
	template["scale"] = object{"maxReplicas": 3.0}
	b.run("PUT", appID, doc)
	b.run("PATCH", appID, patch(object{"template": object{"containers": []any{object{"name": "side", "image": "i"}}}}))
	after := b.run("GET", appID, nil).Body
	containers, _ := provider.At(after, "properties", "template", "containers").([]any)
	if len(containers) != 1 || provider.At(after, "properties", "template", "scale") == nil {
		t.Errorf("after a PATCH: %v", after)
	}
}

func TestReferencesAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.refused("PUT", appID, program("Single", object{"name": "X", "secretRef": "none"}), "ContainerAppSecretRefNotFound")
	b.run("PUT", appID, program("Multiple"))
	b.until(true)
	none := patch(object{"configuration": object{"secrets": []any{}}})
	b.refused("PATCH", appID, none, "ContainerAppSecretRefNotFound")
	plain := object{"containers": []any{object{"name": "main", "image": "i"}}}
	first := b.member("latestRevisionName")
	b.refused("PATCH", appID, patch(object{"template": plain, "configuration": object{"secrets": []any{}}}), "ContainerAppSecretInUse")
	b.run("PATCH", appID, patch(object{"template": plain}))
	b.refused("PATCH", appID, none, "ContainerAppSecretInUse")
	b.run("POST", appID+"/revisions/"+first+"/deactivate", nil)
	b.run("PATCH", appID, none)
}

// In single mode the revision before ends when the new one is ready, and serves until then.
func TestSingleMode(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("PUT", appID, program("Single"))
	b.until(true)
	first := b.member("latestRevisionName")
	broken := program("Single")
	broken["properties"].(object)["template"].(object)["containers"].([]any)[0].(object)["command"] = []any{"/nowhere/program"}
	b.run("PUT", appID, broken)
	failed := b.run("GET", appID+"/revisions/"+b.member("latestRevisionName"), nil).Body
	if b.member("latestReadyRevisionName") != first || provider.Text(failed, "properties", "provisioningState") != "Failed" || b.variables()["CONTAINER_APP_REVISION"] != first {
		t.Errorf("with a program that does not start: %s is ready, %v", b.member("latestReadyRevisionName"), failed)
	}
	b.run("PUT", appID, program("Single", object{"name": "NEW", "value": "1"}))
	b.until(true)
	if got := b.variables()["NEW"]; got != "1" {
		t.Errorf("NEW is %q", got)
	}
	for end := time.Now().Add(10 * time.Second); provider.At(b.run("GET", appID+"/revisions/"+first, nil).Body, "properties", "active") != false; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the first revision stays active")
		}
	}
}

func TestMultipleModeSharesByWeight(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("PUT", appID, program("Multiple"))
	b.until(true)
	first := b.member("latestRevisionName")
	weigh := func(old, latest float64) {
		b.run("PATCH", appID, patch(object{"configuration": object{"ingress": object{"traffic": []any{
			object{"revisionName": first, "weight": old}, object{"latestRevision": true, "weight": latest}}}}}))
	}
	weigh(100, 0)
	b.run("PATCH", appID, patch(object{"template": object{"revisionSuffix": "second"}}))
	b.until(true)
	if got := b.variables()["CONTAINER_APP_REVISION"]; got != first {
		t.Errorf("with all weight on the first, %s answers", got)
	}
	weigh(50, 50)
	seen := map[string]int{}
	for range 100 {
		seen[b.variables()["CONTAINER_APP_REVISION"]]++
	}
	if seen[first] != 50 || seen["app1--second"] != 50 {
		t.Errorf("shared out %v", seen)
	}
	for _, traffic := range [][]any{{object{"latestRevision": true, "weight": 99.0}}, {object{"revisionName": "none", "weight": 100.0}}} {
		b.refused("PATCH", appID, patch(object{"configuration": object{"ingress": object{"traffic": traffic}}}), "ContainerAppInvalidTraffic")
	}
	b.refused("PATCH", appID, patch(object{"template": object{"scale": object{"maxReplicas": 2.0}}}), "InvalidParameterValueInContainerTemplate")
}

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("PUT", appID, program("Single"))
	b.until(true)
	b.run("POST", appID+"/stop", nil)
	if status, _ := b.get("127.0.0.9", b.member("configuration", "ingress", "fqdn")); status != http.StatusNotFound {
		t.Errorf("stopped, the app answers %d", status)
	}
	b.run("POST", appID+"/start", nil)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if status, _ := b.get("127.0.0.9", b.member("configuration", "ingress", "fqdn")); status == http.StatusOK {
			return
		} else if time.Now().After(end) {
			t.Fatalf("started, the app answers %d", status)
		}
	}
}

// An identity switched off and on is another one; types are spelled without a blank; a
// type alone drops what it does not name; a PUT without the member resets it.
func TestIdentity(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("PUT", appID, program("Single"))
	user := "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u"
	if _, err := providertest.NewFront(b.cloud, identity.New(b.cloud, "tenant")).Run(t.Context(), "PUT", user, provider.Document{"location": "westeurope"}); err != nil {
		t.Fatal(err)
	}
	set := func(block object) provider.Document {
		b.run("PATCH", appID, provider.Document{"identity": block})
		return b.run("GET", appID, nil).Body
	}
	first := provider.Text(set(object{"type": "SystemAssigned"}), "identity", "principalId")
	off := provider.Text(set(object{"type": "None"}), "identity", "type")
	second := provider.Text(set(object{"type": "SystemAssigned"}), "identity", "principalId")
	if first == "" || second == "" || first == second || off != "None" {
		t.Errorf("principals %q and %q, off it is %q", first, second, off)
	}
	both := set(object{"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": object{user: object{}}})
	if got := provider.Text(both, "identity", "type"); got != "SystemAssigned,UserAssigned" {
		t.Errorf("type %q", got)
	}
	if kept := provider.Text(both, "identity", "principalId"); kept != second {
		t.Errorf("the principal changed from %s to %s", second, kept)
	}
	if users := provider.At(set(object{"type": "SystemAssigned"}), "identity", "userAssignedIdentities"); users != nil {
		t.Errorf("a type alone kept %v", users)
	}
	b.run("PUT", appID, program("Single"))
	if got := provider.Text(b.run("GET", appID, nil).Body, "identity", "type"); got != "None" {
		t.Errorf("after a PUT without the member the type is %q", got)
	}
}
