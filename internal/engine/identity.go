package engine

import (
	"context"
	"reflect"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// refused tells why a connection cannot be derived, and what a caller must be allowed to
// see to be told: an identity is looked for in a whole subscription.
func (e *Engine) refused(c *connection.Connection, cause error) *Refused {
	rights := e.Targets.Reads(c)
	if problem.Is(cause, problem.IdentityNotFound) {
		rights = append(rights, Right{Action: "Microsoft.ManagedIdentity/userAssignedIdentities/read", Scope: problem.As(cause).Resource})
	}
	return &Refused{Rights: rights, Cause: cause}
}

// contextOf derives the facets of the connection as it was, for the order of
// removals and what they lean on. What cannot be derived any more is not needed:
// records carry the rest.
func (e *Engine) contextOf(ctx context.Context, before, now *connection.Connection) []connection.Facet {
	if before == nil || reflect.DeepEqual(before.Properties, now.Properties) {
		return nil
	}
	old := *before
	kept, _ := e.kept(ctx, before) // values do not matter here
	_, facets, _ := e.deriveRemains(ctx, &old, standIn(kept))
	return facets
}

// standIn puts an empty secret where none was kept: what is derived for its order alone
// needs a value, whichever.
func standIn(secrets connection.Secrets) connection.Secrets {
	out := connection.Secrets{connection.SecretSlot: connection.NewSecret("")}
	for slot, s := range secrets {
		out[slot] = s
	}
	return out
}

// recallIdentity puts an identity that is gone into the facts, as the ledger knew it:
// what was granted to it is still to be taken down.
func (e *Engine) recallIdentity(ctx context.Context, uid string, facts Facts) {
	if facts.Text(connection.FactIdentity) != "" {
		return
	}
	records, err := e.Ledger.RecordsOf(ctx, uid)
	if err != nil {
		return // the removals read the ledger again and say so
	}
	for _, r := range records {
		principal := r.Outputs[connection.OutPrincipalID]
		if r.Key.Kind == connection.KindIdentity && strings.HasPrefix(r.Key.Name, "/") && principal != "" {
			facts[connection.FactIdentity] = connection.Plain(r.Key.Name)
			facts[connection.FactIdentityPrincipal] = connection.Plain(principal)
		}
	}
}

// withoutIdentity is what a validation finds when the identity itself is gone.
func (r *run) withoutIdentity(c *connection.Connection, cause error) []Finding {
	p := problem.As(cause)
	return []Finding{
		{Name: ItemExistence, Result: ResultSuccess},
		{Name: ItemIdentity, Result: ResultFailure, Description: p.Error(), Code: string(p.Code),
			Fix: "patchbay webapp connection update " + r.Targets.Type(c) + " --id " + c.ID + " --user-identity client-id=CLIENT_ID subs-id=SUBSCRIPTION_ID"},
		{Name: ItemPermissions, Result: ResultWarning, Description: "not looked at: the identity is gone"},
	}
}

// sameGrant tells whether a record already lets in whom a facet wants to let in, where
// and how it wants to: two connections that sign in as the same then share it.
func (e *Engine) sameGrant(f connection.Facet, r *plan.Record) bool {
	for _, name := range []string{connection.AttrPrincipalID, connection.AttrDatabase} {
		if v := f.Want[name]; v.From != nil || !e.Ledger.Same(v, r.Written[name]) {
			return false
		}
	}
	return true
}
