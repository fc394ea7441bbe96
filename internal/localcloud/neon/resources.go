package neon

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/postgres"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// What a new project comes with.
const (
	firstBranch   = "main"
	firstRole     = "neondb_owner"
	firstDatabase = "neondb"
)

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}

// parent makes sure that what a child belongs to exists.
func (p *Provider) parent(child id.ID) error {
	if _, exists := p.cloud.Store().Get(child.Parent().String()); !exists {
		return &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound", Message: "The resource '" + child.Parent().String() + "' was not found."}
	}
	return nil
}

// put stores a document and brings it to its final state in the background. private are
// values that only the provider keeps.
func (p *Provider) put(r *provider.Request, i id.ID, kind string, work func(context.Context) error) *provider.Answer {
	store := p.cloud.Store()
	status := http.StatusCreated
	current, exists := store.Get(i.String())
	if exists {
		status = http.StatusOK
	}
	given, _ := r.Body["properties"].(map[string]any)
	old, _ := current["properties"].(map[string]any)
	doc := provider.Identify(i, kind, provider.Merge(current, r.Body))
	doc["properties"] = provider.Merge(provider.Merge(old, given), map[string]any{"provisioningState": "Accepted"})
	store.Put(i.String(), doc)
	return &provider.Answer{Status: status, Body: doc, Later: func(ctx context.Context) error {
		state := succeeded
		err := work(ctx)
		if err != nil {
			state = "Failed"
		}
		p.set(i, map[string]any{"provisioningState": state})
		return err
	}}
}

func (p *Provider) set(i id.ID, properties map[string]any) {
	doc, exists := p.cloud.Store().Get(i.String())
	if !exists {
		return
	}
	old, _ := doc["properties"].(map[string]any)
	doc["properties"] = provider.Merge(old, properties)
	p.cloud.Store().Put(i.String(), doc)
}

func nothing(context.Context) error { return nil }

func (p *Provider) putOrganization(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	_, exists := p.cloud.Store().Get(r.ID.String())
	if r.Method == http.MethodPatch && !exists {
		return nil, notFound(r.ID.String())
	}
	if !exists {
		if provider.Text(r.Body, "location") == "" {
			return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
		}
		for _, member := range []string{"marketplaceDetails", "userDetails", "companyDetails"} {
			if provider.At(r.Body, "properties", member) == nil {
				return nil, provider.BadRequest("InvalidRequestContent", "The property '"+member+"' is required.")
			}
		}
	}
	return p.put(r, r.ID, organizationType, nothing), nil
}

// putProject makes the project and, the first time, what it comes with.
func (p *Provider) putProject(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := p.parent(r.ID); err != nil {
		return nil, err
	}
	_, exists := p.cloud.Store().Get(r.ID.String())
	return p.put(r, r.ID, projectType, func(ctx context.Context) error {
		if exists {
			return nil
		}
		return p.furnish(ctx, r.ID.Child("branches", firstBranch))
	}), nil
}

// furnish makes a branch with its first role, database and endpoint.
func (p *Provider) furnish(ctx context.Context, branch id.ID) error {
	p.keep(branch, branchType, nil)
	if err := p.makeRole(ctx, branch.Child("neonRoles", firstRole)); err != nil {
		return err
	}
	if err := p.makeDatabase(ctx, branch.Child("neonDatabases", firstDatabase), firstRole); err != nil {
		return err
	}
	p.keep(branch.Child("endpoints", "ep-"+branch.Name()), endpointType, map[string]any{"endpointType": "read_write", "branchId": branch.Name()})
	return nil
}

func (p *Provider) keep(i id.ID, kind string, properties map[string]any) {
	all := provider.Merge(properties, map[string]any{"provisioningState": succeeded, "entityName": i.Name()})
	p.cloud.Store().Put(i.String(), provider.Identify(i, kind, map[string]any{"properties": all}))
}

func (p *Provider) putBranch(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := p.parent(r.ID); err != nil {
		return nil, err
	}
	return p.put(r, r.ID, branchType, func(ctx context.Context) error {
		_, err := p.server(ctx, r.ID.String())
		return err
	}), nil
}

func (p *Provider) putEndpoint(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := p.parent(r.ID); err != nil {
		return nil, err
	}
	return p.put(r, r.ID, endpointType, nothing), nil
}

func (p *Provider) putRole(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := p.parent(r.ID); err != nil {
		return nil, err
	}
	if name := r.ID.Name(); len(name) > 63 || strings.HasPrefix(name, "pg_") {
		return nil, provider.BadRequest("InvalidRequestContent", "A role's name has at most 63 bytes and does not begin with pg_.")
	}
	return p.put(r, r.ID, roleType, func(ctx context.Context) error { return p.makeRole(ctx, r.ID) }), nil
}

// makeRole makes a role with a password of its own, once.
func (p *Provider) makeRole(ctx context.Context, i id.ID) error {
	server, err := p.server(ctx, i.Parent().String())
	if err != nil {
		return err
	}
	store := p.cloud.Store()
	if _, exists := store.Get(i.String()); !exists {
		p.keep(i, roleType, map[string]any{"branchId": i.Parent().Name()})
	}
	if store.Private(i.String())["password"] != "" {
		return nil
	}
	password := newPassword()
	if err := server.SetRole(ctx, i.Name(), password); err != nil {
		return err
	}
	store.SetPrivate(i.String(), map[string]string{"password": password})
	return nil
}

func (p *Provider) putDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if err := p.parent(r.ID); err != nil {
		return nil, err
	}
	owner := provider.Text(r.Body, "properties", "ownerName")
	if _, exists := p.cloud.Store().Get(r.ID.Parent().Child("neonRoles", owner).String()); owner == "" || !exists {
		return nil, provider.BadRequest("InvalidRequestContent", "The property 'ownerName' must name a role of the branch.")
	}
	return p.put(r, r.ID, databaseType, func(ctx context.Context) error { return p.makeDatabase(ctx, r.ID, owner) }), nil
}

func (p *Provider) makeDatabase(ctx context.Context, i id.ID, owner string) error {
	server, err := p.server(ctx, i.Parent().String())
	if err != nil {
		return err
	}
	if _, exists := p.cloud.Store().Get(i.String()); !exists {
		p.keep(i, databaseType, map[string]any{"branchId": i.Parent().Name(), "ownerName": owner})
	}
	return server.MakeDatabase(ctx, i.Name(), owner)
}

// delete removes a resource with everything beneath it, servers and data included.
func (p *Provider) delete(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	err := p.stop(r.ID.String())
	switch provider.Text(doc, "type") {
	case roleType:
		err = p.within(ctx, r.ID, func(s *postgres.Instance) error { return s.DropRole(ctx, r.ID.Name()) })
	case databaseType:
		err = p.within(ctx, r.ID, func(s *postgres.Instance) error { return s.DropDatabase(ctx, r.ID.Name()) })
	}
	if err != nil {
		return nil, &provider.Fault{Status: http.StatusConflict, Code: "Conflict", Message: "The resource cannot be deleted: " + err.Error()}
	}
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

// within works on the server of a role's or a database's branch.
func (p *Provider) within(ctx context.Context, child id.ID, work func(*postgres.Instance) error) error {
	server, err := p.server(ctx, child.Parent().String())
	if err != nil {
		return err
	}
	return work(server)
}

// connectionURI hands out the address of a database with a role's name and password.
func (p *Provider) connectionURI(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	word := func(member, usual string) string {
		if text := provider.Text(r.Body, member); text != "" {
			return text
		}
		return usual
	}
	branch := r.ID.Child("branches", word("branchId", firstBranch))
	role, database := branch.Child("neonRoles", word("roleName", "")), branch.Child("neonDatabases", word("databaseName", ""))
	for _, i := range []id.ID{r.ID, branch, role, database} {
		if _, exists := p.cloud.Store().Get(i.String()); !exists {
			return nil, notFound(i.String())
		}
	}
	uri := url.URL{Scheme: "postgresql", Host: p.cloud.Address(branch.String()), Path: "/" + database.Name(), RawQuery: "sslmode=require",
		User: url.UserPassword(role.Name(), p.cloud.Store().Private(role.String())["password"])}
	return &provider.Answer{Status: http.StatusOK, Body: provider.Merge(r.Body, map[string]any{"connectionStringUri": uri.String()})}, nil
}
