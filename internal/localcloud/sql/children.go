package sql

import (
	"context"
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const online = "Online"

// parent finds a child's server.
func (p *Provider) parent(child id.ID) (provider.Document, error) {
	doc, exists := p.cloud.Store().Get(child.Parent().String())
	if !exists {
		return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ParentResourceNotFound",
			Message: "Can not perform requested operation on nested resource. Parent resource '" + child.Parent().Name() + "' not found."}
	}
	return doc, nil
}

// status is 201 for what is new and 200 for what is not.
func (p *Provider) status(resourceID string) int {
	if _, exists := p.cloud.Store().Get(resourceID); exists {
		return http.StatusOK
	}
	return http.StatusCreated
}

// database names are what the service takes of an identifier.
var databaseName = regexp.MustCompile(`^[^<>*%&:\\/?]{1,128}$`)

func (p *Provider) putDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	server, err := p.parent(r.ID)
	if err != nil {
		return nil, err
	}
	if name := r.ID.Name(); !databaseName.MatchString(name) || strings.HasSuffix(name, " ") || strings.HasSuffix(name, ".") || strings.EqualFold(name, master) {
		return nil, provider.BadRequest("InvalidDatabaseName", "The database name '"+name+"' is not valid.")
	}
	if provider.Text(r.Body, "location") == "" {
		return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	if !sameRegion(provider.Text(r.Body, "location"), provider.Text(server, "location")) {
		return nil, provider.BadRequest("LocationMismatch", "The database and its server are in different locations.")
	}
	doc := p.databaseDocument(r.ID, r.Body)
	return &provider.Answer{Status: p.status(r.ID.String()), Body: doc, Later: func(context.Context) error {
		if _, exists := p.cloud.Store().Get(r.ID.Parent().String()); !exists {
			return notFound(r.ID.Parent().String())
		}
		p.cloud.Store().Put(r.ID.String(), doc)
		return nil
	}}, nil
}

func sameRegion(a, b string) bool {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }
	return plain(a) == plain(b)
}

func (p *Provider) databaseDocument(i id.ID, body provider.Document) provider.Document {
	if current, exists := p.cloud.Store().Get(i.String()); exists {
		return changed(current, body)
	}
	given, _ := body["properties"].(map[string]any)
	doc := provider.Document(provider.Merge(map[string]any{"sku": map[string]any{"name": "GP_S_Gen5", "tier": "GeneralPurpose", "family": "Gen5", "capacity": 2.0}}, body))
	doc["kind"], doc["properties"] = "v12.0,user", provider.Merge(map[string]any{
		"collation": "SQL_Latin1_General_CP1_CI_AS", "maxSizeBytes": 34359738368.0, "catalogCollation": "SQL_Latin1_General_CP1_CI_AS",
		"requestedBackupStorageRedundancy": "Geo",
	}, provider.Merge(given, map[string]any{"status": online, "databaseId": uuid.NewString()}))
	return provider.Identify(i, databaseType, doc)
}

// storeMaster makes the database every server has.
func (p *Provider) storeMaster(server id.ID, doc provider.Document) {
	i := server.Child("databases", master)
	made := p.databaseDocument(i, provider.Document{"location": provider.Text(doc, "location")})
	made["kind"], made["sku"] = "v12.0,system", map[string]any{"name": "System", "tier": "System", "capacity": 0.0}
	p.cloud.Store().Put(i.String(), made)
}

func (p *Provider) patchDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	current, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	next := changed(current, r.Body)
	return &provider.Answer{Status: http.StatusOK, Body: next, Later: func(context.Context) error {
		p.cloud.Store().Put(r.ID.String(), next)
		return nil
	}}, nil
}

func (p *Provider) deleteDatabase(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	switch {
	case !exists:
		return &provider.Answer{Status: http.StatusNoContent}, nil
	case strings.EqualFold(r.ID.Name(), master):
		return nil, provider.BadRequest("CannotDropMaster", "The database 'master' cannot be deleted.")
	}
	return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
		p.cloud.Store().Delete(r.ID.String())
		if one := p.peer(r.ID.Parent().String()); one != nil {
			return one.shelf.drop(provider.Text(doc, "name"))
		}
		return nil
	}}, nil
}

// power is a verb that brings a database into a state.
func (p *Provider) power(state string) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
			return nil, notFound(r.ID.String())
		}
		return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
			if doc, exists := p.cloud.Store().Get(r.ID.String()); exists {
				properties, _ := doc["properties"].(map[string]any)
				doc["properties"] = provider.Merge(properties, map[string]any{"status": state})
				p.cloud.Store().Put(r.ID.String(), doc)
			}
			return nil
		}}, nil
	}
}

var ruleName = regexp.MustCompile(`^[^<>*%&:\\/?]{1,128}$`)

func (p *Provider) putRule(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, err := p.parent(r.ID); err != nil {
		return nil, err
	}
	first, last := provider.Text(r.Body, "properties", "startIpAddress"), provider.Text(r.Body, "properties", "endIpAddress")
	if _, ok := parseSpan(first, last); !ok || !ruleName.MatchString(r.ID.Name()) {
		return nil, provider.BadRequest("InvalidParameterValue", "Invalid value given for the firewall rule. It needs startIpAddress and endIpAddress, IPv4 addresses in order.")
	}
	status := p.status(r.ID.String())
	doc := provider.Identify(r.ID, firewallType, map[string]any{"properties": map[string]any{"startIpAddress": first, "endIpAddress": last}})
	p.cloud.Store().Put(r.ID.String(), doc)
	return &provider.Answer{Status: status, Body: doc}, nil
}

func (p *Provider) deleteRule(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

func (p *Provider) putNetworkRule(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, err := p.parent(r.ID); err != nil {
		return nil, err
	}
	subnet := provider.Text(r.Body, "properties", "virtualNetworkSubnetId")
	if i, err := id.Parse(subnet); err != nil || !i.IsType("Microsoft.Network/virtualNetworks/subnets") {
		return nil, provider.BadRequest("InvalidParameterValue", "Invalid value given for parameter virtualNetworkSubnetId. Specify a valid parameter value.")
	}
	doc := provider.Identify(r.ID, networkType, map[string]any{"properties": map[string]any{"virtualNetworkSubnetId": subnet,
		"ignoreMissingVnetServiceEndpoint": provider.At(r.Body, "properties", "ignoreMissingVnetServiceEndpoint") == true, "state": "Ready"}})
	return &provider.Answer{Status: p.status(r.ID.String()), Body: doc, Later: func(context.Context) error {
		p.cloud.Store().Put(r.ID.String(), doc)
		return nil
	}}, nil
}

func (p *Provider) deleteNetworkRule(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	return &provider.Answer{Status: http.StatusAccepted, Later: func(context.Context) error {
		p.cloud.Store().Delete(r.ID.String())
		return nil
	}}, nil
}

// span is the addresses of one firewall rule, both ends included.
type span struct{ first, last netip.Addr }

func parseSpan(first, last string) (span, bool) {
	a, err1 := netip.ParseAddr(first)
	b, err2 := netip.ParseAddr(last)
	return span{a, b}, err1 == nil && err2 == nil && a.Is4() && b.Is4() && !b.Less(a)
}

// holds tells whether a rule lets an address in. The rule 0.0.0.0 stands for whatever
// runs inside Azure: in the local cloud that is everything on loopback.
func (s span) holds(a netip.Addr) bool {
	if s.first == netip.IPv4Unspecified() && s.last == netip.IPv4Unspecified() {
		return a.IsLoopback()
	}
	return !a.Less(s.first) && !s.last.Less(a)
}

// admits tells whether one of a server's rules lets an address in.
func (p *peer) admits(from netip.Addr) bool {
	for _, rule := range p.cloud.Store().Children(p.id, firewallType) {
		s, ok := parseSpan(provider.Text(rule, "properties", "startIpAddress"), provider.Text(rule, "properties", "endIpAddress"))
		if ok && s.holds(from) {
			return true
		}
	}
	return false
}
