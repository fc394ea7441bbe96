package armtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
)

// operations is where status documents live.
const operations = "/operations/"

type reply struct {
	status int
	body   any
	header map[string]string
}

func refuse(status int, code, format string, args ...any) reply {
	return reply{status: status, body: Object{"error": Object{"code": code, "message": fmt.Sprintf(format, args...)}}}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Errorf("%s %s: read body: %v", r.Method, r.URL.Path, err)
	}
	s.record(Request{r.Method, r.URL.Path, r.URL.Query().Get("api-version"), body, r.Header.Clone()})
	fault := s.fault(r)
	if fault != nil && !fault.After {
		s.failWith(w, fault)
		return
	}
	answer := s.answer(r, body)
	if fault != nil {
		s.failWith(w, fault)
		return
	}
	write(w, answer)
}

func write(w http.ResponseWriter, r reply) {
	for name, value := range r.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	if r.body != nil {
		_ = json.NewEncoder(w).Encode(r.body) // the client may be gone
	}
}

func (s *Server) fault(r *http.Request) *Fault {
	for n := range s.faults {
		f := &s.faults[n]
		if (f.Method != "" && f.Method != r.Method) || !strings.Contains(id.Fold(r.URL.Path), id.Fold(f.Path)) {
			continue
		}
		hit := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = slices.Delete(s.faults, n, n+1)
			}
		}
		return &hit
	}
	return nil
}

func (s *Server) failWith(w http.ResponseWriter, f *Fault) {
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	answer := refuse(f.Status, f.Code, "%s", f.Message)
	answer.header = f.Header
	write(w, answer)
}

// answer checks a request's form and serves it.
func (s *Server) answer(r *http.Request, body []byte) reply {
	if r.Header.Get("Authorization") != "Bearer "+bearer {
		s.t.Errorf("%s %s: no token", r.Method, r.URL.Path)
		return refuse(401, "AuthenticationFailed", "no token")
	}
	if op, ok := strings.CutPrefix(r.URL.Path, operations); ok {
		return s.status(op)
	}
	var doc Object
	if len(body) > 0 {
		if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			s.t.Errorf("%s %s: content type %q", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
		if err := json.Unmarshal(body, &doc); err != nil {
			s.t.Errorf("%s %s: body is not an object: %v", r.Method, r.URL.Path, err)
		}
	}
	resource, action, collection := split(r.Method, r.URL.Path)
	kind, ok := s.types[strings.ToLower(resource.Type())]
	if !ok {
		s.t.Errorf("%s %s: type %s is not declared", r.Method, r.URL.Path, resource.Type())
		return refuse(404, "InvalidResourceType", "no type %s", resource.Type())
	}
	if v := r.URL.Query().Get("api-version"); !slices.Contains(kind.Versions, v) {
		s.t.Errorf("%s %s: api-version %q, want one of %v", r.Method, r.URL.Path, v, kind.Versions)
		return refuse(400, "NoRegisteredProviderFound", "no api-version %s", v)
	}
	if collection {
		return s.list(kind, resource, r)
	}
	return s.one(kind, resource, action, r.Method, doc)
}

// split tells a resource from a collection and an action. For a collection the
// resource's name is a placeholder.
func split(method, path string) (resource id.ID, action string, collection bool) {
	if method == http.MethodPost {
		cut := strings.LastIndex(path, "/")
		path, action = path[:cut], path[cut+1:]
	}
	if resource, err := id.Parse(path); err == nil {
		return resource, action, false
	}
	resource, err := id.Parse(path + "/-")
	if err != nil {
		return id.ID{}, action, false
	}
	return resource, action, true
}

// parent is what a child hangs on: the enclosing resource or an extension's scope.
func (s *Server) parentThere(resource id.ID) bool {
	parent := resource.Parent()
	if parent.Namespace() == "" {
		return true // groups and subscriptions always are
	}
	_, ok := s.docs[parent.Fold()]
	return ok
}

func (s *Server) list(kind Type, resource id.ID, r *http.Request) reply {
	if r.Method != http.MethodGet {
		s.t.Errorf("%s on a collection %s", r.Method, r.URL.Path)
		return refuse(405, "MethodNotAllowed", "not on a collection")
	}
	if !s.parentThere(resource) {
		return refuse(404, "ParentResourceNotFound", "no %s", resource.Parent())
	}
	if kind.List != nil {
		query := map[string]string{}
		for name := range r.URL.Query() {
			query[name] = r.URL.Query().Get(name)
		}
		return reply{status: 200, body: Object{"value": kind.List(s.docs, resource.Parent().String(), query)}}
	}
	value := []Object{}
	for key, doc := range s.docs {
		at, err := id.Parse(key)
		if err == nil && at.IsType(kind.Name) && at.Parent().Fold() == resource.Parent().Fold() {
			value = append(value, doc)
		}
	}
	sort.Slice(value, func(a, b int) bool { return fmt.Sprint(value[a]["id"]) < fmt.Sprint(value[b]["id"]) })
	return reply{status: 200, body: Object{"value": value}}
}

func (s *Server) one(kind Type, resource id.ID, action, method string, body Object) reply {
	doc, there := s.docs[resource.Fold()]
	missing := refuse(404, "ResourceNotFound", "The Resource '%s' was not found.", resource)
	switch {
	case !s.parentThere(resource):
		return missing
	case method == http.MethodPost:
		run, ok := kind.Actions[strings.ToLower(action)]
		if !ok {
			s.t.Errorf("POST %s/%s: no such action", resource, action)
			return missing
		}
		if !there {
			return missing
		}
		return reply{status: 200, body: run(resource.String(), doc)}
	case method == http.MethodGet && there && !kind.ListedOnly:
		return reply{status: 200, body: doc}
	case method == http.MethodGet:
		return missing
	case method == http.MethodDelete && !there:
		return reply{status: 204}
	case method == http.MethodPatch && !there:
		return missing
	}
	return s.change(kind, resource, method, doc, body)
}

// change does a PUT, PATCH or DELETE the way the type answers.
func (s *Server) change(kind Type, resource id.ID, method string, before, body Object) reply {
	after, check := Object(nil), kind.Put
	switch method {
	case http.MethodPut:
		after = copyObject(body)
	case http.MethodPatch:
		after, check = mergePatch(copyObject(before), body), kind.Patch
	}
	if check != nil && method != http.MethodDelete {
		var refusal *Refusal
		if err := check(resource.String(), copyObject(before), after); errors.As(err, &refusal) {
			return refuse(refusal.Status, refusal.Code, "%s", refusal.Message)
		} else if err != nil {
			s.t.Errorf("%s %s: %v", method, resource, err)
			return refuse(400, "InvalidRequestContent", "%v", err)
		}
	}
	work := func() {
		if method == http.MethodDelete {
			s.drop(resource.String())
			return
		}
		s.store(resource.String(), after)
	}
	if kind.Async == Async202 {
		return s.later(work)
	}
	work()
	if method == http.MethodDelete {
		return reply{status: 200}
	}
	status := http.StatusOK
	if before == nil {
		status = http.StatusCreated
	}
	return s.passing(kind, resource, status)
}

// passing answers a finished write; Async201 shows a state that passes by the
// next read.
func (s *Server) passing(kind Type, resource id.ID, status int) reply {
	doc := copyObject(s.docs[resource.Fold()])
	if kind.Async == Async201 {
		properties, _ := doc["properties"].(Object)
		if properties == nil {
			properties = Object{}
			doc["properties"] = properties
		}
		properties["provisioningState"] = "Updating"
	}
	return reply{status: status, body: doc}
}

// later answers 202 and does the work when its status has been asked for twice.
func (s *Server) later(work func()) reply {
	s.serial++
	op := fmt.Sprint(s.serial)
	asked := 0
	s.pending[op] = func() {
		if asked++; asked == 2 {
			work()
			delete(s.pending, op)
		}
	}
	return reply{status: http.StatusAccepted, header: map[string]string{
		"Azure-AsyncOperation": s.http.URL + operations + op + "?api-version=x",
		"Location":             s.http.URL + operations + op + "?api-version=x",
		"Retry-After":          "1",
	}}
}

func (s *Server) status(op string) reply {
	step, ok := s.pending[op]
	if ok {
		step()
	}
	if _, running := s.pending[op]; running {
		return reply{status: 200, body: Object{"status": "InProgress"}, header: map[string]string{"Retry-After": "1"}}
	}
	return reply{status: 200, body: Object{"status": "Succeeded"}}
}

// mergePatch is JSON merge patch: objects merge, null removes, the rest replaces.
func mergePatch(target, patch Object) Object {
	if target == nil {
		target = Object{}
	}
	for name, value := range patch {
		inner, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(target, name)
		case isObject:
			below, _ := target[name].(map[string]any)
			target[name] = mergePatch(below, inner)
		default:
			target[name] = value
		}
	}
	return target
}
