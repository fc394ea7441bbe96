package api

// routesOf are the routes an api-version knows.
func routesOf(version Version) []route {
	var out []route
	for _, list := range [][]route{linkerRoutes(), connectorRoutes(), dryrunRoutes("/{resourceUri}/providers/Microsoft.ServiceLinker", "Linkers"),
		dryrunRoutes(locationPath, "Connector"), catalogRoutes()} {
		for _, r := range list {
			if version.has(r.since) {
				out = append(out, r)
			}
		}
	}
	return out
}

const locationPath = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.ServiceLinker/locations/{location}"

func startedHeaders() []string {
	return []string{"Azure-AsyncOperation", "Retry-After", OperationHeader}
}

func connectorRoutes() []route {
	const connectors = locationPath + "/connectors"
	const connector = connectors + "/{connectorName}"
	both := append([]string{"Location"}, startedHeaders()...)
	list := []route{
		{path: connectors, method: "get", id: "Connector_List", about: "List the local connections of a location in a group.",
			answers: []answer{{200, "LinkerList", "All of them, on one page.", nil}}},
		{path: connector, method: "get", id: "Connector_Get", about: "Read one local connection.",
			answers: []answer{{200, "Linker", "The connection.", nil}}},
		{path: connector, method: "put", id: "Connector_CreateOrUpdate", about: "Make a local connection, or replace what this api-version can say of it.", body: "Linker",
			answers: []answer{{201, "Linker", "Accepted; the operation's address is in the header.", startedHeaders()}}},
		{path: connector, method: "patch", id: "Connector_Update", about: "Change the given members; null removes, except targetService, authInfo and clientType.", body: "LinkerPatch",
			answers: []answer{{202, "Linker", "Accepted; the operation's address is in the header.", startedHeaders()}}},
		{path: connector, method: "delete", id: "Connector_Delete", about: "Take everything back that the connection alone owns. A client that prefers not to wait says Prefer: respond-async.",
			query: []parameter{{ForceParam, "true writes off what cannot be removed"}},
			answers: []answer{{200, "", "Gone.", nil}, {202, "", "Accepted; it takes longer.", both},
				{204, "", "There is no such connection.", nil}}},
		{path: connector + "/validate", method: "post", id: "Connector_Validate", about: "Look whether the connection works; the report is in the operation's properties.",
			answers: []answer{{202, "", "Accepted.", both}}},
		{path: connector + "/generateConfigurations", method: "post", id: "Connector_GenerateConfigurations", about: "Render the settings, secrets included, for a caller who may read them from the target.",
			body: "ConfigurationInfo", optional: true, query: []parameter{{ClientParam, "a client type to render for instead of the connection's own"}},
			answers: []answer{{200, "GeneratedList", "The settings.", nil}}},
		{path: "/{resourceUri}/providers/Microsoft.ServiceLinker/linkers/{linkerName}/generateConfigurations", method: "post", id: "Linkers_GenerateConfigurations",
			about: "Render the settings, secrets included, for a caller who may read them from the target. Nothing is written.",
			body:  "ConfigurationInfo", optional: true, query: []parameter{{ClientParam, "a client type to render for instead of the connection's own"}},
			answers: []answer{{200, "GeneratedList", "The settings.", nil}}},
	}
	for i := range list {
		list[i].since = V20221101Preview
	}
	return list
}

func dryrunRoutes(under, prefix string) []route {
	many, one := under+"/dryruns", under+"/dryruns/{dryrunName}"
	list := []route{
		{path: many, method: "get", id: prefix + "_ListDryrun", about: "List the dryruns.", answers: []answer{{200, "DryrunList", "All of them, on one page.", nil}}},
		{path: one, method: "get", id: prefix + "_GetDryrun", about: "Read one dryrun.", answers: []answer{{200, "Dryrun", "The dryrun.", nil}}},
		{path: one, method: "put", id: prefix + "_CreateDryrun", about: "Rehearse making or changing the connection of that name; nothing is written.", body: "Dryrun",
			answers: []answer{{201, "Dryrun", "Accepted.", startedHeaders()}}},
		{path: one, method: "patch", id: prefix + "_UpdateDryrun", about: "Change the parameters and rehearse again.", body: "DryrunPatch",
			answers: []answer{{202, "", "Accepted.", startedHeaders()}}},
		{path: one, method: "delete", id: prefix + "_DeleteDryrun", about: "Forget a dryrun.",
			answers: []answer{{200, "", "Gone.", nil}, {204, "", "There is no such dryrun.", nil}}},
	}
	for i := range list {
		list[i].since = V20221101Preview
	}
	return list
}

func catalogRoutes() []route {
	return []route{
		{path: "/providers/Microsoft.ServiceLinker/configurationNames", method: "get", id: "ConfigurationNames_List", since: V20221101Preview,
			about:   "List the names of the settings by target, client type and auth type.",
			query:   []parameter{{"$filter", "eq, ne, in, and, or, not over targetService, clientType, authType and secretType"}, {"$skipToken", "where the page begins; part of nextLink"}},
			answers: []answer{{200, "ConfigurationNameResult", "A page of names.", nil}}},
		{path: "/{resourceUri}/providers/Microsoft.ServiceLinker/daprConfigurations", method: "get", id: "Linkers_ListDaprConfigurations", since: V20230401Preview,
			about: "List the Dapr components there are by target and auth type.", answers: []answer{{200, "DaprConfigurationList", "All of them, on one page.", nil}}},
	}
}

// furtherResources adds the components of what is no linker.
func (d *document) furtherResources() {
	if !d.version.has(V20221101Preview) {
		return
	}
	dryrun := d.shape(dryrunShape(), false)
	d.schemas["DryrunPatch"] = node{"type": "object", "description": "The members to change.", "properties": node{
		"properties": node{"$ref": ref("DryrunProperties")},
	}}
	d.schemas["DryrunList"] = pageOf(dryrun, "The dryruns of one place.")
	d.schemas["GeneratedList"] = node{"type": "object", "description": "The settings as they would be written.", "required": []string{"configurations"}, "properties": node{
		"configurations": node{"type": "array", "items": node{"type": "object", "required": []string{"name", "value"}, "properties": node{
			"name": node{"type": "string"}, "value": node{"type": "string"},
		}}},
	}}
	d.goType(ConfigurationNameResult{})
	d.goType(DaprConfigurationList{})
}
