// Package web is the local cloud's Microsoft.Web: plans, sites and slots with
// their settings and identity, and the processes that sites run.
//
// It promises what the real service does to settings: a write replaces the whole
// map, names compare without regard to case, values never show in a GET, and every
// write restarts the app. A site's process gets a minimal environment, its
// settings and the platform's own variables, and nothing of the cloud's.
//
// Settings whose name is empty or holds '=' or NUL are stored and listed like any
// other but cannot be carried by an environment, so the process does not get them.
// All other names reach the process exactly as written. The platform's own
// variables win over settings of the same name; settings win over the base.
package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/process"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	nameCheckType  = "Microsoft.Web/checkNameAvailability"
	planType       = "Microsoft.Web/serverfarms"
	siteType       = "Microsoft.Web/sites"
	slotType       = "Microsoft.Web/sites/slots"
	configType     = "Microsoft.Web/sites/config"
	slotConfigType = "Microsoft.Web/sites/slots/config"
)

var versions = []string{
	"2025-05-01", "2025-03-01", "2024-11-01", "2024-04-01", "2023-12-01", "2023-01-01", "2022-09-01", "2022-03-01",
	"2021-03-01", "2021-02-01", "2021-01-15", "2021-01-01", "2020-12-01", "2020-10-01", "2020-09-01", "2020-06-01",
	"2019-08-01", "2018-11-01", "2018-02-01", "2016-09-01", "2016-08-01", "2015-08-01",
}

// Sites is the provider. Make one with New.
type Sites struct {
	cloud      provider.Cloud
	identities *identity.Identities
	runner     *process.Runner
	tokens     *process.Tokens
	references *references
	vaults     *process.Vaults
}

var _ provider.Provider = (*Sites)(nil)

// New makes the provider and opens the endpoint that its apps get tokens from.
func New(c provider.Cloud, ids *identity.Identities) (*Sites, error) {
	s := &Sites{cloud: c, identities: ids, runner: process.NewRunner(c.Logf), references: newReferences(), vaults: process.NewVaults(c)}
	var err error
	s.tokens, err = process.NewTokens(s.tokenFor, c.Logf)
	return s, err
}

// Types lists what the front door routes here.
func (s *Sites) Types() []provider.Type {
	siteActions := map[string]provider.Action{
		"restart": {Handle: s.restart}, "start": {Handle: s.start}, "stop": {Handle: s.stop},
		"publishxml": {Handle: s.publishProfile}, "syncfunctiontriggers": {Handle: s.syncTriggers},
		"slotsswap": {Handle: s.slotsSwap}, "applyslotconfig": {Handle: s.applySlotConfig}, "resetslotconfig": {Handle: s.resetSlotConfig},
	}
	site := provider.Type{Name: siteType, APIVersions: versions, Put: s.putSite, Patch: s.patchSite, Delete: s.deleteSite, Actions: siteActions}
	slot := site
	slot.Name = slotType
	config := provider.Type{
		Name: configType, APIVersions: versions, Get: s.getConfig, List: s.listConfig, Put: s.putConfig, Patch: s.patchConfig,
		Actions: map[string]provider.Action{
			"appsettings/list": {Handle: s.listSettings}, "connectionstrings/list": {Handle: s.listSettings}, "metadata/list": {Handle: s.listSettings},
		},
	}
	slotConfig := config
	slotConfig.Name = slotConfigType
	reference := provider.Type{Name: referenceType, APIVersions: versions, Get: s.getReference, List: s.listReferences}
	slotReference := reference
	slotReference.Name = slotReferenceType
	plan := provider.Type{Name: planType, APIVersions: versions, Put: s.putPlan, Patch: s.putPlan, Delete: s.deletePlan}
	check := provider.Type{Name: nameCheckType, APIVersions: versions, Actions: map[string]provider.Action{
		"checknameavailability": {Handle: s.checkName, Right: "Microsoft.Web/checknameavailability/action"},
	}}
	host := provider.Type{Name: hostType, APIVersions: versions, Get: s.getHost, Actions: map[string]provider.Action{"listkeys": {Handle: s.hostKeys}}}
	slotHost := host
	slotHost.Name = slotHostType
	functions := provider.Type{Name: functionType, APIVersions: versions}
	slotFunctions := functions
	slotFunctions.Name = slotFunctionType
	return []provider.Type{host, slotHost, functions, slotFunctions, site, slot, config, slotConfig, reference, slotReference, plan, check}
}

// Resume starts the process of every site that has one.
func (s *Sites) Resume(context.Context) error {
	for _, kind := range []string{siteType, slotType} {
		for _, doc := range s.cloud.Store().Under("", kind) {
			if err := s.run(docID(doc)); err != nil {
				s.cloud.Logf("resume %s: %v", docID(doc), err)
			}
		}
	}
	return nil
}

// Close stops every site's process and the token endpoint.
func (s *Sites) Close() error {
	s.runner.Close()
	return s.tokens.Close()
}

func docID(d provider.Document) string { v, _ := d["id"].(string); return v }

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }

func text(v any) string { t, _ := v.(string); return t }

func fault(status int, code, format string, args ...any) *provider.Fault {
	return &provider.Fault{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func badParameter(name string) *provider.Fault {
	return fault(http.StatusBadRequest, "BadRequest", "The parameter %s has an invalid value.", name)
}

// putPlan stores a plan. Plans here have no effect on the apps in them.
func (s *Sites) putPlan(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := s.cloud.Store().Get(r.ID.String())
	if !exists {
		if text(r.Body["location"]) == "" {
			return nil, fault(http.StatusBadRequest, "LocationRequired", "The location property is required for this definition.")
		}
		doc = provider.Document{"id": r.ID.String(), "name": r.ID.Name(), "type": planType, "kind": "linux",
			"location": r.Body["location"], "sku": map[string]any{"name": "B1", "tier": "Basic", "size": "B1", "family": "B", "capacity": 1}}
	}
	for _, k := range []string{"kind", "sku", "tags"} {
		if v, ok := r.Body[k]; ok {
			doc[k] = v
		}
	}
	props := object(doc["properties"])
	if props == nil {
		props = map[string]any{"status": "Ready", "numberOfSites": 0, "reserved": strings.Contains(text(doc["kind"]), "linux")}
	}
	for k, v := range object(r.Body["properties"]) {
		props[k] = v
	}
	props["provisioningState"], props["resourceGroup"] = "Succeeded", r.ID.ResourceGroup()
	doc["properties"] = props
	s.cloud.Store().Put(r.ID.String(), doc)
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

func (s *Sites) deletePlan(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	for _, site := range s.cloud.Store().Under("", siteType) {
		if strings.EqualFold(text(object(site["properties"])["serverFarmId"]), r.ID.String()) {
			return nil, fault(http.StatusConflict, "Conflict", "Server farm '%s' cannot be deleted because it has web app(s) %s assigned to it.", r.ID.Name(), text(site["name"]))
		}
	}
	s.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}
