//go:build conformance

package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/cli"
)

// documentedPair is one row of the published client's matrix.
type documentedPair struct {
	Source, Target string
	Auth, Clients  []string
	Deprecated     bool
}

// wireAuth are the client's words for auth types.
var wireAuth = map[string]string{
	"secret": "secret", "secret(auto)": "secret", "system-managed-identity": "systemAssignedIdentity", "user-managed-identity": "userAssignedIdentity",
	"service-principal": "servicePrincipalSecret", "user-account": "userAccount", "workload-identity": "userAssignedIdentity",
}

func documentedMatrix(t *testing.T) []documentedPair {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(os.Getenv("REFERENCE"), "az-cli.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Versions map[string]struct{ Matrix []documentedPair }
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	rows := file.Versions["2.69.0"].Matrix
	if len(rows) < 100 {
		t.Fatalf("the matrix has %d rows", len(rows))
	}
	return rows
}

// elsewhere are documented words that stand for another one here.
var elsewhere = map[string]string{"dotnet-internal": "dotnet"}

// unsettled are client types the published client takes for a target whose pages have no
// settings for them: nothing could be written.
var unsettled = map[string]string{"cosmos-table": "springBoot", "storage-queue": "none", "storage-table": "none", "webpubsub": "none", "confluent-cloud": "go", "fabric-sql": "php"}

// TestSupportTypesHoldTheDocumentedMatrix: list-support-types has every documented pair
// of a source and a target we have, and may have more. Both faces print the same.
func TestSupportTypesHoldTheDocumentedMatrix(t *testing.T) {
	t.Parallel()
	ours := map[string]api.SupportType{}
	for _, row := range supportTypes() {
		ours[row.Source+" "+row.Target] = row
	}
	facts, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, want := range documentedMatrix(t) {
		have, found := facts.Get(want.Target)
		sourceKnown := want.Source == "webapp" || want.Source == "functionapp" || want.Source == localSource
		if want.Deprecated || !sourceKnown || want.Target == "containerapp" || found && have.Status == catalog.StatusPreview {
			continue
		}
		row, there := ours[want.Source+" "+want.Target]
		if !there {
			t.Errorf("%s to %s is documented and missing", want.Source, want.Target)
			continue
		}
		compared++
		for _, auth := range want.Auth {
			if wire := wireAuth[auth]; !slices.Contains(row.AuthTypes, wire) {
				t.Errorf("%s to %s: auth type %s is documented and missing in %v", want.Source, want.Target, auth, row.AuthTypes)
			}
		}
		for _, client := range want.Clients {
			if other := elsewhere[client]; other != "" {
				client = other
			}
			if there := slices.Contains(row.ClientTypes, client); there == (unsettled[want.Target] == client) {
				t.Errorf("%s to %s: client type %s is documented, and ours are %v", want.Source, want.Target, client, row.ClientTypes)
			}
		}
	}
	t.Logf("%d documented pairs of source and target compared", compared)
	if compared < 10 {
		t.Errorf("only %d pairs were compared", compared)
	}
}

// TestSupportTypesOfBothFaces: the command line lists what the API lists.
func TestSupportTypesOfBothFaces(t *testing.T) {
	t.Parallel()
	for source, command := range map[string][]string{"webapp": {"webapp", "connection"}, "functionapp": {"functionapp", "connection"}, localSource: {"connection"}} {
		var out, errs strings.Builder
		d := deps(cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, func(string) (string, bool) { return "", false })
		if code := cli.Main(t.Context(), d, append(command, "list-support-types", "-o", "json")); code != 0 {
			t.Fatalf("%d %s", code, errs.String())
		}
		var printed []struct {
			Target  string   `json:"target"`
			Clients []string `json:"client_types"`
			Auth    []string `json:"auth_types"`
		}
		if err := json.Unmarshal([]byte(out.String()), &printed); err != nil {
			t.Fatal(err)
		}
		byTarget := map[string]api.SupportType{}
		for _, row := range supportTypes() {
			if row.Source == source {
				byTarget[row.Target] = row
			}
		}
		if len(printed) != len(byTarget) || len(printed) == 0 {
			t.Errorf("%s: %d rows printed, %d answered", source, len(printed), len(byTarget))
		}
		for _, row := range printed {
			if !slices.Equal(row.Clients, byTarget[row.Target].ClientTypes) || len(row.Auth) != len(byTarget[row.Target].AuthTypes) {
				t.Errorf("%s to %s: %v %v, answered %v", source, row.Target, row.Auth, row.Clients, byTarget[row.Target])
			}
		}
	}
}
