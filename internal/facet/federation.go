package facet

import (
	"context"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

const federationVersion = "2024-11-30"

// Federation drives federated credentials of user-assigned identities. Key.Resource is
// the identity, Key.Name the credential; Want holds issuer, subject and audience. An
// identity has one credential for an issuer and a subject, and takes one write at a time;
// there is no room for a mark on it.
type Federation struct{ arm *arm.Client }

// NewFederation makes the driver.
func NewFederation(c *arm.Client) *Federation { return &Federation{c} }

type credential struct {
	ID         string               `json:"id,omitempty"`
	Name       string               `json:"name,omitempty"`
	Properties credentialProperties `json:"properties"`
}

type credentialProperties struct {
	Issuer    string   `json:"issuer"`
	Subject   string   `json:"subject"`
	Audiences []string `json:"audiences"`
}

type federationBasis struct{ credentials []credential }

// Path is the identity's collection of credentials: it is changed one at a time.
func (d *Federation) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/federatedidentitycredentials"
}

// Fresh is false: each credential is an object of its own.
func (d *Federation) Fresh() bool { return false }

// Rights names reading, writing and deleting credentials of the identity.
func (d *Federation) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/", "read", "write", "delete")
}

// Read lists the identity's credentials.
func (d *Federation) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	all, err := arm.ListAll[credential](ctx, d.arm, facets[0].Resource+"/federatedIdentityCredentials", federationVersion)
	if err != nil && !arm.IsNotFound(err) {
		return nil, err
	}
	return &federationBasis{all}, nil
}

// State finds the credential of our name, or another one for the same service account.
func (d *Federation) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*federationBasis)
	if !ok {
		return connection.State{}
	}
	if at := basis.named(f.Name); at >= 0 {
		return credentialState(f, basis.credentials[at])
	}
	issuer, subject := known(f.Want, connection.AttrIssuer), known(f.Want, connection.AttrSubject)
	for _, c := range basis.credentials {
		if issuer != "" && c.Properties.Issuer == issuer && c.Properties.Subject == subject {
			return credentialState(f, c)
		}
	}
	return connection.State{}
}

func (b *federationBasis) named(name string) int {
	return slices.IndexFunc(b.credentials, func(c credential) bool { return strings.EqualFold(lastName(c.ID, c.Name), name) })
}

func credentialState(f connection.Facet, c credential) connection.State {
	return connection.State{
		Exists: true,
		Attrs: connection.Attrs{
			connection.AttrIssuer:   echo(f.Want, connection.AttrIssuer, c.Properties.Issuer),
			connection.AttrSubject:  connection.Plain(c.Properties.Subject),
			connection.AttrAudience: connection.Plain(strings.Join(c.Properties.Audiences, " ")),
		},
		Outputs: map[string]string{connection.OutID: c.ID},
	}
}

// Write puts or deletes credentials one after the other, as the service asks.
func (d *Federation) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	basis, ok := b.(*federationBasis)
	if !ok {
		return nil, foreign(changes[0].Facet.Resource)
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		var err error
		if states[n], err = d.write(ctx, basis, c); err != nil {
			return nil, err
		}
	}
	return states, nil
}

func (d *Federation) write(ctx context.Context, basis *federationBasis, c plan.Change) (connection.State, error) {
	path := c.Facet.Resource + "/federatedIdentityCredentials/" + c.Facet.Name
	if !wanted(c) {
		if id := c.Was[connection.OutID]; id != "" { // a change of somebody's credential of another name
			path = id
		}
		return connection.State{}, d.arm.Delete(ctx, path, federationVersion)
	}
	f := c.Facet
	if c.Action == plan.Remove {
		f.Want = c.Restore.Attrs
	}
	var p credentialProperties
	for name, to := range map[string]*string{connection.AttrIssuer: &p.Issuer, connection.AttrSubject: &p.Subject} {
		text, err := needed(f, name)
		if err != nil {
			return connection.State{}, err
		}
		*to = text
	}
	p.Audiences = strings.Fields(f.Want[connection.AttrAudience].Text)
	at := basis.named(f.Name)
	if at < 0 { // an identity has one for an issuer and a subject, whatever its name: that one is changed
		at = slices.IndexFunc(basis.credentials, func(c credential) bool {
			return c.Properties.Issuer == p.Issuer && c.Properties.Subject == p.Subject
		})
		if at >= 0 {
			path = basis.credentials[at].ID
		}
	}
	if at >= 0 && basis.credentials[at].Properties.same(p) {
		return credentialState(f, basis.credentials[at]), nil
	}
	var made credential
	if err := d.arm.Put(ctx, path, federationVersion, credential{Properties: p}, &made); err != nil {
		return connection.State{}, err
	}
	return credentialState(f, made), nil
}

func (p credentialProperties) same(q credentialProperties) bool {
	return p.Issuer == q.Issuer && p.Subject == q.Subject && slices.Equal(p.Audiences, q.Audiences)
}
