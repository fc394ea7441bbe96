package postgres

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// serverDefaults is what a new server has where the request says nothing.
func serverDefaults() map[string]any {
	return map[string]any{
		"version": "16", "state": "Ready", "replicationRole": "Primary", "replicaCapacity": 5.0, "availabilityZone": "1",
		"storage":           map[string]any{"storageSizeGB": 32.0, "autoGrow": disabled, "iops": 120.0, "tier": "P4"},
		"backup":            map[string]any{"backupRetentionDays": 7.0, "geoRedundantBackup": disabled},
		"network":           map[string]any{"publicNetworkAccess": enabled},
		"highAvailability":  map[string]any{"mode": disabled, "state": "NotEnabled"},
		"maintenanceWindow": map[string]any{"customWindow": disabled, "dayOfWeek": 0.0, "startHour": 0.0, "startMinute": 0.0},
		"authConfig":        map[string]any{"activeDirectoryAuth": disabled, "passwordAuth": enabled},
		"dataEncryption":    map[string]any{"type": "SystemManaged"},
	}
}

// neverRead are members a request may carry and no answer does.
var neverRead = []string{"administratorLoginPassword", "createMode", "pointInTimeUTC"}

// serverOwned are members only the platform sets.
var serverOwned = []string{"fullyQualifiedDomainName", "state", "minorVersion", "replicaCapacity", "privateEndpointConnections"}

func (p *Provider) putServer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if provider.Text(r.Body, "location") == "" {
		return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	current, exists := p.cloud.Store().Get(r.ID.String())
	if exists {
		return p.changeServer(r, current)
	}
	password := provider.Text(r.Body, "properties", "administratorLoginPassword")
	doc := p.newServer(r)
	if err := checkServer(doc, password); err != nil {
		return nil, err
	}
	return p.operate(r.ID.String(), func(ctx context.Context, s *server) error {
		if _, made := s.document(); made {
			return s.update(ctx, r.Body)
		}
		return s.create(ctx, doc, password)
	}), nil
}

func (p *Provider) newServer(r *provider.Request) provider.Document {
	given, _ := r.Body["properties"].(map[string]any)
	properties := provider.Merge(serverDefaults(), without(given, neverRead, serverOwned))
	properties["fullyQualifiedDomainName"] = p.cloud.Address(r.ID.String())
	if provider.Text(properties, "authConfig", "passwordAuth") == disabled {
		delete(properties, "administratorLogin")
	}
	doc := provider.Merge(map[string]any{"sku": map[string]any{"name": "Standard_B1ms", "tier": "Burstable"}}, r.Body)
	doc["properties"] = properties
	return provider.Identify(r.ID, serverType, doc)
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
	loginPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,62}$`)
	// reservedLogins cannot name the administrator, as published.
	reservedLogins = map[string]bool{
		"azure_superuser": true, "azure_pg_admin": true, "admin": true, "administrator": true,
		"root": true, "guest": true, "public": true, "all": true, "replication": true, superuser: true, entraRole: true,
	}
)

func checkServer(doc provider.Document, password string) error {
	if provider.Text(doc, "properties", "authConfig", "passwordAuth") == disabled {
		if provider.Text(doc, "properties", "authConfig", "activeDirectoryAuth") != enabled {
			return provider.BadRequest("InvalidParameterValue", "At least one of passwordAuth and activeDirectoryAuth must be Enabled.")
		}
		return nil
	}
	login := provider.Text(doc, "properties", "administratorLogin")
	folded := strings.ToLower(login)
	if !loginPattern.MatchString(login) || reservedLogins[folded] || strings.HasPrefix(folded, "pg_") {
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
	return p.changeServer(r, current)
}

func (p *Provider) changeServer(r *provider.Request, current provider.Document) (*provider.Answer, error) {
	if password := provider.Text(r.Body, "properties", "administratorLoginPassword"); password != "" {
		if err := checkPassword(password); err != nil {
			return nil, err
		}
	}
	asked, had := provider.Text(r.Body, "properties", "administratorLogin"), provider.Text(current, "properties", "administratorLogin")
	if asked != "" && had != "" && asked != had {
		return nil, provider.BadRequest("InvalidParameterValue", "The administratorLogin of a server cannot be changed.")
	}
	next := changed(current, r.Body)
	if provider.Text(next, "properties", "authConfig", "passwordAuth") == disabled && provider.Text(next, "properties", "authConfig", "activeDirectoryAuth") != enabled {
		return nil, provider.BadRequest("InvalidParameterValue", "At least one of passwordAuth and activeDirectoryAuth must be Enabled.")
	}
	return p.operate(r.ID.String(), func(ctx context.Context, s *server) error { return s.update(ctx, r.Body) }), nil
}

// changed is the document after a request: tags are replaced whole, the rest is merged.
func changed(current, body provider.Document) provider.Document {
	given, _ := body["properties"].(map[string]any)
	next := provider.Document(provider.Merge(current, without(body, []string{"id", "name", "type", "properties", "tags", "systemData"})))
	if tags, ok := body["tags"]; ok && tags != nil {
		next["tags"] = tags
	}
	properties, _ := current["properties"].(map[string]any)
	next["properties"] = provider.Merge(properties, without(given, neverRead, serverOwned))
	return next
}

// update applies a request to a server that exists.
func (s *server) update(ctx context.Context, body provider.Document) error {
	current, ok := s.document()
	if !ok {
		return notFound(s.id)
	}
	next := changed(current, body)
	if password := provider.Text(body, "properties", "administratorLoginPassword"); password != "" {
		inside, err := s.running()
		if err != nil {
			return err
		}
		if err := inside.setAdmin(ctx, provider.Text(next, "properties", "administratorLogin"), password); err != nil {
			return err
		}
	}
	if inside := s.live.Load(); inside != nil {
		if err := inside.setTenant(ctx, provider.Text(next, "properties", "authConfig", "tenantId")); err != nil {
			return err
		}
	}
	s.provider.cloud.Store().Put(s.id, next)
	return s.rules(ctx)
}

func (p *Provider) deleteServer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return p.operate(r.ID.String(), func(_ context.Context, s *server) error {
		if s.cluster == nil { // stopped before this cloud started
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
