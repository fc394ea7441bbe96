//go:build conformance

package catalog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
)

// documentedRow is one row of the reference: what an app gets for a target, auth type
// and client type.
type documentedRow struct {
	Target, AuthType, ClientType string
	Configurations               []documentedSetting
}

type documentedSetting struct{ Name, ValueTemplate, Kind, CorrectedTemplate, CorrectedName string }

// publicCloud has the suffixes that the documented values have.
var publicCloud = Cloud{Name: "AzureCloud", Management: "https://management.azure.com", Suffixes: map[string]string{
	"appConfig": "azconfig.io", "cognitive": "cognitiveservices.azure.com", "cosmos": "documents.azure.com", "keyVault": "vault.azure.net",
	"mysql": "mysql.database.azure.com", "postgres": "postgres.database.azure.com", "redis": "redis.cache.windows.net",
	"redisEnterprise": "redisenterprise.cache.azure.net", "serviceBus": "servicebus.windows.net", "signalr": "service.signalr.net",
	"sql": "database.windows.net", "storage": "core.windows.net", "webPubSub": "webpubsub.azure.com",
}}

func reference[T any](t *testing.T, name string) (out T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(os.Getenv("REFERENCE"), name))
	if err != nil {
		t.Fatalf("run make conformance REFERENCE=DIR: %v", err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestConformanceOfEveryRow renders each documented row in the public cloud, from the
// placeholders its templates name, and compares names, order, values and kinds.
func TestConformanceOfEveryRow(t *testing.T) {
	t.Parallel()
	rows := reference[[]documentedRow](t, "configurations.json")
	all, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	conforming := 0
	for _, row := range rows {
		target, ok := all.Get(row.Target)
		if !ok {
			t.Errorf("no target %s", row.Target)
			continue
		}
		want := expected(row)
		if d := cmp.Diff(filled(want), rendered(t, target, row, want)); d != "" {
			t.Errorf("%s, %s, %s: %s", row.Target, row.AuthType, row.ClientType, d)
			continue
		}
		conforming++
	}
	t.Logf("%d of %d documented rows conform", conforming, len(rows))
	if conforming < 559 {
		t.Errorf("only %d rows conform", conforming)
	}
}

// expected is a row with the corrected forms in their places, and for Confluent the
// names that the service was recorded to write: the prefix for every client type but
// Spring Boot, and outside Java user name and password instead of the JAAS line.
func expected(row documentedRow) []documentedSetting {
	var out []documentedSetting
	for _, c := range row.Configurations {
		if c.CorrectedTemplate != "" {
			c.ValueTemplate = c.CorrectedTemplate
		}
		if c.CorrectedName != "" {
			c.Name = c.CorrectedName
		}
		c.Name = strings.NewReplacer("AZURE_CONFLUENTCLOUDKAFKA", "CONFLUENTCLOUD_KAFKA", "AZURE_CONFLUENTCLOUDSCHEMAREGISTRY", "CONFLUENTCLOUD_SCHEMAREGISTRY").Replace(c.Name)
		if c.Name == "CONFLUENTCLOUD_KAFKA_KAFKASASLCONFIG" && row.ClientType != "java" {
			out = append(out,
				documentedSetting{Name: "CONFLUENTCLOUD_KAFKA_SASLUSERNAME", ValueTemplate: "{kafkaApiKey}", Kind: KindTemplated},
				documentedSetting{Name: "CONFLUENTCLOUD_KAFKA_SASLPASSWORD", ValueTemplate: "{kafkaApiSecret}", Kind: KindSecret})
			continue
		}
		out = append(out, c)
	}
	return out
}

var (
	placeholder = regexp.MustCompile(`\{([A-Za-z]+)\}`)
	call        = regexp.MustCompile(`\{uriEscape\(([A-Za-z]+)\)\}`)
)

// sample is the value a placeholder has in this test.
func sample(name string) string { return name + "1" }

func filled(list []documentedSetting) [][3]string {
	var out [][3]string
	for _, c := range list {
		value := call.ReplaceAllString(c.ValueTemplate, "{$1}")
		value = placeholder.ReplaceAllStringFunc(value, func(p string) string { return sample(p[1 : len(p)-1]) })
		out = append(out, [3]string{c.Name, strings.NewReplacer("{{", "{", "}}", "}").Replace(value), c.Kind})
	}
	return out
}

// rendered gives the placeholders of a row and nothing else.
func rendered(t *testing.T, target *Target, row documentedRow, list []documentedSetting) [][3]string {
	t.Helper()
	given := map[string]string{}
	for _, c := range list {
		for _, m := range placeholder.FindAllStringSubmatch(call.ReplaceAllString(c.ValueTemplate, "{$1}"), -1) {
			given[m[1]] = sample(m[1])
		}
	}
	settings, err := target.PreviewSettings(row.AuthType, row.ClientType, publicCloud, given, Options{})
	if err != nil {
		t.Errorf("%s, %s, %s: %v", row.Target, row.AuthType, row.ClientType, err)
	}
	var out [][3]string
	for _, s := range settings {
		out = append(out, [3]string{s.Name, s.Value.Text, s.Kind})
	}
	return out
}

// TestConformanceOfDifferences holds that a row says what is documented in its place
// exactly where that is something else, so that docs/differences.md is whole.
func TestConformanceOfDifferences(t *testing.T) {
	t.Parallel()
	all, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	differences := 0
	for _, row := range reference[[]documentedRow](t, "configurations.json") {
		target, ok := all.Get(row.Target)
		if !ok {
			t.Fatalf("no target %s", row.Target)
		}
		documented := map[string]documentedSetting{}
		for _, c := range row.Configurations {
			documented[c.Name] = c
		}
		for _, r := range target.rows(row.AuthType, row.ClientType, "") {
			d := Differs{}
			if r.Differs != nil {
				differences++
				d = *r.Differs
			}
			c, ok := documented[orElse(d.Name, r.Name)]
			parted := strings.HasPrefix(r.Name, "CONFLUENTCLOUD_KAFKA_SASL") // one documented setting is written as two
			switch {
			case !ok:
				t.Errorf("%s, %s, %s: nothing documented is called %q", row.Target, row.AuthType, row.ClientType, orElse(d.Name, r.Name))
			case d.Documented != "" && d.Documented != c.ValueTemplate, d.Documented == "" && c.CorrectedTemplate != "", d.Documented != "" && c.CorrectedTemplate == "" && !parted:
				t.Errorf("%s, %s, %s: %s claims that %q is documented; it is %q", row.Target, row.AuthType, row.ClientType, r.Name, d.Documented, c.ValueTemplate)
			}
		}
	}
	t.Logf("%d settings differ from their documentation", differences)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// recordedRow is what the service answered for one connection; values are masked.
type recordedRow struct {
	Recording, Source, Target, AuthType, ClientType string
	KeyVault                                        bool
	CustomizedKeys                                  map[string]string
	ConfigAction                                    string
	Configurations                                  []struct{ Name, ConfigType, Description string }
}

// unlike are the recordings that none of our settings equal, with the reason.
var unlike = map[string]string{
	"aca2aca_e2e":                        "a container app is no target yet",
	"local_confluentkafka_e2e":           "two settings of three came back after an update",
	"webapp_confluentkafka_e2e":          "two settings of three came back after an update",
	"webapp_confluentkafka_keyvault_ref": "two settings of three came back after an update",
	"webapp_storageblob_addon":           "the name of the connection and the type are in the name, which no page tells",
}

// TestConformanceOfRecordings compares names, descriptions, and whether values are
// Key Vault references, with what the service was recorded to write.
func TestConformanceOfRecordings(t *testing.T) {
	t.Parallel()
	all, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	conforming, ours := 0, 0
	rows := reference[struct{ Rows []recordedRow }](t, "recorded-configurations.json").Rows
	for _, row := range rows {
		target, form := recordedTarget(all, row)
		if target == nil {
			t.Logf("%s: %s", row.Recording, unlike[row.Recording])
			continue
		}
		ours++
		d := recordedDiff(t, target, form, row)
		if d == "" {
			conforming++
			continue
		}
		if why := unlike[row.Recording]; why != "" {
			t.Logf("%s: %s", row.Recording, why)
			continue
		}
		t.Errorf("%s (%s %s %s %s): %s", row.Recording, target.Name, row.AuthType, row.ClientType, form, d)
	}
	t.Logf("%d of %d recordings conform, of %d in all", conforming, ours, len(rows))
	if conforming < 85 {
		t.Errorf("only %d recordings conform", conforming)
	}
}

// recordedTarget finds the target of a recording, and the form of its connection. The
// single servers of MySQL and PostgreSQL had the settings of the flexible ones.
func recordedTarget(all *Catalog, row recordedRow) (*Target, string) {
	if t, ok := all.OfType(row.Target); ok {
		return t, row.Target
	}
	for _, t := range all.Targets() {
		same := strings.EqualFold(t.Type(), strings.Replace(row.Target, "/servers/", "/flexibleServers/", 1)) || strings.EqualFold(t.Type(), row.Target)
		if !same || len(t.Kinds) > 0 && !t.takes(map[bool]string{true: "OpenAI", false: AnyKind}[strings.Contains(row.Recording, "openai")]) {
			continue
		}
		switch form := map[string]string{"openai": "cognitiveservices", "appconfig aks": "extension", "keyvault aks": "csi"}; {
		case form[t.Name] != "":
			return t, form[t.Name]
		default:
			return t, form[t.Name+" "+row.Source]
		}
	}
	return nil, ""
}

// recordedDiff compares sets: the service has another order than its pages.
func recordedDiff(t *testing.T, target *Target, form string, row recordedRow) string {
	t.Helper()
	var want, got [][2]string
	infix := ""
	for _, c := range row.Configurations {
		if strings.Contains(c.Name, "_TESTCONN_") {
			infix = "testconn"
		}
		want = append(want, [2]string{c.Name, orElse(c.Description, orElse(c.ConfigType, "Default"))})
	}
	client := strings.TrimSuffix(row.ClientType, "-connectionString") // where it is written, not what
	rows, err := target.rowsOf(row.AuthType, client, form)
	if err != nil {
		return err.Error()
	}
	if row.ConfigAction == "optOut" {
		rows = nil
	}
	for _, r := range rows {
		kind := orElse(r.Description(), "Default")
		if row.KeyVault && target.kind(r) == KindSecret {
			kind = "Key vault secret."
		}
		got = append(got, [2]string{connection.SettingName(r.Name, infix, row.CustomizedKeys), kind})
	}
	order := func(a, b [2]string) int { return strings.Compare(a[0], b[0]) }
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	return cmp.Diff(want, got)
}
