package appconfig

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	portKey     = "port"
	keysKey     = "keys"
	documentKey = "document"
	contentsKey = "contents"
)

// keyPage is how many keys one page of listKeys holds (mem).
const keyPage = 100

// accessKey is one key of a store. Value is the secret, in base64.
type accessKey struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Value    string    `json:"value"`
	ReadOnly bool      `json:"readOnly"`
	Modified time.Time `json:"modified"`
}

func newKeys(now time.Time) []accessKey {
	var keys []accessKey
	for _, row := range []struct {
		name     string
		readOnly bool
	}{{"Primary", false}, {"Secondary", false}, {"Primary Read Only", true}, {"Secondary Read Only", true}} {
		id := make([]byte, 12)
		rand.Read(id) //nolint:errcheck // never fails
		keys = append(keys, accessKey{ID: "0-l0-s0:" + base64.RawURLEncoding.EncodeToString(id), Name: row.name, Value: newSecret(), ReadOnly: row.readOnly, Modified: now.UTC()})
	}
	return keys
}

func newSecret() string {
	raw := make([]byte, 32)
	rand.Read(raw) //nolint:errcheck // never fails
	return base64.StdEncoding.EncodeToString(raw)
}

func encode(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types
	}
	return string(raw)
}

// keys reads a store's keys; there are none while key access is switched off.
func (p *Provider) keys(resourceID string) []accessKey {
	var keys []accessKey
	_ = json.Unmarshal([]byte(p.cloud.Store().Private(resourceID)[keysKey]), &keys) // written by encode; nothing is nothing
	return keys
}

func (k accessKey) document(endpoint string) map[string]any {
	return map[string]any{
		"id": k.ID, "name": k.Name, "value": k.Value, "readOnly": k.ReadOnly, "lastModified": k.Modified.Format(time.RFC3339),
		"connectionString": "Endpoint=" + endpoint + ";Id=" + k.ID + ";Secret=" + k.Value,
	}
}

func (p *Provider) listKeys(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	keys := p.keys(r.ID.String())
	from, _ := strconv.Atoi(r.Query["$skipToken"])
	from = min(max(0, from), len(keys))
	to := min(from+keyPage, len(keys))
	value := []any{}
	for _, k := range keys[from:to] {
		value = append(value, k.document(provider.Text(doc, "properties", "endpoint")))
	}
	body := map[string]any{"value": value}
	if to < len(keys) {
		body["nextLink"] = p.cloud.URL() + r.ID.String() + "/listKeys?api-version=" + r.APIVersion + "&$skipToken=" + strconv.Itoa(to)
	}
	return &provider.Answer{Status: http.StatusOK, Body: body}, nil
}

func (p *Provider) regenerateKey(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	keys := p.keys(r.ID.String())
	at := slices.IndexFunc(keys, func(k accessKey) bool { return strings.EqualFold(k.ID, provider.Text(r.Body, "id")) })
	if at < 0 {
		return nil, provider.BadRequest("InvalidRequestContent", "The id names none of the store's keys.")
	}
	keys[at].Value, keys[at].Modified = newSecret(), p.cloud.Now().UTC()
	private := p.cloud.Store().Private(r.ID.String())
	private[keysKey] = encode(keys)
	p.cloud.Store().SetPrivate(r.ID.String(), private)
	return &provider.Answer{Status: http.StatusOK, Body: keys[at].document(provider.Text(doc, "properties", "endpoint"))}, nil
}
