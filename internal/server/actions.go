package server

import (
	"net/http"

	"github.com/patchbay/patchbay/internal/api"
)

// action is one row of the provider's list of operations.
type action struct{ resource, verb, title, about string }

func providerActions() []action {
	return []action{
		{"", "register/action", "Register", "Register a subscription for the namespace."},
		{"", "unregister/action", "Unregister", "Take a subscription's registration back."},
		{"operations", "read", "List actions", "List the actions of the namespace."},
		{"locations/operationStatuses", "read", "Read a status", "Read how an operation stands."},
		{"locations/operationStatuses", "write", "Write a status", "Note how an operation stands."},
		{"linkers", "read", "Read connections", "Read one connection of a resource, or all of them."},
		{"linkers", "write", "Write a connection", "Make or change a connection of a resource."},
		{"linkers", "delete", "Delete a connection", "Delete a connection and take back what it alone owns."},
		{"linkers", "validateLinker/action", "Validate a connection", "Look whether a connection works."},
		{"linkers", "listConfigurations/action", "List settings", "Read the settings of a connection, secrets included."},
		{"linkers", "generateConfigurations/action", "Render settings", "Render the settings of a connection, secrets included."},
		{"dryruns", "read", "Read dryruns", "Read one dryrun, or all of them."},
		{"dryruns", "write", "Write a dryrun", "Rehearse making or changing a connection."},
		{"dryruns", "delete", "Delete a dryrun", "Forget a dryrun."},
		{"locations/connectors", "read", "Read local connections", "Read one local connection, or all of them."},
		{"locations/connectors", "write", "Write a local connection", "Make or change a local connection."},
		{"locations/connectors", "delete", "Delete a local connection", "Delete a local connection and take back what it alone owns."},
		{"locations/connectors", "validate/action", "Validate a local connection", "Look whether a local connection works."},
		{"locations/connectors", "generateConfigurations/action", "Render settings", "Render the settings of a local connection, secrets included."},
		{"locations/dryruns", "read", "Read dryruns", "Read one dryrun of a local connection, or all of them."},
		{"locations/dryruns", "write", "Write a dryrun", "Rehearse making or changing a local connection."},
		{"locations/dryruns", "delete", "Delete a dryrun", "Forget a dryrun of a local connection."},
	}
}

// listActions answers the provider's operations; any signed-in caller may read them.
func (x *exchange) listActions() error {
	list := api.ProviderOperationList{Value: []api.ProviderOperation{}}
	for _, a := range providerActions() {
		name := api.Provider
		if a.resource != "" {
			name += "/" + a.resource
		}
		list.Value = append(list.Value, api.ProviderOperation{
			Name:    name + "/" + a.verb,
			Display: api.ProviderOperationDisplay{Provider: api.Provider, Resource: firstText(a.resource, api.Provider), Operation: a.title, Description: a.about},
		})
	}
	return x.json(http.StatusOK, list)
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
