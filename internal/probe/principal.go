package probe

import (
	"context"
	"errors"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Principal is a service principal as the app's settings name it.
type Principal struct{ TenantID, ClientID, Secret string }

// SignInFunc gets a token of one audience as a service principal. Its error holds
// no secret.
type SignInFunc func(ctx context.Context, p Principal, audience string) (token string, err error)

// bearer tells whether the app signs in with a secret that anybody could use who has it:
// then the way in can be tried to its end.
func (v *visit) bearer() bool {
	a := v.c.Properties.Auth
	return a != nil && a.Type == connection.AuthServicePrincipalSecret && !v.bare()
}

// principalSettings are the documented names of client id, secret and tenant, by protocol
// and client type; no name means that the app is not told.
func principalSettings(protocol, client string) (id, secret, tenant string) {
	if client == "springBoot" {
		if protocol == "blob" {
			const prefix = "spring.cloud.azure.storage.blob.credential."
			return prefix + "client-id", prefix + "client-secret", ""
		}
		const prefix = "spring.cloud.azure.credential."
		return prefix + "client-id", prefix + "client-secret", prefix + "tenant-id"
	}
	prefix := map[string]string{"postgres": "AZURE_POSTGRESQL_", "redis": "AZURE_REDIS_", "blob": "AZURE_STORAGEBLOB_"}[protocol]
	return prefix + "CLIENTID", prefix + "CLIENTSECRET", prefix + "TENANTID"
}

// signIn gets the token the app would get. Its outcome says why there is none.
func (p *Prober) signIn(ctx context.Context, v *visit) outcome {
	id, secret, tenant := principalSettings(v.facts.Text(connection.FactProtocol), v.client())
	who := Principal{TenantID: v.facts.Text("tenantId"), ClientID: v.get(id), Secret: v.get(secret)}
	if tenant != "" {
		who.TenantID = v.get(tenant)
	}
	if len(v.missing) > 0 || who.ClientID == "" || who.Secret == "" || who.TenantID == "" {
		return v.unsettled(errors.New("client id, secret or tenant is empty"))
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
	return strings.Join([]string{"patchbay webapp connection update", v.targetName(), "--id", v.c.ID,
		"--service-principal", "client-id=" + a.ClientID, "object-id=" + a.PrincipalID, "secret=SECRET"}, " ")
}

// notInForce is for a token that is good and does not let its bearer do anything: what was
// granted may take minutes to work.
func (v *visit) notInForce(said string) outcome {
	return outcome{stage: atRights, detail: said + "; what was granted may take minutes to come into force, and a role that was chosen may not allow to read"}
}
