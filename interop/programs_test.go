//go:build interop

package interop

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/demo/outside"
)

// ecosystem is how the programs of one language are run.
type ecosystem struct {
	name   string
	client string            // client type
	planes map[string]string // program by plane
	run    func(a *azure, program string) []string
	// types are client types of single planes, where the library wants another's settings.
	types map[string]string
}

// Where the set-up puts what the programs need, below .cache/interop.
const clientsDir = "../examples/clients"

func cached(parts ...string) string {
	path, err := filepath.Abs(filepath.Join(append([]string{"..", ".cache", "interop"}, parts...)...))
	if err != nil {
		return ""
	}
	return path
}

// ecosystems are the languages, each with a library per data plane.
func ecosystems() []ecosystem {
	return []ecosystem{
		{name: "python", client: "python", run: func(_ *azure, program string) []string {
			return []string{cached("python", "bin", "python"), filepath.Join(clientsDir, "python", program+".py")}
		}, planes: map[string]string{"postgres": "postgres", "mysql": "mysql", "redis": "redis_", "blob": "blob", "queue": "queue_", "table": "table",
			"kafka": "kafka", "keyvault": "keyvault", "appconfig": "appconfig"}},
		{name: "node", client: "nodejs", run: func(_ *azure, program string) []string {
			return []string{"node", cached("node", program+".js")}
		}, planes: same("postgres", "mysql", "redis", "blob", "queue", "table", "kafka", "keyvault", "appconfig")},
		{name: "java", client: "java", run: func(a *azure, program string) []string {
			return []string{"java", "-Djavax.net.ssl.trustStore=" + a.trustStore(), "-Djavax.net.ssl.trustStorePassword=changeit",
				"-cp", cached("java", "*"), filepath.Join(clientsDir, "java", program+".java")}
		}, planes: same("postgres", "mysql", "redis", "blob", "queue", "table", "kafka", "keyvault", "appconfig")},
		{name: "go", client: "go", run: func(_ *azure, program string) []string {
			return []string{cached("go", "clients"), program}
		}, planes: same("postgres", "mysql", "redis", "blob", "queue", "table", "kafka", "keyvault", "appconfig"),
			// No settings are documented for Go there.
			types: map[string]string{"table": "python", "kafka": "none", "keyvault": "none", "appconfig": "none"}},
	}
}

func same(words ...string) map[string]string {
	out := map[string]string{}
	for _, w := range words {
		out[w] = w
	}
	return out
}

// planes are the data planes, by the target's file; the key of a vault is a principal's.
var planes = []struct{ name, target string }{
	{"postgres", "postgres-flexible"}, {"mysql", "mysql-flexible"}, {"redis", "redis"}, {"blob", "storage-blob"}, {"queue", "storage-queue"},
	{"table", "storage-table"}, {"kafka", "confluent-cloud"}, {"keyvault", "keyvault"}, {"appconfig", "appconfig"},
}

// TestPrograms runs a program of every language against every data plane, with nothing
// but the settings that a connection wrote: each keeps something there and reads it back.
func TestPrograms(t *testing.T) {
	a := newAzure(t, clients[len(clients)-1].path)
	files := map[string]*fixture{}
	for _, f := range a.fixtures() {
		files[f.name] = f
	}
	for _, plane := range planes {
		t.Run(plane.name, func(t *testing.T) {
			b := *a
			b.t = t
			f := files[plane.target]
			if f == nil {
				t.Fatalf("no target file %s", plane.target)
			}
			f.grow(&b)
			for _, e := range ecosystems() {
				t.Run(e.name, func(t *testing.T) {
					c := b
					c.t = t
					c.program(e, plane.name, f)
				})
			}
		})
	}
}

// program makes a connection, runs the program and takes the connection away again.
func (a *azure) program(e ecosystem, plane string, f *fixture) {
	a.t.Helper()
	client := e.client
	if other := e.types[plane]; other != "" {
		client = other
	}
	linker := a.site() + "/providers/Microsoft.ServiceLinker/linkers/" + plane + "_" + e.name + "?api-version=2024-07-01-preview"
	before := a.settings()
	a.put(linker, object{"properties": object{"targetService": a.service(f), "authInfo": a.authInfo(f), "clientType": client}})
	environ := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "AZURE_AUTHORITY_HOST=" + a.cloud.Ready.Endpoint}
	for _, trust := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"} {
		environ = append(environ, trust+"="+a.cloud.Ready.CAFile)
	}
	for name, value := range a.settings() {
		if _, foreign := before[name]; !foreign {
			environ = append(environ, name+"="+value)
		}
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), 2*time.Minute)
	defer cancel()
	words := e.run(a, e.planes[plane])
	begun := time.Now()
	r, err := outside.Exec(ctx, environ, words[0], words[1:]...)
	if err != nil || r.Code != 0 {
		a.t.Errorf("%s: exit status %d, %v\n%s", strings.Join(words, " "), r.Code, err, r.Stderr)
	}
	a.t.Logf("%5.1f s", time.Since(begun).Seconds())
	if _, err := a.cloud.Want(a.t.Context(), http.MethodDelete, linker, nil, http.StatusOK, http.StatusAccepted, http.StatusNoContent); err != nil {
		a.t.Fatal(err)
	}
	if err := outside.Until(a.t.Context(), time.Minute, "the connection to be gone", func() (bool, error) {
		answer, err := a.cloud.Call(a.t.Context(), http.MethodGet, linker, nil)
		return answer.Status == http.StatusNotFound, err
	}); err != nil {
		a.t.Fatal(err)
	}
	equal(a.t, "the app's settings after delete", a.settings(), before)
}

func (a *azure) service(f *fixture) object {
	if len(f.Service) > 0 {
		return object{"type": f.Service["type"], "endpoint": a.endpoint(f)}
	}
	return object{"type": "AzureResource", "id": f.Target}
}

// endpoint is the address of a target without an ARM id: as it stands in the file, or as
// the cloud tells it.
func (a *azure) endpoint(f *fixture) any {
	a.t.Helper()
	told, found := f.Facts["endpoint"]
	if !found {
		return f.Service["endpoint"]
	}
	var call struct{ Get, Version, At string }
	if err := told.Decode(&call); err != nil {
		a.t.Fatal(err)
	}
	answer, err := a.cloud.Want(a.t.Context(), http.MethodGet, call.Get+"?api-version="+call.Version, nil, http.StatusOK)
	if err != nil {
		a.t.Fatal(err)
	}
	var at any = answer
	for _, step := range strings.Split(call.At, ".") {
		at = member(at, step)
	}
	return at
}

// authInfo signs in with the target's key, or the user's password; a vault has neither.
func (a *azure) authInfo(f *fixture) object {
	a.t.Helper()
	switch {
	case f.name == "keyvault":
		who, err := a.cloud.Want(a.t.Context(), http.MethodPost, "/_local/principals", object{"displayName": "program"}, http.StatusCreated)
		if err != nil {
			a.t.Fatal(err)
		}
		return object{"authType": "servicePrincipalSecret", "clientId": who["clientId"], "principalId": who["objectId"], "secret": who["clientSecret"],
			"roles": []string{"Key Vault Secrets Officer"}}
	case f.Secret.Name != "":
		return object{"authType": "secret", "name": f.Secret.Name, "secretInfo": object{"secretType": "rawValue", "value": f.Secret.Value}}
	}
	return object{"authType": "secret"}
}

// trustStore is the cloud's authority in Java's own form, made by the set-up's keytool.
func (a *azure) trustStore() string {
	a.t.Helper()
	store := filepath.Join(a.cloud.Program.Dir, "trust.p12")
	if _, err := os.Stat(store); err == nil {
		return store
	}
	r, err := outside.Exec(a.t.Context(), os.Environ(), "keytool", "-importcert", "-noprompt", "-alias", "local", "-file", a.cloud.Ready.CAFile,
		"-keystore", store, "-storetype", "PKCS12", "-storepass", "changeit")
	if err != nil || r.Code != 0 {
		a.t.Fatalf("make the trust store: %v\n%s", err, r.Stderr)
	}
	return store
}
