package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

// ProxyConfig is where everything that is not ours goes.
type ProxyConfig struct {
	Upstream  *url.URL // scheme and host
	Transport http.RoundTripper
	// PublicURL stands in answers where upstream's own address stood; empty means the
	// host each request was sent to.
	PublicURL string
	// Azure tells that upstream has a Microsoft.ServiceLinker of its own: templates that
	// would send linkers there are refused.
	Azure bool
}

// Proxy hands requests on as they are. In answers, addresses of upstream in
// Location, Azure-AsyncOperation and nextLink become ours, so that a client stays
// with this server. An upstream that does not answer is 502 with the error envelope.
func Proxy(c ProxyConfig) http.Handler {
	transport := c.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = c.Upstream.Scheme, c.Upstream.Host
			r.Out.Host = c.Upstream.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.Out.Header.Del("Accept-Encoding") // the transport asks and unpacks: nextLink must be readable
			r.SetXForwarded()
		},
		ModifyResponse: func(r *http.Response) error { return c.rewrite(r) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				return
			}
			writeError(w, problem.New(problem.UpstreamUnreached, c.Upstream.String(), "the cloud behind this server does not answer").Because(err))
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.Azure {
			if err := refuseTemplate(w, r); err != nil {
				writeError(w, problem.As(err))
				return
			}
		}
		proxy.ServeHTTP(w, r)
	})
}

// rewrittenLimit is the largest JSON answer whose nextLink is looked for.
const rewrittenLimit = 16 << 20

func (c ProxyConfig) rewrite(r *http.Response) error {
	ours := c.PublicURL
	if ours == "" {
		ours = "https://" + r.Request.Header.Get("X-Forwarded-Host")
		if r.Request.Header.Get("X-Forwarded-Proto") == "http" {
			ours = "http://" + r.Request.Header.Get("X-Forwarded-Host")
		}
	}
	ours = strings.TrimRight(ours, "/")
	for _, name := range []string{"Location", "Azure-AsyncOperation", "Operation-Location"} {
		if at, changed := c.moved(r.Header.Get(name), ours); changed {
			r.Header.Set(name, at)
		}
	}
	if r.Request.Method == http.MethodHead || r.ContentLength > rewrittenLimit || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return nil
	}
	return c.rewriteBody(r, ours)
}

// moved puts our address in place of upstream's.
func (c ProxyConfig) moved(address, ours string) (string, bool) {
	at, err := url.Parse(address)
	if err != nil || !strings.EqualFold(at.Scheme, c.Upstream.Scheme) || !strings.EqualFold(at.Host, c.Upstream.Host) {
		return address, false
	}
	return ours + address[strings.Index(address, "://")+3+len(at.Host):], true
}

func (c ProxyConfig) rewriteBody(r *http.Response, ours string) error {
	head, err := io.ReadAll(io.LimitReader(r.Body, rewrittenLimit+1))
	if err != nil {
		return err
	}
	if len(head) > rewrittenLimit {
		r.Body = joined{io.MultiReader(bytes.NewReader(head), r.Body), r.Body}
		return nil
	}
	if err := r.Body.Close(); err != nil {
		return err
	}
	body := head
	if from, to, next, found := nextLink(head); found {
		if at, changed := c.moved(next, ours); changed {
			quoted, err := json.Marshal(at)
			if err != nil {
				return err
			}
			body = append(append(append([]byte{}, head[:from]...), quoted...), head[to:]...)
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) != len(head) || r.ContentLength >= 0 {
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return nil
}

// joined is a body that was begun.
type joined struct {
	io.Reader
	io.Closer
}

// nextLink finds the text member of that name at the top level of a JSON object, and
// where it stands.
func nextLink(body []byte) (from, to int, link string, found bool) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return 0, 0, "", false
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return 0, 0, "", false
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return 0, 0, "", false
		}
		if name == "nextLink" && json.Unmarshal(value, &link) == nil && link != "" {
			to = int(decoder.InputOffset())
			return to - len(value), to, link, true
		}
	}
	return 0, 0, "", false
}

var deploymentPath = regexp.MustCompile(`(?i)/providers/Microsoft\.Resources/deployment(s|Stacks)/[^/]+(/validate|/whatIf)?/?$`)

// refuseTemplate refuses a deployment that would make linkers at Microsoft's own
// provider. The body is left as it was for whoever reads it next.
func refuseTemplate(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPut && r.Method != http.MethodPost || !deploymentPath.MatchString(r.URL.Path) {
		return nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		return problem.New(problem.BodyTooLarge, r.URL.Path, "the template is larger than 4 MB").Because(err)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	var body any
	if json.Unmarshal(raw, &body) != nil {
		return nil // upstream says what is wrong with it
	}
	if kind := linkerIn(body); kind != "" {
		return problem.New(problem.DeploymentRefused, r.URL.Path,
			"the template has a resource of type %s, which would go to Microsoft's own provider instead of this server", clip(kind))
	}
	return nil
}

// linkerIn finds the type of a Microsoft.ServiceLinker resource anywhere in a
// template, nested ones included. In a nested type (sites/providers/linkers) the
// namespace stands in the resource's name.
func linkerIn(value any) string {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			if kind := linkerIn(item); kind != "" {
				return kind
			}
		}
	case map[string]any:
		kind, _ := value["type"].(string)
		name, _ := value["name"].(string)
		space := strings.ToLower(api.Provider)
		if strings.Contains(strings.ToLower(kind), space) || strings.Contains(strings.ToLower(kind), "/providers/") && strings.Contains(strings.ToLower(name), space) {
			return kind
		}
		for _, item := range value {
			if kind := linkerIn(item); kind != "" {
				return kind
			}
		}
	}
	return ""
}
