package catalog

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

func TestLikeTakesWhatBothHave(t *testing.T) {
	t.Parallel()
	const other = `
auth: {secret: {given: true}, systemAssignedIdentity: {}}
clients: [go, java]
without: [{auth: [secret], clients: [java, go], why: none}]
settings:
  - {auth: [secret, systemAssignedIdentity], clients: [go, java], rows: [{name: A, value: "x:1:{host}", differs: {documented: y, why: z}}]}
  - {auth: [systemAssignedIdentity], clients: [go], rows: [{name: B, value: "1"}]}
  - {auth: [secret], clients: [go], form: other, rows: [{name: C, value: "1"}]}
`
	from := fstest.MapFS{"targets/other.yaml": {Data: []byte(other)}}
	one := &Target{Auth: map[string]Auth{"secret": {}}, Clients: []string{"go"}, Like: &Like{Target: "other", Swap: []Swap{{"1", "{port}"}, {"x", "y"}}}}
	if err := one.beLike(from); err != nil {
		t.Fatal(err)
	}
	if len(one.Rules) != 1 || strings.Join(one.Rules[0].Auth, " ")+strings.Join(one.Rules[0].Clients, " ") != "secretgo" || len(one.Without) != 1 {
		t.Fatalf("%+v", one)
	}
	if row := one.Rules[0].Rows[0]; row.Value[0] != "y:{port}:{host}" || row.Differs != nil {
		t.Errorf("%+v", row)
	}
	for why, like := range map[string]Like{"no template holds": {Target: "other", Swap: []Swap{{"9", "8"}}}, "be like nobody": {Target: "nobody"}} {
		one := &Target{Auth: map[string]Auth{"secret": {}}, Clients: []string{"go"}, Like: &like}
		if err := one.beLike(from); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// TestAddressesOfServers: the scheme tells which target it is, and the address tells its facts.
func TestAddressesOfServers(t *testing.T) {
	t.Parallel()
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for endpoint, want := range map[string]string{
		"postgres://db.example.com:6000/orders?x=y": "selfhosted-postgres host=db.example.com port=6000 database=orders",
		"PostgreSQL://db/orders":                    "selfhosted-postgres host=db port=5432 database=orders",
		"mysql://db:3307/shop":                      "selfhosted-mysql host=db port=3307 database=shop",
		"mssql://db/shop":                           "selfhosted-sqlserver host=db port=1433 database=shop",
		"rediss://cache":                            "selfhosted-redis host=cache port=6379 database=0",
		"redis://cache:6380/3":                      "selfhosted-redis-plain host=cache port=6380 database=3",
		"mongodb://db/shop":                         "selfhosted-mongodb host=db port=27017 database=shop",
		"cassandra://db/shop?dc=west":               "selfhosted-cassandra host=db port=9042 keyspace=shop datacenter=west",
		"kafka://a:9092,b:9093":                     "selfhosted-kafka bootstrapServer=a:9092,b:9093",
		"amqps://broker/":                           "selfhosted-amqp host=broker port=5671",
		"https://api.example.com:8443/v1?a=b":       "selfhosted-http url=https://api.example.com:8443/v1?a=b",
	} {
		m, err := c.MatchTarget(connection.Target{Type: "selfhostedserver", Endpoint: endpoint})
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
			continue
		}
		facts, err := m.Target.derive(m.Facts)
		if err != nil {
			t.Fatal(err)
		}
		got := m.Target.Name
		for _, name := range []string{"host", "port", "database", "keyspace", "datacenter", "bootstrapServer", "url"} {
			if text := facts.Text(name); text != "" {
				got += " " + name + "=" + text
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", endpoint, got, want)
		}
	}
	for endpoint, code := range map[string]problem.Code{
		"postgres://ada:sesame@db/orders": problem.BodyInvalid, "kafka://app:sesame@a:9092,b:9092": problem.BodyInvalid, "postgres://db": problem.BodyInvalid, "postgres:///orders": problem.BodyInvalid,
		"kafka://a": problem.BodyInvalid, "https://": problem.BodyInvalid, "gopher://db/x": problem.TargetUnsupported, "db:5432": problem.TargetUnsupported,
		"postgres://db:port/x": problem.BodyInvalid,
	} {
		_, err := c.MatchTarget(connection.Target{Type: "SelfHostedServer", Endpoint: endpoint})
		if !problem.Is(err, code) || strings.Contains(err.Error(), "sesame") || strings.Contains(endpoint, "@") != strings.Contains(err.Error(), "must not hold") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("postgres://db:5432/orders")
	f.Add("kafka://a:1,b:2")
	f.Add("rediss://u:p@h/1?x")
	c, err := Default()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, endpoint string) {
		m, err := c.MatchTarget(connection.Target{Type: "SelfHostedServer", Endpoint: endpoint})
		if err != nil {
			return
		}
		facts, err := m.Target.derive(m.Facts)
		if err != nil {
			t.Fatal(err)
		}
		for name := range m.Target.Derived {
			if text := facts.Text(name); strings.ContainsAny(text, "@") {
				t.Errorf("%s of %q is %q", name, endpoint, text)
			}
		}
	})
}
