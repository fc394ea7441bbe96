package front

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/directory"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// maxBody is the largest request body that resource management takes.
const maxBody = 4 << 20

const localPrefix = "/_local/"

// exchange is one request on its way through: the answer is held until it is
// complete, so that a fault can still replace it.
type exchange struct {
	r      *http.Request
	start  time.Time
	id     string
	caller string
	logged bool // a management call, as against sign-in and levers
	body   []byte

	status int
	header http.Header
	answer bytes.Buffer
}

// Header, WriteHeader and Write make an exchange an http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.header }

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
}

func (x *exchange) Write(p []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	return x.answer.Write(p)
}

func (x *exchange) set(r *reply) {
	x.status = r.status
	x.answer.Reset()
	for k, v := range r.header {
		x.header[k] = v
	}
	if raw, ok := r.body.([]byte); ok {
		x.answer.Write(raw)
	} else if r.body != nil {
		x.header.Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(&x.answer).Encode(r.body) // documents are JSON values
	}
}

// ServeHTTP answers everything under the endpoint.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{r: r, start: f.opts.Now(), id: uuid.NewString(), header: http.Header{}}
	f.standardHeaders(x)
	if strings.HasPrefix(r.URL.Path, localPrefix) {
		f.guard(x, f.serveLocal)
		f.finish(w, x)
		return
	}
	if drop := f.serveFaulty(x); drop {
		f.record(x, true)
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	f.record(x, false)
	f.finish(w, x)
}

// serveFaulty does the work between the faults that are to strike before and
// after it. It tells whether the connection is to be dropped.
func (f *Front) serveFaulty(x *exchange) (drop bool) {
	if before := f.faults.take(x.r.Method, x.r.URL.Path, whenBefore); before != nil {
		f.pause(x.r.Context(), before)
		if before.strikes() {
			x.logged = !isSignIn(x.r.URL.Path)
			x.set(before.reply())
			return before.Drop
		}
	}
	f.guard(x, f.serve)
	after := f.faults.take(x.r.Method, x.r.URL.Path, whenAfter)
	if after == nil {
		return false
	}
	f.pause(x.r.Context(), after)
	if after.strikes() {
		x.header.Del("Azure-AsyncOperation")
		x.header.Del("Location")
		x.set(after.reply())
	}
	return after.Drop
}

func isSignIn(path string) bool { return !strings.HasPrefix(strings.ToLower(path), "/subscriptions") }

func (f *Front) pause(ctx context.Context, i *injected) {
	if i.DelayMs <= 0 {
		return
	}
	select {
	case <-time.After(time.Duration(i.DelayMs) * time.Millisecond):
	case <-ctx.Done():
	}
}

// guard keeps a panic away from the client.
func (f *Front) guard(x *exchange, serve func(*exchange)) {
	defer func() {
		if v := recover(); v != nil {
			f.opts.Logf("%s %s: panic: %v\n%s", x.r.Method, x.r.URL.Path, v, debug.Stack())
			x.set(refusal(fault(http.StatusInternalServerError, "InternalServerError", "The server encountered an internal error. Please retry the request.")))
		}
	}()
	serve(x)
}

func (f *Front) standardHeaders(x *exchange) {
	correlation := x.r.Header.Get("X-Ms-Correlation-Request-Id")
	if correlation == "" {
		correlation = x.id
	}
	h := x.header
	h.Set("X-Ms-Request-Id", x.id)
	h.Set("X-Ms-Correlation-Request-Id", correlation)
	h.Set("X-Ms-Routing-Request-Id", "LOCAL:"+x.start.UTC().Format("20060102T150405Z")+":"+x.id)
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	if own := x.r.Header.Get("X-Ms-Client-Request-Id"); own != "" && strings.EqualFold(x.r.Header.Get("X-Ms-Return-Client-Request-Id"), "true") {
		h.Set("X-Ms-Client-Request-Id", own)
	}
}

func (f *Front) finish(w http.ResponseWriter, x *exchange) {
	for k, v := range x.header {
		w.Header()[k] = v
	}
	if x.status == 0 {
		x.status = http.StatusOK
	}
	w.WriteHeader(x.status)
	if x.r.Method != http.MethodHead && x.answer.Len() > 0 {
		_, _ = w.Write(x.answer.Bytes()) // the client has gone: nobody to tell
	}
}

// serve answers sign-in and management calls.
func (f *Front) serve(x *exchange) {
	if f.opts.Directory.Handle(x, x.r) {
		return
	}
	x.logged = true
	if h := f.mounted(x.r.URL.Path); h != nil {
		h.ServeHTTP(x, x.r)
		return
	}
	c, refused := f.admit(x)
	if refused != nil {
		x.set(refused)
		return
	}
	if r, ok := f.poll(x.r.Context(), c); ok {
		x.set(r)
		return
	}
	r := f.dispatch(x.r.Context(), c)
	if c.method == http.MethodHead && r.status == http.StatusOK {
		r = &reply{status: http.StatusNoContent}
	}
	x.set(r)
}

// admit turns a request into a call: who it is from, whether its path and body can
// be read at all, and whether it comes too fast.
func (f *Front) admit(x *exchange) (*call, *reply) {
	caller, refused := f.authenticate(x)
	if refused != nil {
		return nil, refused
	}
	path, ok := cleanPath(x.r.URL)
	if !ok {
		return nil, refusal(badURI(x.r.URL.Path))
	}
	switch x.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodDelete:
	default:
		return nil, refusal(notAllowed(x.r.Method, path))
	}
	body, bad := readBody(x)
	if bad != nil {
		return nil, refusal(bad)
	}
	c := &call{method: x.r.Method, path: path, query: x.r.URL.Query(), header: x.r.Header, body: body, caller: caller}
	if wait := f.limits.take(x, caller.ObjectID); wait > 0 {
		return nil, throttled(c, wait)
	}
	return c, nil
}

// authenticate verifies the bearer token.
func (f *Front) authenticate(x *exchange) (provider.Principal, *reply) {
	token, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return provider.Principal{}, f.unauthorized("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
	}
	claims, err := f.opts.Directory.Verify(strings.TrimSpace(token), f.opts.URL)
	switch {
	case errors.Is(err, directory.ErrWithdrawn):
		return provider.Principal{}, f.withdrawn()
	case errors.Is(err, directory.ErrExpired):
		return provider.Principal{}, f.unauthorized("ExpiredAuthenticationToken", "The access token has expired. Please sign in again to get a new one.")
	case err != nil:
		return provider.Principal{}, f.unauthorized("InvalidAuthenticationToken", "The access token is invalid: its signature, issuer or audience is not accepted here.")
	}
	p, ok := f.opts.Directory.Lookup(claims.ObjectID)
	if !ok {
		return p, f.unauthorized("InvalidAuthenticationToken", "The access token's principal no longer exists.")
	}
	x.caller = p.ObjectID
	return p, nil
}

// withdrawn refuses a token that was good when it was made. As with the real service
// the challenge carries claims: a client that still holds the token in its cache knows
// by them to ask for a new one.
func (f *Front) withdrawn() *reply {
	r := f.unauthorized("ExpiredAuthenticationToken", "The access token has expired. Please sign in again to get a new one.")
	claims := fmt.Sprintf(`{"access_token":{"nbf":{"essential":true,"value":"%d"}}}`, f.opts.Now().Unix())
	r.header.Set("Www-Authenticate", `Bearer realm="", authorization_uri="`+f.opts.URL+"/"+f.opts.Directory.Tenant()+
		`", error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(claims))+`"`)
	return r
}

func (f *Front) unauthorized(code, message string) *reply {
	r := refusal(fault(http.StatusUnauthorized, code, "%s", message))
	r.header = http.Header{"Www-Authenticate": {`Bearer authorization_uri="` + f.opts.URL + "/" + f.opts.Directory.Tenant() +
		`", error="invalid_token", error_description="` + message + `"`}}
	return r
}

// readBody reads a JSON object, or nothing.
func readBody(x *exchange) (provider.Document, *provider.Fault) {
	raw, err := io.ReadAll(io.LimitReader(x.r.Body, maxBody+1))
	if err != nil {
		return nil, badContent("the body ended early")
	}
	if len(raw) > maxBody || x.r.ContentLength > maxBody {
		return nil, fault(http.StatusRequestEntityTooLarge, "RequestContentTooLarge",
			"The request content size exceeds the maximum size of 4 MB.")
	}
	x.body = raw
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, nil
	}
	if kind := x.r.Header.Get("Content-Type"); kind != "" && !isJSON(kind) {
		return nil, fault(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The content media type '%s' is not supported. Only 'application/json' is supported.", kind)
	}
	body, err := decode(raw)
	if err != nil {
		return nil, badContent(err.Error())
	}
	return body, nil
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json"))
}

// record adds a management call to the request log.
func (f *Front) record(x *exchange, dropped bool) {
	if !x.logged {
		return
	}
	status := x.status
	if dropped {
		status = 0
	}
	e := Entry{Method: x.r.Method, Path: x.r.URL.Path, APIVersion: x.r.URL.Query().Get("api-version"), Status: status,
		Start: x.start.UTC(), DurationMs: float64(f.opts.Now().Sub(x.start).Microseconds()) / 1000,
		Caller: x.caller, UserAgent: x.r.UserAgent(), Dropped: dropped}
	if f.opts.RecordBodies {
		e.RequestBody, e.AnswerBody = string(x.body), x.answer.String()
	}
	f.log.add(e)
}
