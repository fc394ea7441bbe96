package catalog

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const minimal = `name: x
display: X
protocol: p
namespace: N
apiVersion: "1"
id:
  - {type: things, fact: thing, option: thing, help: Thing.}
resources:
  thing: {depth: 1}
facts:
  host: {of: thing, at: properties.host, needed: true}
keys:
  key: {of: thing, action: listKeys, at: k}
roles: {of: thing}
auth:
  secret: {key: key}
clients: [go, none]
without:
  - {auth: [secret], clients: [none], why: because}
settings:
  - auth: [secret]
    clients: [go]
    rows:
      - {name: X_Y_Z, value: "{host}:{{}}"}
`

// TestBadFiles breaks a good file in one place each.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	if _, err := decode(nil, []byte(minimal)); err != nil {
		t.Fatalf("the good file: %v", err)
	}
	for _, row := range []struct{ old, new, phrase string }{
		{"name: x\n", "name: \"\"\n", "name is empty"},
		{"display: X\n", "display: X\nsurprise: 1\n", "surprise"},
		{"depth: 1", "depth: 2", "not within the id"},
		{"fact: thing, option: thing", "fact: thing", "an option"},
		{"help: Thing.", "help: Thing., pattern: '('", "missing closing"},
		{"{of: thing, at: properties.host", "{of: other, at: properties.host", "fact host is read nowhere"},
		{"action: listKeys, ", "", "key key is read nowhere"},
		{"roles: {of: thing}", "roles: {of: other}", "unknown resource"},
		{"roles: {of: thing}", "roles: {of: thing, default: [R]}", "not among the known"},
		{"roles: {of: thing}", "roles: {of: thing, known: [{name: R, id: r}]}", "no GUID"},
		{"roles: {of: thing}", "roles: {of: thing}\nfirewall: {style: odd, of: thing, when: {fact: host}}", "style"},
		{"roles: {of: thing}", "roles: {of: thing}\nkeyAccess: {fact: nothing}", "unknown fact"},
		{"roles: {of: thing}", "roles: {of: thing}\naccess: {of: thing}", "no policy"},
		{"roles: {of: thing}", "roles: {of: thing}\nfeatures: [{of: nothing, name: f}]", "unknown resource"},
		{"roles: {of: thing}", "roles: {of: thing}\nderived: {d: {from: host, match: 'a'}}", "exactly one group"},
		{"roles: {of: thing}", "roles: {of: thing}\nderived: {d: {from: nothing, match: '(a)'}}", "no origin"},
		{"roles: {of: thing}", "roles: {of: thing}\npreview: {facts: {host: '{nothing}.{suffix}'}}", "{nothing}"},
		{"secret: {key: key}", "secret: {key: other}", "unknown key"},
		{"secret: {key: key}", "secret: {key: key, with: [other]}", "unknown key"},
		{"display: X\n", "display: X\nstatus: soon\n", "status"},
		{"display: X\n", "display: X\ntypes: [Thing]\n", "id, auth or clients"},
		{"display: X\n", "display: X\naudience: everybody\n", "audience"},
		{"namespace: N\n", "", "namespace is empty"},
		{"roles: {of: thing}", "roles: {of: thing}\npreview: {facts: {host: '{word}'}, clouds: {C: {other: x}}}", "{word}"},
		{"roles: {of: thing}", "roles: {of: thing}\npreview: {facts: {hots: x}}", "hots"},
		{"roles: {of: thing}", "roles: {of: thing}\naccess: {of: thing, policies: [p], when: {fact: nothing}}", "unknown fact"},
		{"    clients: [go]\n", "    clients: [go]\n    form: odd\n", "form"},
		{`name: X_Y_Z, `, "name: X_Y_Z, differs: {name: A}, ", "difference"},
		{`name: X_Y_Z, `, "name: X_Y_Z, differs: {why: because}, ", "difference"},
		{"secret: {key: key}", "secret: {key: key}\n  magic: {}", "magic"},
		{"secret: {key: key}", "secret: {key: key}\n  systemAssignedIdentity: {}", "either settings or a reason"},
		{"clients: [go, none]", "clients: [go, none, php]", "secret with php needs"},
		{"clients: [none], why: because", "clients: [none, go], why: because", "needs either"},
		{"why: because", "why: ''", "no reason"},
		{"    clients: [go]", "    clients: [perl]", "perl"},
		{"{host}:", "{nothing}:", "{nothing} is unknown"},
		{"{host}:", "{host:", "brace"},
		{"{host}:", "}:", "brace"},
		{`name: X_Y_Z, `, "", "no name"},
		{`name: X_Y_Z, `, "name: X_Y_Z, grammar: odd, ", "notation"},
		{`name: X_Y_Z, `, "name: X_Y_Z, variant: odd, ", "variant"},
		{`name: X_Y_Z, `, "name: X_Y_Z, kind: secret, ", "kind"},
		{`{{}}"}`, `{{}}"}` + "\n      - {name: x_y_z, value: '1'}", "twice"},
	} {
		text := strings.Replace(minimal, row.old, row.new, 1)
		if text == minimal {
			t.Fatalf("%q is not in the file", row.old)
		}
		if _, err := decode(nil, []byte(text)); err == nil || !strings.Contains(err.Error(), row.phrase) {
			t.Errorf("%q for %q: %v does not say %q", row.new, row.old, err, row.phrase)
		}
	}
}

func TestReadNamesTheFile(t *testing.T) {
	t.Parallel()
	if _, err := read(fstest.MapFS{"targets/y.yaml": {Data: []byte(minimal)}}); err == nil || !strings.Contains(err.Error(), `y.yaml`) {
		t.Error(err)
	}
	c, err := read(fstest.MapFS{"targets/x.yaml": {Data: []byte(minimal)}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Targets()[0].Settings("secret", "go", connection.Facts{"host": connection.Plain("{h}")}, Options{})
	if err != nil || s[0].Value.Text != "{h}:{}" {
		t.Errorf("%v %v", s, err)
	}
}

func FuzzPieces(f *testing.F) {
	for _, s := range []string{"", "a{b}c", "{{a}}", "{", "}", "{}", "{a{b}}", "}}{{", "{{{a}}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, template string) {
		parts, err := pieces(template)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, p := range parts {
			if p.fact != "" {
				again.WriteString("{" + p.fact + "}")
				continue
			}
			again.WriteString(strings.NewReplacer("{", "{{", "}", "}}").Replace(p.text))
		}
		if again.String() != template {
			t.Fatalf("%q comes back as %q", template, again.String())
		}
	})
}

// TestTheHeadIsOfTheFile: what is read first says the same as the whole.
func TestTheHeadIsOfTheFile(t *testing.T) {
	t.Parallel()
	c, err := read(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range c.entries {
		whole := *e.whole()
		want := Target{
			Name: whole.Name, Display: whole.Display, Status: whole.Status, Namespace: whole.Namespace, ID: whole.ID,
			Kinds: whole.Kinds, Types: whole.Types, Schemes: whole.Schemes, Linkers: whole.Linkers, Auth: whole.Auth, Clients: whole.Clients,
			DBUser: whole.DBUser, StringType: whole.StringType, Bindings: whole.Bindings, APIVersion: whole.APIVersion,
		}
		if d := cmp.Diff(want, *e.head); d != "" {
			t.Errorf("%s: %s", whole.Name, d)
		}
	}
}

// TestOpenReadsHeadsOnly: a file that is broken further down does no harm until its
// target is asked for.
func TestOpenReadsHeadsOnly(t *testing.T) {
	t.Parallel()
	c, err := open(fstest.MapFS{"targets/x.yaml": {Data: []byte(minimal + "surprise: 1\n")}})
	if err != nil || len(c.Support(nil)) != 1 {
		t.Fatal(err)
	}
	if _, err := c.entries[0].full(); err == nil {
		t.Error("the broken part was taken")
	}
	if _, err := open(fstest.MapFS{"targets/x.yaml": {Data: []byte("name: [\n")}}); err == nil || !strings.Contains(err.Error(), "x.yaml") {
		t.Error(err)
	}
}

// TestEveryIDIsFound: each target by an id of its own shape, the ready ones for connections.
func TestEveryIDIsFound(t *testing.T) {
	t.Parallel()
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range c.Targets() {
		if len(target.ID) == 0 {
			for _, word := range target.Types {
				if got, ok := c.OfType(strings.ToUpper(word)); !ok || got != target && len(target.Schemes) == 0 {
					t.Errorf("%s: no target", word)
				}
				if m, err := c.MatchTarget(connection.Target{Type: word, Endpoint: target.Example}); len(target.Schemes) > 0 && (err != nil || m.Target != target) {
					t.Errorf("%s: %v", target.Example, err)
				}
			}
			continue
		}
		id := strings.NewReplacer("{database}", "1", "{", "", "}", "").Replace(target.IDTemplate())
		m, err := c.find(id)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if len(target.Kinds) > 0 {
			m.Target = c.OfKind(m.Target, target.Kinds[0])
		}
		if m.Target != target {
			t.Errorf("%s is a %s, not a %s", id, m.Target.Name, target.Name)
		}
		_, err = c.Match(id)
		if ready := target.Status == ""; ready != (err == nil) || !ready && !problem.Is(err, problem.TargetUnsupported) {
			t.Errorf("%s: %v", target.Name, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "can be previewed") || strings.Contains(err.Error(), "there are "+target.Name)) {
			t.Errorf("%s: %v", target.Name, err)
		}
	}
	if _, ok := c.OfType("AzureResource"); ok {
		t.Error("an ARM id is no type of its own")
	}
}

func TestKindsOfOneType(t *testing.T) {
	t.Parallel()
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.find("/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a")
	if err != nil || m.Target.Name != "cognitiveservices" {
		t.Fatalf("%+v %v", m, err)
	}
	for kind, want := range map[string]string{"OpenAI": "openai", "aiservices": "aiservices", "TextAnalytics": "cognitiveservices", "": "cognitiveservices"} {
		if got := c.OfKind(m.Target, kind); got.Name != want {
			t.Errorf("kind %q is %s, want %s", kind, got.Name, want)
		}
	}
}
