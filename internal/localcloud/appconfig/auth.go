package appconfig

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// audiences are what tokens for Azure's stores are made for; a store's own endpoint is
// another one.
var audiences = []string{"https://azconfig.io", "https://appconfig.azure.com"}

// clockSkew is how far a signed request's date may lie from now.
const clockSkew = 15 * time.Minute

// What an operation does to key-values, as the data actions end.
const (
	reads   = "read"
	writes  = "write"
	deletes = "delete"
)

// authorize decides whether a request may do an operation; nil means it may.
func (p *plane) authorize(r *http.Request, store provider.Document, body []byte, verb string) *planeError {
	if strings.EqualFold(provider.Text(store, "properties", "publicNetworkAccess"), "Disabled") {
		return errPublic
	}
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "HMAC-SHA256"):
		return p.checkSignature(r, credential, body, verb)
	case strings.EqualFold(scheme, "Bearer"):
		return p.checkToken(credential, verb)
	}
	return errUnauthorized
}

func unauthorized(why string) *planeError {
	e := *errUnauthorized
	e.detail = why
	return &e
}

func (p *plane) checkToken(token, verb string) *planeError {
	var accepted []string
	for _, a := range append([]string{p.endpoint()}, audiences...) {
		accepted = append(accepted, a, a+"/")
	}
	claims, err := p.provider.cloud.Directory().Verify(token, accepted...)
	if err != nil {
		return unauthorized("The access token's signature, audience or lifetime does not hold.")
	}
	if !p.provider.cloud.Authorizer().Allowed(claims.ObjectID, keyValueType+"/"+verb, p.id, true) {
		return errForbidden
	}
	return nil
}

// checkSignature verifies an HMAC-SHA256 signature over verb, path and query, and the
// headers that the client names; date, host and content hash must be among them.
func (p *plane) checkSignature(r *http.Request, credential string, body []byte, verb string) *planeError {
	given := parameters(credential)
	keys := p.provider.keys(p.id)
	at := slices.IndexFunc(keys, func(k accessKey) bool { return k.ID == given["credential"] })
	names := strings.Split(strings.ToLower(given["signedheaders"]), ";")
	dated := slices.Contains(names, "date") || slices.Contains(names, "x-ms-date")
	switch {
	case at < 0:
		return unauthorized("Invalid Credential")
	case !dated || !slices.Contains(names, "host") || !slices.Contains(names, "x-ms-content-sha256"):
		return unauthorized("date, host and x-ms-content-sha256 are required as signed headers")
	case !fresh(r, time.Now()):
		return unauthorized("The access token has expired")
	}
	sum := sha256.Sum256(body)
	if r.Header.Get("x-ms-content-sha256") != base64.StdEncoding.EncodeToString(sum[:]) {
		return unauthorized("Invalid request content hash")
	}
	if !signs(keys[at].Value, stringToSign(r, names), given["signature"]) {
		return unauthorized("Invalid Signature")
	}
	if keys[at].ReadOnly && verb != reads {
		return errForbidden
	}
	return nil
}

// parameters reads "Credential=..., SignedHeaders=..., Signature=..."; clients put
// commas or ampersands between them.
func parameters(credential string) map[string]string {
	out := map[string]string{}
	for _, part := range strings.FieldsFunc(credential, func(c rune) bool { return c == '&' || c == ',' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		out[strings.ToLower(name)] = value
	}
	return out
}

// stringToSign takes path and query as they were sent, percent signs and all.
func stringToSign(r *http.Request, names []string) string {
	values := make([]string, len(names))
	for n, name := range names {
		values[n] = r.Header.Get(name)
		if name == "host" {
			values[n] = r.Host
		}
	}
	return r.Method + "\n" + r.RequestURI + "\n" + strings.Join(values, ";")
}

func signs(secret, text, signature string) bool {
	key, err1 := base64.StdEncoding.DecodeString(secret)
	given, err2 := base64.StdEncoding.DecodeString(signature)
	if err1 != nil || err2 != nil || len(key) == 0 {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return hmac.Equal(mac.Sum(nil), given)
}

// fresh uses the machine's clock, as the client did, not the cloud's.
func fresh(r *http.Request, now time.Time) bool {
	date := r.Header.Get("x-ms-date")
	if date == "" {
		date = r.Header.Get("Date")
	}
	at, err := parseDate(date)
	return err == nil && now.Sub(at).Abs() <= clockSkew
}

// pythonDate is what the Python client library sends as its date, and the service takes.
const pythonDate = "Jan, 02 2006 15:04:05.000000 GMT"

func parseDate(text string) (time.Time, error) {
	if at, err := http.ParseTime(text); err == nil {
		return at, nil
	}
	return time.Parse(pythonDate, text)
}
