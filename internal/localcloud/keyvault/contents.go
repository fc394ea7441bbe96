package keyvault

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// transition is how long a delete or a recovery takes to be complete.
const transition = 150 * time.Millisecond

// contents is what one vault holds: secrets by folded name. It is kept under the
// vault's name, because it outlives the vault until that is purged.
type contents struct {
	Secrets map[string]*secret `json:"secrets"`
}

// secret is one name with its versions, oldest first. A deleted one keeps the name.
type secret struct {
	Name     string     `json:"name"`
	Versions []version  `json:"versions"`
	Deleted  *time.Time `json:"deleted,omitempty"`
	// Settled is when the last delete or recovery is complete.
	Settled time.Time `json:"settled"`
}

type version struct {
	ID          string            `json:"id"`
	Value       string            `json:"value"`
	ContentType string            `json:"contentType,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Enabled     bool              `json:"enabled"`
	NotBefore   int64             `json:"nbf,omitempty"`
	Expires     int64             `json:"exp,omitempty"`
	Created     int64             `json:"created"`
	Updated     int64             `json:"updated"`
}

func (s *secret) latest() *version { return &s.Versions[len(s.Versions)-1] }

// version finds one by id; "" is the latest.
func (s *secret) version(versionID string) *version {
	if versionID == "" {
		return s.latest()
	}
	at := slices.IndexFunc(s.Versions, func(v version) bool { return strings.EqualFold(v.ID, versionID) })
	if at < 0 {
		return nil
	}
	return &s.Versions[at]
}

func newVersionID() string {
	raw := make([]byte, 16)
	rand.Read(raw) //nolint:errcheck // never fails
	return hex.EncodeToString(raw)
}

const (
	contentsKey = "contents"
	portKey     = "port"
	documentKey = "document"
)

func contentsID(vault string) string { return "/_keyvault/contents/" + id.Fold(vault) }

// contents reads what a vault holds; nobody else's copy changes with it.
func (p *Provider) contents(vault string) *contents {
	c := &contents{}
	_ = json.Unmarshal([]byte(p.cloud.Store().Private(contentsID(vault))[contentsKey]), c) // written by keep; nothing yet is nothing
	if c.Secrets == nil {
		c.Secrets = map[string]*secret{}
	}
	return c
}

func (p *Provider) keep(vault string, c *contents) {
	raw, err := json.Marshal(c)
	if err != nil {
		panic(err) // our own types
	}
	p.cloud.Store().SetPrivate(contentsID(vault), map[string]string{contentsKey: string(raw)})
}

// rememberPort keeps a vault's port beside its document: an address stays.
func (p *Provider) rememberPort(resourceID, port string) {
	p.cloud.Store().SetPrivate(resourceID, map[string]string{portKey: port})
}

// remember keeps a deleted vault's document for its recovery.
func (p *Provider) remember(resourceID string, doc provider.Document) {
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(err) // came from JSON
	}
	p.cloud.Store().SetPrivate(resourceID, map[string]string{documentKey: string(raw)})
}

func (p *Provider) remembered(resourceID string) provider.Document {
	var doc provider.Document
	if json.Unmarshal([]byte(p.cloud.Store().Private(resourceID)[documentKey]), &doc) != nil {
		return nil
	}
	return doc
}
