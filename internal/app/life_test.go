package app

import (
	"strings"
	"testing"
)

// TestLifeOverHTTP drives each target's connection through its life against cloud
// and server in processes of their own.
func TestLifeOverHTTP(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs"})
	c.makeCache()
	c.makeAccount()
	c.makeServer("pg1")
	s := c.newConnector().start()
	cases := []struct {
		name, setting string
		body          map[string]any
	}{
		{"cache", "AZURE_REDIS_CONNECTIONSTRING", cacheByKey(c)},
		{"blob", "AZURE_STORAGEBLOB_RESOURCEENDPOINT", blobByIdentity(c)},
		{"pgsecret", "AZURE_POSTGRESQL_CONNECTIONSTRING", databaseByPassword(c, "pg1", "pgadmin", adminPassword)},
		{"pgid", "AZURE_POSTGRESQL_PGID_CONNECTIONSTRING", databaseByIdentity(c, "pg1")},
	}
	for _, k := range cases {
		if op := s.do("PUT", s.linker("app1", k.name), k.body); op.text("status") != "Succeeded" {
			t.Fatalf("create %s: %s", k.name, op.Raw)
		}
		if c.settings("app1")[k.setting] == "" {
			t.Errorf("%s is not set", k.setting)
		}
	}
	for _, k := range cases {
		if op := s.do("POST", s.linker("app1", k.name)+"/validateLinker", nil); op.text("status") != "Succeeded" {
			t.Errorf("validate %s: %s", k.name, op.Raw)
		}
		if op := s.do("DELETE", s.linker("app1", k.name), nil); op.text("status") != "Succeeded" {
			t.Errorf("delete %s: %s", k.name, op.Raw)
		}
		if got := s.call("GET", s.linker("app1", k.name), nil).Status; got != 404 {
			t.Errorf("GET %s after delete: %d", k.name, got)
		}
	}
	if got := c.settings("app1"); len(got) != 1 || got["FOREIGN"] != "theirs" {
		t.Errorf("settings after all deletes: %v", got)
	}
	if got := c.arm("GET", c.site("app1"), siteVersion, nil).text("identity", "type"); got != "" && got != "None" {
		t.Errorf("identity after all deletes: %s", got)
	}
}

// TestConfigurationsTellTheLibrary: where two generations of a library read different
// settings, listConfigurations says which reads which.
func TestConfigurationsTellTheLibrary(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{})
	c.makeAccount()
	s := c.newConnector().start()
	wanted := blobByIdentity(c)
	wanted["properties"].(map[string]any)["clientType"] = "springBoot"
	if op := s.do("PUT", s.linker("app1", "blob"), wanted); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	a := s.call("POST", s.linker("app1", "blob")+"/listConfigurations", nil)
	if a.Status != 200 || !strings.Contains(string(a.Raw), "Spring Cloud Azure version 4.0 and above") {
		t.Errorf("configurations: %d %s", a.Status, a.Raw)
	}
}
