package web

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/process"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Settings that stand for secrets in a vault: @Microsoft.KeyVault(...). When a site is
// started its references are looked up with its identity, over the vault's own protocol
// and from the address that apps call out from. What cannot be resolved reaches the
// process as it is written; the site's configreferences say why.

const (
	referenceType     = configType + "/appsettings"
	slotReferenceType = slotConfigType + "/appsettings"
	configReferences  = "configreferences"

	vaultAudience = "https://vault.azure.net"
)

// Statuses of a reference, as the service names them.
const (
	resolved        = process.Resolved
	invalidSyntax   = process.InvalidSyntax
	vaultNotFound   = "VaultNotFound"
	secretNotFound  = process.SecretNotFound
	versionNotFound = "SecretVersionNotFound"
	noIdentity      = "MSINotEnabled"
	otherReasons    = process.OtherReasons
)

// reference is one setting that stands for a secret.
type reference struct {
	text, vault, secret, version string
	status, active               string // active is the version that was found
}

// references are the last look-ups of every site.
type references struct {
	mu    sync.Mutex
	sites map[string]map[string]reference // by folded site id and setting
}

func newReferences() *references {
	return &references{sites: map[string]map[string]reference{}}
}

func (r *references) set(site string, found map[string]reference) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sites[site] = found
}

func (r *references) of(site string) map[string]reference {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sites[site]
}

const referencePrefix = "@microsoft.keyvault("

func isReference(value string) bool {
	return len(value) >= len(referencePrefix) && strings.EqualFold(value[:len(referencePrefix)], referencePrefix)
}

// parseReference reads SecretUri=..., or VaultName=...;SecretName=...;SecretVersion=....
func parseReference(value string) reference {
	r := reference{text: value, status: invalidSyntax}
	inner, closed := strings.CutSuffix(value[len(referencePrefix):], ")")
	parts := map[string]string{}
	for _, part := range strings.Split(inner, ";") {
		name, text, _ := strings.Cut(part, "=")
		parts[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(text)
	}
	if uri := parts["secreturi"]; uri != "" && closed {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "https" {
			return r
		}
		segments := strings.Split(strings.Trim(u.Path, "/"), "/")
		if len(segments) < 2 || len(segments) > 3 || !strings.EqualFold(segments[0], "secrets") {
			return r
		}
		r.vault, r.secret, r.status = "https://"+u.Host+"/", segments[1], ""
		if len(segments) == 3 {
			r.version = segments[2]
		}
		return r
	}
	if closed && parts["vaultname"] != "" && parts["secretname"] != "" {
		r.vault, r.secret, r.version, r.status = parts["vaultname"], parts["secretname"], parts["secretversion"], ""
	}
	return r
}

// dereference replaces the references among a site's variables by what they lead to,
// and tells how that went.
func (s *Sites) dereference(siteID string, settings map[string]string) (out map[string]string, found map[string]reference) {
	out, found = map[string]string{}, map[string]reference{}
	for name, value := range settings {
		out[name] = value
		if !isReference(value) {
			continue
		}
		r := parseReference(value)
		if r.status == "" {
			if secret, ok := s.lookUp(siteID, &r); ok {
				out[name] = secret
			}
		}
		found[name] = r
	}
	return out, found
}

// lookUp asks the vault; r tells in the end how that went.
func (s *Sites) lookUp(siteID string, r *reference) (string, bool) {
	at, ok := s.vaults.Find(r.vault)
	if !ok {
		r.status = vaultNotFound
		return "", false
	}
	doc, _ := s.cloud.Store().Get(siteID)
	wanted := text(object(doc["properties"])["keyVaultReferenceIdentity"])
	if strings.EqualFold(wanted, "SystemAssigned") {
		wanted = ""
	}
	who, ok := s.identities.Principal(doc["identity"], "", "", wanted)
	if !ok {
		r.status = noIdentity
		return "", false
	}
	token, _, err := s.cloud.Directory().Token(who.ObjectID, vaultAudience)
	if err != nil {
		r.status = otherReasons
		return "", false
	}
	value, status, version := s.vaults.Secret(at+"secrets/"+url.PathEscape(r.secret)+"/"+url.PathEscape(r.version), token)
	if status == secretNotFound && r.version != "" {
		status = versionNotFound
	}
	r.status, r.active = status, version
	return value, status == resolved
}

// referenceDocument is how ARM shows one reference; it never shows a value.
func (s *Sites) referenceDocument(i id.ID, setting string, r reference) map[string]any {
	site, _ := s.cloud.Store().Get(i.Parent().String())
	identity := text(object(site["properties"])["keyVaultReferenceIdentity"])
	vault := strings.TrimSuffix(strings.TrimPrefix(r.vault, "https://"), "/")
	if head, _, dotted := strings.Cut(vault, "."); dotted && net.ParseIP(vault) == nil {
		vault = head
	}
	kind := referenceType
	if i.IsType(slotConfigType) {
		kind = slotReferenceType
	}
	return map[string]any{"id": i.String() + "/appsettings/" + setting, "name": setting, "type": kind, "location": site["location"],
		"properties": map[string]any{"reference": r.text, "status": r.status, "vaultName": vault, "secretName": r.secret,
			"secretVersion": r.version, "activeVersion": r.active, "identityType": identity, "source": "KeyVault", "details": r.status}}
}

func (s *Sites) listReferences(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if !strings.EqualFold(r.ID.Name(), configReferences) {
		return nil, fault(http.StatusNotFound, "NotFound", "Cannot find %s.", r.ID)
	}
	value := []any{}
	for setting, one := range s.references.of(r.ID.Parent().Fold()) {
		value = append(value, s.referenceDocument(r.ID, setting, one))
	}
	return &provider.Answer{Body: map[string]any{"value": value}}, nil
}

func (s *Sites) getReference(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	config := r.ID.Parent()
	for setting, one := range s.references.of(config.Parent().Fold()) {
		if strings.EqualFold(setting, r.ID.Name()) && strings.EqualFold(config.Name(), configReferences) {
			return &provider.Answer{Body: s.referenceDocument(config, setting, one)}, nil
		}
	}
	return nil, fault(http.StatusNotFound, "NotFound", "Cannot find a reference named %s.", r.ID.Name())
}
