package catalog_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/problem"
)

func render(t testing.TB, target, auth, client string, given map[string]string, o catalog.Options) (map[string]string, error) {
	t.Helper()
	tg := get(t, target)
	settings, err := tg.Settings(auth, client, sample(t, tg, given), o)
	out := map[string]string{}
	for _, s := range settings {
		out[s.Name] = s.Value.Text
	}
	return out, err
}

func TestStorageForms(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"https://account1.blob.core.windows.net/":       "EndpointSuffix=core.windows.net",
		"https://Account1.blob.core.chinacloudapi.cn":   "EndpointSuffix=core.chinacloudapi.cn",
		"https://account1.z12.blob.storage.azure.net/":  "BlobEndpoint=https://account1.z12.blob.storage.azure.net/",
		"https://127.77.0.1:10000/account1/":            "BlobEndpoint=https://127.77.0.1:10000/account1/",
		"https://account1.blob.core.windows.net:8443/":  "BlobEndpoint=https://account1.blob.core.windows.net:8443/",
		"https://account1xblob.core.windows.net/":       "BlobEndpoint=https://account1xblob.core.windows.net/",
		"http://account1.blob.core.windows.net/":        "BlobEndpoint=http://account1.blob.core.windows.net/",
		"https://account1.blob.core.windows.net/extra/": "BlobEndpoint=https://account1.blob.core.windows.net/extra/",
	} {
		got, err := render(t, "storage-blob", connection.AuthSecret, "go", map[string]string{"endpoint": endpoint}, catalog.Options{})
		text := got["AZURE_STORAGEBLOB_CONNECTIONSTRING"]
		if err != nil || text != "DefaultEndpointsProtocol=https;AccountName=account1;AccountKey=c3RvcmFnZQ==;"+want {
			t.Errorf("%s: %s, %v", endpoint, text, err)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	got, err := render(t, "postgres-flexible", connection.AuthSecret, "nodejs", nil, catalog.Options{
		Infix: "CONN2", Custom: map[string]string{"AZURE_POSTGRESQL_USER": "PGUSER", "AZURE_POSTGRESQL_CONN2_PASSWORD": "PGPASSWORD"},
	})
	if err != nil || got["AZURE_POSTGRESQL_CONN2_HOST"] != "pg1.postgres.database.azure.com" || got["PGUSER"] != "app" || got["PGPASSWORD"] != "Passw0rd" {
		t.Errorf("%v %v", got, err)
	}
	got, err = render(t, "postgres-flexible", connection.AuthSecret, "dotnet", nil, catalog.Options{Connection: map[string]string{"Timeout": "5", "Options": "-c a=b"}})
	if text := got["AZURE_POSTGRESQL_CONNECTIONSTRING"]; err != nil || !strings.HasSuffix(text, `Password=Passw0rd;Options="-c a=b";Timeout=5;`) {
		t.Errorf("%s %v", text, err)
	}
	_, err = render(t, "postgres-flexible", connection.AuthSecret, "go", nil, catalog.Options{Connection: map[string]string{"a b": "x"}})
	if !problem.Is(err, problem.OptionUnsupported) {
		t.Error(err)
	}
}

func TestWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	_, err := render(t, "redis", connection.AuthSecret, "dotnet", map[string]string{"redisKey": "sesame,street"}, catalog.Options{})
	if !problem.Is(err, problem.OptionUnsupported) || !errors.Is(err, grammar.ErrValue) || strings.Contains(err.Error(), "sesame") {
		t.Error(err)
	}
	tg := get(t, "redis")
	facts := sample(t, tg, nil)
	delete(facts, "host")
	if _, err := tg.Settings(connection.AuthSecret, "go", facts, catalog.Options{}); err == nil || !strings.Contains(err.Error(), "{host}") {
		t.Error(err)
	}
}

// TestReferences holds that a value known only after apply passes through where it
// stands alone, and is refused inside a string.
func TestReferences(t *testing.T) {
	t.Parallel()
	tg := get(t, "postgres-flexible")
	facts := sample(t, tg, nil)
	ref := connection.Output(connection.Key{Kind: connection.KindIdentity, Name: "x"}, "clientId")
	facts["clientId"] = ref
	settings, err := tg.Settings(connection.AuthUserIdentity, "nodejs", facts, catalog.Options{})
	if err != nil || settings[len(settings)-1].Value.From != ref.From {
		t.Errorf("%+v %v", settings, err)
	}
	facts["username"] = ref
	if _, err := tg.Settings(connection.AuthUserIdentity, "go", facts, catalog.Options{}); err == nil {
		t.Error("a reference inside a string is accepted")
	}
}

func TestPreviewKeepsWhatIsGiven(t *testing.T) {
	t.Parallel()
	tg := get(t, "redis")
	facts, err := tg.PreviewFacts("redis.cache.usgovcloudapi.net", connection.Facts{"cache": connection.Plain("c"), "port": connection.Plain("1")})
	if err != nil || facts.Text("host") != "c.redis.cache.usgovcloudapi.net" || facts.Text("port") != "1" || facts.Text("suffix") != "" {
		t.Errorf("%v %v", facts, err)
	}
	facts, err = tg.PreviewFacts("s", connection.Facts{})
	if _, known := facts["host"]; err != nil || known {
		t.Errorf("a host without a name: %v %v", facts, err)
	}
}

// FuzzHostile writes hostile names and passwords into every string of the
// PostgreSQL rows and reads them back with the parser of each notation.
func FuzzHostile(f *testing.F) {
	for _, v := range []string{"plain", `a;b'c"d`, "{host}", "{{x}}", "p@ss w%rd=", "\u2603\n\t", `\`, "}"} {
		f.Add(v, v, v)
	}
	f.Fuzz(func(t *testing.T, user, password, database string) {
		if user == "" || database == "" || strings.ContainsRune(user+password+database, 0) {
			return
		}
		given := map[string]string{"username": user, "password": password, "database": database}
		for _, client := range []string{"dotnet", "go", "php", "python", "java", "nodejs"} {
			got, err := render(t, "postgres-flexible", connection.AuthSecret, client, given, catalog.Options{})
			if err != nil {
				t.Fatal(err)
			}
			u, p, d := readBack(t, client, got)
			if u != user || p != password || d != database {
				t.Fatalf("%s: %q reads as %q %q %q", client, got, u, p, d)
			}
		}
	})
}

func readBack(t *testing.T, client string, got map[string]string) (user, password, database string) {
	t.Helper()
	text := got["AZURE_POSTGRESQL_CONNECTIONSTRING"]
	switch client {
	case "nodejs":
		return got["AZURE_POSTGRESQL_USER"], got["AZURE_POSTGRESQL_PASSWORD"], got["AZURE_POSTGRESQL_DATABASE"]
	case "dotnet":
		o, err := grammar.ParseADONET(text)
		if err != nil {
			t.Fatal(err)
		}
		return o["user id"], o["password"], o["database"]
	case "java":
		u, err := url.Parse(strings.TrimPrefix(text, "jdbc:"))
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get("user"), u.Query().Get("password"), strings.TrimPrefix(u.Path, "/")
	}
	cfg, err := pgx.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.User, cfg.Password, cfg.Database
}
