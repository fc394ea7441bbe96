// Package apitest judges bodies by the published OpenAPI documents: what a client
// sends and what the server answers. It is for tests only; the product does not
// import it.
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/patchbay/patchbay/internal/api"
)

// Contract is one loaded document.
type Contract struct {
	doc    *openapi3.T
	routes []route
}

type route struct {
	path *regexp.Regexp
	item *openapi3.PathItem
}

// Load reads our document of a Microsoft.ServiceLinker version.
func Load(version api.Version) (*Contract, error) {
	raw, err := api.Document(version)
	if err != nil {
		return nil, err
	}
	return Parse(raw)
}

// LoadPatchbay reads the document of our own namespace.
func LoadPatchbay() (*Contract, error) {
	raw, err := api.PatchbayDocument()
	if err != nil {
		return nil, err
	}
	return Parse(raw)
}

var parameter = regexp.MustCompile(`\\\{(\w+)\\\}`)

// Parse reads any OpenAPI 3.0 document and checks that it is a valid one.
func Parse(raw []byte) (*Contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("check the document: %w", err)
	}
	c := &Contract{doc: doc}
	for path, item := range doc.Paths.Map() {
		pattern := parameter.ReplaceAllStringFunc(regexp.QuoteMeta(path), func(p string) string {
			if strings.Contains(p, "resourceUri") {
				return `.+`
			}
			return `[^/]+`
		})
		c.routes = append(c.routes, route{path: regexp.MustCompile(`(?i)^` + pattern + `$`), item: item})
	}
	return c, nil
}

// operation finds the route of a path; of several that fit the longest pattern counts.
func (c *Contract) operation(method, path string) *openapi3.Operation {
	var best *openapi3.Operation
	length := 0
	for _, r := range c.routes {
		if op := r.item.GetOperation(method); op != nil && r.path.MatchString(path) && len(r.path.String()) > length {
			best, length = op, len(r.path.String())
		}
	}
	return best
}

// Request judges the body of a request. Read-only members are allowed: servers ignore them.
func (c *Contract) Request(method, path string, body []byte) error {
	op := c.operation(method, path)
	if op == nil {
		return fmt.Errorf("no route for %s %s", method, path)
	}
	if op.RequestBody == nil {
		return nil
	}
	return visit(op.RequestBody.Value.Content, body, openapi3.VisitAsRequest(), openapi3.DisableReadOnlyValidation())
}

// Response judges an answer: its status, the headers its route promises and its
// body, in which write-only members must not stand.
func (c *Contract) Response(method, path string, status int, header http.Header, body []byte) error {
	op := c.operation(method, path)
	if op == nil {
		return fmt.Errorf("no route for %s %s", method, path)
	}
	answer := op.Responses.Value(strconv.Itoa(status))
	if answer == nil {
		if status < http.StatusBadRequest {
			return fmt.Errorf("%s %s: status %d is not in the document", method, path, status)
		}
		answer = op.Responses.Default()
	}
	for name := range answer.Value.Headers {
		if header != nil && header.Get(name) == "" {
			return fmt.Errorf("%s %s: answer %d lacks the header %s", method, path, status, name)
		}
	}
	if len(answer.Value.Content) == 0 {
		return nil
	}
	if err := visit(answer.Value.Content, body, openapi3.VisitAsResponse()); err != nil {
		return fmt.Errorf("%s %s: answer %d: %w", method, path, status, err)
	}
	return nil
}

// Schema judges a body by one component, as part of an answer.
func (c *Contract) Schema(name string, body []byte) error {
	component := c.doc.Components.Schemas[name]
	if component == nil {
		return fmt.Errorf("no component %s", name)
	}
	return judge(component.Value, body, openapi3.VisitAsResponse())
}

func visit(content openapi3.Content, body []byte, options ...openapi3.SchemaValidationOption) error {
	media := content.Get("application/json")
	if media == nil || media.Schema == nil {
		return nil
	}
	return judge(media.Schema.Value, body, options...)
}

func judge(schema *openapi3.Schema, body []byte, options ...openapi3.SchemaValidationOption) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	return schema.VisitJSON(value, append(options, openapi3.MultiErrors())...)
}
