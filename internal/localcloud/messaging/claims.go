package messaging

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// denial is why a client is not let in, in the service's words.
type denial string

func (d denial) Error() string { return string(d) }

const (
	errSignature = denial("InvalidSignature: The token has an invalid signature.")
	errExpired   = denial("ExpiredToken: The token is expired.")
	errAudience  = denial("InvalidAudience: The authorization header contains a token for a wrong audience.")
	errLocalAuth = denial("LocalAuthDisabled: Authorization failed because SAS authentication has been disabled for the namespace.")
	errToken     = denial("InvalidIssuer: Token issuer is invalid or the token does not verify.")
	errMalformed = denial("MalformedToken: The token is not a shared access signature or a web token.")
)

// pass is what somebody has shown: the rights of a rule, or a principal whose
// rights are asked for whenever they matter.
type pass struct {
	path     []string // folded; what it is good for and everything below
	rights   []string // of a rule
	objectID string
	expires  time.Time // zero: as long as the connection
}

// covers tells whether a path lies at or below the pass's own.
func (s pass) covers(path []string) bool {
	if len(s.path) > 0 && strings.HasPrefix(s.path[len(s.path)-1], "$") { // of a management node: for its entity
		s.path = s.path[:len(s.path)-1]
	}
	return len(path) >= len(s.path) && slices.Equal(path[:len(s.path)], s.path)
}

// dataActions are what principals need, by right. Both services name them alike.
var dataActions = map[string]string{listen: "/messages/receive/action", send: "/messages/send/action", manage: "/messages/manage/action"}

// allows tells whether a pass holds a right on a path now.
func (p *plane) allows(s pass, right string, path []string) bool {
	if !s.covers(path) || !s.expires.IsZero() && !p.provider.cloud.Now().Before(s.expires) {
		return false
	}
	if s.objectID == "" {
		return slices.Contains(s.rights, right)
	}
	scope := p.id
	if i, ok := p.entity(path); ok {
		scope = i
	}
	return p.provider.cloud.Authorizer().Allowed(s.objectID, p.provider.namespace+dataActions[right], scope.String(), true)
}

// entity finds the event hub, queue or topic that a path starts with.
func (p *plane) entity(path []string) (id.ID, bool) {
	if len(path) == 0 {
		return id.ID{}, false
	}
	for kind, e := range p.provider.entities {
		if i := p.id.Child(kind, path[0]); e.ruled {
			if doc, ok := p.provider.cloud.Store().Get(i.String()); ok {
				return id.MustParse(provider.Text(doc, "id")), true
			}
		}
	}
	return id.ID{}, false
}

// keysOff tells whether the namespace takes no shared access signatures.
func (p *plane) keysOff() bool {
	doc, ok := p.provider.cloud.Store().Get(p.id.String())
	return !ok || flag(doc, "properties", "disableLocalAuth")
}

// rule is an authorization rule with its keys and what it is good for.
type rule struct {
	path   []string
	rights []string
	keys   []string
}

// rules finds the rules of a name that may speak for a path, the nearest first.
func (p *plane) rules(name string, path []string) []rule {
	var found []rule
	store := p.provider.cloud.Store()
	look := func(parent id.ID, at []string) {
		i := parent.Child("authorizationRules", name).String()
		doc, ok := store.Get(i)
		if !ok || provider.Text(doc, "name") != name { // names of keys are compared to the letter
			return
		}
		r := rule{path: at}
		rights, _ := provider.At(doc, "properties", "rights").([]any)
		for _, right := range rights {
			text, _ := right.(string)
			r.rights = append(r.rights, text)
		}
		private := store.Private(i)
		for _, k := range keyNames {
			r.keys = append(r.keys, private[k])
		}
		found = append(found, r)
	}
	if name == "" {
		return nil
	}
	if i, ok := p.entity(path); ok {
		look(i, []string{id.Fold(i.Name())})
	}
	look(p.id, nil)
	return found
}

// withKey lets somebody in who has the key itself.
func (p *plane) withKey(name, key string, path []string) (pass, error) {
	if p.keysOff() {
		return pass{}, errLocalAuth
	}
	for _, r := range p.rules(name, path) {
		for _, k := range r.keys {
			if k != "" && subtle.ConstantTimeCompare([]byte(k), []byte(key)) == 1 {
				return pass{path: r.path, rights: r.rights}, nil
			}
		}
	}
	return pass{}, errSignature
}

// withConnectionString lets somebody in who has the key in a connection string.
func (p *plane) withConnectionString(text string) (pass, error) {
	parts := map[string]string{}
	for _, member := range strings.Split(text, ";") {
		name, value, _ := strings.Cut(member, "=")
		parts[strings.ToLower(strings.TrimSpace(name))] = value
	}
	if signature := parts["sharedaccesssignature"]; signature != "" {
		return p.withSignature(signature)
	}
	path := segments(parts["entitypath"])
	s, err := p.withKey(parts["sharedaccesskeyname"], parts["sharedaccesskey"], path)
	if len(path) > 0 {
		s.path = path
	}
	return s, err
}

// signatureScheme is the word a shared access signature begins with.
const signatureScheme = "SharedAccessSignature"

// withSignature lets somebody in who shows "SharedAccessSignature sr=…&sig=…&se=…&skn=…".
// What is signed is the resource in the very spelling of the token, and its end.
func (p *plane) withSignature(token string) (pass, error) {
	scheme, query, _ := strings.Cut(token, " ")
	if scheme != signatureScheme {
		return pass{}, errMalformed
	}
	raw := map[string]string{}
	for _, member := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(member, "=")
		raw[name] = value
	}
	signature, err1 := url.QueryUnescape(raw["sig"])
	name, err2 := url.QueryUnescape(raw["skn"])
	resource, err3 := url.QueryUnescape(raw["sr"])
	end, err4 := strconv.ParseInt(raw["se"], 10, 64)
	given, err5 := base64.StdEncoding.DecodeString(signature)
	if errors.Join(err1, err2, err3, err4, err5) != nil {
		return pass{}, errMalformed
	}
	if p.keysOff() {
		return pass{}, errLocalAuth
	}
	path, ok := p.resource(resource)
	if !ok {
		return pass{}, errAudience
	}
	expires := time.Unix(end, 0)
	if !p.provider.cloud.Now().Before(expires) {
		return pass{}, errExpired
	}
	r, ok := p.signer(name, path, raw["sr"]+"\n"+raw["se"], given)
	if !ok {
		return pass{}, errSignature
	}
	if len(path) < len(r.path) {
		path = r.path
	}
	return pass{path: path, rights: r.rights, expires: expires}, nil
}

// signer finds the rule whose key made a signature.
func (p *plane) signer(name string, path []string, signed string, signature []byte) (rule, bool) {
	for _, r := range p.rules(name, path) {
		for _, key := range r.keys {
			mac := hmac.New(sha256.New, []byte(key))
			mac.Write([]byte(signed))
			if key != "" && hmac.Equal(mac.Sum(nil), signature) {
				return r, true
			}
		}
	}
	return rule{}, false
}

// resource is the path of a signed resource, when it names this namespace.
func (p *plane) resource(text string) ([]string, bool) {
	if !strings.Contains(text, "://") {
		text = "sb://" + text
	}
	u, err := url.Parse(text)
	if err != nil || !strings.EqualFold(u.Hostname(), p.address) {
		return nil, false
	}
	return segments(u.Path), true
}

// withToken lets a principal in, for what its roles say.
func (p *plane) withToken(token string) (pass, error) {
	c := p.provider
	var audiences []string
	for _, a := range []string{c.audience, "https://" + p.address, "sb://" + p.address, strings.TrimSuffix(c.cloud.URL(), "/") + "/" + c.word} {
		audiences = append(audiences, a, a+"/")
	}
	claims, err := c.cloud.Directory().Verify(token, audiences...)
	if err != nil {
		return pass{}, errToken
	}
	return pass{objectID: claims.ObjectID, expires: claims.Expires}, nil
}

// segments splits an address of the data plane into folded names. Some clients
// write whole URLs.
func segments(address string) []string {
	if _, rest, isURL := strings.Cut(address, "://"); isURL {
		_, address, _ = strings.Cut(rest, "/")
	}
	var names []string
	for _, name := range strings.Split(address, "/") {
		if name != "" {
			names = append(names, id.Fold(name))
		}
	}
	return names
}
