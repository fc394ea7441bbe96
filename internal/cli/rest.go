package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

type restOptions struct {
	*shell
	method, path, body string
	wait               bool
}

func newRest(s *shell) *cobra.Command {
	o := &restOptions{shell: s}
	c := &cobra.Command{
		Use: "rest METHOD PATH", Short: "Send any resource manager request and print the answer", Args: exactArgs("METHOD", "PATH"),
		Long: "Send any resource manager request and print the answer's body. {subscription} in PATH stands\n" +
			"for the current subscription. For well-known types an api-version is added when PATH has none.",
		Example: "  patchbay rest GET '/subscriptions/{subscription}/resourceGroups'\n" +
			"  patchbay rest PUT '/subscriptions/{subscription}/resourceGroups/rg1' -b '{\"location\":\"westeurope\"}'",
		RunE: func(c *cobra.Command, args []string) error {
			o.method, o.path = strings.ToUpper(args[0]), args[1]
			return o.run(c.Context())
		},
		ValidArgs: methods(),
	}
	c.Flags().StringVarP(&o.body, "body", "b", "", "Send this `json`; @FILE takes a file's content, @- standard input's.")
	c.Flags().BoolVar(&o.wait, "wait", false, "Wait until a long-running request has ended, and print the resource.")
	return c
}

func methods() []string { return []string{"GET", "PUT", "PATCH", "POST", "DELETE", "HEAD"} }

// versions are the api-versions taken for a provider when a path has none; the
// empty name is for paths without a provider (subscriptions, resource groups).
func versions() map[string]string {
	return map[string]string{
		"":                             "2021-04-01",
		"microsoft.resources":          "2021-04-01",
		"microsoft.web":                "2023-12-01",
		"microsoft.servicelinker":      string(api.Newest),
		"microsoft.dbforpostgresql":    "2024-08-01",
		"microsoft.cache":              "2024-11-01",
		"microsoft.storage":            "2024-01-01",
		"microsoft.authorization":      "2022-04-01",
		"microsoft.managedidentity":    "2023-01-31",
		strings.ToLower(api.Namespace): api.NamespaceV,
	}
}

func (o *restOptions) run(ctx context.Context) error {
	if !contains(methods(), o.method) {
		return unknownValue("METHOD", o.method, methods())
	}
	body, err := o.content()
	if err != nil {
		return err
	}
	a, d, done, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	path, err := o.address(d)
	if err != nil {
		return err
	}
	r, err := a.Raw(ctx, o.method, path, body)
	if err != nil {
		return err
	}
	if o.wait {
		if r, err = o.settle(ctx, a, r, path); err != nil {
			return err
		}
	}
	return o.show(r)
}

// content reads the body and refuses what is not JSON before anything is sent.
func (o *restOptions) content() ([]byte, error) {
	var raw []byte
	var err error
	switch {
	case o.body == "":
		return nil, nil
	case o.body == "@-":
		raw, err = io.ReadAll(o.Streams.In)
	case strings.HasPrefix(o.body, "@"):
		raw, err = os.ReadFile(o.body[1:])
	default:
		raw = []byte(o.body)
	}
	if err != nil {
		return nil, usage("the body cannot be read: %v", err)
	}
	if !json.Valid(raw) {
		return nil, problem.New(problem.BodyNotJSON, "", "the body is not JSON")
	}
	return raw, nil
}

// address completes the path: subscription, leading slash, api-version.
func (o *restOptions) address(d Defaults) (string, error) {
	path := o.path
	for _, name := range []string{"{subscription}", "{subscriptionId}"} {
		if !strings.Contains(path, name) {
			continue
		}
		if d.Subscription == "" {
			return "", noSubscription()
		}
		path = strings.ReplaceAll(path, name, d.Subscription)
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u, err := url.Parse(path)
	if err != nil {
		return "", problem.New(problem.PathMalformed, "", "PATH is not an address: %v", err)
	}
	if u.Query().Has("api-version") || strings.HasPrefix(u.Path, "/_local") || strings.HasPrefix(u.Path, "/metadata") {
		return path, nil
	}
	version, ok := versions()[providerOf(u.Path)]
	if !ok {
		return path, nil
	}
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	return path + join + "api-version=" + version, nil
}

// providerOf returns the last provider's name of a path, folded, or "".
func providerOf(path string) string {
	lower := strings.ToLower(path)
	i := strings.LastIndex(lower, "/providers/")
	if i < 0 {
		return ""
	}
	name, _, _ := strings.Cut(lower[i+len("/providers/"):], "/")
	return name
}

// show prints the body: JSON through the chosen format, anything else as it is.
func (o *restOptions) show(r *api.Response) error {
	if len(bytes.TrimSpace(r.Body)) == 0 {
		o.detail("status %d, no body", r.Status)
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(r.Body))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		_, err = o.Streams.Out.Write(r.Body)
		return err
	}
	if m, ok := value.(map[string]any); ok && o.g.output == "table" && o.g.compiled == nil {
		if list, ok := m["value"].([]any); ok {
			return o.printRows(value, list)
		}
	}
	return o.print(value)
}

// settle polls a long-running request to its end and reads the resource again.
func (o *restOptions) settle(ctx context.Context, a API, r *api.Response, path string) (*api.Response, error) {
	status, location := r.Header.Get("Azure-AsyncOperation"), r.Header.Get("Location")
	switch {
	case status != "":
		if _, err := o.settled(ctx, a, status); err != nil {
			return nil, err
		}
	case location != "" && r.Status == http.StatusAccepted:
		return o.pollLocation(ctx, a, location)
	default:
		return r, nil
	}
	if o.method == http.MethodDelete {
		return &api.Response{Status: http.StatusOK}, nil
	}
	if o.method == http.MethodPost {
		return r, nil
	}
	return a.Raw(ctx, http.MethodGet, path, nil)
}

func (o *restOptions) pollLocation(ctx context.Context, a API, address string) (*api.Response, error) {
	for pause := o.pauses(); ; {
		r, err := a.Raw(ctx, http.MethodGet, pathOf(address), nil)
		if err != nil || r.Status != http.StatusAccepted {
			return r, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// pathOf leaves path and query of an address: polling stays at our own endpoint.
func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.RequestURI()
}
