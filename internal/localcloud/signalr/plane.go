package signalr

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

// bodyLimit is more than the services take in one message.
const bodyLimit = 1 << 20

// plane answers for one service.
type plane struct {
	cloud    provider.Cloud
	accounts *service.Accounts
	flavour  flavour
	id       string
	hubs     *hubs
	mux      *http.ServeMux
}

// route is one request a service answers.
type route struct {
	pattern string
	network string // request kind of network rules; empty for requests that all may make
	action  string // data action below the resource type; empty for requests without sign-in
	answer  func(p *plane, w http.ResponseWriter, r *http.Request, who caller)
}

// caller is who has signed in.
type caller struct {
	user   string        // subject of a client token
	claims jwt.MapClaims // of a token signed with a key; nil for an Entra token
}

func newPlane(cloud provider.Cloud, accounts *service.Accounts, f flavour, resourceID string) *plane {
	p := &plane{cloud: cloud, accounts: accounts, flavour: f, id: resourceID, hubs: newHubs(), mux: http.NewServeMux()}
	for _, route := range f.routes(p) {
		p.mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, route) })
	}
	return p
}

// ServeHTTP answers one request.
func (p *plane) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

func (p *plane) serve(w http.ResponseWriter, r *http.Request, rt route) {
	doc, ok := p.cloud.Store().Get(p.id)
	if !ok {
		http.Error(w, "The service is gone.", http.StatusNotFound)
		return
	}
	if rt.network != "" && !admits(doc, service.Caller(r), rt.network) {
		http.Error(w, "The request is denied by the network access control of the service.", http.StatusForbidden)
		return
	}
	who, status := caller{}, http.StatusOK
	if rt.action != "" {
		who, status = p.signIn(doc, r, rt.action)
	}
	if status != http.StatusOK {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		w.WriteHeader(status)
		return
	}
	rt.answer(p, w, r, who)
}

// signIn checks the bearer of a request: a token signed with one of the keys, made for
// the very address asked for, or an Entra token whose principal has the data action.
func (p *plane) signIn(doc provider.Document, r *http.Request, action string) (caller, int) {
	token := service.Bearer(r)
	if token == "" && action == clientConnection {
		token = r.URL.Query().Get("access_token") // browsers send no headers with a web socket
	}
	if !flag(doc, "disableLocalAuth") {
		if claims, ok := p.signed(token, address(r)); ok {
			user, _ := claims.GetSubject()
			if user == "" {
				user, _ = claims["nameid"].(string)
			}
			return caller{user: user, claims: claims}, http.StatusOK
		}
	}
	if flag(doc, "disableAadAuth") || action == clientConnection {
		return caller{}, http.StatusUnauthorized
	}
	base := strings.TrimSuffix(p.cloud.URL(), "/") + "/" + p.flavour.local
	claims, err := p.cloud.Directory().Verify(token, p.flavour.audience, p.flavour.audience+"/", base, base+"/")
	if err != nil {
		return caller{}, http.StatusUnauthorized
	}
	if !p.cloud.Authorizer().Allowed(claims.ObjectID, p.flavour.kind+"/"+action, p.id, true) {
		return caller{}, http.StatusForbidden
	}
	return caller{}, http.StatusOK
}

// clientConnection stands for the sign-in of a client: with a token of the service only.
const clientConnection = "clientConnection"

// address is what a token for a request is made for: its URL without a query, but for the
// hub that a client names there.
func address(r *http.Request) string {
	at := "https://" + r.Host + r.URL.Path
	if hub := r.URL.Query().Get("hub"); hub != "" && strings.HasPrefix(r.URL.Path, "/client/") {
		at += "?hub=" + hub
	}
	return at
}

// signed verifies a token against both keys.
func (p *plane) signed(token, audience string) (jwt.MapClaims, bool) {
	for _, key := range p.accounts.Keys(p.id) {
		claims := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return []byte(key), nil },
			jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithAudience(audience), jwt.WithTimeFunc(p.cloud.Now))
		if err == nil && key != "" {
			return claims, true
		}
	}
	return nil, false
}

// sign makes a client token with the primary key.
func (p *plane) sign(audience, user string, life time.Duration, more map[string]any) (string, error) {
	now := p.cloud.Now()
	claims := jwt.MapClaims{"aud": audience, "iat": now.Unix(), "exp": now.Add(life).Unix()}
	if user != "" {
		claims["sub"] = user
	}
	for name, value := range more {
		claims[name] = value
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(p.accounts.Keys(p.id)[primary]))
}

func flag(doc provider.Document, member string) bool {
	on, _ := provider.At(doc, "properties", member).(bool)
	return on
}

// body reads what a request sends, at most bodyLimit.
func body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		http.Error(w, "The message is too large.", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	return raw, true
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v) // a client that has gone needs no answer
}

func exists(w http.ResponseWriter, found bool) {
	if !found {
		w.WriteHeader(http.StatusNotFound)
	}
}

// versioned tells whether a request names a version of the data plane's interface.
func versioned(w http.ResponseWriter, r *http.Request, known ...string) bool {
	if slices.Contains(known, r.URL.Query().Get("api-version")) {
		return true
	}
	http.Error(w, "The api-version is missing or not known.", http.StatusBadRequest)
	return false
}
