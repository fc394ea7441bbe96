package appconfig

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Key-values as ARM shows them, under the name key$label. Where key access is switched
// off they are shut off with it.

// parseName reads key$label, in which characters a path cannot carry stand as ~ and two hex digits.
func parseName(name string) (key, label string, err error) {
	key, label, _ = strings.Cut(name, "$")
	if key, err = unescape(key); err != nil {
		return "", "", err
	}
	label, err = unescape(label)
	return key, label, err
}

func unescape(text string) (string, error) {
	var b strings.Builder
	for n := 0; n < len(text); n++ {
		if text[n] != '~' {
			b.WriteByte(text[n])
			continue
		}
		if n+2 >= len(text) {
			return "", errors.New("a tilde is not followed by two digits")
		}
		raw, err := hex.DecodeString(text[n+1 : n+3])
		if err != nil {
			return "", errors.New("a tilde is not followed by two digits")
		}
		b.WriteByte(raw[0])
		n += 2
	}
	return b.String(), nil
}

// through finds the running store and names the key-value that a document stands for.
func (p *Provider) through(i id.ID) (*plane, *keyCall, error) {
	store, exists := p.cloud.Store().Get(i.Parent().String())
	p.mu.Lock()
	one := p.planes[i.Parent().Fold()]
	p.mu.Unlock()
	if !exists || one == nil {
		return nil, nil, notFound(i.Parent().String())
	}
	if provider.At(store, "properties", "disableLocalAuth") == true {
		return nil, nil, &provider.Fault{Status: http.StatusForbidden, Code: "Forbidden", Message: "The operation cannot be performed because the configuration store has local authentication disabled."}
	}
	key, label, err := parseName(i.Name())
	if err != nil {
		return nil, nil, provider.BadRequest("InvalidRequestContent", "The name of the key-value cannot be read: "+err.Error()+".")
	}
	return one, &keyCall{key: key, label: label, header: http.Header{}}, nil
}

func (p *Provider) getDocument(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.document(r, (*plane).get)
}

func (p *Provider) putDocument(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.document(r, (*plane).set)
}

func (p *Provider) document(r *provider.Request, serve func(*plane, *keyCall) (*reply, *planeError)) (*provider.Answer, error) {
	one, call, err := p.through(r.ID)
	if err != nil {
		return nil, err
	}
	for member, into := range map[string]**string{"value": &call.body.Value, "contentType": &call.body.ContentType} {
		if text, ok := provider.At(r.Body, "properties", member).(string); ok {
			*into = &text
		}
	}
	if tags, ok := provider.At(r.Body, "properties", "tags").(map[string]any); ok {
		call.body.Tags = map[string]string{}
		for name := range tags {
			call.body.Tags[name] = provider.Text(tags, name)
		}
	}
	p.writes.Lock()
	defer p.writes.Unlock()
	if _, refused := serve(one, call); refused != nil {
		return nil, asFault(r.ID, refused)
	}
	kv := p.contents(one.name).KeyValues[slot(call.key, call.label)]
	return &provider.Answer{Status: http.StatusOK, Body: provider.Identify(r.ID, keyValueType, map[string]any{"properties": map[string]any{
		"key": kv.Key, "label": kv.document()["label"], "value": kv.Value, "contentType": kv.ContentType, "tags": kv.document()["tags"],
		"eTag": kv.ETag, "lastModified": kv.Modified.Format(time.RFC3339), "locked": kv.Locked,
	}})}, nil
}

func asFault(i id.ID, e *planeError) error {
	if e.status == http.StatusNotFound {
		return notFound(i.String())
	}
	return &provider.Fault{Status: e.status, Code: "Conflict", Message: e.title}
}

func (p *Provider) deleteDocument(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	one, call, err := p.through(r.ID)
	if err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		if _, refused := one.remove(call); refused != nil {
			return asFault(r.ID, refused)
		}
		return nil
	}}, nil
}
