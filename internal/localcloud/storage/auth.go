package storage

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/tables"
)

// publicAudience is what tokens for Azure's storage are made for.
const publicAudience = "https://storage.azure.com"

// clockSkew is how far a signed request's date may lie from now.
const clockSkew = 15 * time.Minute

// challengeSince is the first protocol version that answers a missing
// authorization with a challenge instead of pretending nothing is there.
const challengeSince = "2019-12-12"

// demand is what an operation asks of a caller with a token: one of several sets
// of rights, each of which has to be held whole, at a scope below the account.
type demand struct {
	service string // blob, queue, table, file
	below   string // path of the thing below the service
	anyOf   [][]string
	data    bool // the rights are data actions
}

// one is a demand for a single right.
func one(right string) [][]string { return [][]string{{right}} }

// authorize decides whether a request may do an operation on blobs; nil means it may.
func (a *account) authorize(r *http.Request, op *operation, t target) *wireError {
	d := demand{service: "blob", anyOf: one(op.right), data: op.data}
	if t.container != "" {
		d.below = "/containers/" + t.container
	}
	refused := a.admit(r, d)
	if refused == errNoAuthentication {
		doc, _ := a.cloud.Store().Get(a.id)
		return a.anonymous(r, op, t, flag(doc, false, "properties", "allowBlobPublicAccess"))
	}
	return refused
}

// admit decides by network rules, key or token; nil means the request may go on.
// Requests without any credential are errNoAuthentication.
func (a *account) admit(r *http.Request, d demand) *wireError {
	doc, ok := a.cloud.Store().Get(a.id)
	if !ok {
		return errResourceNotFound
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !admits(doc, from.Addr()) {
		return errNetwork
	}
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	build, isKey := signatures[strings.ToLower(d.service+" "+scheme)]
	switch {
	case isKey:
		if !flag(doc, true, "properties", "allowSharedKeyAccess") {
			return errKeysOff
		}
		return a.checkKey(r, strings.TrimSpace(credential), build)
	case strings.EqualFold(scheme, "Bearer"):
		return a.checkToken(credential, d)
	case scheme != "" || r.URL.Query().Has("sig"):
		return errAuthentication
	}
	return errNoAuthentication
}

// signatures are the schemes of each service with what their clients sign.
var signatures = map[string]func(r *http.Request, account string) string{
	"blob sharedkey": stringToSign, "queue sharedkey": stringToSign, "file sharedkey": stringToSign,
	"table sharedkey": tables.StringToSign, "table sharedkeylite": tables.StringToSignLite,
}

func (a *account) anonymous(r *http.Request, op *operation, t target, allowed bool) *wireError {
	if allowed && op.public != "" {
		c, ok := a.vault.container(t.container)
		if ok && (c.Access == "Container" || c.Access == op.public) {
			return nil
		}
	}
	switch {
	case r.Header.Get("x-ms-version") >= challengeSince:
		return errNoAuthentication
	case !allowed:
		return errPublicAccess
	}
	return errResourceNotFound
}

func (a *account) checkToken(token string, d demand) *wireError {
	base := strings.TrimSuffix(a.cloud.URL(), "/") + "/storage"
	own := strings.TrimSuffix(a.planes[d.service].endpoint(), "/")
	public := "https://" + a.name + "." + d.service + ".core.windows.net"
	var audiences []string
	for _, audience := range []string{publicAudience, base, own, public} {
		audiences = append(audiences, audience, audience+"/")
	}
	claims, err := a.cloud.Directory().Verify(token, audiences...)
	if err != nil {
		return errToken
	}
	scope := a.id + servicePath(d.service) + d.below
	for _, set := range d.anyOf {
		if !slices.ContainsFunc(set, func(right string) bool {
			return !a.cloud.Authorizer().Allowed(claims.ObjectID, right, scope, d.data)
		}) {
			return nil
		}
	}
	return errPermission
}

// checkKey verifies a signature, "account:signature", with either key.
func (a *account) checkKey(r *http.Request, credential string, build func(*http.Request, string) string) *wireError {
	name, signature, _ := strings.Cut(credential, ":")
	given, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || name != a.name || !fresh(r, time.Now()) {
		return errAuthentication
	}
	signed := []byte(build(r, a.name))
	secret := a.cloud.Store().Private(a.id)
	for _, keyName := range keyNames {
		key, err := base64.StdEncoding.DecodeString(secret[keyName])
		if err != nil || len(key) == 0 {
			continue
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(signed)
		if hmac.Equal(mac.Sum(nil), given) {
			return nil
		}
	}
	return errAuthentication
}

// fresh uses the machine's clock, as the client did, not the cloud's.
func fresh(r *http.Request, now time.Time) bool {
	date := r.Header.Get("x-ms-date")
	if date == "" {
		date = r.Header.Get("Date")
	}
	at, err := http.ParseTime(date)
	return err == nil && now.Sub(at).Abs() <= clockSkew
}

// signedHeaders are the standard headers of a signature, in its order.
var signedHeaders = []string{
	"Content-Encoding", "Content-Language", "Content-Length", "Content-Md5", "Content-Type", "Date",
	"If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range",
}

// stringToSign builds what a SharedKey client signs, in the form of protocol
// versions since 2015-02-21.
func stringToSign(r *http.Request, account string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n")
	for _, h := range signedHeaders {
		value := r.Header.Get(h)
		switch {
		case h == "Content-Length" && r.ContentLength > 0:
			value = strconv.FormatInt(r.ContentLength, 10)
		case h == "Content-Length":
			value = ""
		case h == "Date" && r.Header.Get("x-ms-date") != "":
			value = ""
		}
		b.WriteString(value + "\n")
	}
	b.WriteString(canonicalHeaders(r.Header))
	b.WriteString(canonicalResource(r, account))
	return b.String()
}

func canonicalHeaders(h http.Header) string {
	var names []string
	for name := range h {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ms-") {
			names = append(names, lower)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		values := h.Values(name)
		trimmed := make([]string, len(values))
		for n, v := range values {
			trimmed[n] = strings.TrimSpace(v)
		}
		b.WriteString(name + ":" + strings.Join(trimmed, ",") + "\n")
	}
	return b.String()
}

// canonicalResource takes the path as it was sent, percent signs and all.
func canonicalResource(r *http.Request, account string) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path == "" {
		path = "/"
	}
	query := map[string][]string{}
	for name, values := range parseQuery(r.URL.RawQuery) {
		lower := strings.ToLower(name)
		query[lower] = append(query[lower], values...)
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("/" + account + path)
	for _, name := range names {
		values := query[name]
		slices.Sort(values)
		b.WriteString("\n" + name + ":" + strings.Join(values, ","))
	}
	return b.String()
}

// parseQuery keeps what can be read; an unreadable part cannot match a signature.
func parseQuery(raw string) url.Values {
	values, _ := url.ParseQuery(raw)
	return values
}
