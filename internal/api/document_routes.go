package api

import (
	"regexp"
	"strconv"
)

// route is one operation of a document.
type route struct {
	path, method, id, about string
	since                   Version
	body                    string // schema of the request's body; empty: none
	optional                bool   // the body may be left out
	query                   []parameter
	answers                 []answer
}

type parameter struct{ name, about string }

// answer is one status a route answers with. Errors are the same everywhere.
type answer struct {
	status  int
	schema  string // empty: no body
	about   string
	headers []string
}

func linkerRoutes() []route {
	const linkers = "/{resourceUri}/providers/Microsoft.ServiceLinker/linkers"
	const linker = linkers + "/{linkerName}"
	started := []string{"Azure-AsyncOperation", "Retry-After", OperationHeader}
	both := append([]string{"Location"}, started...)
	return []route{
		{path: linkers, method: "get", id: "Linker_List", about: "List the connections of a source.",
			answers: []answer{{200, "LinkerList", "All of them, on one page.", nil}}},
		{path: linker, method: "get", id: "Linker_Get", about: "Read one connection.",
			answers: []answer{{200, "Linker", "The connection.", nil}}},
		{path: linker, method: "put", id: "Linker_CreateOrUpdate", about: "Make a connection, or replace what this api-version can say of it.", body: "Linker",
			answers: []answer{{201, "Linker", "Accepted; the operation's address is in the header.", started}}},
		{path: linker, method: "patch", id: "Linker_Update", about: "Change the given members; null removes, except targetService, authInfo and clientType.", body: "LinkerPatch",
			answers: []answer{{201, "Linker", "Accepted; the operation's address is in the header.", started}}},
		{path: linker, method: "delete", id: "Linker_Delete", about: "Take everything back that the connection alone owns.",
			query:   []parameter{{ForceParam, "true writes off what cannot be removed"}},
			answers: []answer{{202, "", "Accepted.", both}, {204, "", "There is no such connection.", nil}}},
		{path: linker + "/validateLinker", method: "post", id: "Linker_Validate", about: "Look whether the connection works; the report is in the operation's properties.",
			answers: []answer{{202, "", "Accepted.", both}}},
		{path: linker + "/listConfigurations", method: "post", id: "Linker_ListConfigurations", about: "Read the settings the connection stands for, secrets included.",
			answers: []answer{{200, "ConfigurationList", "The settings.", nil}}},
		{path: "/subscriptions/{subscriptionId}/providers/Microsoft.ServiceLinker/locations/{location}/operationStatuses/{operationId}", method: "get",
			id: "OperationStatus_Get", about: "Read how an operation stands.",
			answers: []answer{{200, "OperationStatus", "A write under way, or any operation that has ended.", nil}, {202, "OperationStatus", "A deletion or validation under way.", both[:3]}}},
		{path: "/providers/Microsoft.ServiceLinker/operations", method: "get", id: "Operations_List", about: "List the actions for role definitions.",
			answers: []answer{{200, "ProviderOperationList", "The actions.", nil}}},
	}
}

func patchbayRoutes() []route {
	const connection = "/{resourceUri}/providers/Patchbay/connections/{connectionName}"
	const operation = "/providers/Patchbay/operations/{operationId}"
	force := []parameter{{ForceParam, "true writes changed values again, too"}}
	accepted := []answer{{202, "Operation", "Accepted.", []string{OperationHeader}}}
	return []route{
		{path: connection + "/plan", method: "post", id: "Connection_Plan", about: "Show what a change would do; nothing is written, secrets are masked.", body: "PlanRequest",
			query: []parameter{{"delete", "true plans the deletion"}}, answers: []answer{{200, "Plan", "The plan.", nil}}},
		{path: connection + "/drift", method: "post", id: "Connection_Drift", about: "Show what differs from what the connection needs.",
			answers: []answer{{200, "Drift", "The differences.", nil}}},
		{path: connection + "/repair", method: "post", id: "Connection_Repair", about: "Make what is missing or moved true again.", query: force, answers: accepted},
		{path: "/{resourceUri}/providers/Patchbay/drift", method: "post", id: "Source_Drift", about: "Show the drift of all connections of a source.",
			answers: []answer{{200, "DriftList", "One entry per connection.", nil}}},
		{path: "/providers/Patchbay/drift", method: "post", id: "Drift", about: "Show the drift of every connection the caller may read.",
			answers: []answer{{200, "DriftList", "One entry per connection.", nil}}},
		{path: "/providers/Patchbay/operations", method: "get", id: "Operations_List", about: "List operations, newest first.",
			query: []parameter{{"source", "resource id; only operations of this source"}}, answers: []answer{{200, "OperationList", "The operations the caller may read.", nil}}},
		{path: operation, method: "get", id: "Operations_Get", about: "Read an operation with its journal.", answers: []answer{{200, "Operation", "The operation.", nil}}},
		{path: operation + "/events", method: "get", id: "Operations_Events", about: "Follow the journal as server-sent events: one \"entry\" per line of the journal, then \"end\" with the operation.",
			answers: []answer{{200, "", "The stream.", nil}}},
		{path: operation + "/resume", method: "post", id: "Operations_Resume", about: "Finish an interrupted operation.", answers: accepted},
		{path: operation + "/undo", method: "post", id: "Operations_Undo", about: "Take an unfinished operation back.", answers: accepted},
		{path: "/providers/Patchbay/supportTypes", method: "get", id: "SupportTypes_List", about: "List which targets, auth types and client types go together.",
			answers: []answer{{200, "SupportTypeList", "The matrix.", nil}}},
	}
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func (r route) operation() node {
	parameters := []any{node{"name": "api-version", "in": "query", "required": true, "schema": node{"type": "string"}}}
	for _, found := range pathParameter.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, node{"name": found[1], "in": "path", "required": true, "schema": node{"type": "string"}})
	}
	for _, q := range r.query {
		parameters = append(parameters, node{"name": q.name, "in": "query", "description": q.about, "schema": node{"type": "string"}})
	}
	answers := node{"default": node{"description": "An error.", "content": jsonContent("ErrorBody")}}
	for _, a := range r.answers {
		answers[strconv.Itoa(a.status)] = a.node()
	}
	out := node{"operationId": r.id, "summary": r.about, "parameters": parameters, "responses": answers}
	if r.body != "" {
		out["requestBody"] = node{"required": !r.optional, "content": jsonContent(r.body)}
	}
	return out
}

func (a answer) node() node {
	out := node{"description": a.about}
	if a.schema != "" {
		out["content"] = jsonContent(a.schema)
	}
	if len(a.headers) > 0 {
		headers := node{}
		for _, name := range a.headers {
			headers[name] = node{"schema": node{"type": "string"}}
		}
		out["headers"] = headers
	}
	return out
}

func jsonContent(schema string) node {
	return node{"application/json": node{"schema": node{"$ref": ref(schema)}}}
}
