package arm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// HTTPClient makes the HTTP client used for ARM and sign-in. roots nil means the
// machine's own certificates.
func HTTPClient(roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dialer.DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 90 * time.Second, // ARM's front door gives up after 60
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       90 * time.Second,
		},
		// A redirect would carry the token along; ARM answers none that we need.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// busy tells whether a 409's code means: another change of the same thing is
// under way, ask again.
func busy(code string) bool {
	return slices.Contains([]string{"AnotherOperationInProgress", "ServerIsBusy", "ConflictingServerOperation"}, code)
}

func retryOptions(o Options) policy.RetryOptions {
	tries := o.MaxTries
	if tries <= 0 {
		tries = DefaultMaxTries
	}
	options := policy.RetryOptions{
		MaxRetries:    int32(tries - 1),
		RetryDelay:    o.RetryDelay,
		MaxRetryDelay: o.MaxRetryDelay,
		ShouldRetry:   transient,
	}
	if options.MaxRetries == 0 {
		options.MaxRetries = -1 // azcore's way to say none
	}
	if options.RetryDelay == 0 {
		options.RetryDelay = DefaultRetryDelay
	}
	if options.MaxRetryDelay == 0 {
		options.MaxRetryDelay = DefaultMaxRetryDelay
	}
	return options
}

// transient tells whether asking again can help.
func transient(resp *http.Response, err error) bool {
	switch {
	case err != nil:
		return true
	case resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode == http.StatusTooManyRequests:
		return true
	case resp.StatusCode == http.StatusConflict:
		return busy(errorCode(resp))
	case resp.StatusCode == http.StatusPreconditionFailed:
		// Cosmos DB says so while another write of the account runs; with a condition of
		// our own it means what it says.
		return resp.Request != nil && resp.Request.Header.Get("If-Match") == "" && resp.Request.Header.Get("If-None-Match") == ""
	}
	return resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented
}

// refusedUnread is the rule for calls that must not run twice: only an answer
// that says nothing was done is tried again.
func refusedUnread(resp *http.Response, err error) bool {
	return err == nil && resp.StatusCode == http.StatusTooManyRequests
}

// repeatable tells whether a call may be sent twice: all but actions, of which
// the listing ones only read.
func repeatable(method, path string) bool {
	if method != http.MethodPost {
		return true
	}
	path, _, _ = strings.Cut(path, "?")
	last := path[strings.LastIndex(path, "/")+1:]
	return len(last) >= 4 && strings.EqualFold(last[:4], "list")
}

func errorCode(resp *http.Response) string {
	body, err := runtime.Payload(resp)
	if err != nil {
		return ""
	}
	var envelope errorEnvelope
	if json.Unmarshal(body, &envelope) != nil {
		return ""
	}
	return envelope.Error.Code
}

type correlationKey struct{}

// WithCorrelation makes every call under ctx carry x-ms-correlation-request-id.
func WithCorrelation(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, correlationKey{}, id)
}

type correlate struct{}

func (correlate) Do(req *policy.Request) (*http.Response, error) {
	if id, _ := req.Raw().Context().Value(correlationKey{}).(string); id != "" {
		req.Raw().Header.Set("x-ms-correlation-request-id", id)
	}
	return req.Next()
}

// observe reports each try to the observer.
type observe struct {
	tell   func(Call)
	bodies bool
}

func (p observe) Do(req *policy.Request) (*http.Response, error) {
	if p.tell == nil {
		return req.Next()
	}
	raw := req.Raw()
	call := Call{Method: raw.Method, Path: raw.URL.Path, APIVersion: raw.URL.Query().Get("api-version"), Started: time.Now()}
	if p.bodies && req.Body() != nil {
		if body, err := io.ReadAll(req.Body()); err == nil {
			call.Body = body
		}
		if err := req.RewindBody(); err != nil {
			return nil, err
		}
	}
	resp, err := req.Next()
	call.Duration = time.Since(call.Started)
	if resp != nil {
		call.Status = resp.StatusCode
	}
	p.tell(call)
	return resp, err
}

// signIn marks errors of the credential, so that they are told apart from a
// cloud that cannot be reached.
type signIn struct{ azcore.TokenCredential }

type signInError struct{ error }

func (e *signInError) Unwrap() error { return e.error }

func (s signIn) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := s.TokenCredential.GetToken(ctx, o)
	if err != nil && ctx.Err() == nil {
		err = &signInError{err}
	}
	return token, err
}
