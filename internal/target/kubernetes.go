package target

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Facts of a cluster as the source.
const (
	factIssuer  = "source.issuer"           // of its service accounts' tokens
	factWebhook = "source.workloadIdentity" // "true" where its workloads can sign in with them
)

// tokenAudience is what the tokens of federated service accounts are made for.
const tokenAudience = "api://AzureADTokenExchange"

// Cluster is what is known of a Kubernetes cluster as the app's side.
type Cluster struct {
	Source
	Issuer  string // "" while its OIDC issuer is off
	Webhook bool   // workload identity is on
}

// ClusterAuth lists the auth types of apps in a cluster: a workload has no identity of
// the cluster's own, and a user-assigned one by federation.
func ClusterAuth() []string {
	return []string{connection.AuthSecret, connection.AuthAccessKey, connection.AuthUserIdentity,
		connection.AuthServicePrincipalSecret, connection.AuthServicePrincipalCertificate, catalog.AuthNone}
}

var (
	namespaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	entryName     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,253}$`)
)

// checkCluster refuses what a Kubernetes source cannot do.
func checkCluster(c *connection.Connection) error {
	if !connection.OnKubernetes(c.Source) {
		return nil
	}
	if !namespaceName.MatchString(c.Namespace()) {
		return problem.New(problem.BodyInvalid, c.ID, "scope is %q, which no namespace can be called", c.Properties.Scope).
			WithFix("use lower case letters, digits and hyphens, at most 63")
	}
	if strings.Trim(c.Name, "._") == "" {
		return problem.New(problem.ConnectionName, c.ID, "%q has neither a letter nor a digit that its Secret could be called after", c.Name)
	}
	if c.Properties.SecretStore != nil && c.Properties.SecretStore.KeyVaultID != "" {
		return problem.New(problem.OptionUnsupported, c.ID, "secretStore.keyVaultId is not supported for a Kubernetes source: nothing there replaces a reference by its secret").
			WithFix("leave --vault-id out: the Secret keeps the value")
	}
	return checkEntries(c)
}

// checkEntries refuses chosen names that no entry of a Secret can have.
func checkEntries(c *connection.Connection) error {
	cfg := c.Properties.Configuration
	if cfg == nil {
		return nil
	}
	names := sortedKeys(cfg.Additional)
	for _, old := range sortedKeys(cfg.CustomizedKeys) {
		names = append(names, cfg.CustomizedKeys[old])
	}
	if at := slices.IndexFunc(names, func(n string) bool { return !entryName.MatchString(n) }); at >= 0 {
		return problem.New(problem.SettingName, c.Source, "a Secret has no entry called %q", names[at]).
			WithFix("use letters, digits, periods, underscores and hyphens only")
	}
	return nil
}

// readCluster reads a cluster as the source.
func (r *reading) readCluster(ctx context.Context) (Source, error) {
	found, err := r.reader.Cluster(ctx, r.c)
	if err != nil {
		return Source{}, err
	}
	r.put(factIssuer, found.Issuer)
	if found.Webhook {
		r.put(factWebhook, "true")
	}
	return found.Source, nil
}

// federate lets a service account of the cluster sign in as the identity.
func (d *derivation) federate() error {
	identity, client := d.facts.Text(connection.FactIdentity), strings.ToLower(d.c.Properties.Auth.ClientID)
	issuer := d.facts.Text(factIssuer)
	if identity == "" {
		return errors.New("derive federation: the identity's id is not known")
	}
	if issuer == "" || d.facts.Text(factWebhook) == "" {
		return problem.New(problem.WorkloadIdentityOff, d.c.Source, "workload identity is not switched on in the cluster, and Patchbay does not change clusters").
			WithFix("az aks update --ids %s --enable-oidc-issuer --enable-workload-identity", d.c.Source)
	}
	namespace, account := d.c.Namespace(), connection.AccountName(client)
	subject := connection.AccountSubject(namespace, account)
	d.add(connection.Facet{
		Key: connection.Key{Kind: connection.KindFederation, Resource: identity, Name: "patchbay-" + hash(issuer+" "+subject)},
		Want: connection.Attrs{connection.AttrIssuer: connection.Plain(issuer), connection.AttrSubject: connection.Plain(subject),
			connection.AttrAudience: connection.Plain(tokenAudience)},
	})
	d.add(connection.Facet{
		Key: connection.Key{Kind: connection.KindObject, Resource: connection.NamespaceID(d.c.Source, namespace),
			Name: connection.ObjectName(connection.ObjectAccount, account)},
		Want: connection.Attrs{connection.AttrClientID: connection.Plain(client), connection.AttrMark: connection.Plain(d.c.UID)},
	})
	return nil
}

// settingsHome is the resource that settings are facets of: the source itself, or a Secret
// in it, which is an object that goes before them where there are any.
func (d *derivation) settingsHome(count int) string {
	if !connection.OnKubernetes(d.c.Source) || count == 0 || d.keeper(catalog.KeepsSettings) != nil {
		return d.c.Source
	}
	namespace, secret := d.c.Namespace(), connection.SecretName(d.c.Name)
	d.add(connection.Facet{
		Key: connection.Key{Kind: connection.KindObject, Resource: connection.NamespaceID(d.c.Source, namespace),
			Name: connection.ObjectName(connection.ObjectSecret, secret)},
		Want: connection.Attrs{connection.AttrMark: connection.Plain(d.c.UID)},
	})
	return connection.SecretID(d.c.Source, namespace, secret)
}
