package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/process"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// outbound is the address that everything a site runs calls out from.
const outbound = "127.0.0.1"

var siteName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9]{0,58}[A-Za-z0-9])?$`)

func (s *Sites) putSite(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	return s.writeSite(ctx, r, false)
}

func (s *Sites) patchSite(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	return s.writeSite(ctx, r, true)
}

// writeSite creates or changes a site or slot. Checks come first, so that a
// refused write leaves nothing behind.
func (s *Sites) writeSite(_ context.Context, r *provider.Request, patch bool) (*provider.Answer, error) {
	doc, exists := s.cloud.Store().Get(r.ID.String())
	if !exists {
		var err error
		if doc, err = s.newSite(r); err != nil {
			return nil, err
		}
	}
	props := object(r.Body["properties"])
	if err := s.checkPlan(props); err != nil {
		return nil, err
	}
	wish, err := readSiteConfig(props["siteConfig"])
	if err != nil {
		return nil, err
	}
	if block, ok := r.Body["identity"]; ok {
		doc["identity"], err = s.identities.Apply(identity.Change{Resource: docID(doc), Name: r.ID.Name(), Caller: r.Caller,
			Current: doc["identity"], Wanted: block, Merge: patch})
		if err != nil {
			return nil, err
		}
		if doc["identity"] == nil {
			delete(doc, "identity")
		}
	}
	mergeSite(doc, r.Body, patch, s.cloud.Now())
	s.cloud.Store().Put(docID(doc), doc)
	s.storeConfig(docID(doc), wish)
	if err := s.run(docID(doc)); err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusOK, Body: s.site(docID(doc))}, nil
}

// site reads a site as clients see it.
func (s *Sites) site(siteID string) provider.Document {
	doc, _ := s.cloud.Store().Get(siteID)
	return doc
}

func (s *Sites) newSite(r *provider.Request) (provider.Document, error) {
	name := r.ID.Name()
	if !siteName.MatchString(name) {
		return nil, fault(http.StatusBadRequest, "BadRequest", "The site name '%s' is invalid. It can hold letters, digits and hyphens, up to 60 characters, and cannot start or end with a hyphen.", name)
	}
	location, kind := r.Body["location"], siteType
	if r.ID.IsType(slotType) {
		kind = slotType
		parent, _ := s.cloud.Store().Get(r.ID.Parent().String())
		if location == nil {
			location = parent["location"]
		}
	} else if other := s.named(name); other != nil {
		return nil, fault(http.StatusConflict, "Conflict", "Website with given name %s already exists.", name)
	}
	if text(location) == "" {
		return nil, fault(http.StatusBadRequest, "LocationRequired", "The location property is required for this definition.")
	}
	host, err := freePort()
	if err != nil {
		return nil, err
	}
	siteKind := text(r.Body["kind"])
	if siteKind == "" {
		siteKind = "app"
	}
	return provider.Document{"id": r.ID.String(), "name": strings.Join(r.ID.Names(), "/"), "type": kind, "kind": siteKind, "location": location,
		"properties": map[string]any{
			"state": "Running", "enabled": true, "availabilityState": "Normal", "usageState": "Normal",
			"repositorySiteName": name, "resourceGroup": r.ID.ResourceGroup(), "reserved": strings.Contains(siteKind, "linux"),
			"hostNames": []any{host}, "enabledHostNames": []any{host}, "defaultHostName": host,
			"outboundIpAddresses": outbound, "possibleOutboundIpAddresses": outbound,
			"httpsOnly": false, "clientAffinityEnabled": true, "keyVaultReferenceIdentity": "SystemAssigned",
			"virtualNetworkSubnetId": nil, "vnetRouteAllEnabled": false, "serverFarmId": nil, "siteConfig": siteConfigView(defaultConfig()),
		}}, nil
}

// named finds a site by its name, which is one of its kind in the whole cloud.
func (s *Sites) named(name string) provider.Document {
	for _, doc := range s.cloud.Store().Under("", siteType) {
		if strings.EqualFold(text(doc["name"]), name) {
			return doc
		}
	}
	return nil
}

// checkName tells whether a site of that name can be made.
func (s *Sites) checkName(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	name := text(r.Body["name"])
	answer := map[string]any{"nameAvailable": true, "reason": "", "message": ""}
	switch {
	case !siteName.MatchString(name):
		answer = map[string]any{"nameAvailable": false, "reason": "Invalid", "message": "The name '" + name + "' is not a valid site name."}
	case s.named(name) != nil:
		answer = map[string]any{"nameAvailable": false, "reason": "AlreadyExists", "message": "Hostname '" + name + "' already exists. Please select a different name."}
	}
	return &provider.Answer{Body: answer}, nil
}

// freePort picks a loopback address for a site to answer on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *Sites) checkPlan(props map[string]any) error {
	plan := text(props["serverFarmId"])
	if plan == "" {
		return nil
	}
	if _, ok := s.cloud.Store().Get("/" + strings.TrimLeft(plan, "/")); !ok {
		return fault(http.StatusNotFound, "NotFound", "Cannot find AppServicePlan with name %s.", plan[strings.LastIndexByte(plan, '/')+1:])
	}
	return nil
}

// writable are the properties of a site that clients set. Everything else in a
// body is ignored, as the real service does.
var writable = []string{"serverFarmId", "reserved", "httpsOnly", "clientAffinityEnabled", "keyVaultReferenceIdentity",
	"virtualNetworkSubnetId", "vnetRouteAllEnabled", "enabled", "publicNetworkAccess"}

func mergeSite(doc, body provider.Document, patch bool, now time.Time) {
	props, sent := object(doc["properties"]), object(body["properties"])
	for _, k := range writable {
		if v, ok := sent[k]; ok {
			props[k] = v
		}
	}
	if kind := text(body["kind"]); kind != "" {
		doc["kind"] = kind
	}
	if tags, ok := body["tags"]; ok {
		doc["tags"] = tags
	} else if !patch {
		delete(doc, "tags")
	}
	props["lastModifiedTimeUtc"] = now.UTC().Format(time.RFC3339Nano)
}

func (s *Sites) deleteSite(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, _ := s.cloud.Store().Get(r.ID.String())
	for _, slot := range s.cloud.Store().Children(r.ID.String(), slotType) {
		if _, err := s.deleteSite(ctx, &provider.Request{ID: id.MustParse(docID(slot))}); err != nil {
			return nil, err
		}
	}
	s.runner.Stop(r.ID.Fold())
	s.tokens.Forget(r.ID.Fold())
	s.identities.Drop(doc["identity"])
	s.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

func (s *Sites) restart(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	s.runner.Stop(r.ID.Fold())
	return &provider.Answer{Status: http.StatusOK}, s.run(r.ID.String())
}

func (s *Sites) start(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return s.setState(r, "Running")
}

func (s *Sites) stop(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return s.setState(r, "Stopped")
}

func (s *Sites) setState(r *provider.Request, state string) (*provider.Answer, error) {
	doc, _ := s.cloud.Store().Get(r.ID.String())
	object(doc["properties"])["state"] = state
	s.cloud.Store().Put(r.ID.String(), doc)
	return &provider.Answer{Status: http.StatusOK}, s.run(r.ID.String())
}

// publishProfile answers the deployment credentials as XML, as clients expect.
func (s *Sites) publishProfile(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	password := make([]byte, 24)
	_, _ = rand.Read(password) // crypto/rand does not fail
	host := text(object(s.site(r.ID.String())["properties"])["defaultHostName"])
	xml := `<publishData><publishProfile profileName="` + r.ID.Name() + ` - Web Deploy" publishMethod="MSDeploy" publishUrl="` + host +
		`" msdeploySite="` + r.ID.Name() + `" userName="$` + r.ID.Name() + `" userPWD="` + hex.EncodeToString(password) +
		`" destinationAppUrl="http://` + host + `"></publishProfile></publishData>`
	return &provider.Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/xml"}}, Body: []byte(xml)}, nil
}

// Status is what GET /_local/sites/{name} answers.
type Status struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	PID     int    `json:"pid"` // 0 when nothing runs
	Running bool   `json:"running"`
	Starts  int    `json:"starts"` // since the cloud started
	LogFile string `json:"logFile"`
}

// Status finds a site, or a slot as "site/slot", by name.
func (s *Sites) Status(name string) (Status, bool) {
	for _, kind := range []string{siteType, slotType} {
		for _, doc := range s.cloud.Store().Under("", kind) {
			if !strings.EqualFold(text(doc["name"]), name) {
				continue
			}
			pid, starts := s.runner.State(id.Fold(docID(doc)))
			return Status{Name: text(doc["name"]), URL: "http://" + text(object(doc["properties"])["defaultHostName"]),
				PID: pid, Running: pid != 0, Starts: starts, LogFile: s.logFile(docID(doc))}, true
		}
	}
	return Status{}, false
}

// run makes the process of a site what its document, settings and identity say,
// starting it anew only when one of these differs from what runs.
func (s *Sites) run(siteID string) error {
	doc, ok := s.cloud.Store().Get(siteID)
	if !ok {
		return nil
	}
	key := id.Fold(siteID)
	config := s.config(siteID)
	settings, found := s.dereference(siteID, s.settings(siteID, appSettings))
	links, _ := s.dereference(siteID, s.connectionVariables(siteID))
	s.references.set(key, found)
	argv, err := process.Split(text(config["appCommandLine"]))
	if err != nil {
		return fault(http.StatusBadRequest, "BadRequest", "The appCommandLine is invalid: %v.", err)
	}
	if len(argv) == 0 || text(object(doc["properties"])["state"]) == "Stopped" {
		s.runner.Stop(key)
		return nil
	}
	host := text(object(doc["properties"])["defaultHostName"])
	_, port, _ := net.SplitHostPort(host)
	_, _, ca := s.cloud.CertFiles()
	platform := map[string]string{"PORT": port, "IDENTITY_ENDPOINT": s.tokens.URL(), "IDENTITY_HEADER": s.tokens.Header(key), "SSL_CERT_FILE": ca}
	block, _ := json.Marshal(doc["identity"]) // a JSON value
	return s.runner.Start(key, process.Spec{
		Args: argv, Dir: s.dir(siteID, "home"), LogFile: s.logFile(siteID), Mark: string(block) + "#" + strconv.Itoa(s.generation(siteID)),
		Env: process.Environment(s.dir(siteID, "home"), settings, links, platform),
	})
}
