package service

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Base64Key is a key of 32 random bytes in base64.
func Base64Key() string { return base64.StdEncoding.EncodeToString(random(32)) }

// HexKey is a key of 16 random bytes in hexadecimal digits.
func HexKey() string { return hex.EncodeToString(random(16)) }

func random(n int) []byte {
	raw := make([]byte, n)
	rand.Read(raw) //nolint:errcheck // never fails
	return raw
}

// Keys returns the access keys by name.
func (a *Accounts) Keys(resourceID string) map[string]string {
	private, keys := a.cloud.Store().Private(resourceID), map[string]string{}
	for _, name := range a.kind.Keys {
		keys[name] = private[name]
	}
	return keys
}

// IsKey tells whether a text is one of the access keys.
func (a *Accounts) IsKey(resourceID, text string) bool {
	match := 0
	for _, key := range a.Keys(resourceID) {
		if key != "" {
			match |= subtle.ConstantTimeCompare([]byte(key), []byte(text))
		}
	}
	return match == 1
}

// Regenerate replaces one key; open sessions do not end by it.
func (a *Accounts) Regenerate(resourceID, name string) error {
	a.writes.Lock()
	defer a.writes.Unlock()
	if _, exists := a.cloud.Store().Get(resourceID); !exists {
		return NotFound(resourceID)
	}
	if !slices.Contains(a.kind.Keys, name) {
		return provider.BadRequest("InvalidRequestBody", "There is no key of that name.")
	}
	private := a.cloud.Store().Private(resourceID)
	private[name] = a.kind.NewKey()
	a.cloud.Store().SetPrivate(resourceID, private)
	return nil
}

// KeyActions are listKeys and regenerateKey. answer makes the body of both; asked reads
// the key's name out of a request to replace it.
func (a *Accounts) KeyActions(answer func(resourceID string) any, asked func(provider.Document) string) map[string]provider.Action {
	list := func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		if _, exists := a.cloud.Store().Get(r.ID.String()); !exists {
			return nil, NotFound(r.ID.String())
		}
		return &provider.Answer{Status: http.StatusOK, Body: answer(r.ID.String())}, nil
	}
	return map[string]provider.Action{
		"listkeys": {Handle: list, Right: a.kind.Type + "/listKeys/action"},
		"regeneratekey": {Right: a.kind.Type + "/regenerateKey/action", Handle: func(ctx context.Context, r *provider.Request) (*provider.Answer, error) {
			if err := a.Regenerate(r.ID.String(), asked(r.Body)); err != nil {
				return nil, err
			}
			return list(ctx, r)
		}},
	}
}
