package directory

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

var (
	errUnknownClient = errors.New("unknown client")
	errWrongSecret   = errors.New("wrong client secret")
)

// oauthError is a refusal in the words of RFC 6749, with the status and the
// directory's own error number.
type oauthError struct {
	status      int
	code        string
	number      int
	description string
}

const maxForm = 64 << 10

// Handle answers sign-in, metadata and directory lookups. It returns false, having
// written nothing, when the path is not one of its own.
func (d *Directory) Handle(w http.ResponseWriter, r *http.Request) bool {
	segments := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1.0/"):
		d.graph(w, r)
		return true
	case strings.EqualFold(r.URL.Path, "/metadata/endpoints"):
		d.metadata(w, r)
		return true
	case len(segments) < 2:
		return false
	}
	rest := strings.ToLower(strings.Join(segments[1:], "/"))
	serve, ok := map[string]func(w http.ResponseWriter, r *http.Request, authority string){
		".well-known/openid-configuration":      d.configuration,
		"v2.0/.well-known/openid-configuration": d.configuration,
		"oauth2/token":                          d.token,
		"oauth2/v2.0/token":                     d.token,
		"discovery/keys":                        d.keys,
		"discovery/v2.0/keys":                   d.keys,
		"discovery/instance":                    d.instance,
	}[rest]
	if !ok {
		return false
	}
	if !d.knows(segments[0]) {
		writeOAuthError(w, oauthError{http.StatusBadRequest, "invalid_request", 90002,
			"Tenant '" + segments[0] + "' not found. Check to make sure you have the correct tenant ID."})
		return true
	}
	serve(w, r, segments[0])
	return true
}

// knows tells whether a path's first segment names this directory.
func (d *Directory) knows(authority string) bool {
	switch strings.ToLower(authority) {
	case "adfs", "common", "organizations", d.tenant:
		return true
	}
	return false
}

func (d *Directory) configuration(w http.ResponseWriter, r *http.Request, authority string) {
	base, version := d.opts.URL+"/"+authority, "v2.0/"
	issuer := d.Issuer()
	if strings.EqualFold(authority, "adfs") {
		version, issuer = "", base
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                issuer,
		"authorization_endpoint":                base + "/oauth2/" + version + "authorize",
		"token_endpoint":                        base + "/oauth2/" + version + "token",
		"device_authorization_endpoint":         base + "/oauth2/" + version + "devicecode",
		"jwks_uri":                              base + "/discovery/" + version + "keys",
		"response_types_supported":              []string{"code", "id_token"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic", "private_key_jwt"},
		"tenant_region_scope":                   nil,
		"cloud_instance_name":                   strings.TrimPrefix(d.opts.URL, "https://"),
	})
}

func (d *Directory) keys(w http.ResponseWriter, _ *http.Request, _ string) {
	writeJSON(w, http.StatusOK, d.keySet())
}

func (d *Directory) instance(w http.ResponseWriter, _ *http.Request, _ string) {
	host := strings.TrimPrefix(d.opts.URL, "https://")
	writeJSON(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": d.opts.URL + "/" + d.tenant + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata":                  []any{map[string]any{"preferred_network": host, "preferred_cache": host, "aliases": []string{host}}},
	})
}

func (d *Directory) token(w http.ResponseWriter, r *http.Request, _ string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		writeOAuthError(w, oauthError{http.StatusBadRequest, "invalid_request", 900144, "The request must be a POST with a form as its body."})
		return
	}
	audience, refusal := requestedAudience(r)
	var p provider.Principal
	if refusal == nil {
		p, refusal = d.authenticate(r)
	}
	if refusal != nil {
		writeOAuthError(w, *refusal)
		return
	}
	token, expires, err := d.Token(p.ObjectID, audience)
	if err != nil {
		writeOAuthError(w, oauthError{http.StatusBadRequest, "unauthorized_client", 700016, err.Error()})
		return
	}
	seconds := int(expires.Sub(d.opts.Now()).Round(time.Second).Seconds()) - 1
	writeJSON(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds,
		"expires_on": strconv.FormatInt(expires.Unix(), 10), "resource": audience, "access_token": token,
	})
}

// requestedAudience reads the audience from a scope ("<audience>/.default", where
// an audience that ends in a slash gives two) or from the older resource field.
func requestedAudience(r *http.Request) (string, *oauthError) {
	if resource := r.PostForm.Get("resource"); resource != "" {
		return resource, nil
	}
	for _, scope := range strings.Fields(r.PostForm.Get("scope")) {
		if audience, ok := strings.CutSuffix(scope, "/.default"); ok && audience != "" {
			return audience, nil
		}
	}
	return "", &oauthError{http.StatusBadRequest, "invalid_scope", 1002012,
		"The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier."}
}

func (d *Directory) authenticate(r *http.Request) (provider.Principal, *oauthError) {
	if grant := r.PostForm.Get("grant_type"); grant != "client_credentials" {
		return provider.Principal{}, &oauthError{http.StatusBadRequest, "unsupported_grant_type", 70003,
			"The app requested an unsupported grant type '" + grant + "'."}
	}
	if r.PostForm.Get("client_assertion") != "" {
		return d.assert(r)
	}
	clientID, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		clientID, secret = user, password
	}
	p, err := d.signIn(clientID, secret)
	switch {
	case errors.Is(err, errUnknownClient):
		return p, &oauthError{http.StatusBadRequest, "unauthorized_client", 700016,
			"Application with identifier '" + clientID + "' was not found in the directory '" + d.tenant + "'."}
	case err != nil:
		return p, &oauthError{http.StatusUnauthorized, "invalid_client", 7000215,
			"Invalid client secret provided for app '" + clientID + "'."}
	}
	return p, nil
}

func writeOAuthError(w http.ResponseWriter, e oauthError) {
	number := strconv.Itoa(e.number)
	writeJSON(w, e.status, map[string]any{
		"error": e.code, "error_description": "AADSTS" + number + ": " + e.description,
		"error_codes": []int{e.number}, "timestamp": time.Now().UTC().Format("2006-01-02 15:04:05Z"),
		"trace_id": uuid.NewString(), "correlation_id": uuid.NewString(),
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone: nobody to tell
}
