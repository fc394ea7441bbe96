package web

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Function apps are sites of a kind that holds "functionapp". Besides what sites have they
// have a host with keys. No functions are deployed here, so there are none to list.

const (
	functionType     = siteType + "/functions"
	slotFunctionType = slotType + "/functions"
	hostType         = siteType + "/host"
	slotHostType     = slotType + "/host"
)

// hostKeyKey is where a function app's host keeps its keys.
const hostKeyKey = "hostKey/"

func (s *Sites) isFunctionApp(siteID string) bool {
	doc, _ := s.cloud.Store().Get(siteID)
	return strings.Contains(strings.ToLower(text(doc["kind"])), "functionapp")
}

// syncTriggers tells the platform to read the triggers of a function app anew. Other
// sites have no host to ask (mem: which error they answer).
func (s *Sites) syncTriggers(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if !s.isFunctionApp(r.ID.String()) {
		return nil, fault(http.StatusBadRequest, "BadRequest", "Encountered an error (BadRequest) from host runtime: %s is not a function app.", r.ID.Name())
	}
	return &provider.Answer{Status: http.StatusNoContent}, nil
}

func (s *Sites) getHost(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if id.Fold(r.ID.Name()) != "default" || !s.isFunctionApp(r.ID.Parent().String()) {
		return nil, fault(http.StatusNotFound, "NotFound", "Cannot find host %s.", r.ID.Name())
	}
	return &provider.Answer{Body: provider.Document{"id": r.ID.String(), "name": "default", "type": r.ID.Type(), "properties": map[string]any{}}}, nil
}

// hostKeys lists the keys of a function app's host; they stay as they are once made.
func (s *Sites) hostKeys(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	siteID := r.ID.Parent().String()
	if _, err := s.getHost(context.Background(), r); err != nil {
		return nil, err
	}
	own := s.cloud.Store().Private(siteID)
	for _, name := range []string{"master", "default"} {
		if own[hostKeyKey+name] == "" {
			raw := make([]byte, 40)
			_, _ = rand.Read(raw) // crypto/rand does not fail
			own[hostKeyKey+name] = base64.URLEncoding.EncodeToString(raw)
		}
	}
	s.cloud.Store().SetPrivate(siteID, own)
	return &provider.Answer{Body: map[string]any{"masterKey": own[hostKeyKey+"master"],
		"functionKeys": map[string]any{"default": own[hostKeyKey+"default"]}, "systemKeys": map[string]any{}}}, nil
}
