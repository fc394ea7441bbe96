package mysql

import (
	"context"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// The configurations that can be read and written: those the gate itself enforces.
const (
	secureTransport = "require_secure_transport"
	entraOnly       = "aad_auth_only"
)

// switches are their defaults. The list is closed on purpose: other settings would be the
// server's own, and some of those undo the cloud's.
var switches = map[string]string{secureTransport: "ON", entraOnly: "OFF"}

// switchedOn tells how a configuration stands.
func (p *Provider) switchedOn(server, name string) bool {
	doc, ok := p.cloud.Store().Get(id.MustParse(server).Child("configurations", name).String())
	if !ok {
		return switches[name] == "ON"
	}
	return provider.Text(doc, "properties", "value") == "ON"
}

func (p *Provider) getSetting(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, err := p.setting(r.ID.Parent(), r.ID.Name())
	if err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

func (p *Provider) listSettings(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	value := []any{}
	for _, name := range []string{entraOnly, secureTransport} {
		doc, err := p.setting(r.ID, name)
		if err != nil {
			return nil, err
		}
		value = append(value, map[string]any(doc))
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
}

func (p *Provider) setting(server id.ID, name string) (provider.Document, error) {
	name = strings.ToLower(name)
	i := server.Child("configurations", name)
	standard, known := switches[name]
	if _, exists := p.cloud.Store().Get(server.String()); !known || !exists {
		return nil, notFound(i.String())
	}
	value, source := "OFF", "user-override"
	if p.switchedOn(server.String(), name) {
		value = "ON"
	}
	if value == standard {
		source = "system-default"
	}
	return provider.Identify(i, settingType, map[string]any{"properties": map[string]any{
		"value": value, "currentValue": value, "defaultValue": standard, "dataType": "Enumeration", "allowedValues": "ON,OFF",
		"source": source, "isReadOnly": "False", "isDynamicConfig": "True", "isConfigPendingRestart": "False",
	}}), nil
}

func (p *Provider) putSetting(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	name, value := strings.ToLower(r.ID.Name()), strings.ToUpper(provider.Text(r.Body, "properties", "value"))
	if _, known := switches[name]; !known {
		return nil, notFound(r.ID.String())
	}
	if value != "ON" && value != "OFF" {
		return nil, provider.BadRequest("InvalidParameterValue", "The value of "+name+" is ON or OFF.")
	}
	return p.operateChild(r.ID, func(_ context.Context, s *server) error {
		i := id.MustParse(s.id).Child("configurations", name)
		p.cloud.Store().Put(i.String(), provider.Identify(i, settingType, map[string]any{"properties": map[string]any{"value": value}}))
		return nil
	})
}
