package cli

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/api"
)

// bindingTargets is storage-blob with what bindings read of it, one member told by the account.
func bindingTargets() []TargetCommand {
	all := testTargets()
	for i := range all {
		if all[i].Name == "storage-blob" {
			all[i].APIVersion = "2025-06-01"
			all[i].Bindings = []TargetBinding{
				{AuthTypes: []string{"secret"}, ClientTypes: []string{"none", "go"}, Names: map[string]string{"CONN": ""}},
				{AuthTypes: []string{"systemAssignedIdentity"}, ClientTypes: []string{"none", "go"}, Names: map[string]string{"ENDPOINT": "__serviceUri"},
					Shared: map[string]string{"ENDPOINT": "__blobServiceUri"}, Add: map[string]string{"__credential": "managedidentity"}, Roles: []string{"Owner of Data"}},
				{AuthTypes: []string{"userAssignedIdentity"}, ClientTypes: []string{"none"},
					Tells: map[string]TargetTelling{"__queue": {At: "properties.queue", Value: "q:{}"}}, Add: map[string]string{"__clientId": "{clientId}"}},
			}
		}
	}
	return all
}

const storeID = "/subscriptions/" + testSub + "/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/st/blobServices/default"

func withBindings(d *Deps) { d.Targets = bindingTargets() }

const blobLine = "functionapp connection create storage-blob -g rg -n fun1 --tg rg --account st --connection x --no-wait --yes "

func TestBindingsOnTheWire(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	for name, c := range map[string]struct {
		line   string
		client string
		want   object // configurationInfo
		warns  bool
	}{
		"secret":       {"--secret --binding In", "none", object{"customizedKeys": object{"CONN": "In"}}, false},
		"identity":     {"--system-identity --binding In", "none", object{"customizedKeys": object{"ENDPOINT": "In__serviceUri"}, "additionalConfigurations": object{"In__credential": "managedidentity"}}, false},
		"shared":       {"--system-identity --binding In --shared-binding --client-type go", "go", object{"customizedKeys": object{"ENDPOINT": "In__blobServiceUri"}, "additionalConfigurations": object{"In__credential": "managedidentity"}}, false},
		"host":         {"--system-identity --binding azurewebjobsstorage", "none", object{"customizedKeys": object{"ENDPOINT": "azurewebjobsstorage__blobServiceUri"}, "additionalConfigurations": object{"azurewebjobsstorage__credential": "managedidentity"}}, true},
		"told":         {"--user-identity client-id=who subs-id=" + testSub + " --binding In", "none", object{"customizedKeys": object{}, "additionalConfigurations": object{"In__queue": "q:there", "In__clientId": "who"}}, false},
		"beside":       {"--secret --binding In --customized-keys OTHER=MINE", "none", object{"customizedKeys": object{"CONN": "In", "OTHER": "MINE"}}, false},
		"host by hand": {"--secret --client-type go --customized-keys CONN=AzureWebJobsStorage", "go", object{"customizedKeys": object{"CONN": "AzureWebJobsStorage"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{api: newFakeAPI()}
			w.api.raw[http.MethodGet+" "+storeID+"?api-version=2025-06-01"] = &api.Response{Status: 200, Body: []byte(`{"properties":{"queue":"there"}}`)}
			code, _, errs := run(t.Context(), w, withBindings, blobLine+c.line)
			if code != 0 {
				t.Fatalf("exit %d: %s", code, errs)
			}
			properties := w.api.bodies[0]["properties"].(object)
			if d := cmp.Diff(c.want, properties["configurationInfo"]); d != "" || properties["clientType"] != c.client {
				t.Errorf("client type %v, configuration %s", properties["clientType"], d)
			}
			if strings.Contains(errs, "warning: this writes AzureWebJobsStorage") != c.warns {
				t.Errorf("said %s", errs)
			}
			if name == "identity" && !cmp.Equal(properties["authInfo"].(object)["roles"], []any{"Owner of Data"}) {
				t.Errorf("roles %v", properties["authInfo"])
			}
		})
	}
}

// TestBindingChangesWithTheSignIn: an update that signs in otherwise leaves none of the
// earlier names.
func TestBindingChangesWithTheSignIn(t *testing.T) {
	t.Parallel()
	w := &world{api: newFakeAPI()}
	if code, _, errs := run(t.Context(), w, withBindings, blobLine+"--system-identity --binding In"); code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := run(t.Context(), w, withBindings, "functionapp connection update storage-blob -g rg -n fun1 --connection x --no-wait --yes --secret --binding In"); code != 0 {
		t.Fatal(errs)
	}
	info := w.api.bodies[1]["properties"].(map[string]any)["configurationInfo"]
	if d := cmp.Diff(map[string]any{"customizedKeys": map[string]any{"CONN": "In"}, "additionalConfigurations": map[string]any{}}, info); d != "" {
		t.Error(d)
	}
}

func TestBindingsRefused(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		blobLine + "--secret --binding 1x":                                                              "is no name of a connection",
		blobLine + "--secret --binding In__x":                                                           "is no name of a connection",
		blobLine + "--secret --shared-binding":                                                          "--shared-binding goes with --binding",
		blobLine + "--secret --binding In --client-type python":                                         "bindings read the settings of none, go, not of python",
		blobLine + "--service-principal client-id=a object-id=b secret=c --binding In":                  "bindings cannot sign in to storage-blob that way",
		blobLine + "--user-identity client-id=who subs-id=" + testSub + " --binding In":                 "nothing at",
		strings.Replace(blobLine, "functionapp", "webapp", 1) + "--secret --binding In":                 "there is no option --binding",
		"functionapp connection create redis -g rg -n f --tg rg --server c --secret --yes --binding In": "there is no option --binding",
	} {
		w := &world{api: newFakeAPI()}
		code, _, errs := run(t.Context(), w, withBindings, line)
		if code == 0 || !strings.Contains(errs, want) || len(w.api.bodies) != 0 {
			t.Errorf("%s: exit %d, %d writes, %s", line, code, len(w.api.bodies), errs)
		}
	}
}

func TestSlotsInIDs(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"webapp", "functionapp"} {
		w := &world{api: newFakeAPI()}
		line := strings.Replace(blobLine, "functionapp", source, 1) + "--secret --client-type go --slot blue"
		if code, _, errs := run(t.Context(), w, withBindings, line); code != 0 {
			t.Fatal(errs)
		}
		for id := range w.api.linkers {
			if !strings.HasSuffix(id, "/sites/fun1/slots/blue/providers/microsoft.servicelinker/linkers/x") {
				t.Errorf("the connection is at %s", id)
			}
		}
	}
}
