package web

import (
	"errors"
	"strconv"

	"github.com/patchbay/patchbay/internal/localcloud/process"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// tokenFor makes the token that a site's app asks for.
func (s *Sites) tokenFor(site string, q process.Query) (map[string]any, error) {
	doc, _ := s.cloud.Store().Get(site)
	who, ok := s.identities.Principal(doc["identity"], q.ClientID, q.ObjectID, q.Identity)
	if !ok {
		//lint:ignore ST1005 the real endpoint's own sentence
		return nil, errors.New("No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.")
	}
	return s.token(who, q.Resource)
}

func (s *Sites) token(who provider.Principal, resource string) (map[string]any, error) {
	token, expires, err := s.cloud.Directory().Token(who.ObjectID, resource)
	if err != nil {
		return nil, err
	}
	return map[string]any{"access_token": token, "expires_on": strconv.FormatInt(expires.Unix(), 10), "resource": resource,
		"token_type": "Bearer", "client_id": who.ClientID}, nil
}
