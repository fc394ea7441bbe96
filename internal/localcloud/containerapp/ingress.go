package containerapp

import (
	"context"
	"fmt"
	"net/http"

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
	cloud provider.Cloud
	id    string
}

// ServeHTTP answers one request.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	doc, ok := f.cloud.Store().Get(f.id)
	ingress, _ := provider.At(doc, "properties", "configuration", "ingress").(map[string]any)
	switch external, _ := ingress["external"].(bool); {
	case !ok || ingress == nil || !external:
		http.Error(w, "Error 404 - This Container App is stopped or does not exist.", http.StatusNotFound)
	case !admits(ingress, r):
		http.Error(w, "RBAC: access denied", http.StatusForbidden)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s %s\napp %s\nrevision %s\n", r.Method, r.URL.Path, provider.Text(doc, "name"), provider.Text(doc, "properties", "latestRevisionName"))
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

// secrets takes the values out of an app's secrets. An entry without a value and
// without an address in a vault is refused: values are not kept across writes.
func secrets(body, next provider.Document) (map[string]string, bool, error) {
	given, ok := provider.At(body, "properties", "configuration", "secrets").([]any)
	if !ok {
		return nil, false, nil
	}
	values, shown := map[string]string{}, []any{}
	for _, entry := range given {
		m, _ := entry.(map[string]any)
		name, value, vault := provider.Text(m, "name"), provider.Text(m, "value"), provider.Text(m, "keyVaultUrl")
		if name == "" || value == "" && vault == "" {
			return nil, false, provider.BadRequest("ContainerAppSecretInvalid", "Invalid request: the secret '"+name+"' needs a value or a keyVaultUrl.")
		}
		entry := map[string]any{"name": name}
		if vault != "" {
			entry["keyVaultUrl"], entry["identity"] = vault, provider.Text(m, "identity")
		}
		values[name] = value
		shown = append(shown, entry)
	}
	next["properties"].(map[string]any)["configuration"].(map[string]any)["secrets"] = shown
	return values, true, nil
}

func (p *Provider) listSecrets(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, service.NotFound(r.ID.String())
	}
	value := []any{}
	shown, _ := provider.At(doc, "properties", "configuration", "secrets").([]any)
	for _, entry := range shown {
		m, _ := entry.(map[string]any)
		out := provider.Merge(m, nil)
		if secret := p.apps.Secret(r.ID.String(), provider.Text(m, "name")); secret != "" {
			out["value"] = secret
		}
		value = append(value, out)
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
}
