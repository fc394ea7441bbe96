package app

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/target"
)

// fixture says how plain ARM calls make a target in an empty group, and what its
// settings come to: one file per target under testdata/targets.
type fixture struct {
	name    string
	Puts    []put             `yaml:"puts"`
	Target  string            `yaml:"target"`  // ARM id
	Service map[string]string `yaml:"service"` // targetService, where there is no ARM id
	Secret  struct{ Name, Value string }
	Facts   map[string]told `yaml:"facts"`
	// Extra are members of configurationInfo.additionalConnectionStringProperties.
	Extra map[string]string `yaml:"extra"`
	// Named are facts by auth type, in place of the ordinary ones.
	Named map[string]map[string]string `yaml:"named"`
	// OptOut names what every connection of the target leaves out.
	OptOut []string `yaml:"optOut"`
	// Az is for the tests with the real Azure CLI.
	Az [][]string `yaml:"az"`
	// Leaves are members of the target that keep what was once written, and do no harm.
	Leaves []string `yaml:"leaves"`
}

type put struct {
	Path, Version string
	Body          map[string]any
}

// told is a fact: a word, or a member of an ARM answer, within a text if one is given.
type told struct {
	Text, Get, Post, Version, At, In string
	Body                             map[string]any // of a post
	Match                            string         // the first group of a pattern, instead of all of it
}

// UnmarshalYAML accepts a word or a call.
func (f *told) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		f.Text = node.Value
		return nil
	}
	type plain told
	return node.Decode((*plain)(f))
}

// fixtures reads every file, with a group of its own in each.
func (c *cloudUnderTest) fixtures() []*fixture {
	c.t.Helper()
	files, err := filepath.Glob("testdata/targets/*.yaml")
	if err != nil || len(files) == 0 {
		c.t.Fatalf("no targets: %v", err)
	}
	var out []*fixture
	for i, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			c.t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		unique := "m" + strconv.Itoa(i) + strings.ReplaceAll(name, "-", "")
		unique = unique[:min(len(unique), 20)]
		text := strings.NewReplacer("{group}", c.groupNamed(unique), "{n}", unique, "{g}", unique, "{cloud}", c.ready.Endpoint, "{subscription}", c.ready.SubscriptionID, "{tenant}", c.ready.TenantID).Replace(string(raw))
		f := &fixture{name: name}
		d := yaml.NewDecoder(strings.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(f); err != nil {
			c.t.Fatalf("%s: %v", file, err)
		}
		out = append(out, f)
	}
	return out
}

func (c *cloudUnderTest) groupNamed(name string) string {
	return "/subscriptions/" + c.ready.SubscriptionID + "/resourceGroups/" + name
}

// field is one fixture in the cloud, with an app to connect.
type field struct {
	*fixture
	c      *cloudUnderTest
	s      *connector
	site   string
	target *catalog.Target
	form   string
	facts  map[string]string
	user   userIdentity
	sp     principal
}

func (f *fixture) grow(t *testing.T, c *cloudUnderTest, s *connector, n int) *field {
	t.Helper()
	all, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	g := &field{fixture: f, c: c, s: s, facts: map[string]string{}}
	m, err := all.MatchTarget(connection.Target{Type: f.Service["type"], ID: f.Target, Endpoint: f.Service["endpoint"]})
	if err != nil {
		t.Fatal(err)
	}
	g.target, g.form = m.Target, m.Form
	for name, value := range m.Facts {
		g.facts[name] = value.Text
	}
	app := "matrix" + strconv.Itoa(n)
	g.site = c.site(app)
	c.arm("PUT", g.site, siteVersion, map[string]any{"location": "westeurope", "properties": map[string]any{}})
	c.putSettings(app, map[string]string{"FOREIGN": "theirs"})
	groups := map[string]bool{}
	for _, p := range f.Puts {
		if parts := strings.SplitN(p.Path, "/", 6); len(parts) > 4 && strings.EqualFold(parts[3], "resourceGroups") && !groups[parts[4]] {
			groups[parts[4]] = true
			c.arm("PUT", c.groupNamed(parts[4]), groupVersion, map[string]any{"location": "westeurope"})
		}
		c.arm("PUT", p.Path, p.Version, p.Body)
	}
	for name, fact := range f.Facts {
		g.facts[name] = g.tell(t, fact)
	}
	g.fill()
	if password, ok := g.facts[catalog.FactPassword]; ok { // of a login whose secret the cloud makes up
		g.Secret.Value = password
	}
	for option, text := range f.Extra { // which may name what was told
		for name, fact := range g.facts {
			text = strings.ReplaceAll(text, "{"+name+"}", fact)
		}
		f.Extra[option] = text
	}
	g.facts[catalog.FactManagement] = c.ready.Endpoint
	g.facts[catalog.FactTenantID] = c.ready.TenantID
	g.target = all.Kind(g.target, g.facts["kind"])
	g.user = c.makeIdentity("user" + strconv.Itoa(n))
	g.sp = c.newPrincipal("matrix" + strconv.Itoa(n))
	return g
}

// fill puts facts where the file names them: in the secret and in what is asked for.
func (g *field) fill() {
	var pairs []string
	for name, text := range g.facts {
		pairs = append(pairs, "{"+name+"}", text)
	}
	facts := strings.NewReplacer(pairs...)
	own := *g.fixture
	own.Secret.Name, own.Secret.Value = facts.Replace(own.Secret.Name), facts.Replace(own.Secret.Value)
	own.Extra = map[string]string{}
	for name, text := range g.fixture.Extra {
		own.Extra[name] = facts.Replace(text)
	}
	g.fixture = &own
}

func (g *field) tell(t *testing.T, f told) string {
	t.Helper()
	text := g.ask(t, f)
	if f.Match != "" {
		m := regexp.MustCompile(f.Match).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("%s of %s%s does not match %s", f.At, f.Get, f.Post, f.Match)
		}
		text = m[1]
	}
	if f.In != "" {
		text = strings.ReplaceAll(f.In, "{}", text)
	}
	return text
}

func (g *field) ask(t *testing.T, f told) string {
	t.Helper()
	method, path := "GET", f.Get
	switch {
	case f.Get == "" && f.Post == "":
		return f.Text
	case f.Post != "":
		method, path = "POST", f.Post
	}
	var body any
	if f.Body != nil {
		body = f.Body
	}
	var at any = g.c.arm(method, path, f.Version, body).Body
	for _, step := range strings.Split(f.At, ".") {
		switch node := at.(type) {
		case map[string]any:
			at = node[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(node) {
				t.Fatalf("%s of %s: no %s", f.At, path, step)
			}
			at = node[i]
		}
	}
	switch v := at.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	t.Fatalf("%s of %s is %v", f.At, path, at)
	return ""
}

// newCertificate makes a certificate with its key, in PEM, and lets the principal sign in
// with it.
func (g *field) newCertificate(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "matrix"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
	if a := g.c.call(g.c.ready.Endpoint, g.c.token, "POST", "/_local/principals/"+g.sp.ObjectID+"/certificates", map[string]any{"certificate": public}); a.Status >= 300 {
		t.Fatalf("register the certificate: %d %s", a.Status, a.Raw)
	}
	return public + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// auth is authInfo for an auth type, and the facts that come with it.
func (g *field) auth(t *testing.T, auth, name string) (info map[string]any, facts map[string]string) {
	info, facts = map[string]any{"authType": auth}, map[string]string{"username": "aad_" + name}
	switch auth {
	case connection.AuthSecret:
		if g.target.Auth[auth].Given {
			info["name"], info["secretInfo"] = g.Secret.Name, map[string]any{"secretType": "rawValue", "value": g.Secret.Value}
			facts["username"], facts["password"] = g.Secret.Name, g.Secret.Value
		}
	case connection.AuthUserIdentity:
		info["clientId"], info["subscriptionId"] = g.user.clientID, g.c.ready.SubscriptionID
		facts["clientId"] = g.user.clientID
	case connection.AuthServicePrincipalSecret:
		info["clientId"], info["principalId"], info["secret"] = g.sp.ClientID, g.sp.ObjectID, g.sp.ClientSecret
		facts["clientId"], facts["principalId"], facts["clientSecret"] = g.sp.ClientID, g.sp.ObjectID, g.sp.ClientSecret
	case connection.AuthServicePrincipalCertificate:
		certificate := g.newCertificate(t)
		info["clientId"], info["principalId"], info["certificate"] = g.sp.ClientID, g.sp.ObjectID, certificate
		facts["clientId"], facts["principalId"], facts["clientCertificate"] = g.sp.ClientID, g.sp.ObjectID, certificate
	}
	maps.Copy(facts, g.Named[auth])
	return info, facts
}

func (g *field) body(info map[string]any, client string) map[string]any {
	service := map[string]any{"type": "AzureResource", "id": g.Target}
	if g.Service != nil {
		service = map[string]any{"type": g.Service["type"], "endpoint": g.facts[connection.FactEndpoint]}
	}
	properties := map[string]any{"targetService": service, "clientType": client}
	if info != nil {
		properties["authInfo"] = info
	}
	if len(g.Extra) > 0 {
		properties["configurationInfo"] = map[string]any{"additionalConnectionStringProperties": g.Extra}
	}
	if slices.Contains(g.OptOut, "publicnetwork") {
		properties["publicNetworkSolution"] = map[string]any{"action": "optOut"}
	}
	return map[string]any{"properties": properties}
}

// want is what the app must get, by the catalog and the facts as plain calls tell them.
func (g *field) want(t *testing.T, auth, client string, more map[string]string) map[string]string {
	t.Helper()
	facts := connection.Facts{}
	for _, from := range []map[string]string{g.facts, more} {
		for name, text := range from {
			facts[name] = connection.Plain(text)
		}
	}
	settings, err := g.target.Settings(auth, client, facts, catalog.Options{Form: g.form, Connection: g.Extra})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{"FOREIGN": "theirs"}
	for _, s := range settings {
		out[s.Name] = s.Value.Text
	}
	return out
}

func (g *field) settings() map[string]string {
	return g.c.settings(g.site[strings.LastIndex(g.site, "/")+1:])
}

// look is everything around the connection as plain calls show it, without what is
// empty or off: absent and off are the same to Azure.
func (g *field) look() map[string]any {
	out := map[string]any{"settings": g.settings(), "site": tidy(g.c.arm("GET", g.site, siteVersion, nil).at("identity"))}
	for _, p := range g.Puts {
		a := g.c.arm("GET", p.Path, p.Version, nil)
		out[p.Path] = tidy(a.Body, g.Leaves...)
	}
	out["grants"] = g.c.holders(g.Puts[0].Path)
	return out
}

// moving are members that change by themselves.
func moving() []string {
	return []string{"etag", "systemData", "provisioningState", "updatedAt", "updatedOn", "lastUpdatedTime"}
}

// tidy drops what is empty or off, and what changes by itself.
func tidy(v any, leaves ...string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			if one := tidy(member, leaves...); one != nil && !slices.Contains(moving(), name) && !slices.Contains(leaves, name) {
				out[name] = one
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		var out []any
		for _, one := range v {
			out = append(out, tidy(one, leaves...))
		}
		if out == nil {
			return nil
		}
		return out
	case string:
		if v == "" || v == "None" || strings.EqualFold(v, "false") || v == "Disabled" {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}

// TestEveryTarget makes every connection there is: each target that has a file, each
// auth type, each client type, through the API, with cloud and server as processes of
// their own. After each auth type's last client the world is as it was.
func TestEveryTarget(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	s := c.newConnector().start()
	var pairs atomic.Int64
	defer func() { t.Logf("%d pairs of auth and client type were made", pairs.Load()) }()
	for i, f := range c.fixtures() {
		t.Run(f.name, func(t *testing.T) {
			c, s := *c, *s // their failures are this test's
			c.t, s.cloud = t, &c
			g := f.grow(t, &c, &s, i)
			for _, auth := range g.target.Offered(target.ReadyAuth()) {
				if len(g.clients(auth)) > 0 { // settings may have no room for a certificate
					pairs.Add(int64(g.join(t, auth)))
				}
			}
		})
	}
}

// join makes the connection for every client type of one auth type, validates and
// deletes it.
func (g *field) join(t *testing.T, auth string) (pairs int) {
	t.Helper()
	name := shortName(auth)
	before := g.look()
	url := g.site + "/providers/Microsoft.ServiceLinker/linkers/" + name
	info, more := g.auth(t, auth, name)
	if auth == catalog.AuthNone {
		info = nil
	}
	for i, client := range g.clients(auth) {
		what := auth + " with " + client
		op := g.s.do("PUT", url, g.body(info, client))
		if op.text("status") != "Succeeded" {
			t.Errorf("%s: %s", what, op.Raw)
			if i == 0 {
				return pairs
			}
			break
		}
		pairs++
		if diff := cmp.Diff(g.want(t, auth, client, more), g.settings()); diff != "" {
			t.Errorf("%s gets other settings (-want +got):\n%s", what, diff)
		}
		if i == 0 {
			g.validate(t, what, url)
		}
	}
	if op := g.s.do("DELETE", url, nil); op.text("status") != "Succeeded" {
		t.Errorf("delete %s: %s", auth, op.Raw)
	}
	if diff := cmp.Diff(before, g.look()); diff != "" {
		t.Errorf("%s leaves traces (-before +after):\n%s", auth, diff)
	}
	return pairs
}

// shortName is a word for an auth type that leaves room in the name of a database user.
func shortName(auth string) string {
	return "by_" + strings.ToLower(regexp.MustCompile(`[a-z]{3,}`).ReplaceAllStringFunc(auth, func(w string) string { return w[:2] }))
}

func (g *field) clients(auth string) []string {
	var out []string
	for _, client := range g.target.Clients {
		if len(g.target.FormRows(auth, client, g.form)) > 0 {
			out = append(out, client)
		}
	}
	return out
}

// validate expects that nothing is found wrong.
func (g *field) validate(t *testing.T, what, url string) {
	t.Helper()
	g.s.validates(t, what, url)
}

// validates expects a validation to find nothing wrong. What was found stands in the
// operation's status for clients, not in ours.
func (s *connector) validates(t *testing.T, what, url string) {
	t.Helper()
	a := s.call("POST", url+"/validateLinker", nil)
	op := s.await(a.Header.Get("X-Patchbay-Operation"))
	found := s.cloud.call("", s.cloud.token, "GET", a.Header.Get("Azure-AsyncOperation"), nil)
	if op.text("status") != "Succeeded" || !bytes.Contains(found.Raw, []byte(`"validationDetail"`)) || bytes.Contains(found.Raw, []byte(`"failure"`)) {
		var shown bytes.Buffer
		_ = json.Indent(&shown, found.Raw, "", "  ")
		t.Errorf("validate %s: %s", what, shown.String())
	}
}
