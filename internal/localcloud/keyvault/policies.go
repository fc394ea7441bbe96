package keyvault

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// kindsOfRights are the members of an access policy's permissions.
var kindsOfRights = []string{"keys", "secrets", "certificates", "storage"}

// changePolicies is PUT accessPolicies/add, /replace and /remove: the service merges,
// so that writers of different entries do not undo each other. The answer holds the
// whole list.
func (p *Provider) changePolicies(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	change, ok := map[string]func(old, given map[string]any) map[string]any{
		"add": unite, "replace": func(_, given map[string]any) map[string]any { return given }, "remove": subtract,
	}[strings.ToLower(r.ID.Name())]
	if !ok {
		return nil, provider.BadRequest("BadRequest", "The operation kind is add, replace or remove.")
	}
	given, _ := provider.At(r.Body, "properties", "accessPolicies").([]any)
	p.writes.Lock()
	defer p.writes.Unlock()
	vaultID := r.ID.Parent().String()
	vault, exists := p.cloud.Store().Get(vaultID)
	if !exists {
		return nil, notFound(vaultID)
	}
	properties, _ := vault["properties"].(map[string]any)
	policies, _ := properties["accessPolicies"].([]any)
	for _, entry := range given {
		one, _ := entry.(map[string]any)
		if provider.Text(one, "objectId") == "" || provider.Text(one, "tenantId") == "" {
			return nil, provider.BadRequest("BadRequest", "Each access policy needs a tenantId, an objectId and permissions.")
		}
		policies = changed(policies, one, change)
	}
	properties["accessPolicies"] = policies
	p.cloud.Store().Put(vaultID, vault)
	doc := provider.Identify(r.ID, policyType, map[string]any{"properties": map[string]any{"accessPolicies": policies}})
	doc["location"] = vault["location"]
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

// changed applies a change to the entry of one principal; an entry that permits
// nothing any more is not kept.
func changed(policies []any, given map[string]any, change func(old, given map[string]any) map[string]any) []any {
	at := slices.IndexFunc(policies, func(e any) bool { return samePrincipal(e, given) })
	old := map[string]any{}
	if at >= 0 {
		old, _ = provider.At(policies[at].(map[string]any), "permissions").(map[string]any)
	}
	rights, _ := given["permissions"].(map[string]any)
	entry := provider.Merge(given, nil)
	entry["permissions"] = change(old, rights)
	switch empty := permitsNothing(entry); {
	case at < 0 && empty:
		return policies
	case at < 0:
		return append(slices.Clone(policies), entry)
	case empty:
		return slices.Delete(slices.Clone(policies), at, at+1)
	}
	out := slices.Clone(policies)
	out[at] = entry
	return out
}

// samePrincipal compares what identifies an entry.
func samePrincipal(entry any, given map[string]any) bool {
	one, _ := entry.(map[string]any)
	for _, member := range []string{"tenantId", "objectId", "applicationId"} {
		if !strings.EqualFold(provider.Text(one, member), provider.Text(given, member)) {
			return false
		}
	}
	return true
}

func permitsNothing(entry map[string]any) bool {
	return !slices.ContainsFunc(kindsOfRights, func(kind string) bool { return len(words(provider.At(entry, "permissions", kind))) > 0 })
}

func words(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, w := range list {
		if text, ok := w.(string); ok {
			out = append(out, strings.ToLower(text))
		}
	}
	return out
}

func anys(list []string) []any {
	out := []any{}
	for _, w := range list {
		out = append(out, w)
	}
	return out
}

func unite(old, given map[string]any) map[string]any {
	out := provider.Merge(old, nil)
	for _, kind := range kindsOfRights {
		all := words(old[kind])
		for _, w := range words(given[kind]) {
			if !slices.Contains(all, w) {
				all = append(all, w)
			}
		}
		if all != nil {
			out[kind] = anys(all)
		}
	}
	return out
}

// subtract takes the named permissions away; naming none takes the whole entry (mem).
func subtract(old, given map[string]any) map[string]any {
	if permitsNothing(map[string]any{"permissions": given}) {
		return map[string]any{}
	}
	out := provider.Merge(old, nil)
	for _, kind := range kindsOfRights {
		if _, there := old[kind]; !there {
			continue
		}
		gone := words(given[kind])
		out[kind] = anys(slices.DeleteFunc(words(old[kind]), func(w string) bool { return slices.Contains(gone, w) }))
	}
	return out
}

// policyAllows tells whether a vault's policies give a principal a right on secrets.
func policyAllows(vault provider.Document, objectID, right string) bool {
	policies, _ := provider.At(vault, "properties", "accessPolicies").([]any)
	for _, entry := range policies {
		one, _ := entry.(map[string]any)
		if !strings.EqualFold(provider.Text(one, "objectId"), objectID) {
			continue
		}
		rights := words(provider.At(one, "permissions", "secrets"))
		if slices.Contains(rights, right) || slices.Contains(rights, "all") {
			return true
		}
	}
	return false
}
