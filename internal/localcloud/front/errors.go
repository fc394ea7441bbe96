package front

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func fault(status int, code, format string, args ...any) *provider.Fault {
	return &provider.Fault{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func missingVersion() *provider.Fault {
	return fault(http.StatusBadRequest, "MissingApiVersionParameter",
		"The api-version query parameter (?api-version=) is required for all requests.")
}

func invalidVersion(version string, supported []string) *provider.Fault {
	return fault(http.StatusBadRequest, "InvalidApiVersionParameter",
		"The api-version '%s' is invalid. The supported versions are '%s'.", version, strings.Join(supported, ","))
}

func versionNotServed(location, version, kind string, supported []string) *provider.Fault {
	return fault(http.StatusBadRequest, "NoRegisteredProviderFound",
		"No registered resource provider found for location '%s' and API version '%s' for type '%s'. The supported api-versions are '%s'. The supported locations are '%s'.",
		location, version, kind, strings.Join(supported, ", "), strings.Join(locationNames(), ", "))
}

func unknownNamespace(ns string) *provider.Fault {
	return fault(http.StatusNotFound, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.", ns)
}

func unknownType(kind, ns, version string, supported []string) *provider.Fault {
	return fault(http.StatusNotFound, "InvalidResourceType",
		"The resource type '%s' could not be found in the namespace '%s' for api version '%s'. The supported api-versions are '%s'.",
		kind, ns, version, strings.Join(supported, ","))
}

func noSubscription(sub string) *provider.Fault {
	return fault(http.StatusNotFound, "SubscriptionNotFound", "The subscription '%s' could not be found.", sub)
}

func noGroup(name string) *provider.Fault {
	return fault(http.StatusNotFound, "ResourceGroupNotFound", "Resource group '%s' could not be found.", name)
}

func noResource(i id.ID) *provider.Fault {
	if i.IsType(groupType) {
		return noGroup(i.Name())
	}
	path := i.String()
	if n := strings.LastIndex(i.Fold(), "/providers/"); n >= 0 {
		path = path[n+len("/providers/"):]
	}
	return fault(http.StatusNotFound, "ResourceNotFound",
		"The Resource '%s' under resource group '%s' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix", path, i.ResourceGroup())
}

func noParent(kind string, parent id.ID) *provider.Fault {
	return fault(http.StatusNotFound, "ParentResourceNotFound",
		"Failed to perform 'write' on resource(s) of type '%s', because the parent resource '%s' could not be found.", kind, parent)
}

func badURI(path string) *provider.Fault {
	return fault(http.StatusBadRequest, "InvalidRequestUri", "The request path '%s' is not a valid resource path.", path)
}

func badContent(why string) *provider.Fault {
	return fault(http.StatusBadRequest, "InvalidRequestContent",
		"The request content was invalid and could not be deserialized: '%s'.", why)
}

func notAllowed(method, kind string) *provider.Fault {
	return fault(http.StatusMethodNotAllowed, "MethodNotAllowed", "The HTTP method '%s' is not supported on type '%s'.", method, kind)
}

func forbidden(p provider.Principal, action, scope string) *provider.Fault {
	name := p.ClientID
	if name == "" {
		name = p.DisplayName
	}
	if scope == "" {
		scope = "/"
	}
	return fault(http.StatusForbidden, "AuthorizationFailed",
		"The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' or the scope is invalid. If access was recently granted, please refresh your credentials.",
		name, p.ObjectID, action, scope)
}

// envelope is the body of an error answer.
func envelope(f *provider.Fault) map[string]any {
	return map[string]any{"error": errorObject(f)}
}

func errorObject(f *provider.Fault) map[string]any {
	e := map[string]any{"code": f.Code, "message": f.Message}
	if f.Details != nil {
		var details []any
		for _, d := range f.Details {
			details = append(details, errorObject(d))
		}
		e["details"] = details
	}
	return e
}

// asFault turns any error into what a client is told. What is not a Fault is ours:
// it goes to the log, and the client learns nothing of it.
func (f *Front) asFault(err error, doing string) *provider.Fault {
	var known *provider.Fault
	if errors.As(err, &known) {
		return known
	}
	f.opts.Logf("%s: %v", doing, err)
	return fault(http.StatusInternalServerError, "InternalServerError", "The server encountered an internal error. Please retry the request.")
}
