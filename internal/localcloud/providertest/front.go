package providertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Front hands calls to a provider's types: it finds the type or the action of a
// path, calls its handler and reads documents itself where a handler is absent.
type Front struct {
	cloud *Cloud
	types map[string]provider.Type
}

// Result is what a call answered. Later is the work still to do; Finish runs it.
type Result struct {
	Status int
	Body   provider.Document
	Raw    any
	Header http.Header
	Async  bool // answered 202 and nothing else until Finish
	Later  func(ctx context.Context) error
}

// Finish runs the rest of a long-running call.
func (r *Result) Finish(ctx context.Context) error {
	if r.Later == nil {
		return nil
	}
	return r.Later(ctx)
}

// NewFront makes a front for one provider.
func NewFront(c *Cloud, p provider.Provider) *Front {
	f := &Front{cloud: c, types: map[string]provider.Type{}}
	for _, t := range p.Types() {
		f.types[strings.ToLower(t.Name)] = t
	}
	return f
}

// Do makes one call. A trailing "/" on path asks for the list of the type
// before it. Faults come back as *provider.Fault.
func (f *Front) Do(ctx context.Context, method, path string, body provider.Document) (*Result, error) {
	req, t, err := f.match(method, path)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Body = clone(body)
	}
	handle := f.handler(t, req, strings.HasSuffix(path, "/"))
	if handle == nil {
		return nil, &provider.Fault{Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed", Message: method}
	}
	a, err := handle(ctx, req)
	if err != nil {
		return nil, err
	}
	out := &Result{Status: a.Status, Raw: a.Body, Header: a.Header, Later: a.Later}
	if t.Async202 && a.Later != nil && method != http.MethodGet {
		out.Status, out.Async = http.StatusAccepted, true
	}
	if d, err := asDocument(a.Body); err == nil {
		out.Body = d
	}
	return out, nil
}

// Run makes a call and finishes it.
func (f *Front) Run(ctx context.Context, method, path string, body provider.Document) (*Result, error) {
	r, err := f.Do(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	return r, r.Finish(ctx)
}

func asDocument(body any) (provider.Document, error) {
	switch b := body.(type) {
	case provider.Document:
		return clone(b), nil
	case map[string]any:
		return clone(b), nil
	}
	return nil, errors.New("no document")
}

func (f *Front) match(method, path string) (*provider.Request, provider.Type, error) {
	req := &provider.Request{Method: method, Header: http.Header{}, Query: map[string]string{}}
	trimmed := strings.TrimSuffix(path, "/")
	if strings.HasSuffix(path, "/") {
		i, err := id.Parse(trimmed + "/x")
		if err != nil {
			return nil, provider.Type{}, err
		}
		req.ID = i.Parent()
		return f.known(req, i.Type())
	}
	for cut := len(trimmed); cut > 0; cut = strings.LastIndexByte(trimmed[:cut], '/') {
		i, err := id.Parse(trimmed[:cut])
		if err != nil {
			continue
		}
		if _, ok := f.types[strings.ToLower(i.Type())]; !ok {
			continue
		}
		req.ID, req.Action = i, strings.TrimPrefix(trimmed[cut:], "/")
		return f.known(req, i.Type())
	}
	return nil, provider.Type{}, fmt.Errorf("no type answers %s", path)
}

func (f *Front) known(req *provider.Request, kind string) (*provider.Request, provider.Type, error) {
	t, ok := f.types[strings.ToLower(kind)]
	if !ok {
		return nil, t, fmt.Errorf("no type %s", kind)
	}
	req.APIVersion = t.APIVersions[len(t.APIVersions)-1]
	return req, t, nil
}

func (f *Front) handler(t provider.Type, req *provider.Request, list bool) provider.Handler {
	if req.Action != "" {
		return t.Actions[strings.ToLower(req.Action)].Handle
	}
	if list {
		return firstOf(t.List, f.list(t.Name))
	}
	switch req.Method {
	case http.MethodGet:
		return firstOf(t.Get, f.get)
	case http.MethodPut:
		return t.Put
	case http.MethodPatch:
		return t.Patch
	case http.MethodDelete:
		return t.Delete
	}
	return nil
}

func firstOf(a, b provider.Handler) provider.Handler {
	if a != nil {
		return a
	}
	return b
}

func (f *Front) get(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	d, ok := f.cloud.store.Get(r.ID.String())
	if !ok {
		return nil, &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: r.ID.String()}
	}
	return &provider.Answer{Status: http.StatusOK, Body: d}, nil
}

func (f *Front) list(kind string) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		docs := f.cloud.store.Children(r.ID.String(), kind)
		value := make([]any, 0, len(docs))
		for _, d := range docs {
			value = append(value, map[string]any(d))
		}
		return &provider.Answer{Status: http.StatusOK, Body: provider.Document{"value": value}}, nil
	}
}
