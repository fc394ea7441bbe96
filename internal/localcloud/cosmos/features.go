package cosmos

import (
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// feature is what differs from API to API.
type feature struct {
	api        API
	capability string // of an account of kind GlobalDocumentDB; empty for NoSQL and MongoDB
	database   string // type of its databases, below the account
	collection string // type of what is in a database; empty for Table
	roles      string // stem of its role types: {roles}RoleAssignments
	endpoint   string // member of the account's document
	port       string
	label      string // in the descriptions of connection strings
	actions    dataActions
}

// dataActions are what the two built-in roles of an API allow.
type dataActions struct{ read, contribute []string }

const readMetadata = accountType + "/readMetadata"

func actionsOf(below string, reading ...string) dataActions {
	prefix := accountType + "/" + below
	read := []string{readMetadata}
	for _, r := range reading {
		read = append(read, prefix+r)
	}
	return dataActions{read, []string{readMetadata, prefix + "*"}}
}

// features are the APIs. The endpoints' names are what ARM answers, though its
// published type lacks all but documentEndpoint (mem). The actions of NoSQL and Table
// are documented; those of the others follow the same pattern (mem).
var features = []feature{
	{api: NoSQL, database: "sqlDatabases", collection: "containers", roles: "sql", endpoint: "sqlEndpoint", port: "443", label: "SQL",
		actions: actionsOf("sqlDatabases/", "containers/items/read", "containers/executeQuery", "containers/readChangeFeed")},
	{api: MongoDB, database: "mongodbDatabases", collection: "collections", roles: "mongoMI", endpoint: "mongoEndpoint", port: "10255", label: "MongoDB",
		actions: actionsOf("mongodbDatabases/", "collections/read", "collections/executeQuery")},
	{api: Cassandra, capability: "EnableCassandra", database: "cassandraKeyspaces", collection: "tables", roles: "cassandra", endpoint: "cassandraEndpoint",
		port: "10350", label: "Cassandra", actions: actionsOf("cassandraKeyspaces/", "tables/read", "tables/executeQuery")},
	{api: Gremlin, capability: "EnableGremlin", database: "gremlinDatabases", collection: "graphs", roles: "gremlin", endpoint: "gremlinEndpoint",
		port: "443", label: "Gremlin", actions: actionsOf("gremlinDatabases/", "graphs/read", "graphs/executeQuery")},
	{api: Table, capability: "EnableTable", database: "tables", roles: "table", endpoint: "tableEndpoint", port: "443", label: "Table",
		actions: actionsOf("tables/", "containers/entities/read", "containers/executeQuery", "containers/readChangeFeed")},
}

// featureOf tells an account's API by its kind and capabilities.
func featureOf(account provider.Document) feature {
	if strings.EqualFold(provider.Text(account, "kind"), "MongoDB") {
		return features[1]
	}
	list, _ := provider.At(account, "properties", "capabilities").([]any)
	for _, f := range features {
		for _, one := range list {
			m, _ := one.(map[string]any)
			if f.capability != "" && strings.EqualFold(provider.Text(m, "name"), f.capability) {
				return f
			}
		}
	}
	return features[0]
}
