package postgres

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// maxName is what PostgreSQL keeps of an identifier, in bytes.
const maxName = 63

// platformDatabases cannot be deleted.
var platformDatabases = map[string]bool{"postgres": true, "template0": true, "template1": true, "azure_maintenance": true, "azure_sys": true}

func (p *Provider) putDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	name := r.ID.Name()
	if len(name) > maxName {
		return nil, provider.BadRequest("InvalidParameterValue", "A database name has at most 63 bytes.")
	}
	charset, collation := provider.Text(r.Body, "properties", "charset"), provider.Text(r.Body, "properties", "collation")
	if charset == "" {
		charset = "UTF8"
	}
	if collation == "" {
		collation = "en_US.utf8"
	}
	return p.operateChild(r.ID, func(ctx context.Context, s *server) error {
		if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
			return nil
		}
		inside, err := s.running()
		if err != nil {
			return err
		}
		if err := inside.createDatabase(ctx, name, charset, collation); err != nil {
			return err
		}
		p.recordDatabase(s.id, name, charset, collation)
		return nil
	})
}

func (p *Provider) recordDatabase(server, name, charset, collation string) {
	i := id.MustParse(server).Child("databases", name)
	p.cloud.Store().Put(i.String(), provider.Identify(i, databaseType, map[string]any{
		"properties": map[string]any{"charset": charset, "collation": collation},
	}))
}

func (p *Provider) deleteDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if platformDatabases[strings.ToLower(r.ID.Name())] {
		return nil, provider.BadRequest("InvalidParameterValue", "The database '"+r.ID.Name()+"' belongs to the platform and cannot be deleted.")
	}
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return p.operateChild(r.ID, func(ctx context.Context, s *server) error {
		inside, err := s.running()
		if err != nil {
			return err
		}
		if err := inside.dropDatabase(ctx, provider.Text(doc, "name")); err != nil {
			return err
		}
		p.cloud.Store().Delete(r.ID.String())
		return nil
	})
}

func (p *Provider) putRule(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	first, last := provider.Text(r.Body, "properties", "startIpAddress"), provider.Text(r.Body, "properties", "endIpAddress")
	if _, err := parseRange(first, last); err != nil {
		return nil, provider.BadRequest("InvalidParameterValue", "The firewall rule is not valid: "+err.Error()+".")
	}
	return p.operateChild(r.ID, func(context.Context, *server) error {
		p.cloud.Store().Put(r.ID.String(), provider.Identify(r.ID, firewallType, map[string]any{
			"properties": map[string]any{"startIpAddress": first, "endIpAddress": last},
		}))
		return nil
	})
}

func (p *Provider) deleteRule(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return p.operateChild(r.ID, func(context.Context, *server) error {
		p.cloud.Store().Delete(r.ID.String())
		return nil
	})
}

func (p *Provider) putAdmin(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	objectID := strings.ToLower(r.ID.Name())
	role, kind := provider.Text(r.Body, "properties", "principalName"), provider.Text(r.Body, "properties", "principalType")
	if kind == "" {
		kind = "Unknown"
	}
	if _, err := uuid.Parse(objectID); err != nil {
		return nil, provider.BadRequest("InvalidParameterValue", "The name of an administrator is the object id of its principal, a GUID.")
	}
	if role == "" || len(role) > maxName || entraKinds[kind] == "" {
		return nil, provider.BadRequest("InvalidParameterValue", "An administrator needs a principalName of at most 63 bytes and a principalType of User, Group, ServicePrincipal or Unknown.")
	}
	s := p.server(r.ID.Parent().String())
	if doc, exists := s.document(); exists {
		if provider.Text(doc, "properties", "authConfig", "activeDirectoryAuth") != enabled {
			return nil, provider.BadRequest("AadAuthDisabled", "Microsoft Entra authentication is disabled on this server; set authConfig.activeDirectoryAuth to Enabled first.")
		}
		if strings.EqualFold(role, provider.Text(doc, "properties", "administratorLogin")) {
			return nil, provider.BadRequest("InvalidParameterValue", "The principalName is the server's administratorLogin.")
		}
	}
	return p.operateChild(r.ID, func(ctx context.Context, s *server) error {
		inside, err := s.running()
		if err != nil {
			return err
		}
		before, _ := p.cloud.Store().Get(r.ID.String())
		if err := inside.setEntraAdmin(ctx, role, provider.Text(before, "properties", "principalName"), objectID, kind); err != nil {
			return err
		}
		p.cloud.Store().Put(r.ID.String(), provider.Identify(r.ID, adminType, map[string]any{"properties": map[string]any{
			"objectId": objectID, "principalName": role, "principalType": kind, "tenantId": provider.Text(r.Body, "properties", "tenantId"),
		}}))
		return nil
	})
}

func (p *Provider) deleteAdmin(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return p.operateChild(r.ID, func(ctx context.Context, s *server) error {
		inside, err := s.running()
		if err != nil {
			return err
		}
		server, _ := s.document()
		heir := provider.Text(server, "properties", "administratorLogin")
		if heir == "" {
			heir = adminRole
		}
		if err := inside.dropEntraAdmin(ctx, provider.Text(doc, "properties", "principalName"), heir); err != nil {
			return err
		}
		p.cloud.Store().Delete(r.ID.String())
		return nil
	})
}
