package front

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// call is one management call, from a client or from inside.
type call struct {
	method, path string
	query        url.Values
	header       http.Header
	body         provider.Document
	caller       provider.Principal
	system       bool // a lever or a cleanup: no rights, no locks
	wait         bool // run long work before answering

	target  target
	kind    provider.Type
	version string
}

// reply is what goes back.
type reply struct {
	status int
	header http.Header
	body   any
}

func refusal(f *provider.Fault) *reply { return &reply{status: f.Status, body: envelope(f)} }

// dispatch takes a call from its path to its answer: every check in the order
// clients see them, then the handler.
func (f *Front) dispatch(ctx context.Context, c *call) *reply {
	var ok bool
	if c.target, ok = route(c.method, c.path); !ok {
		return refusal(badURI(c.path))
	}
	checks := []func(*call) *provider.Fault{
		f.checkVersionGiven, f.checkSubscription, f.resolveType, f.checkRights, f.checkRegistered,
		f.checkLocks, f.checkGroup, f.checkBody, f.checkParent, f.checkPreconditions,
	}
	for _, check := range checks {
		if refused := check(c); refused != nil {
			return refusal(refused)
		}
	}
	c.target.id = f.asStored(c.target.id)
	return f.execute(ctx, c)
}

func (f *Front) checkVersionGiven(c *call) *provider.Fault {
	for k, v := range c.query {
		if strings.EqualFold(k, "api-version") && len(v) > 0 {
			c.version = strings.ToLower(v[0])
		}
	}
	if c.version == "" {
		return missingVersion()
	}
	return nil
}

func (f *Front) checkSubscription(c *call) *provider.Fault {
	sub := c.target.id.Subscription()
	if sub == "" {
		return nil
	}
	if _, err := uuid.Parse(sub); err != nil {
		return fault(http.StatusBadRequest, "InvalidSubscriptionId", "The provided subscription identifier '%s' is malformed or invalid.", sub)
	}
	if _, ok := f.opts.Store.Get("/subscriptions/" + sub); !ok {
		return noSubscription(sub)
	}
	return nil
}

// resolveType finds the served type and checks the api-version against it.
func (f *Front) resolveType(c *call) *provider.Fault {
	ns, rest, _ := strings.Cut(c.target.kind, "/")
	name, known := f.namespaces[id.Fold(ns)]
	if !known {
		return unknownNamespace(ns)
	}
	t, ok := f.types[id.Fold(c.target.kind)]
	if !ok {
		return unknownType(rest, ns, c.version, f.versionsOf(name))
	}
	c.kind = t
	switch {
	case slices.Contains(t.APIVersions, c.version):
		return nil
	case strings.EqualFold(ns, "Microsoft.Resources"):
		return invalidVersion(c.version, t.APIVersions)
	}
	location, _ := c.body["location"].(string)
	return versionNotServed(location, c.version, rest, t.APIVersions)
}

func (f *Front) versionsOf(namespace string) []string {
	var all []string
	for _, t := range f.types {
		if ns, _, _ := strings.Cut(t.Name, "/"); ns == namespace {
			all = append(all, t.APIVersions...)
		}
	}
	slices.Sort(all)
	slices.Reverse(all)
	return slices.Compact(all)
}

func (f *Front) checkRights(c *call) *provider.Fault {
	reading := c.method == http.MethodGet || c.method == http.MethodHead
	if c.system || c.kind.OpenRead && reading {
		return nil
	}
	action, scope := c.right(), c.target.id.String()
	if f.opts.Rights.Allowed(c.caller.ObjectID, action, scope, false) {
		return nil
	}
	return forbidden(c.caller, action, scope)
}

// right is the RBAC action that the call needs.
func (c *call) right() string {
	name := c.kind.ActionName
	if name == "" {
		name = c.kind.Name
	}
	if c.target.action != "" {
		if a, _, ok := c.findAction(); ok && a.Right != "" {
			return strings.ReplaceAll(a.Right, "{namespace}", c.target.id.Namespace())
		}
		return name + "/" + c.target.action[strings.LastIndexByte(c.target.action, '/')+1:] + "/action"
	}
	switch c.method {
	case http.MethodPut, http.MethodPatch:
		return name + "/write"
	case http.MethodDelete:
		return name + "/delete"
	}
	return name + "/read"
}

// findAction looks the POST verb up by itself and after the resource's name.
func (c *call) findAction() (provider.Action, string, bool) {
	for _, key := range []string{id.Fold(c.target.id.Name() + "/" + c.target.action), id.Fold(c.target.action)} {
		if a, ok := c.kind.Actions[key]; ok {
			return a, key, true
		}
	}
	return provider.Action{}, "", false
}

func (f *Front) checkRegistered(c *call) *provider.Fault {
	sub := c.target.id.Subscription()
	writing := c.method == http.MethodPut || c.method == http.MethodPatch
	ns, _, _ := strings.Cut(c.kind.Name, "/")
	if sub == "" || !writing || f.registered(sub, ns) {
		return nil
	}
	return fault(http.StatusConflict, "MissingSubscriptionRegistration",
		"The subscription is not registered to use namespace '%s'. See https://aka.ms/rps-not-found for how to register subscriptions.", ns)
}

func (f *Front) checkLocks(c *call) *provider.Fault {
	if c.system || c.kind.IgnoresLocks {
		return nil
	}
	return f.opts.Rights.Locked(c.method, c.target.id.String())
}

func (f *Front) checkGroup(c *call) *provider.Fault {
	group := c.target.id.ResourceGroup()
	if group == "" || c.target.id.IsType(groupType) && !c.target.list {
		return nil
	}
	if _, ok := f.opts.Store.Get(groupID(c.target.id.Subscription(), group)); !ok {
		return noGroup(group)
	}
	return nil
}

func (f *Front) checkBody(c *call) *provider.Fault {
	if c.body == nil && (c.method == http.MethodPut || c.method == http.MethodPatch) {
		return badContent("The request body is required")
	}
	return nil
}

func (f *Front) checkParent(c *call) *provider.Fault {
	parent := c.target.id.Parent()
	if c.target.list {
		parent = c.target.id
	}
	if f.exists(parent) {
		return nil
	}
	if c.method == http.MethodPut && !c.kind.Extension {
		return noParent(c.kind.Name, parent)
	}
	return noResource(parent)
}

// exists tells whether a scope is there: stored, or answered for by its type, as
// children that come with their parent are.
func (f *Front) exists(i id.ID) bool {
	if i.IsZero() || i.Namespace() == "" && i.ResourceGroup() == "" {
		return true
	}
	if _, ok := f.opts.Store.Get(i.String()); ok {
		return true
	}
	if i.IsType(groupType) {
		return false
	}
	t, ok := f.types[id.Fold(i.Type())]
	if !ok {
		return strings.HasSuffix(id.Fold(i.Type()), "/locations")
	}
	if t.Get == nil || !f.exists(i.Parent()) {
		return false
	}
	_, err := t.Get(context.Background(), &provider.Request{Method: http.MethodGet, ID: i, APIVersion: t.APIVersions[0], Header: http.Header{}})
	return err == nil
}

// checkPreconditions holds If-Match and If-None-Match against the stored document.
func (f *Front) checkPreconditions(c *call) *provider.Fault {
	if c.method == http.MethodGet || c.method == http.MethodPost {
		return nil
	}
	doc, ok := f.opts.Store.Get(c.target.id.String())
	etag, _ := doc["etag"].(string)
	match, none := c.header.Get("If-Match"), c.header.Get("If-None-Match")
	failed := match == "*" && !ok || none == "*" && ok ||
		match != "" && match != "*" && (!ok || etag != "" && etag != match)
	if failed {
		return fault(http.StatusPreconditionFailed, "PreconditionFailed", "The condition of the request's If-Match or If-None-Match header did not hold.")
	}
	return nil
}

// asStored gives an id the casing it, or the nearest stored resource above it, was
// first written with.
func (f *Front) asStored(i id.ID) id.ID {
	for at := i; at.Namespace() != ""; at = at.Parent() {
		doc, ok := f.opts.Store.Get(at.String())
		written, _ := doc["id"].(string)
		if ok && id.Equal(written, at.String()) {
			return id.MustParse(written + i.String()[len(at.String()):])
		}
	}
	return i
}

// execute runs the handler that the target names and shapes what it answers.
func (f *Front) execute(ctx context.Context, c *call) *reply {
	handle, refused := f.handler(c)
	if refused != nil {
		return refusal(refused)
	}
	if c.method != http.MethodGet && c.method != http.MethodHead {
		defer f.writes.lock(topLevel(c.target.id))()
	}
	ans, err := f.run(ctx, handle, c.request())
	if err != nil {
		return refusal(f.asFault(err, c.method+" "+c.path))
	}
	if ans.Later != nil {
		return f.later(ctx, c, ans)
	}
	status := ans.Status
	if status == 0 {
		status = http.StatusOK
	}
	return &reply{status: status, header: ans.Header, body: ans.Body}
}

func (c *call) request() *provider.Request {
	query := map[string]string{}
	for k := range c.query {
		query[k] = c.query.Get(k)
	}
	header := c.header.Clone()
	header.Del("Authorization")
	return &provider.Request{Method: c.method, ID: c.target.id, Action: c.target.action, APIVersion: c.version,
		Body: c.body, Query: query, Header: header, Caller: c.caller}
}

// run calls a handler and turns a panic into an error.
func (f *Front) run(ctx context.Context, handle provider.Handler, q *provider.Request) (ans *provider.Answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			ans, err = nil, fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	ans, err = handle(ctx, q)
	if ans == nil && err == nil {
		ans = &provider.Answer{Status: http.StatusNoContent}
	}
	return ans, err
}

// handler picks the function that answers, with the defaults of a type that
// leaves it to the stored documents.
func (f *Front) handler(c *call) (provider.Handler, *provider.Fault) {
	var h provider.Handler
	_, stored := f.opts.Store.Get(c.target.id.String())
	own := stored || c.kind.Get != nil // whether the type's own handler should see the call
	switch {
	case c.target.action != "":
		a, _, ok := c.findAction()
		if !ok {
			return nil, fault(http.StatusNotFound, "InvalidResourceAction", "The resource type '%s' does not support the action '%s'.", c.kind.Name, c.target.action)
		}
		if !own {
			return nil, noResource(c.target.id)
		}
		h = a.Handle
	case c.target.list:
		h = c.kind.List
		if h == nil && (c.method == http.MethodGet || c.method == http.MethodHead) {
			h = f.listStored(c.kind.Name)
		}
		if c.method != http.MethodGet && c.method != http.MethodHead {
			h = nil
		}
	default:
		return f.resourceHandler(c, own)
	}
	if h == nil {
		return nil, notAllowed(c.method, c.kind.Name)
	}
	return h, nil
}

func (f *Front) resourceHandler(c *call, own bool) (provider.Handler, *provider.Fault) {
	var h provider.Handler
	switch c.method {
	case http.MethodGet, http.MethodHead:
		h = c.kind.Get
		if h == nil {
			h = f.getStored
		}
	case http.MethodPut:
		h = c.kind.Put
	case http.MethodPatch:
		h = c.kind.Patch
		if h != nil && !own {
			return nil, noResource(c.target.id)
		}
	case http.MethodDelete:
		h = c.kind.Delete
		if h != nil && !own {
			return func(context.Context, *provider.Request) (*provider.Answer, error) {
				return &provider.Answer{Status: http.StatusNoContent}, nil
			}, nil
		}
	}
	if h == nil {
		return nil, notAllowed(c.method, c.kind.Name)
	}
	return h, nil
}

func (f *Front) getStored(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	doc, ok := f.opts.Store.Get(q.ID.String())
	if !ok {
		return nil, noResource(q.ID)
	}
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

// listStored lists a type's documents: directly under a resource, or anywhere
// under a group or subscription.
func (f *Front) listStored(kind string) provider.Handler {
	return func(_ context.Context, q *provider.Request) (*provider.Answer, error) {
		docs := f.opts.Store.Children(q.ID.String(), kind)
		if q.ID.Namespace() == "" {
			docs = f.opts.Store.Under(q.ID.String(), kind)
		}
		value := make([]any, len(docs))
		for n, d := range docs {
			value[n] = d
		}
		return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
	}
}

// Invocation is a management call from inside, such as one resource of a template.
type Invocation struct {
	Caller       provider.Principal
	Method, Path string
	APIVersion   string
	Body         provider.Document
	System       bool // without the caller's rights and regardless of locks
}

// Invoke makes a call the way a client's would be made, waits for long work, and
// returns the answer's body. Refusals are *provider.Fault errors.
func (f *Front) Invoke(ctx context.Context, in Invocation) (any, error) {
	version := in.APIVersion
	c := &call{method: in.Method, path: in.Path, body: in.Body, caller: in.Caller, system: in.System, wait: true,
		query: url.Values{"api-version": {version}}, header: http.Header{}}
	if version == "" {
		if t, ok := route(in.Method, in.Path); ok && len(f.types[id.Fold(t.kind)].APIVersions) > 0 {
			c.query.Set("api-version", f.types[id.Fold(t.kind)].APIVersions[0])
		}
	}
	r := f.dispatch(ctx, c)
	if r.status >= http.StatusBadRequest {
		return nil, faultOf(r)
	}
	return r.body, nil
}

// faultOf reads a refusal back from its envelope.
func faultOf(r *reply) *provider.Fault {
	body, _ := r.body.(map[string]any)
	e, _ := body["error"].(map[string]any)
	code, _ := e["code"].(string)
	message, _ := e["message"].(string)
	return &provider.Fault{Status: r.status, Code: code, Message: message}
}
