package messaging

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// rootRule is the rule every namespace is born with.
const rootRule = "RootManageSharedAccessKey"

// Rights of a rule.
const (
	listen = "Listen"
	send   = "Send"
	manage = "Manage"
)

// keyNames are the two keys of a rule, as requests and private values spell them.
var keyNames = []string{"primary", "secondary"}

func newKey() string {
	raw := make([]byte, 32)
	rand.Read(raw) //nolint:errcheck // never fails
	return base64.StdEncoding.EncodeToString(raw)
}

// newRule stores a rule, with keys of its own unless it had some.
func (p *Provider) newRule(i id.ID, rights []any) provider.Document {
	doc := provider.Identify(i, i.Type(), map[string]any{"properties": map[string]any{"rights": rights}})
	if space, ok := p.cloud.Store().Get(namespaceOf(i)); ok {
		doc["location"] = space["location"]
	}
	keys := p.cloud.Store().Private(i.String())
	p.cloud.Store().Put(i.String(), doc)
	if keys["primary"] == "" {
		keys = map[string]string{"primary": newKey(), "secondary": newKey()}
	}
	p.cloud.Store().SetPrivate(i.String(), keys)
	return doc
}

func (p *Provider) putRule(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	rights, _ := provider.At(r.Body, "properties", "rights").([]any)
	if err := checkRights(rights); err != nil {
		return nil, err
	}
	p.writes.Lock()
	defer p.writes.Unlock()
	return &provider.Answer{Status: http.StatusOK, Body: p.newRule(r.ID, rights)}, nil
}

// checkRights holds a rule to what the service takes: known rights, and Manage
// only together with the two others.
func checkRights(rights []any) error {
	if len(rights) == 0 {
		return provider.BadRequest("BadRequest", "The authorization rule needs at least one right.")
	}
	for _, right := range rights {
		if right != listen && right != send && right != manage {
			return provider.BadRequest("BadRequest", "The rights of an authorization rule are Listen, Send and Manage.")
		}
	}
	if slices.Contains(rights, any(manage)) && !(slices.Contains(rights, any(listen)) && slices.Contains(rights, any(send))) {
		return provider.BadRequest("BadRequest", "Manage permission should also include Send and Listen.")
	}
	return nil
}

func (p *Provider) deleteRule(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

func (p *Provider) listKeys(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return nil, notFound(r.ID.String())
	}
	keys := p.cloud.Store().Private(r.ID.String())
	body := map[string]any{"keyName": r.ID.Name()}
	for _, name := range keyNames {
		body[name+"Key"], body[name+"ConnectionString"] = keys[name], p.connectionString(r.ID, keys[name])
	}
	return &provider.Answer{Status: http.StatusOK, Body: body}, nil
}

func (p *Provider) connectionString(rule id.ID, key string) string {
	text := "Endpoint=sb://" + p.cloud.Address(namespaceOf(rule)) + "/;SharedAccessKeyName=" + rule.Name() + ";SharedAccessKey=" + key
	if path := entityPath(rule.Parent()); len(path) > 0 {
		text += ";EntityPath=" + path[0]
	}
	return text
}

func (p *Provider) regenerateKeys(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	which, known := map[string]string{"primarykey": "primary", "secondarykey": "secondary"}[strings.ToLower(provider.Text(r.Body, "keyType"))]
	if !known {
		return nil, provider.BadRequest("BadRequest", "The keyType is PrimaryKey or SecondaryKey.")
	}
	p.writes.Lock()
	if _, exists := p.cloud.Store().Get(r.ID.String()); exists {
		keys := p.cloud.Store().Private(r.ID.String())
		keys[which] = newKey()
		if given := provider.Text(r.Body, "key"); given != "" {
			keys[which] = given
		}
		p.cloud.Store().SetPrivate(r.ID.String(), keys)
	}
	p.writes.Unlock()
	return p.listKeys(ctx, r)
}
