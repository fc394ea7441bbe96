package catalog_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/microsoft/go-mssqldb/msdsn"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/problem"
)

// preview renders one pair from ordinary names, with some of them replaced.
func preview(t testing.TB, target, auth, client string, cloud catalog.Cloud, given map[string]string) (map[string]string, error) {
	t.Helper()
	tg := get(t, target)
	facts := maps.Clone(given)
	if facts == nil {
		facts = map[string]string{}
	}
	for _, name := range tg.PreviewNames(auth, client) {
		if _, ok := facts[name]; !ok {
			facts[name] = names[name]
		}
	}
	settings, err := tg.PreviewSettings(auth, client, cloud, facts, catalog.Options{})
	out := map[string]string{}
	for _, s := range settings {
		out[s.Name] = s.Value.Text
	}
	return out, err
}

func TestPreviewInOtherClouds(t *testing.T) {
	t.Parallel()
	china := catalog.Cloud{Name: "AzureChinaCloud", Management: "https://management.chinacloudapi.cn", Suffixes: map[string]string{
		"cosmos": "documents.azure.cn", "storage": "core.chinacloudapi.cn", "serviceBus": "servicebus.chinacloudapi.cn", "cognitive": "cognitiveservices.azure.cn"}}
	for _, row := range []struct{ target, auth, client, setting, want string }{
		{"cosmos-gremlin", "secret", "go", "AZURE_COSMOS_HOSTNAME", "account1.gremlin.cosmos.azure.cn"},
		{"cosmos-sql", "systemAssignedIdentity", "go", "AZURE_COSMOS_SCOPE", "https://management.chinacloudapi.cn/.default"},
		{"storage-queue", "secret", "go", "AZURE_STORAGEQUEUE_CONNECTIONSTRING", "DefaultEndpointsProtocol=https;AccountName=account1;AccountKey=c3RvcmFnZQ==;EndpointSuffix=core.chinacloudapi.cn"},
		{"servicebus", "systemAssignedIdentity", "none", "AZURE_SERVICEBUS_FULLYQUALIFIEDNAMESPACE", "space1.servicebus.chinacloudapi.cn"},
	} {
		got, err := preview(t, row.target, row.auth, row.client, china, nil)
		if err != nil || got[row.setting] != row.want {
			t.Errorf("%s: %s is %q (%v), want %q", row.target, row.setting, got[row.setting], err, row.want)
		}
	}
	_, err := preview(t, "aiservices", "systemAssignedIdentity", "go", china, nil)
	if !problem.Is(err, problem.ClientUnsupported) {
		t.Error(err)
	}
	_, err = preview(t, "aiservices", "systemAssignedIdentity", "none", china, nil)
	if !problem.Is(err, problem.UsageInvalid) || !strings.Contains(err.Error(), "openaiEndpoint") || !strings.Contains(err.Error(), "AzureChinaCloud is not known") {
		t.Error(err)
	}
	got, err := preview(t, "aiservices", "systemAssignedIdentity", "none", china, map[string]string{"openaiEndpoint": "https://private/"})
	if err != nil || got["AZURE_AISERVICES_OPENAI_BASE"] != "https://private/" || got["AZURE_AISERVICES_SPEECH_ENDPOINT"] != "https://westeurope.stt.speech.azure.cn" {
		t.Errorf("%v %v", got, err)
	}
}

// TestPreviewTakesWhatIsGiven: hosts and addresses of private places win over made ones.
func TestPreviewTakesWhatIsGiven(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ target, auth, client, fact, value, setting, want string }{
		{"mysql-flexible", "secret", "nodejs", "host", "db.example.com", "AZURE_MYSQL_HOST", "db.example.com"},
		{"storage-table", "secret", "python", "endpoint", "https://127.0.0.1:10002/account1", "AZURE_STORAGETABLE_CONNECTIONSTRING",
			"DefaultEndpointsProtocol=https;AccountName=account1;AccountKey=c3RvcmFnZQ==;TableEndpoint=https://127.0.0.1:10002/account1"},
		{"eventhub", "systemAssignedIdentity", "go", "endpoint", "https://hub.private:5671/", "AZURE_EVENTHUB_FULLYQUALIFIEDNAMESPACE", "hub.private"},
		{"cosmos-mongo", "secret", "go", "username", "somebody", "AZURE_COSMOS_CONNECTIONSTRING",
			"mongodb://somebody:Passw0rd@account1.mongo.cosmos.azure.com:10255/?ssl=true&replicaSet=globaldb&retrywrites=false&maxIdleTimeMS=120000&appName=@account1@"},
		{"cosmos-cassandra", "secret", "go", "accountKey", "own", "AZURE_COSMOS_PASSWORD", "own"},
		{"redis-enterprise", "secret", "none", "port", "10001", "AZURE_REDIS_PORT", "10001"},
		{"keyvault", "systemAssignedIdentity", "none", "management", "https://arm.local:8443", "AZURE_KEYVAULT_SCOPE", "https://arm.local:8443/.default"},
	} {
		got, err := preview(t, row.target, row.auth, row.client, public, map[string]string{row.fact: row.value})
		if err != nil || got[row.setting] != row.want {
			t.Errorf("%s with %s: %s is %q (%v), want %q", row.target, row.fact, row.setting, got[row.setting], err, row.want)
		}
	}
}

func TestPreviewRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		target, auth, client string
		given                map[string]string
		code                 problem.Code
		phrases              []string
	}{
		{"sql", "systemAssignedIdentity", "go", nil, problem.ClientUnsupported, []string{"a user name and a password only", "allowed: dotnet"}},
		{"sql", "secrets", "go", nil, problem.AuthUnsupported, []string{`did you mean "secret"?`}},
		{"sql", "SECRET", "GO", nil, problem.UsageInvalid, []string{"server, database, username, password"}},
		{"sql", "secret", "go", map[string]string{"server": "s", "datbase": "d"}, problem.OptionUnsupported, []string{`did you mean "database"?`, "needed: server, database"}},
		{"sql", "secret", "go", map[string]string{"xyzzyxyzzy": "sesame"}, problem.OptionUnsupported, []string{`no fact "xyzzyxyzzy"; needed`}},
		{"confluent-cloud", "secret", "java", nil, problem.UsageInvalid, []string{"kafkaCluster, kafkaApiKey, kafkaApiSecret, schemaRegistry, schemaRegistryKey, schemaRegistrySecret"}},
		{"cosmos-gremlin", "userAccount", "php", nil, problem.UsageInvalid, []string{"subscriptionId, resourceGroup, account, database, graph"}},
		{"storage-queue", "userAccount", "springBoot", nil, problem.ClientUnsupported, []string{"no form for a signed-in person"}},
	} {
		_, err := get(t, row.target).PreviewSettings(row.auth, row.client, public, row.given, catalog.Options{})
		if !problem.Is(err, row.code) {
			t.Errorf("%s: %v", row.target, err)
			continue
		}
		for _, phrase := range row.phrases {
			if !strings.Contains(err.Error(), phrase) {
				t.Errorf("%s: %v does not say %q", row.target, err, phrase)
			}
		}
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("a value is in %v", err)
		}
	}
	// Every documented placeholder is taken, needed or not.
	if _, err := preview(t, "webpubsub", "secret", "go", public, names); !problem.Is(err, problem.ClientUnsupported) {
		t.Error(err)
	}
	if _, err := preview(t, "webpubsub", "secret", "java", public, names); err != nil {
		t.Error(err)
	}
}

// TestEveryFormHasItsOwnSettings: a linker for one half of a target writes that half.
func TestEveryFormHasItsOwnSettings(t *testing.T) {
	t.Parallel()
	kafka := get(t, "confluent-cloud")
	whole := len(kafka.FormRows("secret", "java", ""))
	if a, b := len(kafka.FormRows("secret", "java", "ConfluentBootstrapServer")), len(kafka.FormRows("secret", "java", "ConfluentSchemaRegistry")); a != 2 || b != 2 || whole != 4 {
		t.Errorf("%d and %d rows of %d", a, b, whole)
	}
	vault := get(t, "keyvault")
	csi := vault.FormRows("userAssignedIdentity", "python", "csi")
	if len(csi) != 3 || slices.ContainsFunc(csi, func(r catalog.Row) bool { return r.Name == "AZURE_KEYVAULT_SCOPE" }) {
		t.Errorf("%+v", csi)
	}
	if _, err := vault.PreviewSettings("systemAssignedIdentity", "python", public, nil, catalog.Options{Form: "csi"}); !problem.Is(err, problem.ClientUnsupported) {
		t.Error(err)
	}
}

// FuzzHostileStrings writes hostile names and passwords into the strings of every
// target whose ecosystem has a parser in Go, and reads them back with it.
func FuzzHostileStrings(f *testing.F) {
	for _, v := range []string{"plain", `a;b'c"d`, "{host}", "{{x}}", "p@ss w%rd=", "\u2603\n\t", `\`, "}", "/?#", "@tcp(x)/", "=="} {
		f.Add(v, v, v)
	}
	f.Fuzz(func(t *testing.T, user, password, database string) {
		if user == "" || database == "" {
			return
		}
		given := map[string]string{"username": user, "password": password, "database": database, "clientId": user}
		for _, row := range []struct {
			target, auth, client, setting string
			read                          func(string) (user, password, database string, err error)
		}{
			{"mysql-flexible", "secret", "go", "AZURE_MYSQL_CONNECTIONSTRING", readMySQL},
			{"mysql-flexible", "secret", "dotnet", "AZURE_MYSQL_CONNECTIONSTRING", readADONET},
			{"sql", "secret", "go", "AZURE_SQL_CONNECTIONSTRING", readSQLServer},
			{"sql", "secret", "dotnet", "AZURE_SQL_CONNECTIONSTRING", readADONET},
			{"neon-postgres", "secret", "dotnet", "NEON_POSTGRESQL_CONNECTIONSTRING", readADONET},
			{"fabric-sql", "userAssignedIdentity", "go", "FABRIC_SQL_CONNECTIONSTRING", readFabric},
			{"cosmos-mongo", "secret", "springBoot", "spring.data.mongodb.uri", readMongo},
			{"mongodb-atlas", "secret", "go", "MONGODBATLAS_CLUSTER_CONNECTIONSTRING", readMongo},
			{"mongodb-atlas", "secret", "java", "MONGODBATLAS_CLUSTER_CONNECTIONSTRING", readMongo},
		} {
			got, err := preview(t, row.target, row.auth, row.client, public, given)
			if errors.Is(err, grammar.ErrValue) && problem.Is(err, problem.OptionUnsupported) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			u, p, d, err := row.read(got[row.setting])
			if err != nil || u != user || p != password && p != none || d != database && d != none && d != database+"-"+names["fabricDatabaseId"] {
				t.Fatalf("%s for %s: %q reads as %q %q %q (%v)", row.target, row.client, got[row.setting], u, p, d, err)
			}
		}
	})
}

// none stands for what a string does not hold.
const none = "\x00none"

func readMySQL(text string) (user, password, database string, err error) {
	c, err := mysql.ParseDSN(text)
	if err != nil {
		return "", "", "", err
	}
	return c.User, c.Passwd, c.DBName, nil
}

func readSQLServer(text string) (user, password, database string, err error) {
	c, err := msdsn.Parse(text)
	return c.User, c.Password, c.Database, err
}

func readFabric(text string) (user, password, database string, err error) {
	c, err := msdsn.Parse(text)
	return c.User, none, c.Database, err
}

func readADONET(text string) (user, password, database string, err error) {
	o, err := grammar.ParseADONET(text)
	if d, ok := o["initial catalog"]; ok {
		return o["user id"], o["password"], d, err
	}
	return o["user id"], o["password"], o["database"], err
}

func readMongo(text string) (user, password, database string, err error) {
	// The address of a cluster would be looked up in DNS.
	text = strings.Replace(strings.TrimPrefix(text, "jdbc:"), "mongodb+srv:", "mongodb:", 1)
	c, err := connstring.Parse(text)
	if err != nil {
		return "", "", "", err
	}
	return c.Username, c.Password, none, nil
}
