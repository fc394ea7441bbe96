// Package rbac holds role definitions, role assignments and management locks of
// the local cloud, and decides from them who may do what.
//
// It promises that every decision follows the stored assignments, their scopes and
// the propagation delay, and nothing else. Conditions of assignments are stored
// but not evaluated. It must not know what any action does.
package rbac

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/store"
)

// The types this package serves.
const (
	AssignmentType = "Microsoft.Authorization/roleAssignments"
	DefinitionType = "Microsoft.Authorization/roleDefinitions"
	PermissionType = "Microsoft.Authorization/permissions"
	LockType       = "Microsoft.Authorization/locks"
)

const effectiveKey = "effectiveAt"

// Directory is what rbac asks about principals.
type Directory interface {
	Tenant() string
	Lookup(objectID string) (provider.Principal, bool)
}

// Rights is a provider.Authorizer and the provider of its types. Make one with New.
type Rights struct {
	store     *store.Store
	directory Directory
	now       func() time.Time

	mu     sync.Mutex
	delay  time.Duration
	ghosts map[string]ghost // removed assignments that still count, by folded id
}

type ghost struct {
	principal, scope, role string
	until                  time.Time
}

var (
	_ provider.Authorizer = (*Rights)(nil)
	_ provider.Provider   = (*Rights)(nil)
)

// New makes the rights over a store. The delay is how long a new or removed
// assignment takes to count.
func New(s *store.Store, d Directory, delay time.Duration, now func() time.Time) *Rights {
	return &Rights{store: s, directory: d, delay: delay, now: now, ghosts: map[string]ghost{}}
}

// SetDelay changes the propagation delay for assignments made or removed from now on.
func (r *Rights) SetDelay(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = d
}

func (r *Rights) propagation() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delay
}

// Allowed tells whether a principal may perform an action at a scope now.
func (r *Rights) Allowed(objectID, action, scope string, dataAction bool) bool {
	for _, p := range r.permissions(objectID, scope) {
		if p.allows(action, dataAction) {
			return true
		}
	}
	return false
}

// AllowedBelow tells whether a principal may perform an action anywhere at, above
// or below a scope.
func (r *Rights) AllowedBelow(objectID, action, scope string) bool {
	for _, a := range r.effective(objectID) {
		if !within(scope, a.scope) && !within(a.scope, scope) {
			continue
		}
		for _, p := range r.permissionsOf(a.role) {
			if p.allows(action, false) {
				return true
			}
		}
	}
	return false
}

// permission is one block of a role definition, as ARM writes it.
type permission struct {
	Actions        []string `json:"actions"`
	NotActions     []string `json:"notActions"`
	DataActions    []string `json:"dataActions"`
	NotDataActions []string `json:"notDataActions"`
}

func (p permission) allows(action string, data bool) bool {
	if data {
		return matchAny(p.DataActions, action) && !matchAny(p.NotDataActions, action)
	}
	return matchAny(p.Actions, action) && !matchAny(p.NotActions, action)
}

func (r *Rights) permissions(objectID, scope string) []permission {
	var all []permission
	for _, a := range r.effective(objectID) {
		if within(scope, a.scope) {
			all = append(all, r.permissionsOf(a.role)...)
		}
	}
	return all
}

// effective lists the assignments of a principal that count now.
func (r *Rights) effective(objectID string) []ghost {
	now := r.now()
	var all []ghost
	r.store.View(AssignmentType, func(_ string, d provider.Document, private map[string]string) {
		g := assignmentOf(d)
		from, err := time.Parse(time.RFC3339Nano, private[effectiveKey])
		if strings.EqualFold(g.principal, objectID) && (err != nil || !now.Before(from)) {
			all = append(all, g)
		}
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, g := range r.ghosts {
		if !now.Before(g.until) {
			delete(r.ghosts, key)
		} else if strings.EqualFold(g.principal, objectID) {
			all = append(all, g)
		}
	}
	return all
}

func assignmentOf(d provider.Document) ghost {
	props, _ := d["properties"].(map[string]any)
	text := func(k string) string { s, _ := props[k].(string); return s }
	return ghost{principal: text("principalId"), scope: text("scope"), role: lastSegment(text("roleDefinitionId"))}
}

func lastSegment(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// permissionsOf resolves a role by its GUID; a role that is gone allows nothing.
func (r *Rights) permissionsOf(guid string) []permission {
	if d, ok := builtInByGUID(guid); ok {
		return []permission{{d.Actions, d.NotActions, d.DataActions, d.NotDataActions}}
	}
	var found []permission
	r.store.View(DefinitionType, func(_ string, d provider.Document, _ map[string]string) {
		if name, _ := d["name"].(string); strings.EqualFold(name, guid) {
			found = permissionBlocks(d)
		}
	})
	return found
}

func permissionBlocks(d provider.Document) []permission {
	props, _ := d["properties"].(map[string]any)
	var blocks []permission
	raw, err := json.Marshal(props["permissions"])
	if err != nil || json.Unmarshal(raw, &blocks) != nil {
		return nil // checked when the role was written
	}
	return blocks
}

func builtInByGUID(guid string) (Definition, bool) {
	for _, d := range builtIn {
		if strings.EqualFold(d.GUID, guid) {
			return d, true
		}
	}
	return Definition{}, false
}

// within tells whether one scope is another or lies under it; "" and "/" are the tenant.
func within(inner, outer string) bool {
	a, b := strings.Trim(id.Fold(inner), "/"), strings.Trim(id.Fold(outer), "/")
	return b == "" || a == b || strings.HasPrefix(a, b+"/")
}

func matchAny(patterns []string, action string) bool {
	for _, p := range patterns {
		if match(strings.ToLower(p), strings.ToLower(action)) {
			return true
		}
	}
	return false
}

// match compares an action with a pattern whose stars stand for any text, slashes included.
func match(pattern, action string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == action
	}
	rest, ok := strings.CutPrefix(action, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// Types lists what the front door routes here.
func (r *Rights) Types() []provider.Type {
	return []provider.Type{r.assignmentType(), r.definitionType(), r.permissionType(), r.lockType()}
}

// Resume has nothing to rebuild.
func (r *Rights) Resume(_ context.Context) error { return nil }

// Close has nothing to stop.
func (r *Rights) Close() error { return nil }
