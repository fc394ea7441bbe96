package containerapp

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

// checkIngress judges where an app is reached; none is fine.
func checkIngress(properties map[string]any) error {
	ingress, _ := provider.At(properties, "configuration", "ingress").(map[string]any)
	if ingress == nil {
		return nil
	}
	if port, ok := ingress["targetPort"].(float64); ingress["targetPort"] != nil && (!ok || port < 1 || port > 65535) {
		return provider.BadRequest("ContainerAppInvalidIngressTargetPort", "The targetPort of the ingress is a number between 1 and 65535.")
	}
	action := ""
	restrictions, _ := ingress["ipSecurityRestrictions"].([]any)
	for _, one := range restrictions {
		m, _ := one.(map[string]any)
		a := provider.Text(m, "action")
		if _, err := service.ParseAddresses(provider.Text(m, "ipAddressRange")); err != nil || a != "Allow" && a != "Deny" || action != "" && a != action {
			return provider.BadRequest("ContainerAppIpRestrictionInvalid", "An ipSecurityRestriction has an ipAddressRange and an action, Allow or Deny, which is the same in all of them.")
		}
		action = a
	}
	return nil
}

// front answers at an app's address.
type front struct {
	provider *Provider
	id       string
}

// ServeHTTP answers one request: with the program of the revision whose turn it is, or
// with a page that names the revision.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	doc, ok := f.provider.cloud.Store().Get(f.id)
	ingress := members(provider.At(doc, "properties", "configuration", "ingress"))
	external, _ := ingress["external"].(bool)
	stopped := provider.Text(doc, "properties", "runningStatus") == stopped
	switch revision := f.provider.next(doc); {
	case !ok || ingress == nil || !external || stopped:
		http.Error(w, "Error 404 - This Container App is stopped or does not exist.", http.StatusNotFound)
	case !admits(ingress, r):
		http.Error(w, "RBAC: access denied", http.StatusForbidden)
	case revision == "":
		http.Error(w, "upstream connect error or disconnect/reset before headers", http.StatusServiceUnavailable)
	default:
		if port := f.provider.port(f.id, revision); port != 0 {
			to := &url.URL{Scheme: "http", Host: net.JoinHostPort(outbound, strconv.Itoa(port))}
			proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to); p.SetXForwarded() }, ErrorLog: log.New(io.Discard, "", 0)}
			proxy.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s %s\napp %s\nrevision %s\n", r.Method, r.URL.Path, provider.Text(doc, "name"), revision)
	}
}

// admits reads the address restrictions: lists of one action, allowing or denying.
func admits(ingress map[string]any, r *http.Request) bool {
	restrictions, _ := ingress["ipSecurityRestrictions"].([]any)
	open := true
	for _, one := range restrictions {
		m, _ := one.(map[string]any)
		allow := provider.Text(m, "action") == "Allow"
		if a, err := service.ParseAddresses(provider.Text(m, "ipAddressRange")); err == nil && a.Holds(service.Caller(r)) {
			return allow
		}
		open = !allow
	}
	return open
}

// checkTraffic judges the weights of an app whose revisions run side by side.
func (p *Provider) checkTraffic(appID string, properties map[string]any) error {
	traffic := list(provider.At(properties, "configuration", "ingress", "traffic"))
	if len(traffic) == 0 || !multiple(properties) {
		return nil
	}
	sum := 0.0
	for _, t := range traffic {
		entry := members(t)
		weight, _ := entry["weight"].(float64)
		sum += weight
		name := provider.Text(entry, "revisionName")
		latest, _ := entry["latestRevision"].(bool)
		if _, known := p.cloud.Store().Get(revisionID(appID, name)); latest == (name != "") || name != "" && !known {
			return provider.BadRequest("ContainerAppInvalidTraffic", "Each entry of the traffic is for the latest revision or for a revision there is; '"+name+"' is none.") // mem: the code
		}
	}
	if sum != 100 {
		return provider.BadRequest("ContainerAppInvalidTraffic", "The weights of the traffic must add up to 100.") // mem: the code
	}
	return nil
}

// next is the revision that the next request goes to; "" while none is ready.
func (p *Provider) next(doc provider.Document) string {
	properties := members(doc["properties"])
	latest := provider.Text(properties, "latestReadyRevisionName")
	traffic := list(provider.At(properties, "configuration", "ingress", "traffic"))
	if !multiple(properties) || len(traffic) == 0 {
		return latest
	}
	p.mu.Lock()
	p.turn++
	at := float64(p.turn * 61 % 100) // every hundredth of a hundred requests once, and not in order
	p.mu.Unlock()
	for _, t := range traffic {
		weight, _ := members(t)["weight"].(float64)
		if at < weight {
			if name := provider.Text(members(t), "revisionName"); name != "" {
				return name
			}
			return latest
		}
		at -= weight
	}
	return latest
}
