package rbac

import (
	"context"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// The lock levels.
const (
	ReadOnly     = "ReadOnly"
	CanNotDelete = "CanNotDelete"
)

func (r *Rights) lockType() provider.Type {
	return provider.Type{
		Name: LockType, Extension: true, IgnoresLocks: true,
		APIVersions: []string{"2020-05-01", "2017-04-01", "2016-09-01", "2015-01-01"},
		List:        r.listLocks, Put: r.putLock, Delete: r.deleteLock,
	}
}

func (r *Rights) putLock(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	props, _ := q.Body["properties"].(map[string]any)
	level, _ := props["level"].(string)
	if level != ReadOnly && level != CanNotDelete {
		return nil, fault(http.StatusBadRequest, "LockLevelNotSupported", "The lock level '%s' is not supported. Supported levels are '%s, %s'.", level, CanNotDelete, ReadOnly)
	}
	_, exists := r.store.Get(q.ID.String())
	kept := map[string]any{"level": level}
	for _, k := range []string{"notes", "owners"} {
		if v, ok := props[k]; ok {
			kept[k] = v
		}
	}
	doc := provider.Document{"id": q.ID.String(), "name": q.ID.Name(), "type": LockType, "properties": kept}
	r.store.Put(q.ID.String(), doc)
	status := http.StatusCreated
	if exists {
		status = http.StatusOK
	}
	return &provider.Answer{Status: status, Body: doc}, nil
}

func (r *Rights) deleteLock(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	if _, ok := r.store.Get(q.ID.String()); !ok {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	r.store.Delete(q.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

// listLocks lists the locks at and above the scope, and below it unless the filter
// says atScope().
func (r *Rights) listLocks(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	only := strings.EqualFold(strings.TrimSpace(q.Query["$filter"]), "atScope()")
	found := []any{}
	for _, d := range r.store.Under("", LockType) {
		at := lockScope(d)
		if within(q.ID.String(), at) || !only && within(at, q.ID.String()) {
			found = append(found, d)
		}
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": found}}, nil
}

func lockScope(d provider.Document) string {
	raw, _ := d["id"].(string)
	i, err := id.Parse(raw)
	if err != nil {
		return raw
	}
	return i.Scope().String()
}

// Locked says why a call may not be made, or nil. A ReadOnly lock at or above the
// resource stops writes, deletes and POST actions; a lock of either level at, above
// or (as a delete takes everything along) below it stops a delete.
func (r *Rights) Locked(method, resource string) *provider.Fault {
	if method == http.MethodGet || method == http.MethodHead {
		return nil
	}
	deleting := method == http.MethodDelete
	var scopes []string
	r.store.View(LockType, func(_ string, d provider.Document, _ map[string]string) {
		props, _ := d["properties"].(map[string]any)
		at := lockScope(d)
		above := within(resource, at) && (deleting || props["level"] == ReadOnly)
		if above || deleting && within(at, resource) {
			scopes = append(scopes, at)
		}
	})
	if scopes == nil {
		return nil
	}
	verb := "write"
	if deleting {
		verb = "delete"
	}
	return fault(http.StatusConflict, "ScopeLocked",
		"The scope '%s' cannot perform %s operation because following scope(s) are locked: '%s'. Please remove the lock and try again.",
		resource, verb, strings.Join(scopes, ","))
}
