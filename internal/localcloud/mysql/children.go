package mysql

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// maxName is what MySQL keeps of a database's name.
const maxName = 64

// platformDatabases belong to the server.
var platformDatabases = map[string]bool{"mysql": true, "sys": true, "information_schema": true, "performance_schema": true}

// collationName is how charsets and collations are spelled.
var collationName = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)

func (p *Provider) putDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	name := r.ID.Name()
	if len(name) > maxName || platformDatabases[strings.ToLower(name)] {
		return nil, provider.BadRequest("InvalidParameterValue", "A database name has at most 64 characters and is not one of the server's own.")
	}
	charset, collation := provider.Text(r.Body, "properties", "charset"), provider.Text(r.Body, "properties", "collation")
	if charset == "" {
		charset = "utf8mb4"
	}
	if collation == "" {
		collation = charset + "_general_ci"
	}
	if !collationName.MatchString(charset) || !collationName.MatchString(collation) {
		return nil, provider.BadRequest("InvalidParameterValue", "The charset or the collation is not valid.")
	}
	return p.operateChild(r.ID, func(ctx context.Context, s *server) error {
		if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
			return nil
		}
		in, err := s.running()
		if err != nil {
			return err
		}
		if err := in.createDatabase(ctx, name, charset, collation); err != nil {
			if sqlCode(err) == errCharset {
				return provider.BadRequest("InvalidParameterValue", "The charset '"+charset+"' is not known.")
			}
			return err
		}
		i := id.MustParse(s.id).Child("databases", name)
		p.cloud.Store().Put(i.String(), provider.Identify(i, databaseType, map[string]any{
			"properties": map[string]any{"charset": charset, "collation": collation},
		}))
		return nil
	})
}

func (p *Provider) deleteDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return p.operateChild(r.ID, func(ctx context.Context, s *server) error {
		in, err := s.running()
		if err != nil {
			return err
		}
		if err := in.dropDatabase(ctx, provider.Text(doc, "name")); err != nil {
			return err
		}
		p.cloud.Store().Delete(r.ID.String())
		return nil
	})
}

func (p *Provider) putRule(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	first, last := provider.Text(r.Body, "properties", "startIpAddress"), provider.Text(r.Body, "properties", "endIpAddress")
	if _, err := parseSpan(first, last); err != nil {
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

// adminName is the only name an administrator has: there is one.
const adminName = "ActiveDirectory"

func (p *Provider) putAdmin(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if !strings.EqualFold(r.ID.Name(), adminName) {
		return nil, provider.BadRequest("InvalidParameterValue", "The only administrator is named "+adminName+".")
	}
	text := func(member string) string { return provider.Text(r.Body, "properties", member) }
	_, badSID := uuid.Parse(text("sid"))
	if badSID != nil || text("login") == "" || len(text("login")) > maxUserName || text("administratorType") != adminName {
		return nil, provider.BadRequest("InvalidParameterValue",
			"An administrator needs the administratorType "+adminName+", a login of at most 32 characters and as its sid the object id of its principal.")
	}
	if err := p.checkAdmin(r.ID.Parent().String(), text("login"), text("identityResourceId")); err != nil {
		return nil, err
	}
	return p.operateChild(r.ID, func(ctx context.Context, s *server) error {
		in, err := s.running()
		if err != nil {
			return err
		}
		i := id.MustParse(s.id).Child("administrators", adminName)
		before, _ := p.cloud.Store().Get(i.String())
		was := provider.Text(before, "properties", "login")
		if there, err := in.exists(ctx, text("login")); err != nil || there && text("login") != was {
			if err == nil {
				err = provider.BadRequest("InvalidParameterValue", "The server has a user '"+text("login")+"' already.")
			}
			return err
		}
		if err := in.setEntraAdmin(ctx, text("login"), was, strings.ToLower(text("sid"))); err != nil {
			return err
		}
		p.cloud.Store().Put(i.String(), provider.Identify(i, adminType, map[string]any{"properties": map[string]any{
			"administratorType": adminName, "login": text("login"), "sid": strings.ToLower(text("sid")),
			"tenantId": text("tenantId"), "identityResourceId": text("identityResourceId"),
		}}))
		return nil
	})
}

// checkAdmin holds what Azure asks of an administrator before it begins: another name than
// the server's own administrator, and an identity of the server that reads the directory.
func (p *Provider) checkAdmin(server, login, identityID string) error {
	doc, exists := p.cloud.Store().Get(server)
	if !exists {
		return nil // the server is missed in its turn
	}
	if strings.EqualFold(login, provider.Text(doc, "properties", "administratorLogin")) {
		return provider.BadRequest("InvalidParameterValue", "The login is the server's administratorLogin.")
	}
	if !carries(doc, identityID) {
		return provider.BadRequest("AadAuthIdentityNotFound",
			"The identityResourceId '"+identityID+"' is not a user-assigned identity of the server; assign it to the server first.")
	}
	return nil
}

// carries tells whether a server has a user-assigned identity.
func carries(server provider.Document, identityID string) bool {
	users, _ := provider.At(server, "identity", "userAssignedIdentities").(map[string]any)
	for attached := range users {
		if identityID != "" && id.Equal(attached, identityID) {
			return true
		}
	}
	return false
}

func (p *Provider) deleteAdmin(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return p.operateChild(r.ID, func(ctx context.Context, s *server) error {
		in, err := s.running()
		if err != nil {
			return err
		}
		if err := in.drop(ctx, provider.Text(doc, "properties", "login")); err != nil {
			return err
		}
		p.cloud.Store().Delete(r.ID.String())
		return nil
	})
}
