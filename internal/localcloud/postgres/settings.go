package postgres

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// secureTransport is Azure's own switch; the host rules carry it.
const secureTransport = "require_secure_transport"

// settable are the configurations that can be read and written. All but
// secureTransport are the server's own and take effect without a restart. The
// list is closed on purpose: other settings could run commands or undo the
// cloud's own arguments.
var settable = map[string]string{ // name to ARM data type
	secureTransport:                       "Boolean",
	"datestyle":                           "String",
	"default_transaction_isolation":       "Enumeration",
	"idle_in_transaction_session_timeout": "Integer",
	"lock_timeout":                        "Integer",
	"statement_timeout":                   "Integer",
	"timezone":                            "String",
	"work_mem":                            "Integer",
}

// requiresTLS tells whether sessions without TLS are refused, the default.
func (p *Provider) requiresTLS(server string) bool {
	doc, _ := p.cloud.Store().Get(id.MustParse(server).Child("configurations", secureTransport).String())
	return !strings.EqualFold(provider.Text(doc, "properties", "value"), "off")
}

func (p *Provider) getSetting(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, err := p.setting(ctx, r.ID.Parent(), r.ID.Name())
	if err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

func (p *Provider) listSettings(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	value := []any{}
	for name := range settable {
		doc, err := p.setting(ctx, r.ID, name)
		if err != nil {
			return nil, err
		}
		value = append(value, map[string]any(doc))
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
}

// setting reads one configuration from the running server.
func (p *Provider) setting(ctx context.Context, server id.ID, name string) (provider.Document, error) {
	name = strings.ToLower(name)
	i := server.Child("configurations", name)
	kind, known := settable[name]
	if !known {
		return nil, notFound(i.String())
	}
	if _, exists := p.cloud.Store().Get(server.String()); !exists {
		return nil, notFound(server.String())
	}
	properties := map[string]any{"dataType": kind, "isDynamicConfig": true, "isReadOnly": false, "isConfigPendingRestart": false}
	if name == secureTransport {
		properties["value"], properties["defaultValue"] = "on", "on"
		if !p.requiresTLS(server.String()) {
			properties["value"] = "off"
		}
	} else {
		inside, err := p.server(server.String()).running()
		if err != nil {
			return nil, err
		}
		value, standard, err := inside.setting(ctx, name)
		if err != nil {
			return nil, err
		}
		properties["value"], properties["defaultValue"] = value, standard
	}
	properties["source"] = "system-default"
	if properties["value"] != properties["defaultValue"] {
		properties["source"] = "user-override"
	}
	return provider.Identify(i, settingType, map[string]any{"properties": properties}), nil
}

func (p *Provider) putSetting(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	name, value := strings.ToLower(r.ID.Name()), provider.Text(r.Body, "properties", "value")
	if _, known := settable[name]; !known {
		return nil, notFound(r.ID.String())
	}
	if name == secureTransport && !strings.EqualFold(value, "on") && !strings.EqualFold(value, "off") {
		return nil, provider.BadRequest("InvalidParameterValue", "The value of "+secureTransport+" is on or off.")
	}
	return p.operateChild(r.ID, func(ctx context.Context, s *server) error {
		if name == secureTransport {
			p.cloud.Store().Put(r.ID.String(), provider.Identify(r.ID, settingType, map[string]any{"properties": map[string]any{"value": strings.ToLower(value)}}))
			return s.rules(ctx)
		}
		inside, err := s.running()
		if err != nil {
			return err
		}
		return inside.changeSetting(ctx, name, value)
	})
}

func (c endpoint) setting(ctx context.Context, name string) (value, standard string, err error) {
	err = c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		// The file view shows what ALTER SYSTEM wrote; this session pins some settings itself.
		return conn.QueryRow(ctx, `SELECT coalesce((SELECT f.setting FROM pg_file_settings f WHERE lower(f.name) = $1 AND f.error IS NULL
			ORDER BY seqno DESC LIMIT 1), boot_val, ''), coalesce(boot_val, '') FROM pg_settings WHERE lower(name) = $1`, name).Scan(&value, &standard)
	})
	if err != nil {
		return "", "", fmt.Errorf("read setting: %w", err)
	}
	return value, standard, nil
}

func (c endpoint) changeSetting(ctx context.Context, name, value string) error {
	return c.within(ctx, "postgres", func(conn *pgx.Conn) error {
		if err := execf(ctx, conn, "ALTER SYSTEM SET %I = %L", name, value); err != nil {
			return provider.BadRequest("InvalidParameterValue", "The server does not take this value for "+name+": "+err.Error())
		}
		_, err := conn.Exec(ctx, "SELECT pg_reload_conf()")
		return err
	})
}

// capabilities says what can be asked for in a location: what is installed.
func capabilities(context.Context, *provider.Request) (*provider.Answer, error) {
	status, reason := "Available", ""
	if _, err := Available(); err != nil {
		status, reason = "Disabled", err.Error()
	}
	versions := []any{}
	for _, v := range []string{"13", "14", "15", "16", "17", "18"} {
		versions = append(versions, map[string]any{"name": v, "status": "Available"})
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": []any{map[string]any{
		"name": "FlexibleServerCapabilities", "status": status, "reason": reason, "supportedServerVersions": versions,
	}}}}, nil
}
