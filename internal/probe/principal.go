package probe

import (
	"context"
	"errors"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Principal is a service principal as the app's settings name it.
type Principal struct {
	TenantID, ClientID  string
	Secret, Certificate string // one of the two
}

// SignInFunc gets a token of one audience as a service principal. Its error holds
// no secret.
type SignInFunc func(ctx context.Context, p Principal, audience string) (token string, err error)

// bearer tells whether the app signs in with a secret that anybody could use who has it:
// then the way in can be tried to its end.
func (v *visit) bearer() bool {
	a := v.c.Properties.Auth
	return a != nil && (a.Type == connection.AuthServicePrincipalSecret || v.certified()) && !v.bare()
}

// certified tells whether it signs in with a certificate.
func (v *visit) certified() bool {
	a := v.c.Properties.Auth
	return a != nil && a.Type == connection.AuthServicePrincipalCertificate
}

// principalSettings are the documented names of client id, secret and tenant, by protocol
// and client type; no name means that the app is not told.
func principalSettings(protocol, client string) (id, secret, tenant string) {
	if _, messaging := messagingServices()[protocol]; messaging {
		return messagingPrincipal(protocol, client)
	}
	if client == "springBoot" {
		if protocol == "blob" || protocol == "queue" {
			prefix := "spring.cloud.azure.storage." + protocol + ".credential."
			return prefix + "client-id", prefix + "client-secret", ""
		}
		if protocol == "cosmos" {
			const prefix = "spring.cloud.azure.cosmos."
			return prefix + "credential.client-id", prefix + "credential.client-secret", prefix + "profile.tenant-id"
		}
		if protocol == "vault" {
			const prefix = "spring.cloud.azure.keyvault.secret."
			return prefix + "credential.client-id", prefix + "credential.client-secret", prefix + "profile.tenant-id"
		}
		const prefix = "spring.cloud.azure.credential."
		return prefix + "client-id", prefix + "client-secret", prefix + "tenant-id"
	}
	prefix := map[string]string{"postgres": "AZURE_POSTGRESQL_", "mysql": mysqlPrefix, "redis": "AZURE_REDIS_", "blob": "AZURE_STORAGEBLOB_", "queue": "AZURE_STORAGEQUEUE_", "table": "AZURE_STORAGETABLE_", "cosmos": "AZURE_COSMOS_", "cosmostable": "AZURE_COSMOS_",
		"webpubsub": "AZURE_WEBPUBSUB_", "openai": "AZURE_OPENAI_", "aiservices": "AZURE_AISERVICES_", "cognitive": "AZURE_COGNITIVESERVICES_", "vault": "AZURE_KEYVAULT_", "appconfig": "AZURE_APPCONFIGURATION_",
		"mongo": "AZURE_COSMOS_", "cql": "AZURE_COSMOS_", "gremlin": "AZURE_COSMOS_"}[protocol]
	return prefix + "CLIENTID", prefix + "CLIENTSECRET", prefix + "TENANTID"
}

// signIn gets the token the app would get. Its outcome says why there is none.
func (p *Prober) signIn(ctx context.Context, v *visit) outcome {
	id, secret, tenant := principalSettings(v.facts.Text(connection.FactProtocol), v.client())
	if v.facts.Text(connection.FactProtocol) == "signalr" {
		return p.signInAs(ctx, v, v.hubPrincipal())
	}
	who := Principal{TenantID: v.facts.Text("tenantId"), ClientID: v.get(id)}
	if v.certified() {
		who.Certificate = v.get(strings.TrimSuffix(secret, "SECRET") + "CERTIFICATE")
	} else {
		who.Secret = v.get(secret)
	}
	if tenant != "" {
		who.TenantID = v.get(tenant)
	}
	return p.signInAs(ctx, v, who)
}

// signInAs gets the token of a principal that the settings name.
func (p *Prober) signInAs(ctx context.Context, v *visit, who Principal) outcome {
	if len(v.missing) > 0 || who.ClientID == "" || who.Secret+who.Certificate == "" || who.TenantID == "" {
		return v.unsettled(errors.New("client id, secret, certificate or tenant is empty"))
	}
	token, err := p.options.SignIn(ctx, who, v.facts.Text(connection.FactAudience))
	switch {
	case ctx.Err() != nil:
		return outcome{unproven: "not proven: the sign-in endpoint does not answer in time, so the network was tried and signing in was not"}
	case err != nil:
		return outcome{code: problem.LoginRefused, detail: "the service principal cannot sign in: " + problem.As(err).Error(), fix: v.newPrincipalSecret()}
	}
	v.token = token
	return outcome{}
}

// newPrincipalSecret is the command that gives the right secret.
func (v *visit) newPrincipalSecret() string {
	a := v.c.Properties.Auth
	word := "secret=SECRET"
	if v.certified() {
		word = "certificate=@FILE"
	}
	return strings.Join([]string{"patchbay webapp connection update", v.targetName(), "--id", v.c.ID,
		"--service-principal", "client-id=" + a.ClientID, "object-id=" + a.PrincipalID, word}, " ")
}

// notInForce is for a token that is good and does not let its bearer do anything: what was
// granted may take minutes to work.
func (v *visit) notInForce(said string) outcome {
	return outcome{stage: atRights, detail: said + "; what was granted may take minutes to come into force, and a role that was chosen may not allow to read"}
}
