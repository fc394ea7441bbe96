package app

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
)

// command is what a fix must hold: words that somebody can type. Placeholders in capitals
// stand for what only they know.
var command = regexp.MustCompile(`(^|[ (` + "`" + `])(patchbay [a-z]+ |az [a-z]+ |--[a-z][a-z-]+)`)

// refusal is one wrong request and what must come of it.
type refusal struct {
	name, target string // the target's file
	change       map[string]any
	before       string // a child that the change needs, made first
	below        string // what is changed is this child of the target's first resource
	version      string // of the change, where it is not the resource's own
	auth         map[string]any
	client       string
	also         map[string]any // further properties of the connection
	at           map[string]any // another targetService
	status       int
	code, says   string // the code, and a word of the cause
	contract     bool   // the request breaks the contract itself, whose document the fix names
}

// orchard is fixtures in one cloud, grown when somebody asks for them.
type orchard struct {
	c     *cloudUnderTest
	s     *connector
	all   map[string]*fixture
	grown map[string]*field
}

func plant(t *testing.T) *orchard {
	t.Helper()
	c := startCloud(t)
	c.makeGroup()
	o := &orchard{c: c, s: c.newConnector().start(), all: map[string]*fixture{}, grown: map[string]*field{}}
	for _, f := range c.fixtures() {
		o.all[f.name] = f
	}
	return o
}

func (o *orchard) field(t *testing.T, name string) *field {
	t.Helper()
	if g, ok := o.grown[name]; ok {
		return g
	}
	f := o.all[name]
	if f == nil {
		t.Fatalf("no target file %s", name)
	}
	o.grown[name] = f.grow(t, o.c, o.s, len(o.grown))
	return o.grown[name]
}

// change writes members into the target's first resource, or a child of it, as its owner
// would: everything else stays as it was made.
func (g *field) change(below, version string, members map[string]any) {
	for _, p := range g.Puts {
		if below == "" && p.Path == g.owner() || below != "" && strings.HasSuffix(p.Path, below) {
			g.c.arm("PUT", p.Path, p.Version, merged(p.Body, members))
			return
		}
	}
	g.c.arm("PUT", g.owner()+below, version, members)
}

// owner is the target's own resource, what it hangs below.
func (g *field) owner() string {
	for _, p := range g.Puts {
		if strings.HasPrefix(g.Target, p.Path) {
			return p.Path
		}
	}
	return g.Puts[0].Path
}

func merged(into, members map[string]any) map[string]any {
	out := maps.Clone(into)
	for name, value := range members {
		inner, nested := value.(map[string]any)
		if old, ok := out[name].(map[string]any); ok && nested {
			value = merged(old, inner)
		}
		out[name] = value
	}
	return out
}

// TestBadInput: what cannot work is refused before anything is written, with a code, the
// cause and a fix that can be typed; app and target are as they were.
func TestBadInput(t *testing.T) {
	t.Parallel()
	o := plant(t)
	for _, r := range slices.Concat(unsupported(), keysOff(), closed(), withoutSecret(), foreignAddresses()) {
		t.Run(r.target+"/"+r.name, func(t *testing.T) {
			o.c.t = t
			g := o.field(t, r.target)
			if r.before != "" {
				g.c.arm("PUT", g.owner()+r.before, r.version, map[string]any{"properties": map[string]any{"administratorType": "ActiveDirectory", "login": "somebody", "sid": g.user.clientID, "tenantId": g.c.ready.TenantID}})
			}
			if r.change != nil {
				g.change(r.below, r.version, r.change)
				defer g.change(r.below, r.version, undone(g, r))
			}
			g.refuses(t, r)
		})
	}
}

// undone is what a change is put back with: nothing where the resource was made without.
func undone(g *field, r refusal) map[string]any {
	if r.below == "" || r.version == "" {
		return map[string]any{}
	}
	return map[string]any{"properties": map[string]any{"azureADOnlyAuthentication": false}}
}

func (g *field) refuses(t *testing.T, r refusal) {
	t.Helper()
	properties := map[string]any{"clientType": "none"}
	maps.Copy(properties, g.body(nil, "none")["properties"].(map[string]any))
	if r.client != "" {
		properties["clientType"] = r.client
	}
	if r.at != nil {
		properties["targetService"] = r.at
	}
	if r.auth != nil {
		properties["authInfo"] = r.auth
	}
	maps.Copy(properties, r.also)
	before, operations := g.look(), g.s.operations()
	g.c.forget()
	a := g.s.call("PUT", g.site+"/providers/Microsoft.ServiceLinker/linkers/wrong", map[string]any{"properties": properties})
	p := problemOf(a)
	sentence(t, r.name, a, r.status, r.code)
	if !strings.Contains(strings.ToLower(p["envelope"]), strings.ToLower(r.says)) {
		t.Errorf("the cause %q does not name %q", p["envelope"], r.says)
	}
	if !r.contract && !command.MatchString(p["fix"]) {
		t.Errorf("the fix holds no command: %q", p["fix"])
	}
	g.s.quiet(t, r.name, operations)
	if diff := cmp.Diff(before, g.look()); diff != "" {
		t.Errorf("something was changed (-before +after):\n%s", diff)
	}
	if raw, _ := json.Marshal(p); strings.Contains(string(raw), "Canary-") {
		t.Errorf("the answer tells a secret: %s", raw)
	}
}

func by(auth string) map[string]any { return map[string]any{"authType": auth} }

func byPassword(name, password string) map[string]any {
	return map[string]any{"authType": "secret", "name": name, "secretInfo": map[string]any{"secretType": "rawValue", "value": password}}
}

func byRole(roles ...string) map[string]any {
	return map[string]any{"authType": "systemAssignedIdentity", "roles": roles}
}

func with(member string, value any) map[string]any {
	return map[string]any{"properties": map[string]any{member: value}}
}

// unsupported: pairs there are no settings for, and words that mean nothing.
func unsupported() []refusal {
	selfhosted := func(endpoint string) map[string]any {
		return map[string]any{"type": "SelfHostedServer", "endpoint": endpoint}
	}
	return []refusal{
		{name: "a client type nobody knows", target: "redis", auth: by("secret"), client: "cobol", status: 400, code: "CLIENT_UNSUPPORTED", says: "cobol"},
		{name: "a client type without settings", target: "signalr", auth: by("secret"), client: "python", status: 400, code: "CLIENT_UNSUPPORTED", says: "python"},
		{name: "a pair without settings", target: "keyvault", auth: by("secret"), status: 400, code: "AUTH_UNSUPPORTED", says: "keyvault"},
		{name: "an identity where none signs in", target: "storage-file", auth: by("systemAssignedIdentity"), status: 400, code: "AUTH_UNSUPPORTED", says: "storage-file"},
		{name: "an identity at one's own server", target: "selfhosted-postgres", auth: by("systemAssignedIdentity"), status: 400, code: "AUTH_UNSUPPORTED", says: "selfhosted-postgres"},
		{name: "an auth type nobody knows", target: "redis", auth: by("magic"), status: 400, code: "AUTH_UNSUPPORTED", says: "magic"},
		{name: "a person who signs in as an app", target: "storage-blob", auth: by("userAccount"), status: 400, code: "AUTH_UNSUPPORTED", says: "userAccount"},
		{name: "an unknown role", target: "storage-blob", auth: byRole("Blob King"), status: 400, code: "OPTION_UNSUPPORTED", says: "Blob King"},
		{name: "an unknown grant", target: "postgres-flexible", auth: byRole("everything"), status: 400, code: "OPTION_UNSUPPORTED", says: "everything"},
		{name: "an unknown data role", target: "cosmos-sql", auth: byRole("Cosmos Emperor"), status: 400, code: "OPTION_UNSUPPORTED", says: "Cosmos Emperor"},
		{name: "an unknown permission", target: "appconfig", auth: map[string]any{"authType": "accessKey", "permissions": []string{"Fly"}}, status: 400, code: "OPTION_UNSUPPORTED", says: "Fly"},
		{name: "a permission of another service", target: "cosmos-sql", auth: map[string]any{"authType": "accessKey", "permissions": []string{"Listen"}}, status: 400, code: "OPTION_UNSUPPORTED", says: "Listen"},
		{name: "a password where the key is fetched", target: "redis", auth: byPassword("app", "Canary-1"), status: 400, code: "OPTION_UNSUPPORTED", says: "fetched"},
		{name: "options where there is no string", target: "keyvault", auth: by("systemAssignedIdentity"), also: map[string]any{"configurationInfo": map[string]any{"additionalConnectionStringProperties": map[string]string{"a": "b"}}}, status: 400, code: "OPTION_UNSUPPORTED", says: "connection string"},
		{name: "an id of another kind", target: "redis", auth: by("secret"), at: map[string]any{"type": "AzureResource", "id": "/subscriptions/a/resourceGroups/b/providers/Microsoft.Compute/virtualMachines/c"}, status: 400, code: "TARGET_UNSUPPORTED", says: "virtualMachines"},
		{name: "an id that ends too early", target: "redis", auth: by("secret"), at: map[string]any{"type": "AzureResource", "id": "/subscriptions/a/resourceGroups/b/providers/Microsoft.DBforPostgreSQL/flexibleServers/c"}, status: 400, code: "TARGET_UNSUPPORTED", says: "flexibleServers"},
		{name: "an address as an id", target: "redis", auth: by("secret"), at: map[string]any{"type": "AzureResource", "id": "https://cache.redis.cache.windows.net"}, status: 400, code: "TARGET_UNSUPPORTED", says: "https://"},
		{name: "an id as an address", target: "selfhosted-postgres", auth: byPassword("a", "Canary-1"), at: selfhosted("/subscriptions/a/resourceGroups/b"), status: 400, code: "TARGET_UNSUPPORTED", says: "postgres"},
		{name: "a type of target nobody knows", target: "redis", auth: by("secret"), at: map[string]any{"type": "Mainframe", "id": "x"}, status: 400, code: "TARGET_UNSUPPORTED", says: "Mainframe"},
	}
}

// keysOff: every target that can switch its own secrets off, by each auth type that uses
// them.
func keysOff() []refusal {
	var out []refusal
	off := func(target string, change map[string]any, auth ...map[string]any) {
		for _, a := range auth {
			out = append(out, refusal{client: "dotnet", name: "keys are off, " + a["authType"].(string), target: target, change: change, auth: a, status: 409, code: "KEY_ACCESS_DISABLED", says: "does not accept"})
		}
	}
	key, permitted, identity := by("secret"), by("accessKey"), by("systemAssignedIdentity")
	off("redis", with("disableAccessKeyAuthentication", true), key)
	for _, t := range []string{"cosmos-sql", "cosmos-mongo", "cosmos-cassandra", "cosmos-gremlin", "cosmos-table"} {
		// An identity without a data role would ask for the keys.
		off(t, with("disableLocalAuth", true), key, permitted, identity)
	}
	for _, t := range []string{"eventhub", "servicebus", "appconfig"} {
		off(t, with("disableLocalAuth", true), key, permitted)
	}
	for _, t := range []string{"signalr", "webpubsub", "cognitiveservices", "openai", "aiservices"} {
		off(t, with("disableLocalAuth", true), key)
	}
	off("app-insights", with("DisableLocalAuth", true), key)
	for _, t := range []string{"storage-blob", "storage-queue", "storage-table", "storage-file"} {
		off(t, with("allowSharedKeyAccess", false), key)
	}
	off("postgres-flexible", with("authConfig", map[string]any{"passwordAuth": "Disabled", "activeDirectoryAuth": "Enabled"}), byPassword("pgadmin", "Canary-1"))
	out = append(out,
		refusal{name: "keys are off", target: "redis-enterprise", below: "/databases/default", change: with("accessKeysAuthentication", "Disabled"), auth: key, status: 409, code: "KEY_ACCESS_DISABLED", says: "keys"},
		refusal{name: "Entra only", target: "sql", below: "/azureADOnlyAuthentications/Default", version: "2023-08-01", before: "/administrators/ActiveDirectory", change: with("azureADOnlyAuthentication", true), auth: byPassword("sqladmin", "Canary-1"), status: 409, code: "KEY_ACCESS_DISABLED", says: "passwords"})
	return out
}

// closed: targets that let nobody in from outside, where the engine would have to go in.
func closed() []refusal {
	return []refusal{
		{name: "public access is denied", target: "postgres-flexible", change: with("network", map[string]any{"publicNetworkAccess": "Disabled"}), auth: by("systemAssignedIdentity"), status: 409, code: "PUBLIC_ACCESS_DENIED", says: "public"},
		{name: "public access is denied", target: "mysql-flexible", change: with("network", map[string]any{"publicNetworkAccess": "Disabled"}), auth: by("systemAssignedIdentity"), status: 409, code: "PUBLIC_ACCESS_DENIED", says: "public"},
		{name: "public access is denied", target: "sql", change: with("publicNetworkAccess", "Disabled"), auth: by("systemAssignedIdentity"), status: 409, code: "PUBLIC_ACCESS_DENIED", says: "public"},
	}
}

// withoutSecret: what only a person can give and did not.
func withoutSecret() []refusal {
	var out []refusal
	for _, t := range []string{"postgres-flexible", "mysql-flexible", "sql", "neon-postgres", "mongodb-atlas", "confluent-cloud", "confluent-cloud-schema",
		"selfhosted-postgres", "selfhosted-mysql", "selfhosted-sqlserver", "selfhosted-redis", "selfhosted-mongodb", "selfhosted-cassandra", "selfhosted-kafka", "selfhosted-http"} {
		out = append(out, refusal{name: "no secret", target: t, auth: map[string]any{"authType": "secret", "name": "app"}, status: 400, code: "SECRET_NEEDED", says: "needs"})
	}
	sp := func(more map[string]any) map[string]any {
		return merged(map[string]any{"authType": "servicePrincipalSecret", "clientId": "00000000-0000-4000-8000-000000000001", "principalId": "00000000-0000-4000-8000-000000000002"}, more)
	}
	return append(out,
		refusal{name: "no user", target: "postgres-flexible", auth: byPassword("", "Canary-1"), status: 400, code: "SECRET_NEEDED", says: "name"},
		refusal{name: "a principal without a secret", target: "storage-blob", auth: sp(nil), contract: true, status: 400, code: "BODY_INVALID", says: "authInfo/secret is missing"},
		refusal{name: "a principal without a certificate", target: "storage-blob", auth: sp(map[string]any{"authType": "servicePrincipalCertificate"}), contract: true, status: 400, code: "BODY_INVALID", says: "authInfo/certificate is missing"},
		refusal{name: "a principal that is no GUID", target: "storage-blob", auth: sp(map[string]any{"clientId": "me", "secret": "Canary-1"}), status: 400, code: "BODY_INVALID", says: "GUID"},
		refusal{name: "an identity without a client id", target: "storage-blob", auth: by("userAssignedIdentity"), status: 400, code: "BODY_INVALID", says: "clientId"},
		refusal{name: "a password for a connection string", target: "mongodb-atlas", auth: byPassword("", "Canary-1"), status: 400, code: "BODY_INVALID", says: "URL"},
	)
}

// foreignAddresses: addresses that no target has, or that tell a password.
func foreignAddresses() []refusal {
	at := func(kind, endpoint string) map[string]any {
		return map[string]any{"type": kind, "endpoint": endpoint}
	}
	var out []refusal
	for _, r := range []struct{ name, kind, endpoint, code, says string }{
		{"a scheme nobody knows", "SelfHostedServer", "gopher://db.example.com/orders", "TARGET_UNSUPPORTED", "scheme"},
		{"no scheme", "SelfHostedServer", "db.example.com:5432/orders", "TARGET_UNSUPPORTED", "scheme"},
		{"a password in the address", "SelfHostedServer", "postgres://app:Canary-1@db.example.com/orders", "BODY_INVALID", "password"},
		{"no host", "SelfHostedServer", "postgres:///orders", "BODY_INVALID", "does not tell"},
		{"nothing", "SelfHostedServer", "", "TARGET_UNSUPPORTED", "scheme"},
		{"a file", "SelfHostedServer", "file:///etc/passwd", "TARGET_UNSUPPORTED", "scheme"},
		{"a broker with a path", "ConfluentBootstrapServer", "https://pkc.example.com/x", "BODY_INVALID", "bootstrapServer"},
		{"a registry without https", "ConfluentSchemaRegistry", "ftp://psrc.example.com", "BODY_INVALID", "registryUrl"},
		{"a registry with a password", "ConfluentSchemaRegistry", "https://app:Canary-1@psrc.example.com", "BODY_INVALID", "password"},
		{"a broker that is empty", "ConfluentBootstrapServer", "", "BODY_INVALID", "endpoint"},
	} {
		target := map[string]string{"SelfHostedServer": "selfhosted-postgres", "ConfluentBootstrapServer": "confluent-cloud", "ConfluentSchemaRegistry": "confluent-cloud-schema"}[r.kind]
		out = append(out, refusal{name: r.name, target: target, at: at(r.kind, r.endpoint), auth: byPassword("app", "Canary-1"), status: 400, code: r.code, says: r.says})
	}
	return out
}

// TestKeysOffWithDataRole: with a data role an identity needs no keys, and a user who
// grants by hand is believed.
func TestKeysOffWithDataRole(t *testing.T) {
	t.Parallel()
	o := plant(t)
	g := o.field(t, "cosmos-sql")
	g.change("", "", with("disableLocalAuth", true))
	for name, auth := range map[string]map[string]any{"role": byRole(dataRole), "mine": {"authType": connection.AuthSystemIdentity, "authMode": "optOutAllAuth"}} {
		url := g.site + "/providers/Microsoft.ServiceLinker/linkers/" + name
		if op := g.s.do("PUT", url, g.body(auth, "dotnet")); op.text("status") != "Succeeded" {
			t.Errorf("%s: %s", name, op.Raw)
		}
		g.s.must(t, "DELETE", url, nil)
	}
}

// TestKeyOfJustTheseRights: a key holds what was asked for and no more. There is no such
// rule at first, and the refusal says how to make one; with one, its key is what the app
// gets, and the app can do that and nothing else.
func TestKeyOfJustTheseRights(t *testing.T) {
	t.Parallel()
	o := plant(t)
	for target, words := range map[string]string{"eventhub": "az eventhubs namespace authorization-rule create", "servicebus": "az servicebus namespace authorization-rule create"} {
		g := o.field(t, target)
		listen := map[string]any{"authType": "accessKey", "permissions": []string{"listen"}}
		g.refuses(t, refusal{name: "no such rule", target: target, auth: listen, status: 400, code: "OPTION_UNSUPPORTED", says: "Listen"})
		url := g.site + "/providers/Microsoft.ServiceLinker/linkers/narrow"
		if fix := problemOf(g.s.call("PUT", url, g.body(listen, "python")))["fix"]; !strings.Contains(fix, words) || !strings.Contains(fix, "--rights Listen") || !strings.Contains(fix, "--resource-group m") {
			t.Errorf("%s: the fix is %q", target, fix)
		}
		version := g.Puts[0].Version
		for name, rights := range map[string][]string{"both": {"Listen", "Send"}, "ears": {"Listen"}} {
			g.c.arm("PUT", g.Target+"/authorizationRules/"+name, version, with("rights", rights))
		}
		key := g.c.arm("POST", g.Target+"/authorizationRules/ears/listKeys", version, nil).text("primaryKey")
		g.s.must(t, "PUT", url, g.body(listen, "python"))
		want := "SharedAccessKeyName=ears;SharedAccessKey=" + key
		found := false
		for _, value := range g.settings() {
			found = found || strings.Contains(value, want)
		}
		if !found {
			t.Errorf("%s: the app does not get the key of the rule: %v", target, slices.Sorted(maps.Keys(g.settings())))
		}
		g.s.validates(t, target, url)
		g.s.must(t, "DELETE", url, nil)
	}
}

// TestConnectionStringWithoutName: where the secret is a whole connection string, the
// command asks for nothing else.
func TestConnectionStringWithoutName(t *testing.T) {
	t.Parallel()
	o := plant(t)
	g := o.field(t, "mongodb-atlas")
	file := filepath.Join(shortDir(t), "string")
	if err := os.WriteFile(file, []byte(g.Secret.Value), 0o600); err != nil {
		t.Fatal(err)
	}
	site := g.site[strings.LastIndex(g.site, "/")+1:]
	term := o.s.terminal()
	create := func(more ...string) said {
		return term.run(lineAt(site, "create mongodb-atlas", "atlas", append([]string{"--target-id", g.Target, "--client-type", "go"}, more...)...)...)
	}
	if s := create("--yes", "--secret", "name=app"); s.code != 2 || !strings.Contains(s.err, "--secret secret=@FILE") || strings.Contains(s.err, "name=USER") {
		t.Errorf("without the string: %+v", s)
	}
	if s := create("--secret", "secret=@"+file); s.code != 0 {
		t.Fatalf("with the string alone: %+v", s)
	}
	if got := g.settings()["MONGODBATLAS_CLUSTER_CONNECTIONSTRING"]; got != g.Secret.Value {
		t.Errorf("the app gets %q", got)
	}
	if s := term.run(lineAt(site, "delete", "atlas", "--yes")...); s.code != 0 {
		t.Errorf("delete: %+v", s)
	}
}
