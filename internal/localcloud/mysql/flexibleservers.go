package mysql

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// serverDefaults are the members of a new server that a request may leave out.
func serverDefaults() map[string]any {
	return map[string]any{
		"version": "8.0.21", "availabilityZone": "1", "replicationRole": "None", "replicaCapacity": 10,
		"storage":          map[string]any{"storageSizeGB": 32, "iops": 396, "autoGrow": enabled, "autoIoScaling": disabled, "logOnDisk": disabled},
		"backup":           map[string]any{"backupRetentionDays": 7, "geoRedundantBackup": disabled},
		"highAvailability": map[string]any{"mode": disabled},
		"network":          map[string]any{"publicNetworkAccess": enabled},
	}
}

// neverRead are members a request may carry and no answer does.
var neverRead = []string{"administratorLoginPassword", "createMode", "restorePointInTime"}

// serverOwned are members only the platform sets.
var serverOwned = []string{"fullyQualifiedDomainName", "state", "replicaCapacity", "privateEndpointConnections"}

func (p *Provider) putServer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if provider.Text(r.Body, "location") == "" {
		return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	current, exists := p.cloud.Store().Get(r.ID.String())
	if exists {
		return p.changeServer(r, current, false)
	}
	password := provider.Text(r.Body, "properties", "administratorLoginPassword")
	if err := checkServer(r.Body, password); err != nil {
		return nil, err
	}
	doc, err := p.newServer(r)
	if err != nil {
		return nil, err
	}
	return p.operate(r.ID.String(), func(ctx context.Context, s *server) error {
		if _, made := s.document(); made {
			return s.update(ctx, r.Body, doc["identity"])
		}
		return s.create(ctx, doc, password)
	}), nil
}

func (p *Provider) newServer(r *provider.Request) (provider.Document, error) {
	given, _ := r.Body["properties"].(map[string]any)
	properties := provider.Merge(serverDefaults(), without(given, neverRead, serverOwned))
	properties["fullyQualifiedDomainName"] = p.cloud.Address(r.ID.String())
	doc := provider.Merge(map[string]any{"sku": map[string]any{"name": "Standard_B1ms", "tier": "Burstable"}}, r.Body)
	doc["properties"] = properties
	block, err := p.identity(r, nil, false)
	if err != nil {
		return nil, err
	}
	delete(doc, "identity")
	if block != nil {
		doc["identity"] = block
	}
	return provider.Identify(r.ID, serverType, doc), nil
}

// identity works out a server's identity member. Only user-assigned ones exist here.
func (p *Provider) identity(r *provider.Request, current any, merge bool) (any, error) {
	wanted, given := r.Body["identity"]
	if !given && (merge || current != nil) {
		return current, nil
	}
	if strings.Contains(strings.ToLower(provider.Text(r.Body, "identity", "type")), "systemassigned") {
		return nil, provider.BadRequest("InvalidIdentityType", "A flexible server has user-assigned identities only.")
	}
	return p.identities.Apply(identity.Change{
		Resource: r.ID.String(), Name: r.ID.Name(), Caller: r.Caller, Current: current, Wanted: wanted, Merge: merge,
	})
}

func without(d map[string]any, lists ...[]string) map[string]any {
	out := maps.Clone(d)
	for _, names := range lists {
		for _, n := range names {
			delete(out, n)
		}
	}
	return out
}

var (
	loginPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,31}$`)
	// reservedLogins cannot name the administrator, as published.
	reservedLogins = map[string]bool{
		"azure_superuser": true, "admin": true, "administrator": true, "root": true, "guest": true, "public": true,
		"mysql.infoschema": true, "mysql.session": true, "mysql.sys": true,
	}
)

func checkServer(doc provider.Document, password string) error {
	login := provider.Text(doc, "properties", "administratorLogin")
	if !loginPattern.MatchString(login) || reservedLogins[strings.ToLower(login)] {
		return provider.BadRequest("InvalidParameterValue", "The value of parameter administratorLogin is missing or not allowed.")
	}
	return checkPassword(password)
}

// checkPassword holds the published rule: 8 to 128 characters of three kinds.
func checkPassword(password string) error {
	kinds := map[string]bool{}
	for _, r := range password {
		switch {
		case unicode.IsUpper(r):
			kinds["upper"] = true
		case unicode.IsLower(r):
			kinds["lower"] = true
		case unicode.IsDigit(r):
			kinds["digit"] = true
		default:
			kinds["other"] = true
		}
	}
	if n := len([]rune(password)); n < 8 || n > 128 || len(kinds) < 3 {
		return provider.BadRequest("PasswordNotComplex", "The administratorLoginPassword needs 8 to 128 characters of three kinds: upper case, lower case, digits, others.")
	}
	return nil
}

func (p *Provider) patchServer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	current, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	return p.changeServer(r, current, true)
}

func (p *Provider) changeServer(r *provider.Request, current provider.Document, merge bool) (*provider.Answer, error) {
	if password := provider.Text(r.Body, "properties", "administratorLoginPassword"); password != "" {
		if err := checkPassword(password); err != nil {
			return nil, err
		}
	}
	asked, had := provider.Text(r.Body, "properties", "administratorLogin"), provider.Text(current, "properties", "administratorLogin")
	if asked != "" && asked != had {
		return nil, provider.BadRequest("InvalidParameterValue", "The administratorLogin of a server cannot be changed.")
	}
	block, err := p.identity(r, current["identity"], merge)
	if err != nil {
		return nil, err
	}
	if err := p.keepsAdminIdentity(r.ID, block); err != nil {
		return nil, err
	}
	return p.operate(r.ID.String(), func(ctx context.Context, s *server) error { return s.update(ctx, r.Body, block) }), nil
}

// keepsAdminIdentity refuses to take the identity away that Entra sign-in uses.
func (p *Provider) keepsAdminIdentity(server id.ID, block any) error {
	admin, exists := p.cloud.Store().Get(server.Child("administrators", adminName).String())
	used := provider.Text(admin, "properties", "identityResourceId")
	if !exists || carries(provider.Document{"identity": block}, used) {
		return nil
	}
	return provider.BadRequest("InvalidParameterValue", "The identity '"+used+"' is used by the server's Entra administrator; remove the administrator first.")
}

// changed is the document after a request: tags are replaced whole, the rest is merged.
func changed(current, body provider.Document, block any) provider.Document {
	given, _ := body["properties"].(map[string]any)
	next := provider.Document(provider.Merge(current, without(body, []string{"id", "name", "type", "properties", "tags", "systemData", "identity"})))
	if tags, ok := body["tags"]; ok && tags != nil {
		next["tags"] = tags
	}
	delete(next, "identity")
	if block != nil {
		next["identity"] = block
	}
	properties, _ := current["properties"].(map[string]any)
	next["properties"] = provider.Merge(properties, without(given, neverRead, serverOwned))
	return next
}

// update applies a request to a server that exists.
func (s *server) update(ctx context.Context, body provider.Document, block any) error {
	current, ok := s.document()
	if !ok {
		return notFound(s.id)
	}
	next := changed(current, body, block)
	if password := provider.Text(body, "properties", "administratorLoginPassword"); password != "" {
		in, err := s.running()
		if err != nil {
			return err
		}
		if err := in.setAdmin(ctx, provider.Text(next, "properties", "administratorLogin"), password); err != nil {
			return err
		}
	}
	s.provider.cloud.Store().Put(s.id, next)
	return nil
}

func (p *Provider) deleteServer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return p.operate(r.ID.String(), func(_ context.Context, s *server) error {
		if s.daemon == nil { // stopped before this cloud started
			if err := s.provision(); err != nil {
				return err
			}
		}
		s.destroy()
		p.cloud.Store().Delete(s.id)
		return nil
	}), nil
}

// power is a verb that brings a server into a state.
func (p *Provider) power(state string, verb func(*server, context.Context) error) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
			return nil, notFound(r.ID.String())
		}
		return p.operate(r.ID.String(), func(ctx context.Context, s *server) error {
			if err := verb(s, ctx); err != nil {
				return err
			}
			s.setState(state)
			return nil
		}), nil
	}
}

// operate answers that work on a server has begun. Operations on one server run
// one after the other.
func (p *Provider) operate(resourceID string, work func(context.Context, *server) error) *provider.Answer {
	s := p.server(resourceID)
	return &provider.Answer{Status: http.StatusAccepted, Later: func(ctx context.Context) error {
		s.op.Lock()
		defer s.op.Unlock()
		return work(ctx, s)
	}}
}

// operateChild is operate for a child, whose server must still be there.
func (p *Provider) operateChild(child id.ID, work func(context.Context, *server) error) (*provider.Answer, error) {
	parent := child.Parent().String()
	if _, exists := p.cloud.Store().Get(parent); !exists {
		return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound",
			Message: "The server '" + parent + "' was not found."}
	}
	return p.operate(parent, func(ctx context.Context, s *server) error {
		if _, exists := s.document(); !exists {
			return notFound(parent)
		}
		return work(ctx, s)
	}), nil
}
