package web

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/process"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// The config children of a site, by folded name.
const (
	appSettings       = "appsettings"
	connectionStrings = "connectionstrings"
	metadata          = "metadata"
	webConfig         = "web"
	slotNames         = "slotconfignames"
)

// generationKey counts the settings writes of a site: each one restarts its app.
const generationKey = "generation"

func defaultConfig() map[string]any {
	return map[string]any{
		"numberOfWorkers": 1, "linuxFxVersion": "", "windowsFxVersion": nil, "netFrameworkVersion": "v4.0", "phpVersion": "", "pythonVersion": "",
		"nodeVersion": "", "javaVersion": nil, "appCommandLine": "", "alwaysOn": false, "http20Enabled": true, "minTlsVersion": "1.2",
		"ftpsState": "FtpsOnly", "vnetRouteAllEnabled": false, "scmType": "None", "use32BitWorkerProcess": true, "webSocketsEnabled": false,
	}
}

// siteConfigView is siteConfig as a site's GET shows it: never with settings.
func siteConfigView(config map[string]any) map[string]any {
	view := map[string]any{"appSettings": nil, "connectionStrings": nil, "metadata": nil}
	for k, v := range config {
		view[k] = v
	}
	return view
}

// configWish is what a body wants of a site's configuration; nil maps stay as they are.
type configWish struct {
	properties      map[string]any
	settings, links map[string]string // app settings and connection strings
}

// readSiteConfig splits a siteConfig into plain properties and the two maps that
// it may carry as lists.
func readSiteConfig(v any) (configWish, error) {
	config := object(v)
	w := configWish{properties: map[string]any{}}
	for k, v := range config {
		switch {
		case strings.EqualFold(k, "appSettings"), strings.EqualFold(k, "connectionStrings"), strings.EqualFold(k, "metadata"):
		default:
			w.properties[k] = v
		}
	}
	if _, err := process.Split(text(config["appCommandLine"])); err != nil {
		return w, fault(http.StatusBadRequest, "BadRequest", "The appCommandLine is invalid: %v.", err)
	}
	var err error
	if w.settings, err = readPairs(config["appSettings"], false, func(m map[string]any) any { return m["value"] }); err != nil {
		return w, err
	}
	w.links, err = readPairs(config["connectionStrings"], true, func(m map[string]any) any {
		return map[string]any{"value": m["connectionString"], "type": m["type"]}
	})
	return w, err
}

// readPairs turns [{name, ...}] into a map; nil when there is no list.
func readPairs(v any, pairs bool, value func(map[string]any) any) (map[string]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, nil
	}
	props := map[string]any{}
	for _, item := range list {
		pair := object(item)
		name := text(pair["name"])
		if name == "" {
			return nil, badParameter("siteConfig")
		}
		if _, taken := props[name]; taken {
			return nil, sameName(name)
		}
		props[name] = value(pair)
	}
	return readMap(props, pairs)
}

// readMap checks a dictionary of settings. Numbers and booleans are stored the way
// JSON writes them, as the real service does; a connection string is an object of
// value and type, stored as JSON.
func readMap(props map[string]any, pairs bool) (map[string]string, error) {
	values, folded := map[string]string{}, map[string]bool{}
	for name, v := range props {
		if folded[id.Fold(name)] {
			return nil, sameName(name)
		}
		folded[id.Fold(name)] = true
		value, ok := readValue(v, pairs)
		if !ok {
			return nil, badParameter("properties." + name)
		}
		values[name] = value
	}
	return values, nil
}

func readValue(v any, pair bool) (value string, ok bool) {
	if pair {
		m, isObject := v.(map[string]any)
		raw, _ := json.Marshal(map[string]any{"value": text(m["value"]), "type": text(m["type"])}) // text encodes
		return string(raw), isObject
	}
	switch v := v.(type) {
	case string:
		return v, true
	case nil:
		return "", true
	case bool, float64:
		raw, _ := json.Marshal(v) // came from JSON
		return string(raw), true
	}
	return "", false
}

func sameName(name string) *provider.Fault {
	return fault(http.StatusConflict, "Conflict", "The setting name '%s' is given more than once; names are compared without regard to case.", name)
}

func childID(siteID, name string) string { return siteID + "/config/" + name }

// storeConfig writes a wish into the store.
func (s *Sites) storeConfig(siteID string, w configWish) {
	config := s.config(siteID)
	for k, v := range w.properties {
		config[k] = v
	}
	s.putChild(siteID, webConfig, config)
	site, _ := s.cloud.Store().Get(siteID)
	object(site["properties"])["siteConfig"] = siteConfigView(config)
	s.cloud.Store().Put(siteID, site)
	if w.settings != nil {
		s.setSettings(siteID, appSettings, w.settings)
	}
	if w.links != nil {
		s.setSettings(siteID, connectionStrings, w.links)
	}
}

func (s *Sites) config(siteID string) map[string]any {
	doc, ok := s.cloud.Store().Get(childID(siteID, webConfig))
	if !ok {
		return defaultConfig()
	}
	return object(doc["properties"])
}

func (s *Sites) putChild(siteID, name string, props map[string]any) {
	doc := s.frame(siteID, name)
	doc["properties"] = props
	s.cloud.Store().Put(childID(siteID, name), doc)
}

// settings returns one of a site's dictionaries. Values are private to the
// provider: no stored document holds them.
func (s *Sites) settings(siteID, name string) map[string]string {
	return s.cloud.Store().Private(childID(siteID, name))
}

// setSettings replaces a dictionary whole and counts the write.
func (s *Sites) setSettings(siteID, name string, values map[string]string) {
	s.putChild(siteID, name, map[string]any{})
	s.cloud.Store().SetPrivate(childID(siteID, name), values)
	if name != metadata {
		own := s.cloud.Store().Private(siteID)
		own[generationKey] = strconv.Itoa(s.generation(siteID) + 1)
		s.cloud.Store().SetPrivate(siteID, own)
	}
}

func (s *Sites) generation(siteID string) int {
	n, _ := strconv.Atoi(s.cloud.Store().Private(siteID)[generationKey])
	return n
}

// dictionary is the answer that shows one of the dictionaries.
func (s *Sites) dictionary(siteID, name string) provider.Document {
	props := map[string]any{}
	for k, v := range s.settings(siteID, name) {
		props[k] = v
		if name == connectionStrings {
			var pair map[string]any
			_ = json.Unmarshal([]byte(v), &pair) // written by readMap
			props[k] = pair
		}
	}
	doc := s.frame(siteID, name)
	doc["properties"] = props
	return doc
}

// frame is a config child without its properties.
func (s *Sites) frame(siteID, name string) provider.Document {
	kind := configType
	if strings.Contains(id.Fold(siteID), "/slots/") {
		kind = slotConfigType
	}
	site, _ := s.cloud.Store().Get(siteID)
	return provider.Document{"id": childID(siteID, name), "name": name, "type": kind, "location": site["location"]}
}

func (s *Sites) getConfig(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	siteID := r.ID.Parent().String()
	switch name := id.Fold(r.ID.Name()); name {
	case webConfig:
		doc := s.frame(siteID, name)
		doc["properties"] = s.config(siteID)
		return &provider.Answer{Body: doc}, nil
	case slotNames:
		if r.ID.IsType(slotConfigType) {
			break
		}
		doc := s.frame(siteID, "slotConfigNames")
		stored, _ := s.cloud.Store().Get(childID(siteID, slotNames))
		doc["properties"] = slotConfig(object(stored["properties"]))
		return &provider.Answer{Body: doc}, nil
	case configReferences:
		return &provider.Answer{Body: s.frame(siteID, name)}, nil
	case appSettings, connectionStrings, metadata:
		return nil, fault(http.StatusMethodNotAllowed, "MethodNotAllowed", "The values of '%s' are listed by POST %s/list.", name, r.ID)
	}
	return nil, fault(http.StatusNotFound, "NotFound", "Cannot find config with name %s.", r.ID.Name())
}

func (s *Sites) listConfig(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc := s.frame(r.ID.String(), webConfig)
	doc["properties"] = s.config(r.ID.String())
	return &provider.Answer{Body: map[string]any{"value": []any{doc}}}, nil
}

func slotConfig(stored map[string]any) map[string]any {
	view := map[string]any{"appSettingNames": nil, "connectionStringNames": nil, "azureStorageConfigNames": nil}
	for k := range view {
		if v, ok := stored[k]; ok {
			view[k] = v
		}
	}
	return view
}

func (s *Sites) patchConfig(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	if name := id.Fold(r.ID.Name()); name != webConfig {
		return nil, fault(http.StatusMethodNotAllowed, "MethodNotAllowed", "The HTTP method 'PATCH' is not supported on '%s'.", name)
	}
	return s.putConfig(ctx, r)
}

func (s *Sites) putConfig(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	siteID := r.ID.Parent().String()
	props, ok := r.Body["properties"].(map[string]any)
	if !ok {
		return nil, badParameter("properties")
	}
	switch name := id.Fold(r.ID.Name()); name {
	case appSettings, connectionStrings, metadata:
		values, err := readMap(props, name == connectionStrings)
		if err != nil {
			return nil, err
		}
		s.setSettings(siteID, name, values)
		return &provider.Answer{Body: s.dictionary(siteID, name)}, s.run(siteID)
	case webConfig:
		wish, err := readSiteConfig(props)
		if err != nil {
			return nil, err
		}
		s.storeConfig(siteID, wish)
		if err := s.run(siteID); err != nil {
			return nil, err
		}
		return s.getConfig(ctx, r)
	case slotNames:
		if !r.ID.IsType(slotConfigType) {
			s.putChild(siteID, slotNames, slotConfig(props))
		}
		return s.getConfig(ctx, r)
	}
	return nil, fault(http.StatusNotFound, "NotFound", "Cannot find config with name %s.", r.ID.Name())
}

func (s *Sites) listSettings(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return &provider.Answer{Body: s.dictionary(r.ID.Parent().String(), id.Fold(r.ID.Name()))}, nil
}
