//go:build conformance

package catalog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
)

// documentedRow is one row of the reference: what an app gets for a target, auth type
// and client type.
type documentedRow struct {
	Target, AuthType, ClientType string
	Configurations               []struct {
		Name, ValueTemplate, Kind, CorrectedTemplate, CorrectedName string
	}
}

var placeholder = regexp.MustCompile(`\{([A-Za-z]+)\}`)

// TestConformanceOfEveryRow renders each documented row of the targets we have, in the
// public cloud, from names alone, and compares names, order, values and kinds.
func TestConformanceOfEveryRow(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(os.Getenv("REFERENCE"), "configurations.json"))
	if err != nil {
		t.Fatalf("run make conformance REFERENCE=DIR: %v", err)
	}
	var rows []documentedRow
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	all, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	conforming := 0
	for _, row := range rows {
		target, ok := all.Get(row.Target)
		if !ok {
			continue
		}
		if d := cmp.Diff(documented(row), rendered(t, target, row)); d != "" {
			t.Errorf("%s, %s, %s: %s", row.Target, row.AuthType, row.ClientType, d)
			continue
		}
		conforming++
	}
	t.Logf("%d of %d documented rows conform; the others belong to targets without a file yet", conforming, len(rows))
	if conforming < 90 {
		t.Errorf("only %d rows were compared", conforming)
	}
}

// sample is the value a placeholder has in this test.
func sample(name string) string { return name + "1" }

func documented(row documentedRow) [][3]string {
	var out [][3]string
	for _, c := range row.Configurations {
		template, name := c.ValueTemplate, c.Name
		if c.CorrectedTemplate != "" {
			template = c.CorrectedTemplate
		}
		if c.CorrectedName != "" {
			name = c.CorrectedName
		}
		value := placeholder.ReplaceAllStringFunc(template, func(p string) string { return sample(p[1 : len(p)-1]) })
		out = append(out, [3]string{name, value, c.Kind})
	}
	return out
}

func rendered(t *testing.T, target *Target, row documentedRow) [][3]string {
	t.Helper()
	given := connection.Facts{}
	for _, name := range []string{"server", "database", "username", "password", "cache", "redisKey", "storageAccount", "accountKey", "clientId", "clientSecret", "tenantId"} {
		given[name] = connection.Plain(sample(name))
	}
	if row.Target == "redis" {
		given["database"] = connection.Plain("0") // the documented value names the first database
	}
	suffix := map[string]string{"postgres": "postgres.database.azure.com", "redis": "redis.cache.windows.net", "storage": "core.windows.net"}[target.Preview.Suffix]
	facts, err := target.PreviewFacts(suffix, given)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := target.Settings(row.AuthType, row.ClientType, facts, Options{})
	if err != nil {
		t.Errorf("%s, %s, %s: %v", row.Target, row.AuthType, row.ClientType, err)
	}
	var out [][3]string
	for _, s := range settings {
		out = append(out, [3]string{s.Name, s.Value.Text, s.Kind})
	}
	return out
}
