package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Words of secretInfo.secretType for a password that lies in a vault already.
const (
	secretByURI  = "keyVaultSecretUri"
	secretByName = "keyVaultSecretReference"
)

// factConfidedURI is where such a password lies.
const factConfidedURI = "secretInfo.uri"

const fromVault = "secretInfo" // what its read is filed under

// confided tells whether the password lies in a vault already.
func confided(c *connection.Connection) bool {
	a := c.Properties.Auth
	return a != nil && a.Type == connection.AuthSecret && (a.SecretType == secretByURI || a.SecretType == secretByName)
}

// checkConfided refuses what names no secret in a vault.
func checkConfided(c *connection.Connection, t *catalog.Target) error {
	a := c.Properties.Auth
	if !confided(c) {
		return nil
	}
	if !t.Auth[a.Type].Given {
		return problem.New(problem.OptionUnsupported, c.ID, "the key of %s is fetched from the target, none can be given", t.Name).
			WithFix("write --secret without name and value")
	}
	if a.SecretType == secretByURI {
		if _, _, ok := splitSecretURI(a.SecretURI); !ok {
			return problem.New(problem.BodyInvalid, c.ID, "secretInfo.value is not the address of a secret").
				WithFix("write https://VAULT/secrets/NAME, with /VERSION behind it or without")
		}
		return nil
	}
	if s := c.Properties.SecretStore; !secretNames.MatchString(a.SecretName) || s == nil || s.KeyVaultID == "" {
		return problem.New(problem.BodyInvalid, c.ID, "secretInfo of type %s needs the name of a secret, and secretStore.keyVaultId the vault it lies in", a.SecretType).
			WithFix("--secret name=%s secret-name=NAME --vault-id ID", a.Name)
	}
	return nil
}

// splitSecretURI takes https://host/secrets/name[/version] apart; vault ends in a slash.
func splitSecretURI(text string) (vault, path string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", false
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 || len(parts) > 3 || !strings.EqualFold(parts[0], "secrets") {
		return "", "", false
	}
	for _, part := range parts[1:] {
		if !secretNames.MatchString(part) {
			return "", "", false
		}
	}
	return "https://" + strings.ToLower(u.Host) + "/", strings.Join(parts, "/"), true
}

// readConfided reads the password. Our token goes to vaults only that ARM knows: an
// address that a request names could be anybody's.
func (r *reading) readConfided(ctx context.Context) error {
	vault, uri, err := r.confidedAt(ctx)
	if err != nil {
		return err
	}
	value, err := r.reader.VaultSecret(ctx, vault, uri)
	if err != nil {
		return err
	}
	r.put(factConfidedURI, uri)
	r.put(connection.FactConfidedIn, vault)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts[catalog.FactPassword] = connection.Hidden(value)
	return nil
}

// confidedAt finds the vault, and the address of the secret in it.
func (r *reading) confidedAt(ctx context.Context) (vault, uri string, err error) {
	a := r.c.Properties.Auth
	if a.SecretType == secretByURI {
		at, path, _ := splitSecretURI(a.SecretURI)
		vault, err = r.findVault(ctx, at)
		return vault, at + path, err
	}
	k := keeper{member: "secretStore.keyVaultId", id: r.c.Properties.SecretStore.KeyVaultID, what: catalog.KeepsSecrets}
	m, err := k.match(r.reader.Catalog)
	if err != nil {
		return "", "", err
	}
	place := m.Target.Facts[connection.FactEndpoint]
	var answer any
	if err := r.reader.Client.Get(ctx, m.Resource(place.Of), m.Target.APIVersion, &answer); err != nil {
		return "", "", (&reading{m: m}).unreadable(place.Of, err)
	}
	path := strings.TrimRight("secrets/"+a.SecretName+"/"+a.SecretVersion, "/")
	return k.id, strings.TrimRight(member(answer, place.At), "/") + "/" + path, nil
}

// findVault looks for an address among the vaults of the source's subscription.
func (r *reading) findVault(ctx context.Context, address string) (vault string, err error) {
	source, err := id.Parse(r.c.Source)
	if err != nil {
		return "", fmt.Errorf("find the vault: %w", err)
	}
	for _, t := range r.reader.Catalog.Targets() {
		if t.Keeps == nil || t.Keeps.What != catalog.KeepsSecrets {
			continue
		}
		place := t.Facts[connection.FactEndpoint]
		path := "/subscriptions/" + source.Subscription() + "/providers/" + t.ResourceType(place.Of)
		err := r.reader.Client.List(ctx, path, t.APIVersion, func(item json.RawMessage) error {
			var one any
			if err := json.Unmarshal(item, &one); err != nil {
				return fmt.Errorf("read a vault: %w", err)
			}
			if strings.EqualFold(strings.TrimRight(member(one, place.At), "/")+"/", address) {
				vault = member(one, "id")
				return errFound
			}
			return nil
		})
		if err != nil && !errors.Is(err, errFound) {
			return "", err
		}
	}
	if vault == "" {
		return "", problem.New(problem.TargetNotFound, r.c.Source, "no vault of subscription %s has the address %s", source.Subscription(), address).
			While("read the password").WithFix("check the address, or give the password itself with --secret name=USER secret=VALUE")
	}
	return vault, nil
}
