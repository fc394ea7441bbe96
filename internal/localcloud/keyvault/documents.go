package keyvault

import (
	"context"
	"net/http"
	"slices"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// The secrets of a vault as ARM shows them: who may write the vault may write their
// values, and nobody reads a value here. There is no DELETE.

func (p *Provider) running(i id.ID) (*plane, error) {
	p.mu.Lock()
	one := p.planes[i.Fold()]
	p.mu.Unlock()
	if _, exists := p.cloud.Store().Get(i.String()); !exists || one == nil {
		return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound", Message: "The vault '" + i.String() + "' was not found."}
	}
	return one, nil
}

func (p *Provider) getSecretDocument(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	one, err := p.running(r.ID.Parent())
	if err != nil {
		return nil, err
	}
	_, s, refused := one.live(r.ID.Name())
	if refused != nil {
		return nil, notFound(r.ID.String())
	}
	return &provider.Answer{Status: http.StatusOK, Body: one.document(r.ID, s)}, nil
}

func (p *Provider) listSecretDocuments(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	one, err := p.running(r.ID)
	if err != nil {
		return nil, err
	}
	all := p.contents(one.name)
	names := make([]string, 0, len(all.Secrets))
	for name, s := range all.Secrets {
		if s.Deleted == nil && !one.settling(s) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	value := []any{}
	for _, name := range names {
		s := all.Secrets[name]
		value = append(value, map[string]any(one.document(r.ID.Child("secrets", s.Name), s)))
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
}

func (p *Provider) putSecretDocument(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.writeSecretDocument(r, (*plane).set)
}

func (p *Provider) patchSecretDocument(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.writeSecretDocument(r, (*plane).update)
}

func (p *Provider) writeSecretDocument(r *provider.Request, write func(*plane, *secretCall) (any, int, *planeError)) (*provider.Answer, error) {
	one, err := p.running(r.ID.Parent())
	if err != nil {
		return nil, err
	}
	p.writes.Lock()
	defer p.writes.Unlock()
	call := &secretCall{name: r.ID.Name(), body: bodyOf(r.Body)}
	if _, _, refused := write(one, call); refused != nil {
		return nil, &provider.Fault{Status: refused.status, Code: refused.code, Message: refused.message}
	}
	_, s := one.find(r.ID.Name())
	return &provider.Answer{Status: http.StatusOK, Body: one.document(r.ID, s)}, nil
}

// bodyOf reads the members that both protocols have.
func bodyOf(d provider.Document) secretBody {
	var b secretBody
	if v, ok := provider.At(d, "properties", "value").(string); ok {
		b.Value = &v
	}
	if v, ok := provider.At(d, "properties", "contentType").(string); ok {
		b.ContentType = &v
	}
	if v, ok := provider.At(d, "properties", "attributes", "enabled").(bool); ok {
		b.Attributes.Enabled = &v
	}
	for member, into := range map[string]**int64{"nbf": &b.Attributes.NotBefore, "exp": &b.Attributes.Expires} {
		if v, ok := provider.At(d, "properties", "attributes", member).(float64); ok {
			at := int64(v)
			*into = &at
		}
	}
	if tags, ok := d["tags"].(map[string]any); ok {
		b.Tags = map[string]string{}
		for name := range tags {
			b.Tags[name] = provider.Text(tags, name)
		}
	}
	return b
}

func (p *plane) document(i id.ID, s *secret) provider.Document {
	v := s.latest()
	uri := p.endpoint() + "secrets/" + s.Name
	attributes := map[string]any{"enabled": v.Enabled, "created": v.Created, "updated": v.Updated}
	for name, at := range map[string]int64{"nbf": v.NotBefore, "exp": v.Expires} {
		if at != 0 {
			attributes[name] = at
		}
	}
	return provider.Identify(i, secretType, map[string]any{"properties": map[string]any{
		"attributes": attributes, "contentType": v.ContentType, "secretUri": uri, "secretUriWithVersion": uri + "/" + v.ID,
	}})
}
