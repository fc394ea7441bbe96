package containerapp

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

// secretPrefix tells values of an app's secrets from what else is kept beside it.
const secretPrefix = "secret:"

// mem: lower case letters, digits and hyphens, with periods inside.
var secretName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// takeSecrets takes the values out of the secrets a body gives, so that next shows names
// only. An entry without a value and without an address in a vault is refused: values are
// not kept across writes. nil means that the body says nothing of them.
func takeSecrets(body, next provider.Document) (map[string]string, error) {
	given, said := members(provider.At(body, "properties", "configuration"))["secrets"]
	if !said {
		return nil, nil
	}
	values, shown := map[string]string{}, []any{}
	for _, entry := range list(given) {
		m := members(entry)
		name, value, vault := provider.Text(m, "name"), provider.Text(m, "value"), provider.Text(m, "keyVaultUrl")
		if value == "" && vault == "" {
			return nil, provider.BadRequest("ContainerAppSecretInvalid", "Invalid request: the secret '"+name+"' needs a value or a keyVaultUrl.")
		}
		if _, twice := values[name]; twice || !secretName.MatchString(name) {
			return nil, provider.BadRequest("ContainerAppSecretInvalid", "Invalid request: a secret needs a name of its own, of lower case letters, digits and hyphens; '"+name+"' is none.")
		}
		entry := map[string]any{"name": name}
		if vault != "" {
			entry["keyVaultUrl"], entry["identity"] = vault, provider.Text(m, "identity")
		}
		values[name] = value
		shown = append(shown, entry)
	}
	configuration := members(members(next["properties"])["configuration"])
	configuration["secrets"] = shown
	if len(shown) == 0 {
		delete(configuration, "secrets")
	}
	return values, nil
}

// secretNames are the names of the secrets a document shows.
func secretNames(doc provider.Document) map[string]bool {
	names := map[string]bool{}
	for _, s := range list(provider.At(doc, "properties", "configuration", "secrets")) {
		names[provider.Text(members(s), "name")] = true
	}
	return names
}

// references are the secrets that the containers of a template name, with a container each.
func references(template map[string]any) map[string]string {
	found := map[string]string{}
	for _, kind := range []string{"containers", "initContainers"} {
		for _, c := range list(template[kind]) {
			for _, e := range list(members(c)["env"]) {
				if ref := provider.Text(members(e), "secretRef"); ref != "" {
					found[ref] = provider.Text(members(c), "name")
				}
			}
		}
	}
	return found
}

// checkReferences refuses a template that names a secret there is not, and the removal of
// one that a revision beside the newest one still names.
func (p *Provider) checkReferences(next provider.Document) error {
	names, properties := secretNames(next), members(next["properties"])
	for ref, container := range references(members(properties["template"])) {
		if !names[ref] {
			return provider.BadRequest("ContainerAppSecretRefNotFound", "SecretRef '"+ref+"' defined for container '"+container+"' not found.")
		}
	}
	if !multiple(properties) {
		return nil
	}
	for _, revision := range p.cloud.Store().Children(provider.Text(next, "id"), revisionType) {
		if active, _ := provider.At(revision, "properties", "active").(bool); !active {
			continue
		}
		for ref := range references(members(provider.At(revision, "properties", "template"))) {
			if !names[ref] { // mem: the code
				return provider.BadRequest("ContainerAppSecretInUse", "The secret '"+ref+"' cannot be removed: the active revision '"+provider.Text(revision, "name")+"' uses it.")
			}
		}
	}
	return nil
}

// keepSecrets replaces the values beside an app; nil leaves them.
func (p *Provider) keepSecrets(appID string, values map[string]string) {
	if values == nil {
		return
	}
	private := p.cloud.Store().Private(appID)
	if private == nil {
		private = map[string]string{}
	}
	for name := range private {
		if strings.HasPrefix(name, secretPrefix) {
			delete(private, name)
		}
	}
	for name, value := range values {
		private[secretPrefix+name] = value
	}
	p.cloud.Store().SetPrivate(appID, private)
}

func (p *Provider) listSecrets(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, service.NotFound(r.ID.String())
	}
	private, value := p.cloud.Store().Private(r.ID.String()), []any{}
	for _, entry := range list(provider.At(doc, "properties", "configuration", "secrets")) {
		out := provider.Merge(members(entry), nil)
		if secret := private[secretPrefix+provider.Text(out, "name")]; secret != "" {
			out["value"] = secret
		}
		value = append(value, out)
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
}
