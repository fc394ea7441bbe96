package identity

import (
	"context"
	"net/http"
	"net/url"
	"regexp"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const federatedType = userType + "/federatedIdentityCredentials"

var federatedVersions = []string{
	"2025-05-31-preview", "2025-01-31-preview", "2024-11-30", "2023-07-31-preview", "2023-01-31", "2022-01-31-preview",
}

// mostFederated is how many credentials an identity takes (mem).
const mostFederated = 20

var federatedName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{2,119}$`)

// putFederated keeps a credential. An identity has one for an issuer and a subject; the
// words of refusals are from memory.
func (p *Identities) putFederated(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	identity := r.ID.Parent().String()
	p.writes.Lock()
	defer p.writes.Unlock()
	if !federatedName.MatchString(r.ID.Name()) {
		return nil, fault(http.StatusBadRequest, "BadRequest", "The name '%s' of a federated identity credential has 3 to 120 letters, digits, hyphens and underscores and starts with a letter or digit.", r.ID.Name())
	}
	issuer, subject := provider.Text(r.Body, "properties", "issuer"), provider.Text(r.Body, "properties", "subject")
	audiences, _ := provider.At(r.Body, "properties", "audiences").([]any)
	if u, err := url.Parse(issuer); err != nil || u.Scheme != "https" || u.Host == "" || subject == "" || len(audiences) != 1 {
		return nil, fault(http.StatusBadRequest, "BadRequest", "A federated identity credential needs an https issuer, a subject and exactly one audience.")
	}
	others := 0
	for _, one := range p.cloud.Store().Children(identity, federatedType) {
		if id.Equal(provider.Text(one, "id"), r.ID.String()) {
			continue
		}
		others++
		if provider.Text(one, "properties", "issuer") == issuer && provider.Text(one, "properties", "subject") == subject {
			return nil, fault(http.StatusConflict, "Conflict", "Issuer and subject combination already exists for this Managed Identity.")
		}
	}
	if others >= mostFederated {
		return nil, fault(http.StatusConflict, "FederatedIdentityCredentialLimitExceeded", "The identity has %d federated identity credentials already.", others)
	}
	_, exists := p.cloud.Store().Get(r.ID.String())
	doc := provider.Document{"id": r.ID.String(), "name": r.ID.Name(), "type": federatedType,
		"properties": map[string]any{"issuer": issuer, "subject": subject, "audiences": audiences}}
	p.cloud.Store().Put(r.ID.String(), doc)
	return &provider.Answer{Status: map[bool]int{false: http.StatusCreated, true: http.StatusOK}[exists], Body: doc}, nil
}

func (p *Identities) removeFederated(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}
