package arm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	armpolicy "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm/policy"
	armruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
)

// What a client does when its options say nothing.
const (
	DefaultMaxTries      = 3
	DefaultRetryDelay    = 500 * time.Millisecond
	DefaultMaxRetryDelay = 60 * time.Second
	DefaultPollInterval  = 5 * time.Second
)

// Options configure a client. Endpoint, Audience and Credential are required.
type Options struct {
	Endpoint   string // https://management.azure.com
	Audience   string // what tokens are asked for, without /.default
	Credential azcore.TokenCredential
	HTTP       policy.Transporter // nil: HTTPClient(nil)
	UserAgent  string             // at most 24 characters, no spaces

	MaxTries      int           // of one request, the first included
	RetryDelay    time.Duration // before the second try; doubles from there
	MaxRetryDelay time.Duration // a longer Retry-After is not waited for: the call fails as throttled

	PollInterval    time.Duration // between polls when the cloud names no Retry-After
	MaxPollInterval time.Duration // caps Retry-After between polls; 0 obeys it as it is

	// Observer hears of every request sent, tries and polls included. It is called from
	// many goroutines and must not block. Call.Body is set only with RecordBodies.
	Observer     func(Call)
	RecordBodies bool // for conformance tests: bodies may hold secrets
}

// Call is one request as it went over the wire.
type Call struct {
	Method     string
	Path       string // without the query
	APIVersion string
	Status     int // 0 when there was no answer
	Started    time.Time
	Duration   time.Duration
	Body       []byte // of the request
}

// Client talks to one ARM endpoint as one principal. It is safe for many goroutines.
type Client struct {
	pipeline runtime.Pipeline
	endpoint *url.URL
	poll     pollTiming
}

// New makes a client. It does no I/O.
func New(o Options) (*Client, error) {
	endpoint, err := url.Parse(strings.TrimRight(o.Endpoint, "/"))
	if err != nil {
		return nil, fmt.Errorf("read ARM endpoint: %w", err)
	}
	if endpoint.Scheme != "https" || endpoint.Host == "" {
		return nil, fmt.Errorf("read ARM endpoint %q: not an https address", o.Endpoint)
	}
	if o.Credential == nil || o.Audience == "" {
		return nil, errors.New("make ARM client: credential and audience are required")
	}
	pipeline, err := newPipeline(o)
	if err != nil {
		return nil, fmt.Errorf("make ARM pipeline: %w", err)
	}
	interval := o.PollInterval
	if interval <= 0 {
		interval = DefaultPollInterval
	}
	return &Client{pipeline: pipeline, endpoint: endpoint, poll: pollTiming{interval, o.MaxPollInterval}}, nil
}

func newPipeline(o Options) (runtime.Pipeline, error) {
	transport := o.HTTP
	if transport == nil {
		transport = HTTPClient(nil)
	}
	options := &armpolicy.ClientOptions{
		ClientOptions: policy.ClientOptions{
			Transport: transport,
			Telemetry: policy.TelemetryOptions{ApplicationID: o.UserAgent},
			Retry:     retryOptions(o),
			Cloud: cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: o.Endpoint, Audience: o.Audience},
			}},
		},
		DisableRPRegistration: true,
	}
	plumbing := runtime.PipelineOptions{
		PerCall:  []policy.Policy{runtime.NewRequestIDPolicy(), correlate{}},
		PerRetry: []policy.Policy{observe{o.Observer, o.RecordBodies}},
	}
	return armruntime.NewPipeline("patchbay", "v1.0.0", signIn{o.Credential}, plumbing, options)
}

// Get reads one resource into out. path is a resource id, perhaps with a query.
func (c *Client) Get(ctx context.Context, path, apiVersion string, out any) error {
	resp, err := c.send(ctx, http.MethodGet, c.address(path, apiVersion), nil, path)
	if err != nil {
		return err
	}
	return decode(resp.body, out, path)
}

// List reads a collection page by page and hands each item to visit.
func (c *Client) List(ctx context.Context, path, apiVersion string, visit func(item json.RawMessage) error) error {
	next := c.address(path, apiVersion)
	for next != "" {
		resp, err := c.send(ctx, http.MethodGet, next, nil, path)
		if err != nil {
			return err
		}
		var page struct {
			Value    []json.RawMessage `json:"value"`
			NextLink string            `json:"nextLink"`
		}
		if err := decode(resp.body, &page, path); err != nil {
			return err
		}
		for _, item := range page.Value {
			if err := visit(item); err != nil {
				return err
			}
		}
		if next, err = c.ours(page.NextLink, path); err != nil {
			return err
		}
	}
	return nil
}

// ListAll reads a collection whole.
func ListAll[T any](ctx context.Context, c *Client, path, apiVersion string) ([]T, error) {
	var all []T
	err := c.List(ctx, path, apiVersion, func(item json.RawMessage) error {
		var one T
		if err := decode(item, &one, path); err != nil {
			return err
		}
		all = append(all, one)
		return nil
	})
	return all, err
}

// Put creates or replaces a resource and waits until the cloud has finished. out
// (may be nil) receives the resource as it is then.
func (c *Client) Put(ctx context.Context, path, apiVersion string, body, out any) error {
	return c.write(ctx, http.MethodPut, path, apiVersion, body, out)
}

// Patch changes a resource and waits like Put.
func (c *Client) Patch(ctx context.Context, path, apiVersion string, body, out any) error {
	return c.write(ctx, http.MethodPatch, path, apiVersion, body, out)
}

// Delete removes a resource and waits. A resource that is not there (204, or 404
// of the resource itself) is no error.
func (c *Client) Delete(ctx context.Context, path, apiVersion string) error {
	err := c.write(ctx, http.MethodDelete, path, apiVersion, nil, nil)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// Post runs an action, waits, and reads its answer into out (may be nil).
func (c *Client) Post(ctx context.Context, path, apiVersion string, body, out any) error {
	return c.write(ctx, http.MethodPost, path, apiVersion, body, out)
}

func (c *Client) write(ctx context.Context, method, path, apiVersion string, body, out any) error {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return fmt.Errorf("write body for %s: %w", path, err)
		}
	}
	if !repeatable(method, path) {
		ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{ShouldRetry: refusedUnread})
	}
	address := c.address(path, apiVersion)
	first, err := c.send(ctx, method, address, payload, path)
	if err != nil {
		return err
	}
	return c.settle(ctx, operation{method: method, resource: path, address: address, wanted: out != nil}, first, out)
}

// address makes the URL of a path. The path's own query, if any, is kept.
func (c *Client) address(path, apiVersion string) string {
	path, query, _ := strings.Cut(path, "?")
	values, _ := url.ParseQuery(query)
	values.Set("api-version", apiVersion)
	u := *c.endpoint
	u.Path = c.endpoint.Path + "/" + strings.TrimLeft(path, "/")
	// ARM's own filters are written with %20; a plus sign is not a blank to every provider.
	u.RawQuery = strings.ReplaceAll(values.Encode(), "+", "%20")
	return u.String()
}

// answer is one response, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (c *Client) send(ctx context.Context, method, address string, body []byte, resource string) (*answer, error) {
	req, err := runtime.NewRequest(ctx, method, address)
	if err != nil {
		return nil, fmt.Errorf("make request for %s: %w", resource, err)
	}
	req.Raw().Header.Set("Accept", "application/json")
	if body != nil {
		if err := req.SetBody(streaming.NopCloser(bytes.NewReader(body)), "application/json"); err != nil {
			return nil, fmt.Errorf("set body for %s: %w", resource, err)
		}
	}
	resp, err := c.pipeline.Do(req)
	if err != nil {
		return nil, unreached(ctx, method, resource, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, unreached(ctx, method, resource, err)
	}
	if resp.StatusCode >= 300 {
		return nil, refused(method, resource, readError(resp.StatusCode, resp.Header, text))
	}
	return &answer{resp.StatusCode, resp.Header, text}, nil
}

func decode(body []byte, out any, resource string) error {
	if out == nil || len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return garbled(resource, err)
	}
	return nil
}

// ours checks an address the cloud handed out: the token goes to the configured
// host (or a regional host below it) only.
func (c *Client) ours(address, resource string) (string, error) {
	if address == "" {
		return "", nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", garbled(resource, err)
	}
	host, own := strings.ToLower(u.Host), strings.ToLower(c.endpoint.Host)
	if u.Scheme != "https" || (host != own && !strings.HasSuffix(host, "."+own)) {
		return "", garbled(resource, fmt.Errorf("the cloud points to another host: %s", u.Host))
	}
	return address, nil
}
