package sql

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// neverRead are members a request may carry and no answer does; the administrator of
// the directory is a document of its own.
var neverRead = []string{"administratorLoginPassword", "administrators"}

// platformOwned are members only the platform sets.
var platformOwned = []string{"fullyQualifiedDomainName", "state", "privateEndpointConnections", "externalGovernanceStatus"}

func serverDefaults() map[string]any {
	return map[string]any{
		"version": "12.0", "state": "Ready", "publicNetworkAccess": "Enabled", "minimalTlsVersion": "1.2",
		"restrictOutboundNetworkAccess": "Disabled", "privateEndpointConnections": []any{},
	}
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

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The Resource '" + resourceID + "' was not found."}
}

var (
	serverName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	loginName  = regexp.MustCompile(`^[^\s"'<>|:*?\\/#&;,%=.@]{1,128}$`)
)

// reservedLogin tells whether a name cannot be the administrator's, as published.
func reservedLogin(name string) bool {
	switch strings.ToLower(name) {
	case "admin", "administrator", "sa", "root", "dbmanager", "loginmanager", "dbo", "guest", "public":
		return true
	}
	return false
}

func (p *Provider) putServer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if provider.Text(r.Body, "location") == "" {
		return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
		return p.changeServer(r)
	}
	given, _ := r.Body["properties"].(map[string]any)
	if err := p.checkNew(r.ID, given); err != nil {
		return nil, err
	}
	properties := provider.Merge(serverDefaults(), without(given, neverRead, platformOwned))
	properties["fullyQualifiedDomainName"] = p.cloud.Address(r.ID.String())
	if provider.Text(given, "administratorLogin") == "" { // a server without a password has a name for its administrator all the same
		properties["administratorLogin"] = "CloudSA" + realmOf(r.ID.String())[:8]
	}
	doc := provider.Identify(r.ID, serverType, r.Body)
	doc["kind"], doc["properties"] = "v12.0", properties
	return &provider.Answer{Status: http.StatusCreated, Body: doc, Later: func(ctx context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		p.cloud.Store().Put(r.ID.String(), doc)
		p.setPassword(r.ID.String(), provider.Text(given, "administratorLoginPassword"))
		if admin, ok := given["administrators"].(map[string]any); ok {
			p.storeAdmin(r.ID, admin)
			p.setEntraOnly(r.ID.String(), provider.At(admin, "azureADOnlyAuthentication") == true)
		}
		p.storeMaster(r.ID, doc)
		return p.serve(ctx, r.ID.String())
	}}, nil
}

func (p *Provider) checkNew(i id.ID, given map[string]any) error {
	if !serverName.MatchString(i.Name()) {
		return provider.BadRequest("InvalidServerName", "Invalid server name '"+i.Name()+"'. It holds lowercase letters, numbers and hyphens, and neither begins nor ends with a hyphen.")
	}
	admin, hasAdmin := given["administrators"].(map[string]any)
	if hasAdmin {
		if err := checkAdmin(admin); err != nil {
			return err
		}
		if provider.At(admin, "azureADOnlyAuthentication") == true && provider.Text(given, "administratorLogin") == "" {
			return nil
		}
	}
	login, password := provider.Text(given, "administratorLogin"), provider.Text(given, "administratorLoginPassword")
	if !loginName.MatchString(login) || reservedLogin(login) {
		return provider.BadRequest("InvalidLoginName", "The provided login name is invalid.")
	}
	return checkPassword(login, password)
}

// checkPassword holds the published rule: 8 to 128 characters of three kinds, and not
// the login's name within.
func checkPassword(login, password string) error {
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
	if n := len([]rune(password)); n < 8 || n > 128 || len(kinds) < 3 || len(login) >= 3 && strings.Contains(strings.ToLower(password), strings.ToLower(login)) {
		return provider.BadRequest("PasswordNotComplex", "Password validation failed. The password does not meet policy requirements because it is not complex enough.")
	}
	return nil
}

func (p *Provider) patchServer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return nil, notFound(r.ID.String())
	}
	return p.changeServer(r)
}

// changeServer merges a request into a server that exists.
func (p *Provider) changeServer(r *provider.Request) (*provider.Answer, error) {
	current, _ := p.cloud.Store().Get(r.ID.String())
	given, _ := r.Body["properties"].(map[string]any)
	login := provider.Text(current, "properties", "administratorLogin")
	if asked := provider.Text(given, "administratorLogin"); asked != "" && asked != login {
		return nil, provider.BadRequest("InvalidParameterValue", "Invalid value given for parameter AdministratorLogin. Specify a valid parameter value.")
	}
	password := provider.Text(given, "administratorLoginPassword")
	if password != "" {
		if err := checkPassword(login, password); err != nil {
			return nil, err
		}
	}
	return &provider.Answer{Status: http.StatusOK, Body: changed(current, r.Body), Later: func(context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		now, exists := p.cloud.Store().Get(r.ID.String())
		if !exists {
			return notFound(r.ID.String())
		}
		p.cloud.Store().Put(r.ID.String(), changed(now, r.Body))
		if password != "" {
			p.setPassword(r.ID.String(), password)
		}
		return nil
	}}, nil
}

// changed is the document after a request: tags are replaced whole, the rest is merged.
func changed(current, body provider.Document) provider.Document {
	given, _ := body["properties"].(map[string]any)
	next := provider.Document(provider.Merge(current, without(body, []string{"id", "name", "type", "properties", "tags", "kind"})))
	if tags, ok := body["tags"]; ok && tags != nil {
		next["tags"] = tags
	}
	properties, _ := current["properties"].(map[string]any)
	next["properties"] = provider.Merge(properties, without(given, neverRead, platformOwned))
	return next
}

func (p *Provider) deleteServer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
		p.cloud.Store().Delete(r.ID.String())
		return p.end(r.ID.String())
	}}, nil
}

// getServer leaves the directory's administrator out unless it is asked for, as the
// service does.
func (p *Provider) getServer(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	p.expand(doc, r)
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

func (p *Provider) listServers(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	value := []any{}
	for _, doc := range p.cloud.Store().Under(r.ID.String(), serverType) {
		p.expand(doc, r)
		value = append(value, map[string]any(doc))
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
}

func (p *Provider) expand(doc provider.Document, r *provider.Request) {
	if !strings.EqualFold(r.Query["$expand"], "administrators/activedirectory") {
		return
	}
	serverID := provider.Text(doc, "id")
	if admin, ok := p.admin(serverID); ok {
		properties, _ := doc["properties"].(map[string]any)
		doc["properties"] = provider.Merge(properties, map[string]any{"administrators": provider.Merge(
			map[string]any{"principalType": nil}, map[string]any{"administratorType": "ActiveDirectory", "login": provider.Text(admin, "properties", "login"),
				"sid": provider.Text(admin, "properties", "sid"), "tenantId": provider.Text(admin, "properties", "tenantId"),
				"azureADOnlyAuthentication": p.entraOnly(serverID)})})
	}
}

// Passwords are kept as a salted digest beside the server's document.

const digestRounds = 4096

func (p *Provider) setPassword(serverID, password string) {
	if password == "" {
		return
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // crypto/rand does not fail
	values := p.private(serverID)
	values["salt"], values["digest"] = hex.EncodeToString(salt), digest(salt, password)
	p.cloud.Store().SetPrivate(serverID, values)
}

func (p *Provider) private(serverID string) map[string]string {
	if values := p.cloud.Store().Private(serverID); values != nil {
		return values
	}
	return map[string]string{}
}

func digest(salt []byte, password string) string {
	key, err := pbkdf2.Key(sha256.New, password, salt, digestRounds, sha256.Size)
	if err != nil {
		return "" // opens nothing: passwordFits takes no empty digest
	}
	return hex.EncodeToString(key)
}

func passwordFits(kept map[string]string, password string) bool {
	salt, err := hex.DecodeString(kept["salt"])
	return err == nil && kept["digest"] != "" && hmac.Equal([]byte(kept["digest"]), []byte(digest(salt, password)))
}

// realmOf is a short name for a server that is safe in files.
func realmOf(serverID string) string {
	sum := sha256.Sum256([]byte(id.Fold(serverID)))
	return hex.EncodeToString(sum[:8])
}

// fileName is a database's name as a file's.
func fileName(database string) string {
	sum := sha256.Sum256([]byte(id.Fold(database)))
	return hex.EncodeToString(sum[:8]) + ".json"
}
