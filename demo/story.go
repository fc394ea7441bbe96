package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/patchbay/patchbay/demo/outside"
)

// Names of the story's cast.
const (
	group    = "demo"
	siteName = "counter"
	admin    = "dba"
	location = "westeurope"
)

// story is the demo's plot and what it remembers from step to step.
type story struct {
	*teller
	program  *outside.Program
	cloud    *outside.Cloud // nil before the first step and after the last
	app      string         // the sample app, copied beside the program's state
	password string         // file that holds the database administrator's password
	postgres bool           // whether a real PostgreSQL can run here

	before state // the joined world, before the template runs again
}

func newStory(t *teller, p *outside.Program, app string) (*story, error) {
	s := &story{teller: t, program: p, app: filepath.Join(p.Dir, "counter"), password: filepath.Join(p.Dir, "password"), postgres: postgresHere()}
	if err := copyFile(s.app, app); err != nil {
		return nil, fmt.Errorf("copy the sample app: %w", err)
	}
	return s, os.WriteFile(s.password, []byte("Dba-"+rand.Text()), 0o600)
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// postgresHere tells whether the server's programs are in PATH or where
// distributions put them.
func postgresHere() bool {
	if _, err := exec.LookPath("postgres"); err == nil {
		return true
	}
	for _, place := range []string{"/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres", "/opt/homebrew/opt/postgresql*/bin/postgres"} {
		if found, _ := filepath.Glob(place); len(found) > 0 {
			return true
		}
	}
	return false
}

// steps is the plot.
func (s *story) steps() []step {
	plot := []step{
		{"start a local cloud", s.startCloud},
		{"create a cache, a storage account and a database server", s.createServices},
		{"deploy the web app from a template", s.deploy},
		{"look at the plan of a connection, changing nothing", s.plan},
		{"join the app to the cache by key", s.joinCache},
		{"join the app to the database by its own identity", s.joinDatabase},
		{"join the app to the database again, by user and password", s.joinReports},
		{"join the app to the storage account by its own identity", s.joinStorage},
		{"validate every connection", s.validate},
		{"the app counts visitors", s.count},
		{"run the template again: it replaces settings and identity", s.rerun},
		{"see the drift", s.drift},
		{"repair it, without a question asked", s.repair},
		{"validate again", s.validate},
		{"the app counts on, with every row in place", s.countOn},
		{"stop the cloud, leaving nothing running", s.stop},
	}
	if s.postgres {
		return plot
	}
	s.say("There is no postgres binary on this machine, so the database is left out of the story.")
	var rest []step
	for _, st := range plot {
		if !strings.Contains(st.title, "to the database") {
			st.title = strings.Replace(st.title, "a cache, a storage account and a database server", "a cache and a storage account", 1)
			rest = append(rest, st)
		}
	}
	return rest
}

func (s *story) startCloud(ctx context.Context) (err error) {
	s.cloud, err = outside.Start(ctx, s.program)
	return err
}

func (s *story) stop(ctx context.Context) error {
	cloud := s.cloud
	s.cloud = nil
	return cloud.Stop(ctx)
}

// id is the resource id of something in the story's group.
func (s *story) id(rest string) string {
	return "/subscriptions/" + s.cloud.Ready.SubscriptionID + "/resourceGroups/" + group + "/providers/" + rest
}

func (s *story) site() string { return s.id("Microsoft.Web/sites/" + siteName) }

func (s *story) storage() string { return s.id("Microsoft.Storage/storageAccounts/demofiles") }

type object = map[string]any

// createServices makes what the app will be joined to, with `patchbay rest`.
func (s *story) createServices(ctx context.Context) error {
	password, err := os.ReadFile(s.password)
	if err != nil {
		return err
	}
	server := s.id("Microsoft.DBforPostgreSQL/flexibleServers/demo-db")
	made := []struct {
		id, version string
		database    bool
		body        object
	}{
		{"/subscriptions/" + s.cloud.Ready.SubscriptionID + "/resourceGroups/" + group, "2024-11-01", false, object{"location": location}},
		{s.id("Microsoft.Cache/redis/demo-cache"), "2024-11-01", false, object{"location": location,
			"properties": object{"sku": object{"name": "Basic", "family": "C", "capacity": 0}}}},
		{s.storage(), "2024-01-01", false, object{"location": location, "kind": "StorageV2", "sku": object{"name": "Standard_LRS"}, "properties": object{}}},
		{server, "2025-08-01", true, object{"location": location, "sku": object{"name": "Standard_B1ms", "tier": "Burstable"},
			"properties": object{"version": "15", "administratorLogin": admin, "administratorLoginPassword": string(password),
				"storage": object{"storageSizeGB": 32}, "network": object{"publicNetworkAccess": "Enabled"}}}},
		{server + "/databases/visitors", "2025-08-01", true, object{"properties": object{}}},
	}
	for _, m := range made {
		if m.database && !s.postgres {
			continue
		}
		if err := s.put(ctx, m.id+"?api-version="+m.version, m.body); err != nil {
			return err
		}
	}
	return nil
}

// put creates a resource with the binary and waits, by raw reads, until it stands.
func (s *story) put(ctx context.Context, path string, body object) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	file := filepath.Join(s.program.Dir, "body.json") // a body may hold a password: never an argument
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return err
	}
	if _, err := s.program.Must(ctx, "rest", "PUT", path, "--wait", "-b", "@"+file, "-o", "none"); err != nil {
		return err
	}
	_, err = s.cloud.Settle(ctx, path, settleLimit)
	return err
}

// template is what a pipeline would deploy, again and again: it knows nothing of
// connections. Its settings are the whole map, its identity is None.
func (s *story) template() object {
	return object{"properties": object{"mode": "Incremental",
		"parameters": object{"site": object{"value": siteName}},
		"template": object{
			"$schema":        "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
			"contentVersion": "1.0.0.0",
			"parameters":     object{"site": object{"type": "string"}},
			"variables":      object{"plan": "[concat(parameters('site'), '-plan')]"},
			"resources": []any{
				object{"type": "Microsoft.Web/serverfarms", "apiVersion": outside.WebVersion, "name": "[variables('plan')]",
					"location": location, "kind": "linux", "sku": object{"name": "B1", "tier": "Basic"}, "properties": object{"reserved": true}},
				object{"type": "Microsoft.Web/sites", "apiVersion": outside.WebVersion, "name": "[parameters('site')]",
					"location": location, "kind": "app,linux", "identity": object{"type": "None"},
					"dependsOn": []any{"[resourceId('Microsoft.Web/serverfarms', variables('plan'))]"},
					"properties": object{
						"serverFarmId": "[resourceId('Microsoft.Web/serverfarms', variables('plan'))]",
						"siteConfig": object{
							"appCommandLine": s.app + " reports",
							"appSettings":    []any{object{"name": "GREETING", "value": "hello"}},
						}}},
			}}}}
}

func (s *story) runTemplate(ctx context.Context) error {
	return s.put(ctx, s.id("Microsoft.Resources/deployments/site")+"?api-version=2025-04-01", s.template())
}

func (s *story) deploy(ctx context.Context) error {
	if err := s.runTemplate(ctx); err != nil {
		return err
	}
	if err := s.expectBare(ctx); err != nil {
		return err
	}
	return s.expectCount(ctx, http.StatusServiceUnavailable)
}
