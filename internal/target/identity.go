package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// systemIdentity is the name of a source's own identity among identity facets; others
// go by their ARM id.
const systemIdentity = "system"

const (
	identityType       = "Microsoft.ManagedIdentity/userAssignedIdentities"
	identityAPIVersion = "2024-11-30"
)

// userIdentity is a user-assigned identity as its collection shows it.
type userIdentity struct {
	ID         string `json:"id"`
	Properties struct {
		ClientID    string `json:"clientId"`
		PrincipalID string `json:"principalId"`
		TenantID    string `json:"tenantId"`
	} `json:"properties"`
}

// identityScope is the subscription a user-assigned identity lies in: the one named
// with it, or the source's own. Clients have always named it; the contract leaves it open.
func identityScope(c *connection.Connection) string {
	subscription := c.Properties.Auth.SubscriptionID
	if source, err := id.Parse(c.Source); err == nil && subscription == "" {
		subscription = source.Subscription()
	}
	return "/subscriptions/" + subscription
}

// errFound ends the reading of a list.
var errFound = errors.New("found")

// readIdentity looks for the identity whose client id the request names: a connection
// carries no more of it, and the collection has no filter for it.
func (r *reading) readIdentity(ctx context.Context) error {
	wanted, scope := r.c.Properties.Auth.ClientID, identityScope(r.c)
	path := scope + "/providers/" + identityType
	var found userIdentity
	err := r.reader.Client.List(ctx, path, identityAPIVersion, func(item json.RawMessage) error {
		var one userIdentity
		if err := json.Unmarshal(item, &one); err != nil {
			return fmt.Errorf("read an identity: %w", err)
		}
		if strings.EqualFold(one.Properties.ClientID, wanted) {
			found = one
			return errFound
		}
		return nil
	})
	switch {
	case errors.Is(err, errFound):
		r.put(connection.FactIdentity, found.ID)
		r.put(connection.FactIdentityPrincipal, found.Properties.PrincipalID)
		r.put(catalog.FactTenantID, found.Properties.TenantID)
		return nil
	case err != nil && !arm.IsNotFound(err):
		return err
	}
	lost := problem.New(problem.IdentityNotFound, scope, "there is no user-assigned identity with the client id %s in subscription %s", wanted, scope[len("/subscriptions/"):]).
		While("find the identity").WithFix("list those there are: patchbay rest GET %s?api-version=%s", path, identityAPIVersion)
	if err != nil {
		lost = lost.Because(err)
	}
	return lost
}

// lostIdentity joins what the search for the identity came to with what else is gone.
func (r *reading) lostIdentity(gone error) (error, error) {
	failed := r.failed[fromIdentity]
	switch {
	case failed == nil, gone != nil:
		return gone, nil
	case problem.Is(failed, problem.IdentityNotFound):
		return failed, nil
	}
	return nil, failed
}

// grantee is who a connection lets in: its principal, a name for it among the facets of
// a target, and the same cut short.
type grantee struct {
	principal  connection.Value
	name, hash string
}

// grantee finds out whom the app signs in as, and adds the identity where the source
// has to carry one.
func (d *derivation) grantee() (grantee, error) {
	switch auth := d.c.Properties.Auth.Type; auth {
	case connection.AuthSystemIdentity:
		own := hash(d.c.Source)
		return grantee{connection.Output(d.identity(systemIdentity), connection.OutPrincipalID), systemIdentity + ":" + own, own}, nil
	case connection.AuthUserIdentity:
		who, err := d.knownGrantee(connection.FactIdentityPrincipal)
		if err == nil && d.facts.Text(connection.FactIdentity) == "" {
			err = errors.New("derive identity: its id is not known")
		}
		if err == nil && connection.OnKubernetes(d.c.Source) {
			return who, d.federate()
		}
		if err == nil {
			d.identity(d.facts.Text(connection.FactIdentity))
		}
		return who, err
	case connection.AuthServicePrincipalSecret, connection.AuthServicePrincipalCertificate, connection.AuthUserAccount:
		return d.knownGrantee(catalog.FactPrincipalID)
	default:
		return grantee{}, fmt.Errorf("derive identity: nobody signs in with %s", auth)
	}
}

func (d *derivation) knownGrantee(fact string) (grantee, error) {
	principal := strings.ToLower(d.facts.Text(fact))
	if principal == "" {
		return grantee{}, fmt.Errorf("derive identity: %s is not known", fact)
	}
	return grantee{connection.Plain(principal), principal, hash(principal)}, nil
}

func (d *derivation) identity(name string) connection.Key {
	return d.add(connection.Facet{
		Key:  connection.Key{Kind: connection.KindIdentity, Resource: d.c.Source, Name: name},
		Want: connection.Attrs{},
	})
}
