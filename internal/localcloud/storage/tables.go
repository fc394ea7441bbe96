package storage

import (
	"net/http"

	"github.com/patchbay/patchbay/internal/localcloud/tables"
)

const (
	tableServiceType = accountType + "/tableServices"
	tableType        = tableServiceType + "/tables"
)

// tableRights are what each thing the protocol does takes of a token's principal.
var tableRights = map[tables.Verb]demand{
	tables.ReadService:  {anyOf: one(tableServiceType + "/read")},
	tables.ListTables:   {anyOf: one(tableType + "/read")},
	tables.CreateTable:  {anyOf: one(tableType + "/write")},
	tables.DeleteTable:  {anyOf: one(tableType + "/delete")},
	tables.ReadEntity:   {anyOf: one(tableType + "/entities/read"), data: true},
	tables.QueryEntity:  {anyOf: one(tableType + "/entities/read"), data: true},
	tables.InsertEntity: {anyOf: [][]string{{tableType + "/entities/write"}, {tableType + "/entities/add/action"}}, data: true},
	tables.UpdateEntity: {anyOf: [][]string{{tableType + "/entities/write"}, {tableType + "/entities/update/action"}}, data: true},
	tables.UpsertEntity: {anyOf: [][]string{{tableType + "/entities/write"},
		{tableType + "/entities/add/action", tableType + "/entities/update/action"}}, data: true},
	tables.DeleteEntity: {anyOf: one(tableType + "/entities/delete"), data: true},
}

func (a *account) tableServer() http.Handler {
	return &tables.Server{
		Registry: tableRegistry{a}, Entities: a.entities, Guard: a.guardTables,
		Endpoint: func() string { return a.planes["table"].endpoint() }, Logf: a.cloud.Logf,
	}
}

func (a *account) guardTables(r *http.Request, verb tables.Verb, table string) *tables.Fault {
	d := tableRights[verb]
	d.service = "table"
	if table != "" {
		d.below = "/tables/" + table
	}
	refused := a.admit(r, d)
	if refused == nil {
		return nil
	}
	f := &tables.Fault{Status: refused.status, Code: refused.code, Message: refused.message, Known: refused == errPermission}
	if refused.challenge {
		f.Challenge = a.challenge()
	}
	return f
}

// tableRegistry keeps the tables as ARM shows them.
type tableRegistry struct{ a *account }

func (t tableRegistry) Tables() []string { return t.a.childNames(tableType) }

func (t tableRegistry) Create(name string) (bool, error) {
	return t.a.addChild(tableType, name, tableProperties(name)), nil
}

func (t tableRegistry) Drop(name string) (bool, error) { return t.a.dropChild(tableType, name), nil }

func tableProperties(name string) map[string]any { return map[string]any{"tableName": name} }
