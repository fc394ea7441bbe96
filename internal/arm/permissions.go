package arm

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	permissionsVersion = "2022-04-01"
	parallelReads      = 8
)

// Permission is one entry of what an identity may do on a scope: the actions of
// one role assignment less its own exceptions.
type Permission struct {
	Actions    []string `json:"actions"`
	NotActions []string `json:"notActions"`
}

// Allows tells whether any entry grants the action. An exception counts only
// within its own entry: what one role leaves out, another may give.
func Allows(entries []Permission, action string) bool {
	for _, e := range entries {
		if anyMatch(e.Actions, action) && !anyMatch(e.NotActions, action) {
			return true
		}
	}
	return false
}

func anyMatch(patterns []string, action string) bool {
	for _, p := range patterns {
		if matchAction(strings.ToLower(p), strings.ToLower(action)) {
			return true
		}
	}
	return false
}

// matchAction matches a pattern in which * stands for any text, slashes included.
func matchAction(pattern, action string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return pattern == action
	}
	if !strings.HasPrefix(action, first) || len(action) < len(first)+len(last) || !strings.HasSuffix(action, last) {
		return false
	}
	middle := action[len(first) : len(action)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(middle, part)
		if at < 0 {
			return false
		}
		middle = middle[at+len(part):]
	}
	return true
}

// Permissions asks what the client's own identity may do.
type Permissions struct{ client *Client }

// NewPermissions makes the checker.
func NewPermissions(c *Client) *Permissions { return &Permissions{c} }

// Missing returns those of the rights the identity lacks, in the order given.
// Each distinct scope is read once, all of them in parallel. A scope that is not
// there yet is judged by the nearest one above it that is.
func (p *Permissions) Missing(ctx context.Context, rights []connection.Right) ([]connection.Right, error) {
	scopes := distinctScopes(rights)
	found := make([][]Permission, len(scopes))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for n, scope := range scopes {
		group.Go(func() (err error) {
			found[n], err = p.entries(inner, scope)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	entries := make(map[string][]Permission, len(scopes))
	for n, scope := range scopes {
		entries[connection.FoldID(scope)] = found[n]
	}
	var missing []connection.Right
	for _, r := range rights {
		if !Allows(entries[connection.FoldID(r.Scope)], r.Action) {
			missing = append(missing, r)
		}
	}
	return missing, nil
}

func distinctScopes(rights []connection.Right) []string {
	seen := map[string]bool{}
	var scopes []string
	for _, r := range rights {
		if fold := connection.FoldID(r.Scope); !seen[fold] {
			seen[fold] = true
			scopes = append(scopes, r.Scope)
		}
	}
	return scopes
}

// entries reads the permissions on a scope, going up while the scope is not
// there. Who may not even read its own permissions has none that count.
func (p *Permissions) entries(ctx context.Context, scope string) ([]Permission, error) {
	at, err := id.Parse(scope)
	if err != nil {
		return nil, &problem.Error{Code: problem.PathMalformed, Attempt: "read permissions", Resource: scope, Cause: err}
	}
	for !at.IsZero() {
		entries, err := ListAll[Permission](ctx, p.client, at.String()+"/providers/Microsoft.Authorization/permissions", permissionsVersion)
		var answered *Error
		switch {
		case err == nil:
			return entries, nil
		case IsNotFound(err):
			at = at.Parent()
		case errors.As(err, &answered) && answered.Status == 403:
			return nil, nil
		default:
			return nil, err
		}
	}
	return nil, nil
}
