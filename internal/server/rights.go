package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	authorizationVersion = "2022-04-01"
	scopesAtOnce         = 8
	pagesAtMost          = 100
)

// RightsChecker tells what a caller may not do: those of the rights it lacks, in
// the order given. It is a check before the fact; ARM's own refusal stays the truth.
type RightsChecker interface {
	Check(ctx context.Context, caller Caller, rights []engine.Right) ([]engine.Right, error)
}

// Unchecked lets everybody do everything: for a server inside the caller's own
// process, where the runner's rights are the caller's.
type Unchecked struct{}

// Check finds nothing missing.
func (Unchecked) Check(context.Context, Caller, []engine.Right) ([]engine.Right, error) {
	return nil, nil
}

// ByAudience asks ARM with the caller's own token where ARM takes it, and reads the
// caller's role assignments with our identity where it does not.
type ByAudience struct{ Forward, Assigned RightsChecker }

// Check passes the question on.
func (b ByAudience) Check(ctx context.Context, caller Caller, rights []engine.Right) ([]engine.Right, error) {
	if caller.Forwardable {
		return b.Forward.Check(ctx, caller, rights)
	}
	return b.Assigned.Check(ctx, caller, rights)
}

// ByToken asks ARM, with the caller's token, what the caller may do.
type ByToken struct {
	ARM  string // https://host of the cloud
	HTTP api.Doer
}

// Check reads each scope's permissions once, in parallel.
func (b ByToken) Check(ctx context.Context, caller Caller, rights []engine.Right) ([]engine.Right, error) {
	reader := armReader{base: b.ARM, http: b.HTTP, token: caller.Token}
	return missing(ctx, rights, func(ctx context.Context, scope string) (judge, error) {
		entries, err := climb(scope, func(at string) ([]arm.Permission, error) {
			return list[arm.Permission](ctx, reader, at+"/providers/Microsoft.Authorization/permissions", "")
		})
		return func(action string) bool { return arm.Allows(entries, action) }, err
	})
}

// ByAssignment reads, with our own identity, which roles the caller was assigned,
// directly or through groups, and what is denied to it.
type ByAssignment struct {
	ARM   string
	HTTP  api.Doer
	Token func(context.Context) (string, error) // of our own identity, for ARM
}

// Check reads each scope's assignments once, in parallel. Assignments with a
// condition do not count.
func (b ByAssignment) Check(ctx context.Context, caller Caller, rights []engine.Right) ([]engine.Right, error) {
	token, err := b.Token(ctx)
	if err != nil {
		return nil, problem.New(problem.SignInFailed, b.ARM, "Patchbay's own identity has no token").Because(err)
	}
	reader := armReader{base: b.ARM, http: b.HTTP, token: token}
	return missing(ctx, rights, func(ctx context.Context, scope string) (judge, error) {
		granted, err := climb(scope, func(at string) ([]grant, error) { return assigned(ctx, reader, at, caller.ObjectID) })
		if err != nil {
			return nil, err
		}
		denied, err := denials(ctx, reader, scope, caller.ObjectID)
		return func(action string) bool { return allowed(granted, denied, action) }, err
	})
}

// judge tells whether an action is allowed on one scope.
type judge func(action string) bool

// missing groups rights by scope, asks for a judge per scope, and returns what is lacking.
func missing(ctx context.Context, rights []engine.Right, look func(ctx context.Context, scope string) (judge, error)) ([]engine.Right, error) {
	var scopes []string
	at := map[string]int{}
	for _, r := range rights {
		if _, seen := at[fold(r.Scope)]; !seen {
			at[fold(r.Scope)] = len(scopes)
			scopes = append(scopes, r.Scope)
		}
	}
	judges := make([]judge, len(scopes))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(scopesAtOnce)
	for i, scope := range scopes {
		group.Go(func() (err error) {
			judges[i], err = look(inner, scope)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var lacking []engine.Right
	for _, r := range rights {
		if !judges[at[fold(r.Scope)]](r.Action) {
			lacking = append(lacking, r)
		}
	}
	return lacking, nil
}

// climb reads at a scope, or at the nearest one above it that is there: what is not
// there yet inherits from it. Nothing readable counts as nothing granted.
func climb[T any](scope string, read func(at string) ([]T, error)) ([]T, error) {
	at, err := id.Parse(scope)
	if err != nil {
		return nil, problem.New(problem.PathMalformed, scope, "%q is not a scope", scope).Because(err)
	}
	for !at.IsZero() {
		found, err := read(at.String())
		var answered *armAnswer
		if !errors.As(err, &answered) {
			return found, err
		}
		switch answered.status {
		case http.StatusNotFound, http.StatusBadRequest: // not there, or not even a name
			at = at.Parent()
		case http.StatusForbidden:
			return nil, nil
		default:
			return nil, answered.problem()
		}
	}
	return nil, nil
}

// grant is what one role assignment or denial carries.
type grant struct {
	Properties struct {
		RoleDefinitionID  string           `json:"roleDefinitionId"`
		Condition         string           `json:"condition"`
		Permissions       []arm.Permission `json:"permissions"` // of a denial
		ExcludePrincipals []struct {
			ID string `json:"id"`
		} `json:"excludePrincipals"`
	} `json:"properties"`
	role []arm.Permission
}

// allowed is the evaluation of Azure's roles: any assignment may grant, and any
// denial takes away.
func allowed(granted, denied []grant, action string) bool {
	for _, d := range denied {
		if arm.Allows(d.Properties.Permissions, action) {
			return false
		}
	}
	return slices.ContainsFunc(granted, func(g grant) bool { return arm.Allows(g.role, action) })
}

// assigned reads the unconditional role assignments of a principal that hold on a scope.
func assigned(ctx context.Context, reader armReader, scope, principal string) ([]grant, error) {
	found, err := list[grant](ctx, reader, scope+"/providers/Microsoft.Authorization/roleAssignments", filterFor(principal))
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(g grant) bool { return g.Properties.Condition != "" })
	roles := map[string][]arm.Permission{}
	for i, g := range found {
		key := fold(g.Properties.RoleDefinitionID)
		if _, read := roles[key]; !read {
			var role struct {
				Properties struct {
					Permissions []arm.Permission `json:"permissions"`
				} `json:"properties"`
			}
			if err := reader.get(ctx, reader.address(g.Properties.RoleDefinitionID, ""), &role); err != nil {
				return nil, err
			}
			roles[key] = role.Properties.Permissions
		}
		found[i].role = roles[key]
	}
	return found, nil
}

// denials reads what is denied to a principal. A cloud that knows no denials has none.
func denials(ctx context.Context, reader armReader, scope, principal string) ([]grant, error) {
	found, err := climb(scope, func(at string) ([]grant, error) {
		return list[grant](ctx, reader, at+"/providers/Microsoft.Authorization/denyAssignments", filterFor(principal))
	})
	return slices.DeleteFunc(found, func(g grant) bool {
		return slices.ContainsFunc(g.Properties.ExcludePrincipals, func(p struct {
			ID string `json:"id"`
		}) bool {
			return strings.EqualFold(p.ID, principal)
		})
	}), err
}

func filterFor(principal string) string {
	return "atScope() and assignedTo('" + strings.ReplaceAll(principal, "'", "''") + "')"
}

// armReader reads ARM with one token.
type armReader struct {
	base  string
	http  api.Doer
	token string
}

// armAnswer is an answer of ARM other than 200.
type armAnswer struct {
	status    int
	scope     string
	challenge string
}

func (a *armAnswer) Error() string {
	return fmt.Sprintf("read permissions on %s: answered %d", a.scope, a.status)
}

// problem words an answer that says nothing about rights. ARM's own challenge goes
// through as it is: it may ask the client for a stronger sign-in.
func (a *armAnswer) problem() error {
	switch a.status {
	case http.StatusUnauthorized:
		p := problem.New(problem.TokenInvalid, a.scope, "the cloud does not take the access token")
		if a.challenge != "" {
			return p.Because(Challenge(a.challenge))
		}
		return p
	case http.StatusTooManyRequests:
		return problem.New(problem.ARMThrottled, a.scope, "the cloud is throttling the question what the caller may do")
	}
	return problem.New(problem.ARMRefused, a.scope, "the cloud does not say what the caller may do: it answered %d", a.status)
}

func (r armReader) address(path, filter string) string {
	query := url.Values{"api-version": {authorizationVersion}}
	if filter != "" {
		query.Set("$filter", filter)
	}
	at := url.URL{Path: "/" + strings.TrimLeft(path, "/"), RawQuery: query.Encode()}
	return strings.TrimRight(r.base, "/") + at.String()
}

// list reads all pages of a list.
func list[T any](ctx context.Context, r armReader, path, filter string) ([]T, error) {
	var all []T
	next := r.address(path, filter)
	for range pagesAtMost {
		var page struct {
			Value    []T    `json:"value"`
			NextLink string `json:"nextLink"`
		}
		if err := r.get(ctx, next, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Value...)
		if page.NextLink == "" {
			return all, nil
		}
		if !sameHost(r.base, page.NextLink) { // a token goes nowhere else
			return nil, problem.New(problem.ARMRefused, path, "the next page of a list lies on another host")
		}
		next = page.NextLink
	}
	return nil, problem.New(problem.ARMRefused, path, "a list has no end")
}

func sameHost(a, b string) bool {
	left, err := url.Parse(a)
	right, err2 := url.Parse(b)
	return err == nil && err2 == nil && left.Scheme == right.Scheme && strings.EqualFold(left.Host, right.Host)
}

func (r armReader) get(ctx context.Context, address string, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return problem.New(problem.PathMalformed, address, "the address cannot be read").Because(err)
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	request.Header.Set("Accept", "application/json")
	response, err := r.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return problem.New(problem.UpstreamUnreached, r.base, "%s does not answer", r.base).Because(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode != http.StatusOK {
		return &armAnswer{status: response.StatusCode, scope: request.URL.Path, challenge: response.Header.Get("WWW-Authenticate")}
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, bodyLimit)).Decode(out); err != nil {
		return problem.New(problem.ARMRefused, request.URL.Path, "the cloud's answer is not JSON").Because(err)
	}
	return nil
}
