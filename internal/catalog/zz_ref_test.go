package catalog

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
)

func TestReference(t *testing.T) {
	start := time.Now()
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("load", time.Since(start))
	text, _ := os.ReadFile("/work/shared/reference/configurations.json")
	var rows []struct {
		Target, AuthType, ClientType string
		Configurations               []struct{ Name, ValueTemplate, CorrectedTemplate, Kind, Variant string }
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range rows {
		tg, ok := c.Get(r.Target)
		if !ok {
			continue
		}
		n++
		facts := connection.Facts{}
		for _, name := range strings.Fields("server database username password clientId clientSecret tenantId cache redisKey storageAccount accountKey") {
			facts[name] = connection.Plain(name + "V")
		}
		if r.Target == "redis" {
			facts["database"] = connection.Plain("0")
		}
		suffix := map[string]string{"postgres": "postgres.database.azure.com", "redis": "redis.cache.windows.net", "storage": "core.windows.net"}[tg.Preview.Suffix]
		facts, err := tg.PreviewFacts(suffix, facts)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tg.Settings(r.AuthType, r.ClientType, facts, Options{})
		if err != nil {
			t.Errorf("%s %s %s: %v", r.Target, r.AuthType, r.ClientType, err)
			continue
		}
		if len(got) != len(r.Configurations) {
			t.Errorf("%s %s %s: %d of %d", r.Target, r.AuthType, r.ClientType, len(got), len(r.Configurations))
			continue
		}
		for i, w := range r.Configurations {
			tmpl := w.ValueTemplate
			if w.CorrectedTemplate != "" {
				tmpl = w.CorrectedTemplate
			}
			for k, v := range facts {
				tmpl = strings.ReplaceAll(tmpl, "{"+k+"}", v.Text)
			}
			if got[i].Name != w.Name || got[i].Value.Text != tmpl || got[i].Kind != w.Kind {
				t.Errorf("%s %s %s: got %s=%s (%s) want %s=%s (%s)", r.Target, r.AuthType, r.ClientType, got[i].Name, got[i].Value.Text, got[i].Kind, w.Name, tmpl, w.Kind)
			}
		}
	}
	fmt.Println("rows", n)
}
