package cognitive

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

// publicAudience is what tokens for Azure's accounts are made for.
const publicAudience = "https://cognitiveservices.azure.com"

// plane answers for one account.
type plane struct {
	cloud    provider.Cloud
	accounts *service.Accounts
	id       string
	mux      *http.ServeMux
}

// route is one request an account answers.
type route struct {
	pattern string
	kinds   []string // kinds of account that have it; none means all
	action  string   // data action below the type; empty for what only a key may do
	answer  func(p *plane, w http.ResponseWriter, r *http.Request)
}

// models are the kinds of account that hold models.
var models = []string{"OpenAI", "AIServices"}

// routes are the requests of accounts.
func routes() []route {
	return []route{
		{"GET /openai/models", models, "OpenAI/models/read", listModels},
		{"GET /openai/models/{model}", models, "OpenAI/models/read", oneModel},
		{"POST /openai/deployments/{deployment}/chat/completions", models, "OpenAI/deployments/chat/completions/action", chat},
		{"GET /vision/v3.2/models", []string{"CognitiveServices", "AIServices", "ComputerVision"}, "ComputerVision/models/read", visionModels},
		{"POST /sts/v1.0/issueToken", nil, "", issueToken},
	}
}

func newPlane(cloud provider.Cloud, accounts *service.Accounts, resourceID string) *plane {
	p := &plane{cloud: cloud, accounts: accounts, id: resourceID, mux: http.NewServeMux()}
	for _, rt := range routes() {
		p.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, rt) })
	}
	p.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { refuse(w, notThere) })
	return p
}

// ServeHTTP answers one request: the network is judged before anything else.
func (p *plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	doc, ok := p.cloud.Store().Get(p.id)
	if !ok {
		refuse(w, notThere)
		return
	}
	if no := network(doc, r); no != nil {
		refuse(w, no)
		return
	}
	p.mux.ServeHTTP(w, r)
}

func (p *plane) serve(w http.ResponseWriter, r *http.Request, rt route) {
	doc, _ := p.cloud.Store().Get(p.id)
	if rt.kinds != nil && !slices.Contains(rt.kinds, provider.Text(doc, "kind")) {
		refuse(w, notThere)
		return
	}
	if no := p.signIn(doc, r, rt); no != nil {
		refuse(w, no)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/openai/") && r.URL.Query().Get("api-version") == "" {
		refuse(w, notThere)
		return
	}
	rt.answer(p, w, r)
}

// refusal is an answer that says no.
type refusal struct {
	status        int
	code, message string
}

// Refusals; their words are from memory of the service.
var (
	notThere     = &refusal{http.StatusNotFound, "404", "Resource not found"}
	badKey       = &refusal{http.StatusUnauthorized, "401", "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."}
	badToken     = &refusal{http.StatusUnauthorized, "Unauthorized", "Access token is missing, invalid, audience is incorrect, or have expired."}
	keysOff      = &refusal{http.StatusForbidden, "AuthenticationTypeDisabled", "Key based authentication is disabled for this resource."}
	noSubdomain  = &refusal{http.StatusBadRequest, "BadRequest", "Please provide a custom subdomain for token authentication, otherwise API key is required."}
	publicOff    = &refusal{http.StatusForbidden, "403", "Public access is disabled. Please configure private endpoint."}
	wall         = &refusal{http.StatusForbidden, "403", "Access denied due to Virtual Network/Firewall rules."}
	noDeployment = &refusal{http.StatusNotFound, "DeploymentNotFound", "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."}
	badBody      = &refusal{http.StatusBadRequest, "BadRequest", "The request needs a list of messages, each with role and content."}
)

func refuse(w http.ResponseWriter, no *refusal) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(no.status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": no.code, "message": no.message}}) // a client that has gone needs no answer
}

// network tells why an address may not speak to an account; nil when it may.
func network(doc provider.Document, r *http.Request) *refusal {
	if provider.Text(doc, "properties", "publicNetworkAccess") == "Disabled" {
		return publicOff
	}
	if provider.Text(doc, "properties", "networkAcls", "defaultAction") != "Deny" {
		return nil
	}
	rules, _ := provider.At(doc, "properties", "networkAcls", "ipRules").([]any)
	for _, rule := range rules {
		m, _ := rule.(map[string]any)
		if a, err := service.ParseAddresses(provider.Text(m, "value")); err == nil && a.Holds(service.Caller(r)) {
			return nil
		}
	}
	return wall
}

// signIn tells why a request is not let in; nil when it is. A key goes before a token.
func (p *plane) signIn(doc provider.Document, r *http.Request, rt route) *refusal {
	for _, header := range []string{"api-key", "Ocp-Apim-Subscription-Key"} {
		key := r.Header.Get(header)
		off, _ := provider.At(doc, "properties", "disableLocalAuth").(bool)
		switch {
		case key == "":
			continue
		case !p.accounts.IsKey(p.id, key):
			return badKey
		case off:
			return keysOff
		}
		return nil
	}
	token := service.Bearer(r)
	if token == "" || rt.action == "" {
		return badKey
	}
	if p.bought(token) {
		return nil
	}
	return p.entra(doc, token, r, rt)
}

func (p *plane) entra(doc provider.Document, token string, r *http.Request, rt route) *refusal {
	base := strings.TrimSuffix(p.cloud.URL(), "/") + "/cognitive"
	claims, err := p.cloud.Directory().Verify(token, publicAudience, publicAudience+"/", base, base+"/")
	switch {
	case err != nil:
		return badToken
	case provider.Text(doc, "properties", "customSubDomainName") == "":
		return noSubdomain
	case !p.cloud.Authorizer().Allowed(claims.ObjectID, accountType+"/"+rt.action, p.id, true):
		return &refusal{http.StatusUnauthorized, "PermissionDenied", "The principal `" + claims.ObjectID + "` lacks the required data action `" + accountType + "/" + rt.action + "` to perform `" + r.Method + " " + r.URL.Path + "` operation."}
	}
	return nil
}

// boughtLife is how long a token bought with a key lives.
const boughtLife = 10 * time.Minute

// issueToken sells a token for a key.
func issueToken(p *plane, w http.ResponseWriter, _ *http.Request) {
	claims := jwt.MapClaims{"aud": "urn:ms.cognitiveservices", "exp": p.cloud.Now().Add(boughtLife).Unix()}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(p.accounts.Keys(p.id)[key1]))
	if err != nil {
		refuse(w, badKey)
		return
	}
	w.Header().Set("Content-Type", "application/jwt")
	_, _ = w.Write([]byte(token)) // a client that has gone needs no answer
}

// bought tells whether a token was sold by issueToken and still lives.
func (p *plane) bought(token string) bool {
	_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte(p.accounts.Keys(p.id)[key1]), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithAudience("urn:ms.cognitiveservices"), jwt.WithTimeFunc(p.cloud.Now))
	return err == nil
}
