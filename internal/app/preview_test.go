package app

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/cli"
)

// previewed runs the real command line; what it touches on disk is nothing.
func previewed(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	home := filepath.Join(t.TempDir(), "home")
	env := func(name string) (string, bool) {
		if name == "PATCHBAY_HOME" {
			return home, true
		}
		return "", false
	}
	d := deps(cli.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, env)
	code = cli.Main(t.Context(), d, append([]string{"preview"}, args...))
	if _, err := os.Stat(home); !os.IsNotExist(err) {
		t.Errorf("a preview left something behind: %v", err)
	}
	return code, stdout.String(), stderr.String()
}

func TestPreview(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ line, want string }{
		{"postgres-flexible --auth-type secret --client-type go --fact server=pg1 database=orders username=app password=a'b",
			`[{"name":"AZURE_POSTGRESQL_CONNECTIONSTRING","value":"host=pg1.postgres.database.azure.com dbname=orders sslmode=require user=app password='a\\'b'","kind":"secret"}]`},
		{"MYSQL-flexible --auth-type systemassignedidentity --client-type GO --connection conn2 --fact server=my1 --fact database=orders",
			`[{"name":"AZURE_MYSQL_CONN2_CONNECTIONSTRING","value":"aad_conn2@tcp(my1.mysql.database.azure.com:3306)/orders?tls=true","kind":"templated"}]`},
		{"eventhub --auth-type systemAssignedIdentity --cloud azureusgovernment --fact namespace=n1",
			`[{"name":"AZURE_EVENTHUB_FULLYQUALIFIEDNAMESPACE","value":"n1.servicebus.usgovcloudapi.net","kind":"templated"}]`},
		{"cosmos-sql --auth-type secret --client-type none --cloud AzureChinaCloud --fact account=a1 accountKey=a2V5",
			`[{"name":"AZURE_COSMOS_CONNECTIONSTRING","value":"AccountEndpoint=https://a1.documents.azure.cn:443/;AccountKey=a2V5","kind":"secret"}]`},
	} {
		code, out, errs := previewed(t, append(strings.Fields(row.line), "-o", "json")...)
		var got []cli.PreviewSetting
		if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil {
			t.Errorf("%s: code %d, %v\n%s", row.line, code, err, errs)
			continue
		}
		var want []cli.PreviewSetting
		if err := json.Unmarshal([]byte(row.want), &want); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) || got[0] != want[0] {
			t.Errorf("%s:\n%+v, want\n%+v", row.line, got, want)
		}
	}
}

func TestPreviewMistakes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ line, code, phrase, fix string }{
		{"mysql --auth-type secret", "TARGET_UNSUPPORTED", `there is no target "mysql"; did you mean "mysql-flexible"? allowed: aiservices, `, ""},
		{"keyvault", "AUTH_UNSUPPORTED", "no auth type is given; allowed for keyvault: systemAssignedIdentity", "add --auth-type systemAssignedIdentity"},
		{"keyvault --auth-type secret", "AUTH_UNSUPPORTED", "allowed: systemAssignedIdentity", ""},
		{"redis --auth-type secret --client-type pyton", "CLIENT_UNSUPPORTED", `did you mean "python"? allowed: dotnet`, "add --client-type python"},
		{"redis --auth-type secret --client-type python", "USAGE_INVALID", "needs these facts: redisKey, cache", "add --fact redisKey=VALUE --fact cache=VALUE"},
		{"redis --auth-type secret --fact cahce=c", "OPTION_UNSUPPORTED", `did you mean "cache"?`, "write --fact cache=VALUE"},
		{"redis --auth-type secret --cloud AzureUSGov", "USAGE_INVALID", `did you mean "AzureUSGovernment"?`, ""},
		{"redis --auth-type secret --connection a-b", "CONNECTION_NAME_INVALID", "not a connection name", "letters"},
		{"openai --auth-type secret --cloud AzureChinaCloud --fact account=a apiKey=sesame", "USAGE_INVALID", "in AzureChinaCloud is not known", "add --fact endpoint=VALUE"},
	} {
		code, out, errs := previewed(t, strings.Fields(row.line)...)
		if code != 2 || out != "" || !strings.Contains(errs, "code: "+row.code) || !strings.Contains(errs, row.phrase) || !strings.Contains(errs, row.fix) || strings.Contains(errs, "sesame") {
			t.Errorf("%s: code %d\n%s%s", row.line, code, out, errs)
		}
	}
}

// TestTargetCommands: every target of the catalog is a word of create and update, with
// options that name it.
func TestTargetCommands(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range targetCommands() {
		names = append(names, c.Name)
		named := c.ID != "" && len(c.Options) > 0 || c.ID == "" && len(c.Linkers) > 0 && c.Linkers[0].Endpoint != ""
		if !named || len(c.ClientTypes) == 0 {
			t.Errorf("%+v", c)
		}
	}
	all, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(names, " "), strings.Join(all.Names(), " "); got != want {
		t.Errorf("targets: %s; the catalog has %s", got, want)
	}
}
