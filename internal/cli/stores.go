package cli

import (
	"context"
	"strings"
)

// storeHelper is the connection by which a source reads what a vault or a store keeps
// for it, made before the one that is asked for, as the Azure CLI does.
type storeHelper struct{ option, id, name, client string }

// storeHelpers are those that the options need. A vault keeps secrets, and a connection
// by an identity has none: the server says so, and nothing is made for it before.
func (p *propertyFlags) storeHelpers(auth string) []storeHelper {
	var out []storeHelper
	if p.vaultID != "" && !strings.EqualFold(auth, authSystemIdentity) && !strings.EqualFold(auth, authUserIdentity) {
		out = append(out, storeHelper{"--vault-id", cleanID(p.vaultID), "keyvault", "dotnet"})
	}
	if p.appConfigID != "" {
		out = append(out, storeHelper{"--appconfig-id", cleanID(p.appConfigID), "appconfig", "none"})
	}
	return out
}

// leads tells whether a linker lets its source read the store by an identity.
func (h storeHelper) leads(linker map[string]any) bool {
	auth := text(linker, "properties", "authInfo", "authType")
	identity := strings.EqualFold(auth, authSystemIdentity) || strings.EqualFold(auth, authUserIdentity)
	return identity && strings.EqualFold(cleanID(text(linker, "properties", "targetService", "id")), h.id)
}

// reachStores makes the connections to vault and store that the source of a linker
// lacks. more is false when a dry run has to stop there: what leans on them cannot be
// planned yet.
func (s *shell) reachStores(ctx context.Context, a API, d Defaults, linker linkerBody, p *propertyFlags, w writeFlags) (more bool, err error) {
	source, _, found := strings.Cut(linker.id, linkerSegment)
	if !found {
		return true, nil // a local connection: the server says what it thinks of stores
	}
	more = true
	for _, h := range p.storeHelpers(text(linker.body, "properties", "authInfo", "authType")) {
		l, err := h.missing(ctx, a, source)
		if err != nil {
			return false, err
		}
		if l == nil {
			continue
		}
		s.note("the source is not connected to what %s names: connecting it first, as %s", h.option, l.id[strings.LastIndex(l.id, "/")+1:])
		if w.dryRun {
			p, err := a.Plan(ctx, l.id, l.body, false)
			if err == nil {
				err = s.own(p, func(t *texter) { t.plan(p) })
			}
			if err != nil {
				return false, err
			}
			more = false
			continue
		}
		w.noWait = false // what comes next needs it
		if _, err := s.put(ctx, a, d, *l, w); err != nil {
			return false, err
		}
	}
	if !more {
		s.note("the connection itself can be planned once the source is connected to where its settings are kept")
	}
	return more, nil
}

// missing is the connection to make, nil when the source has one.
func (h storeHelper) missing(ctx context.Context, a API, source string) (*linkerBody, error) {
	have, err := a.Linkers(ctx, source)
	if err != nil {
		return nil, err
	}
	for _, linker := range have {
		if h.leads(linker) {
			return nil, nil
		}
	}
	name, err := generatedName(h.name)
	if err != nil {
		return nil, err
	}
	return &linkerBody{id: source + linkerSegment + name, body: map[string]any{"properties": map[string]any{
		"targetService": map[string]any{"type": "AzureResource", "id": h.id},
		"authInfo":      map[string]any{"authType": authSystemIdentity}, "clientType": h.client,
	}}}, nil
}
