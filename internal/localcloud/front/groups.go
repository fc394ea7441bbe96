package front

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// coreVersions are the api-versions of subscriptions, groups and registration.
var coreVersions = []string{
	"2025-04-01", "2025-03-01", "2024-11-01", "2024-07-01", "2024-03-01", "2023-07-01", "2022-12-01", "2022-09-01",
	"2022-01-01", "2021-04-01", "2021-01-01", "2020-10-01", "2020-08-01", "2020-06-01", "2020-01-01", "2019-11-01",
	"2019-10-01", "2019-08-01", "2019-07-01", "2019-06-01", "2019-05-10", "2019-05-01", "2019-03-01", "2018-06-01",
	"2018-05-01", "2018-02-01", "2017-05-10", "2016-09-01", "2016-07-01", "2016-06-01", "2016-02-01", "2015-11-01",
}

// locations are the regions that groups and resources may be in.
var locations = []struct{ name, display string }{
	{"eastus", "East US"}, {"westus", "West US"}, {"westeurope", "West Europe"}, {"northeurope", "North Europe"}, {"local", "Local"},
}

func locationNames() []string {
	var names []string
	for _, l := range locations {
		names = append(names, l.name)
	}
	return names
}

func groupID(sub, name string) string { return "/subscriptions/" + sub + "/resourceGroups/" + name }

func (f *Front) ownTypes() []provider.Type {
	return []provider.Type{
		{Name: subscriptionType, APIVersions: coreVersions, OpenRead: true, Get: f.getSubscription, List: f.listSubscriptions},
		{Name: "Microsoft.Resources/tenants", APIVersions: coreVersions, OpenRead: true, List: f.listTenants},
		{Name: "Microsoft.Resources/locations", APIVersions: coreVersions, OpenRead: true, List: f.listLocations},
		{Name: groupType, APIVersions: coreVersions, ActionName: "Microsoft.Resources/subscriptions/resourceGroups", OpenRead: true,
			Get: f.getGroup, List: f.listGroups, Put: f.putGroup, Patch: f.patchGroup, Delete: f.deleteGroup},
		{Name: "Microsoft.Resources/resources", APIVersions: coreVersions, ActionName: "Microsoft.Resources/subscriptions/resources", List: f.listResources},
		{Name: providerType, APIVersions: coreVersions, ActionName: "Microsoft.Resources/subscriptions/providers",
			Get: f.getProvider, List: f.listProviders, Actions: map[string]provider.Action{
				"register":   {Handle: f.setRegistration("Registered"), Right: "{namespace}/register/action"},
				"unregister": {Handle: f.setRegistration("Unregistered"), Right: "{namespace}/unregister/action"},
			}},
	}
}

// AddSubscription stores a subscription.
func (f *Front) AddSubscription(sub, displayName string) {
	f.opts.Store.Put("/subscriptions/"+sub, provider.Document{
		"id": "/subscriptions/" + sub, "type": subscriptionType, "subscriptionId": sub, "displayName": displayName,
	})
}

func (f *Front) subscription(doc provider.Document) map[string]any {
	tenant := f.opts.Directory.Tenant()
	return map[string]any{
		"id": doc["id"], "subscriptionId": doc["subscriptionId"], "tenantId": tenant, "displayName": doc["displayName"], "state": "Enabled",
		"subscriptionPolicies": map[string]any{"locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"},
		"authorizationSource":  "RoleBased", "managedByTenants": []any{}, "tags": map[string]any{},
	}
}

// sees tells whether the caller may read a subscription or group: by a role on it,
// or, for a subscription, on anything in it.
func (f *Front) sees(caller provider.Principal, kind, scope string) bool {
	if kind == subscriptionType {
		return f.opts.Rights.AllowedBelow(caller.ObjectID, kind+"/read", scope) ||
			f.opts.Rights.AllowedBelow(caller.ObjectID, "Microsoft.Resources/subscriptions/resourceGroups/read", scope)
	}
	return f.opts.Rights.Allowed(caller.ObjectID, kind+"/read", scope, false)
}

func (f *Front) getSubscription(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	doc, _ := f.opts.Store.Get(q.ID.String()) // checked before
	if q.Caller.ObjectID != "" && !f.sees(q.Caller, subscriptionType, q.ID.String()) {
		return nil, forbidden(q.Caller, subscriptionType+"/read", q.ID.String())
	}
	return &provider.Answer{Body: f.subscription(doc)}, nil
}

func (f *Front) listSubscriptions(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	found := []any{}
	for _, doc := range f.opts.Store.Under("", subscriptionType) {
		if scope, _ := doc["id"].(string); f.sees(q.Caller, subscriptionType, scope) {
			found = append(found, f.subscription(doc))
		}
	}
	return &provider.Answer{Body: map[string]any{"value": found, "count": map[string]any{"type": "Total", "value": len(found)}}}, nil
}

func (f *Front) listTenants(context.Context, *provider.Request) (*provider.Answer, error) {
	tenant := f.opts.Directory.Tenant()
	return &provider.Answer{Body: map[string]any{"value": []any{map[string]any{
		"id": "/tenants/" + tenant, "tenantId": tenant, "displayName": "Patchbay local", "tenantCategory": "Home", "tenantType": "AAD",
	}}}}, nil
}

func (f *Front) listLocations(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	var all []any
	for _, l := range locations {
		all = append(all, map[string]any{"id": q.ID.String() + "/locations/" + l.name, "name": l.name, "type": "Region",
			"displayName": l.display, "regionalDisplayName": l.display, "metadata": map[string]any{"regionType": "Physical", "regionCategory": "Recommended"}})
	}
	return &provider.Answer{Body: map[string]any{"value": all}}, nil
}

const groupAction = "Microsoft.Resources/subscriptions/resourceGroups"

func (f *Front) getGroup(ctx context.Context, q *provider.Request) (*provider.Answer, error) {
	if q.Caller.ObjectID != "" && !f.sees(q.Caller, groupAction, q.ID.String()) {
		return nil, forbidden(q.Caller, groupAction+"/read", q.ID.String())
	}
	return f.getStored(ctx, q)
}

func (f *Front) listGroups(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	found := []any{}
	for _, doc := range f.opts.Store.Under(q.ID.String(), groupType) {
		if scope, _ := doc["id"].(string); f.sees(q.Caller, groupAction, scope) {
			found = append(found, doc)
		}
	}
	return &provider.Answer{Body: map[string]any{"value": found}}, nil
}

var groupName = regexp.MustCompile(`^[-\w().]{0,89}[-\w()]$`)

func (f *Front) putGroup(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	if !groupName.MatchString(q.ID.Name()) {
		return nil, fault(http.StatusBadRequest, "InvalidResourceGroup", "The provided resource group name '%s' has these invalid characters or a length that is not allowed. The name can only be a letter, digit, '-', '.', '(', ')' or '_'.", q.ID.Name())
	}
	location, _ := q.Body["location"].(string)
	old, exists := f.opts.Store.Get(q.ID.String())
	if location == "" {
		return nil, fault(http.StatusBadRequest, "LocationRequired", "The location property is required for this definition.")
	}
	if exists && !strings.EqualFold(squeeze(old["location"]), squeeze(location)) {
		return nil, fault(http.StatusConflict, "InvalidResourceGroupLocation",
			"Invalid resource group location '%s'. The Resource group already exists in location '%v'.", location, old["location"])
	}
	docID := groupID(q.ID.Subscription(), q.ID.Name())
	if exists {
		docID, _ = old["id"].(string)
	}
	doc := provider.Document{"id": docID, "name": q.ID.Name(), "type": groupType, "location": squeeze(location),
		"properties": map[string]any{"provisioningState": "Succeeded"}}
	if tags, ok := q.Body["tags"]; ok {
		doc["tags"] = tags
	}
	status := http.StatusCreated
	if exists {
		status, doc["name"] = http.StatusOK, old["name"]
	}
	f.opts.Store.Put(docID, doc)
	return &provider.Answer{Status: status, Body: doc}, nil
}

// squeeze writes a location the way ARM stores it: "East US" is eastus.
func squeeze(location any) string {
	s, _ := location.(string)
	return strings.ToLower(strings.ReplaceAll(s, " ", ""))
}

func (f *Front) patchGroup(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	doc, ok := f.opts.Store.Get(q.ID.String())
	if !ok {
		return nil, noGroup(q.ID.Name())
	}
	if tags, ok := q.Body["tags"]; ok {
		doc["tags"] = tags
	}
	f.opts.Store.Put(q.ID.String(), doc)
	return &provider.Answer{Body: doc}, nil
}

func (f *Front) deleteGroup(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	doc, ok := f.opts.Store.Get(q.ID.String())
	if !ok {
		return nil, noGroup(q.ID.Name())
	}
	doc["properties"] = map[string]any{"provisioningState": "Deleting"}
	f.opts.Store.Put(q.ID.String(), doc)
	return &provider.Answer{Status: http.StatusAccepted, Later: func(ctx context.Context) error { return f.emptyGroup(ctx, q.ID) }}, nil
}

// emptyGroup deletes every resource of a group through its provider, then the group.
func (f *Front) emptyGroup(ctx context.Context, group id.ID) error {
	var failed []error
	for _, doc := range f.resourcesUnder(group.String()) {
		path, _ := doc["id"].(string)
		if _, err := f.Invoke(ctx, Invocation{Method: http.MethodDelete, Path: path, System: true}); err != nil {
			failed = append(failed, err)
		}
	}
	if failed != nil {
		return errors.Join(failed...)
	}
	f.opts.Store.Delete(group.String())
	return nil
}

// DeleteGroups deletes every resource group of every subscription.
func (f *Front) DeleteGroups(ctx context.Context) error {
	var failed []error
	for _, doc := range f.opts.Store.Under("", groupType) {
		path, _ := doc["id"].(string)
		failed = append(failed, f.emptyGroup(ctx, id.MustParse(path)))
	}
	return errors.Join(failed...)
}

// resourcesUnder lists the top-level resources of every type under a scope.
func (f *Front) resourcesUnder(scope string) []provider.Document {
	var all []provider.Document
	for _, t := range f.types {
		if t.Extension || strings.Count(t.Name, "/") != 1 || strings.HasPrefix(t.Name, "Microsoft.Resources/") {
			continue
		}
		all = append(all, f.opts.Store.Under(scope, t.Name)...)
	}
	return all
}

var resourceFilter = regexp.MustCompile(`(?i)^(resourceType|name|location|resourceGroup) eq '([^']*)'$`)

func (f *Front) listResources(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	want := map[string]string{}
	scope := q.ID.String()
	for _, term := range strings.Split(q.Query["$filter"], " and ") {
		m := resourceFilter.FindStringSubmatch(strings.TrimSpace(term))
		if m == nil && strings.TrimSpace(term) != "" {
			return nil, fault(http.StatusBadRequest, "InvalidFilterInQueryString", "Invalid $filter '%s' specified in the query string.", term)
		}
		if m != nil && strings.EqualFold(m[1], "resourceGroup") {
			scope = groupID(q.ID.Subscription(), m[2])
		} else if m != nil {
			want[map[string]string{"resourcetype": "type", "name": "name", "location": "location"}[strings.ToLower(m[1])]] = m[2]
		}
	}
	found := []any{}
	for _, doc := range f.resourcesUnder(scope) {
		matches := true
		for k, v := range want {
			have, _ := doc[k].(string)
			matches = matches && strings.EqualFold(have, v)
		}
		if matches {
			found = append(found, summary(doc))
		}
	}
	return &provider.Answer{Body: map[string]any{"value": found}}, nil
}

// summary is what the generic resource list shows of a document.
func summary(doc provider.Document) map[string]any {
	short := map[string]any{}
	for _, k := range []string{"id", "name", "type", "kind", "location", "tags", "sku", "identity"} {
		if v, ok := doc[k]; ok {
			short[k] = v
		}
	}
	return short
}
