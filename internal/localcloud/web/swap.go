package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Swapping slots exchanges what two of them run: their configuration, and every setting
// and connection string whose name is not in the site's slotConfigNames. What is in
// there stays, and so do identity, tags, network, state and host names. The first
// phase of a swap with preview (applySlotConfig) shows a slot with the other's staying
// settings, until the swap or resetSlotConfig.

// productionSlot is what the production site is called where a slot's name goes.
const productionSlot = "production"

// staying are the members of a site's configuration that a swap leaves where they are (mem).
var staying = []string{"alwaysOn", "vnetRouteAllEnabled", "scmType", "ftpsState", "minTlsVersion", "numberOfWorkers"}

// stayingSuffix ends the names of settings that stay without being listed (mem).
const stayingSuffix = "_EXTENSION_VERSION"

// previewKey keeps what a slot's settings were before applySlotConfig, and previewOf whose
// settings it shows since.
const (
	previewKey = "preview/"
	previewOf  = "previewOf"
)

// slotPair reads the two ends of a swap: the resource and the slot its body names.
func (s *Sites) slotPair(r *provider.Request) (from, to string, err error) {
	site := r.ID
	if r.ID.IsType(slotType) {
		site = r.ID.Parent()
	}
	name := text(r.Body["targetSlot"])
	if name == "" {
		return "", "", fault(http.StatusBadRequest, "BadRequest", "The parameter targetSlot is missing.")
	}
	to = site.String()
	if !strings.EqualFold(name, productionSlot) {
		to += "/slots/" + name
	}
	other, ok := s.cloud.Store().Get(to)
	if !ok {
		return "", "", fault(http.StatusNotFound, "NotFound", "Cannot find slot %s of site %s.", name, site.Name())
	}
	from, to = r.ID.String(), docID(other)
	if id.Equal(from, to) {
		return "", "", fault(http.StatusBadRequest, "BadRequest", "Cannot swap slot %s with itself.", name)
	}
	return from, to, nil
}

// slotsSwap exchanges two slots.
func (s *Sites) slotsSwap(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	from, to, err := s.slotPair(r)
	if err != nil {
		return nil, err
	}
	if of := s.cloud.Store().Private(from)[previewOf]; of != "" && !id.Equal(of, to) {
		return nil, fault(http.StatusConflict, "Conflict", "The slot shows the settings of %s: swap with it, or reset.", of)
	}
	return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
		s.reset(from)
		s.swap(from, to)
		if err := s.run(from); err != nil {
			return err
		}
		return s.run(to)
	}}, nil
}

func (s *Sites) swap(a, b string) {
	for _, name := range []string{appSettings, connectionStrings} {
		stays := s.stays(a, name)
		one, other := s.settings(a, name), s.settings(b, name)
		s.setSettings(a, name, exchanged(one, other, stays))
		s.setSettings(b, name, exchanged(other, one, stays))
	}
	one, other := s.config(a), s.config(b)
	s.storeConfig(a, configWish{properties: exchangedConfig(one, other)})
	s.storeConfig(b, configWish{properties: exchangedConfig(other, one)})
}

// stays tells which names of a dictionary stay in their slot.
func (s *Sites) stays(siteID, dictionary string) func(string) bool {
	production := siteID
	if at := id.MustParse(siteID); at.IsType(slotType) {
		production = at.Parent().String()
	}
	doc, _ := s.cloud.Store().Get(childID(production, slotNames))
	list, _ := object(doc["properties"])[map[string]string{appSettings: "appSettingNames", connectionStrings: "connectionStringNames"}[dictionary]].([]any)
	return func(name string) bool {
		return strings.HasSuffix(strings.ToUpper(name), stayingSuffix) ||
			slices.ContainsFunc(list, func(one any) bool { return strings.EqualFold(text(one), name) })
	}
}

// exchanged is what a slot has after the swap: of its own what stays, of the other's the rest.
func exchanged(own, other map[string]string, stays func(string) bool) map[string]string {
	out := map[string]string{}
	for name, value := range own {
		if stays(name) {
			out[name] = value
		}
	}
	for name, value := range other {
		if !stays(name) {
			out[name] = value
		}
	}
	return out
}

func exchangedConfig(own, other map[string]any) map[string]any {
	out := map[string]any{}
	for name := range own {
		out[name] = nil // what the other lacks is not there any more
	}
	for name, value := range other {
		out[name] = value
	}
	for _, name := range staying {
		out[name] = own[name]
	}
	return out
}

// applySlotConfig gives a slot the settings that stay with the other one, as it would
// have them after a swap.
func (s *Sites) applySlotConfig(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	from, to, err := s.slotPair(r)
	if err != nil {
		return nil, err
	}
	s.reset(from)
	own := s.cloud.Store().Private(from)
	own[previewOf] = to
	for _, name := range []string{appSettings, connectionStrings} {
		raw, _ := json.Marshal(s.settings(from, name)) // texts
		own[previewKey+name] = string(raw)
	}
	s.cloud.Store().SetPrivate(from, own)
	for _, name := range []string{appSettings, connectionStrings} {
		s.setSettings(from, name, exchanged(s.settings(to, name), s.settings(from, name), s.stays(from, name)))
	}
	return &provider.Answer{Status: http.StatusOK}, s.run(from)
}

// resetSlotConfig takes the first phase of a swap back.
func (s *Sites) resetSlotConfig(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	s.reset(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, s.run(r.ID.String())
}

func (s *Sites) reset(siteID string) {
	own := s.cloud.Store().Private(siteID)
	if own[previewOf] == "" {
		return
	}
	for _, name := range []string{appSettings, connectionStrings} {
		var before map[string]string
		_ = json.Unmarshal([]byte(own[previewKey+name]), &before) // written by applySlotConfig
		s.setSettings(siteID, name, before)
	}
	own = s.cloud.Store().Private(siteID) // counts the writes
	delete(own, previewOf)
	delete(own, previewKey+appSettings)
	delete(own, previewKey+connectionStrings)
	s.cloud.Store().SetPrivate(siteID, own)
}
