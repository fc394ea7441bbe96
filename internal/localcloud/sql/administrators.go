package sql

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// The one administrator of the directory that a server has goes by this name.
const adminName = "ActiveDirectory"

// onlyName is the name of the switch that allows nobody but the directory's principals.
const onlyName = "Default"

// entraOnlyKey keeps the switch beside the server's document.
const entraOnlyKey = "entraOnly"

func adminID(serverID string) string { return serverID + "/administrators/" + adminName }

func (p *Provider) admin(serverID string) (provider.Document, bool) {
	return p.cloud.Store().Get(adminID(serverID))
}

func (p *Provider) entraOnly(serverID string) bool {
	return p.cloud.Store().Private(serverID)[entraOnlyKey] == "true"
}

func (p *Provider) setEntraOnly(serverID string, on bool) {
	values := p.private(serverID)
	values[entraOnlyKey] = map[bool]string{true: "true", false: "false"}[on]
	p.cloud.Store().SetPrivate(serverID, values)
	if doc, ok := p.admin(serverID); ok {
		properties, _ := doc["properties"].(map[string]any)
		doc["properties"] = provider.Merge(properties, map[string]any{"azureADOnlyAuthentication": on})
		p.cloud.Store().Put(adminID(serverID), doc)
	}
}

func checkAdmin(properties map[string]any) error {
	if !strings.EqualFold(provider.Text(properties, "administratorType"), adminName) {
		return provider.BadRequest("InvalidAdministratorType", "The administratorType of an administrator is ActiveDirectory.")
	}
	if _, err := uuid.Parse(provider.Text(properties, "sid")); err != nil || provider.Text(properties, "login") == "" {
		return provider.BadRequest("InvalidParameterValue", "An administrator needs a login and a sid, a GUID.")
	}
	return nil
}

// storeAdmin puts the administrator in place of whoever was it before: there is one.
func (p *Provider) storeAdmin(server id.ID, given map[string]any) provider.Document {
	tenant := provider.Text(given, "tenantId")
	properties := map[string]any{"administratorType": adminName, "login": provider.Text(given, "login"), "sid": strings.ToLower(provider.Text(given, "sid")),
		"azureADOnlyAuthentication": p.entraOnly(server.String())}
	if tenant != "" {
		properties["tenantId"] = tenant
	}
	doc := provider.Identify(server.Child("administrators", adminName), adminType, map[string]any{"properties": properties})
	p.cloud.Store().Put(adminID(server.String()), doc)
	return doc
}

func (p *Provider) putAdmin(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, err := p.parent(r.ID); err != nil {
		return nil, err
	}
	if !strings.EqualFold(r.ID.Name(), adminName) {
		return nil, provider.BadRequest("InvalidAdministratorName", "The name of a server's administrator is ActiveDirectory.")
	}
	given, _ := r.Body["properties"].(map[string]any)
	if err := checkAdmin(given); err != nil {
		return nil, err
	}
	return &provider.Answer{Status: p.status(r.ID.String()), Body: nil, Later: func(context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		if _, err := p.parent(r.ID); err != nil {
			return err
		}
		p.storeAdmin(r.ID.Parent(), given)
		return nil
	}}, nil
}

func (p *Provider) deleteAdmin(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	if p.entraOnly(r.ID.Parent().String()) {
		return nil, provider.BadRequest("AadOnlyAuthenticationIsEnabled", "The administrator cannot be removed while Azure Active Directory Only Authentication is enabled.")
	}
	return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		p.cloud.Store().Delete(r.ID.String())
		return nil
	}}, nil
}

func (p *Provider) switchDocument(server id.ID) provider.Document {
	return provider.Identify(server.Child("azureADOnlyAuthentications", onlyName), entraOnlyType,
		map[string]any{"properties": map[string]any{"azureADOnlyAuthentication": p.entraOnly(server.String())}})
}

func (p *Provider) getEntraOnly(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, err := p.parent(r.ID); err != nil {
		return nil, err
	}
	if !strings.EqualFold(r.ID.Name(), onlyName) {
		return nil, notFound(r.ID.String())
	}
	return &provider.Answer{Status: http.StatusOK, Body: p.switchDocument(r.ID.Parent())}, nil
}

func (p *Provider) listEntraOnly(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": []any{map[string]any(p.switchDocument(r.ID))}}}, nil
}

func (p *Provider) putEntraOnly(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	on, ok := provider.At(r.Body, "properties", "azureADOnlyAuthentication").(bool)
	if !ok || !strings.EqualFold(r.ID.Name(), onlyName) {
		return nil, provider.BadRequest("InvalidParameterValue", "The switch Default needs azureADOnlyAuthentication, true or false.")
	}
	return p.turn(r, on)
}

func (p *Provider) deleteEntraOnly(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.turn(r, false)
}

func (p *Provider) turn(r *provider.Request, on bool) (*provider.Answer, error) {
	if _, err := p.parent(r.ID); err != nil {
		return nil, err
	}
	if _, has := p.admin(r.ID.Parent().String()); on && !has {
		return nil, provider.BadRequest("AadAdminNotConfigured", "Azure Active Directory Only Authentication needs an Azure Active Directory administrator.")
	}
	return &provider.Answer{Status: http.StatusOK, Later: func(context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		p.setEntraOnly(r.ID.Parent().String(), on)
		return nil
	}}, nil
}
