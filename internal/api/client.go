package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Doer sends a request: an *http.Client, or InProcess.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Options are what a client needs.
type Options struct {
	Endpoint   string // https://host[:port], without a path
	HTTP       Doer
	Token      func(context.Context) (string, error) // nil: requests carry none
	APIVersion Version                               // of Microsoft.ServiceLinker; empty means Newest
}

// Client speaks to a server. Errors are *problem.Error, rebuilt from the answer's
// envelope. It may be used from many goroutines.
type Client struct{ options Options }

// NewClient makes a client.
func NewClient(o Options) *Client {
	if o.APIVersion == "" {
		o.APIVersion = Newest
	}
	o.Endpoint = strings.TrimRight(o.Endpoint, "/")
	return &Client{options: o}
}

// Response is an answer as it came.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Accepted is the answer to a change: the resource as it stands now (nil when
// the answer has no body), the operation that carries the change out, and the
// address of its status. Done means there was nothing to do.
type Accepted struct {
	Linker    map[string]any
	Operation string
	StatusURL string
	Done      bool
}

// PutOptions are what a PUT may say beside its body.
type PutOptions struct {
	NoKeepSecret bool // use the given secret and forget it
}

func (c *Client) linkerQuery() url.Values {
	return url.Values{"api-version": {string(c.options.APIVersion)}}
}

// Linker reads one linker by its id.
func (c *Client) Linker(ctx context.Context, id string) (map[string]any, error) {
	return c.object(ctx, http.MethodGet, id, c.linkerQuery(), nil)
}

// Linkers lists the linkers of a source, or the local connections of a location of
// ours, all pages.
func (c *Client) Linkers(ctx context.Context, source string) ([]map[string]any, error) {
	if isLocation(source) {
		return c.list(ctx, source+"/connectors", c.linkerQuery())
	}
	return c.list(ctx, source+"/providers/"+Provider+"/linkers", c.linkerQuery())
}

// list reads a collection page by page.
func (c *Client) list(ctx context.Context, path string, query url.Values) ([]map[string]any, error) {
	collection := path
	all := []map[string]any{}
	for {
		var page struct {
			Value    []map[string]any `json:"value"`
			NextLink string           `json:"nextLink"`
		}
		if err := c.call(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Value...)
		if page.NextLink == "" {
			return all, nil
		}
		next, err := url.Parse(page.NextLink)
		if err != nil {
			return nil, problem.New(problem.ARMRefused, collection, "the address of the next page cannot be read").Because(err)
		}
		path, query = next.Path, next.Query()
	}
}

// PutLinker creates or replaces a linker.
func (c *Client) PutLinker(ctx context.Context, id string, body map[string]any, o PutOptions) (*Accepted, error) {
	header := http.Header{}
	if o.NoKeepSecret {
		header.Set(NoKeepHeader, "true")
	}
	return c.accepted(ctx, http.MethodPut, id, c.linkerQuery(), header, body)
}

// PatchLinker changes some members of a linker.
func (c *Client) PatchLinker(ctx context.Context, id string, body map[string]any) (*Accepted, error) {
	return c.accepted(ctx, http.MethodPatch, id, c.linkerQuery(), nil, body)
}

// DeleteLinker deletes a linker; force writes off what cannot be removed.
func (c *Client) DeleteLinker(ctx context.Context, id string, force bool) (*Accepted, error) {
	query := c.linkerQuery()
	if force {
		query.Set(ForceParam, "true")
	}
	// A local connection's deletion is waited for by the server; we would rather follow it.
	return c.accepted(ctx, http.MethodDelete, id, query, http.Header{"Prefer": {"respond-async"}}, nil)
}

// ValidateLinker starts a validation; Status answers with its report.
func (c *Client) ValidateLinker(ctx context.Context, id string) (*Accepted, error) {
	if connection.IsLocal(id) {
		return c.accepted(ctx, http.MethodPost, id+"/validate", c.linkerQuery(), nil, nil)
	}
	return c.accepted(ctx, http.MethodPost, id+"/validateLinker", c.linkerQuery(), nil, nil)
}

// ListConfigurations returns the settings a linker stands for, secrets included. Those of
// a local connection are written nowhere; they are rendered.
func (c *Client) ListConfigurations(ctx context.Context, id string) ([]map[string]any, error) {
	if connection.IsLocal(id) {
		return c.GenerateConfigurations(ctx, id, "", nil)
	}
	var answer struct {
		Configurations []map[string]any `json:"configurations"`
	}
	err := c.call(ctx, http.MethodPost, id+"/listConfigurations", c.linkerQuery(), nil, &answer)
	return answer.Configurations, err
}

// Status reads the status of an operation by the address an Accepted carries; only
// its path and query count. A failed operation is its error.
func (c *Client) Status(ctx context.Context, statusURL string) (status map[string]any, done bool, err error) {
	at, err := url.Parse(statusURL)
	if err != nil {
		return nil, false, problem.New(problem.ARMRefused, statusURL, "the address of the operation cannot be read").Because(err)
	}
	response, err := c.send(ctx, http.MethodGet, at.Path, at.Query(), nil, nil)
	if err != nil {
		return nil, false, err
	}
	if err := json.Unmarshal(response.Body, &status); err != nil {
		return nil, false, unreadable(at.Path, err)
	}
	switch textOf(status, "status") {
	case "Failed", "Canceled":
		var failed ErrorBody
		_ = json.Unmarshal(response.Body, &failed) // an error without details is still an error
		return status, true, ProblemOf(http.StatusConflict, failed.Error)
	case "Succeeded":
		return status, true, nil
	}
	return status, false, nil
}

// Raw sends any request and returns the answer as it came; for an answer of 400
// and above the error is set as well. path may carry a query.
func (c *Client) Raw(ctx context.Context, method, path string, body []byte) (*Response, error) {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return c.exchange(ctx, method, c.options.Endpoint+path, nil, body)
}

func (c *Client) accepted(ctx context.Context, method, path string, query url.Values, header http.Header, body map[string]any) (*Accepted, error) {
	response, err := c.send(ctx, method, path, query, header, body)
	if err != nil {
		return nil, err
	}
	a := &Accepted{Operation: response.Header.Get(OperationHeader), StatusURL: response.Header.Get("Azure-AsyncOperation"), Done: response.Status == http.StatusNoContent}
	if len(response.Body) > 0 {
		if err := json.Unmarshal(response.Body, &a.Linker); err != nil {
			return nil, unreadable(path, err)
		}
	}
	return a, nil
}

func (c *Client) object(ctx context.Context, method, path string, query url.Values, body any) (map[string]any, error) {
	var out map[string]any
	err := c.call(ctx, method, path, query, body, &out)
	return out, err
}

// call sends a request and reads its JSON answer into out.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	response, err := c.send(ctx, method, path, query, nil, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(response.Body, out); err != nil {
		return unreadable(path, err)
	}
	return nil
}

func unreadable(path string, err error) error {
	return problem.New(problem.ARMRefused, path, "the server's answer is not the JSON that was expected").Because(err)
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values, header http.Header, body any) (*Response, error) {
	var raw []byte
	if !isNil(body) {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, problem.New(problem.BodyInvalid, path, "the body cannot be written as JSON").Because(err)
		}
	}
	return c.exchange(ctx, method, c.address(path, query), header, raw)
}

func isNil(body any) bool {
	object, ok := body.(map[string]any)
	return body == nil || ok && object == nil
}

func (c *Client) address(path string, query url.Values) string {
	at := url.URL{Path: "/" + strings.TrimLeft(path, "/"), RawQuery: query.Encode()}
	return c.options.Endpoint + at.String()
}

func (c *Client) exchange(ctx context.Context, method, address string, header http.Header, body []byte) (*Response, error) {
	response, err := c.open(ctx, method, address, header, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, unreached(c.options.Endpoint, err)
	}
	out := &Response{Status: response.StatusCode, Header: response.Header, Body: raw}
	if out.Status >= http.StatusBadRequest {
		return out, parseError(out.Status, raw)
	}
	return out, nil
}

// open sends the request and leaves the body to be read.
func (c *Client) open(ctx context.Context, method, address string, header http.Header, body []byte) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil {
		return nil, problem.New(problem.PathMalformed, address, "the address cannot be read").Because(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if request.Header.Get("Accept") == "" {
		request.Header.Set("Accept", "application/json")
	}
	request.Header.Set("User-Agent", "patchbay")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.options.Token != nil {
		token, err := c.options.Token(ctx)
		if err != nil {
			return nil, signIn(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.options.HTTP.Do(request)
	if err != nil {
		return nil, unreached(c.options.Endpoint, err)
	}
	return response, nil
}

func signIn(err error) error {
	var p *problem.Error
	if errors.As(err, &p) {
		return p
	}
	return problem.New(problem.SignInFailed, "", "no access token could be had").Because(err)
}

func unreached(endpoint string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return problem.New(problem.ARMUnreached, endpoint, "%s does not answer", endpoint).Because(err)
}

// events reads a stream of server-sent events until it ends or handle returns an error.
func events(body io.Reader, handle func(name string, data []byte) error) error {
	scanner := bufio.NewScanner(body)
	scanner.Buffer(nil, 1<<20)
	var name string
	var data []byte
	for scanner.Scan() {
		line := scanner.Text()
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data != nil:
			if err := handle(name, data); err != nil {
				return err
			}
			name, data = "", nil
		case line == "":
			name = ""
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value...)
		}
	}
	return scanner.Err()
}
