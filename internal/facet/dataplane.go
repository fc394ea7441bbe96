package facet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/problem"
)

// DataPlane tells a driver how to reach a service's own protocol.
type DataPlane struct {
	// Token fetches a token of the service's audience.
	Token func(ctx context.Context) (string, error)
	// HTTP sends requests; it follows no redirects, because they carry the token.
	HTTP *http.Client
	// Patience bounds how long a write waits for the service to let the engine in, while
	// its role and its firewall rule are on their way.
	Patience Patience
}

// refusal is an answer of a data plane that is not a success.
type refusal struct {
	status      int
	code, inner string
	message     string
}

func (r *refusal) Error() string {
	code := r.inner
	if code == "" {
		code = r.code
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", r.status, code, strings.Join(strings.Fields(r.message), " ")))
}

// exchange is one request of a data plane and what came back.
type exchange struct {
	method, uri, contentType string
	header                   map[string]string
	body                     any
	into                     any // may be nil
}

const dataLimit = 1 << 20

// do sends a request. What is not a success comes as *refusal, what did not arrive as
// another error; neither holds a value.
func (d DataPlane) do(ctx context.Context, x exchange) (http.Header, error) {
	at, err := url.Parse(x.uri)
	if err != nil || at.Scheme != "https" || at.Host == "" {
		return nil, problem.New(problem.Internal, "", "the address of the store is not an https one").While(x.method)
	}
	var body io.Reader
	if x.body != nil {
		raw, err := json.Marshal(x.body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, x.method, x.uri, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	token, err := d.Token(ctx)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if x.body != nil {
		req.Header.Set("Content-Type", x.contentType)
	}
	for name, value := range x.header {
		req.Header.Set(name, value)
	}
	resp, err := d.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, dataLimit))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, readRefusal(resp.StatusCode, raw)
	}
	if x.into != nil {
		if err := json.Unmarshal(raw, x.into); err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
	}
	return resp.Header, nil
}

// readRefusal reads an error of Key Vault, or a problem document of App Configuration.
func readRefusal(status int, raw []byte) *refusal {
	var said struct {
		Error struct {
			Code, Message string
			Inner         struct{ Code string } `json:"innererror"`
		} `json:"error"`
		Title, Detail string
	}
	_ = json.Unmarshal(raw, &said) // what cannot be read says nothing
	r := &refusal{status: status, code: said.Error.Code, inner: said.Error.Inner.Code, message: said.Error.Message}
	if r.message == "" {
		r.message = strings.TrimSpace(said.Title + " " + said.Detail)
	}
	return r
}

// refusedWith tells whether an error is a refusal of that status, and returns it.
func refusedWith(err error, status int) (*refusal, bool) {
	r, ok := err.(*refusal) //nolint:errorlint // do returns it bare
	return r, ok && r.status == status
}

// closed tells whether the service does not let the engine in, yet.
func closed(err error) bool {
	switch e := err.(type) { //nolint:errorlint // do returns them bare
	case nil, *problem.Error:
		return false
	case *refusal:
		shut := e.status == http.StatusForbidden && e.inner != secretDisabled
		return shut || e.status == http.StatusUnauthorized || e.status >= http.StatusInternalServerError
	}
	return true
}

// asProblem puts a data plane's words into a problem about a resource.
func asProblem(err error, resource, attempt string) error {
	if r, ok := err.(*refusal); ok { //nolint:errorlint // do returns it bare
		return problem.New(problem.VaultRefused, resource, "the service answers %s", r.Error()).While(attempt)
	}
	return problem.New(problem.VaultRefused, resource, "the service does not answer").While(attempt).Because(err)
}
