// Package kubernetestest is a small strict Kubernetes API server for tests: objects in
// namespaces, server-side apply of members of maps with their owners, merge patches,
// versions and preconditions.
//
// It promises to refuse what it does not know, and to keep no list apart from its
// elements: drivers that work on lists need the real server, which `make interop` runs
// the same tests on. It must not be used outside tests.
package kubernetestest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

type object = map[string]any

// Peer is the server. Make one with New, and serve it or take its Client.
type Peer struct {
	mu      sync.Mutex
	objects map[string]object // by path
	owners  map[string]map[string][]string
	version int
	writes  int
	refuse  bool
	before  func()
}

// New makes a server with these namespaces.
func New(namespaces ...string) *Peer {
	p := &Peer{objects: map[string]object{}, owners: map[string]map[string][]string{}}
	for _, n := range namespaces {
		p.objects["/api/v1/namespaces/"+n] = object{"kind": "Namespace", "apiVersion": "v1", "metadata": object{"name": n}}
	}
	return p
}

// Client serves the peer until the test ends and returns a client of it.
func (p *Peer) Client(t testing.TB) dynamic.Interface {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	api, err := dynamic.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// Kubeconfig serves the peer over TLS until the test ends, to whoever shows the token in
// the kubeconfig that is returned.
func (p *Peer) Kubeconfig(t testing.TB) map[string]any {
	t.Helper()
	const token = "kubernetestest-token"
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return object{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []any{object{"name": "test", "cluster": object{"server": server.URL, "certificate-authority-data": ca}}},
		"users":    []any{object{"name": "test", "user": object{"token": token}}},
		"contexts": []any{object{"name": "test", "context": object{"cluster": "test", "user": "test"}}},
	}
}

// Before runs f once, ahead of the next write, as another writer would come between.
func (p *Peer) Before(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = f
}

// Object is a copy of an object, nil when it is not there.
func (p *Peer) Object(path string) map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.objects[path] == nil {
		return nil
	}
	return clone(p.objects[path])
}

// Entry is a value of a Secret, "" when it is not there.
func (p *Peer) Entry(path, name string) string {
	data, _ := p.Object(path)["data"].(object)
	encoded, _ := data[name].(string)
	raw, _ := base64.StdEncoding.DecodeString(encoded)
	return string(raw)
}

// Set puts an object there as a writer that is not us.
func (p *Peer) Set(path string, o object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.store(path, clone(o))
	p.owners[path] = map[string][]string{}
}

// Edit changes members of an object's data as another writer, who owns them from then on.
func (p *Peer) Edit(path string, data map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.objects[path]
	if o == nil {
		return
	}
	mergeInto(o, object{"data": data})
	for name := range data {
		p.disown(path, "", "data/"+name)
	}
	p.store(path, o)
}

func (p *Peer) store(path string, o object) {
	p.version++
	meta := child(o, "metadata")
	meta["resourceVersion"] = fmt.Sprint(p.version)
	if meta["uid"] == nil {
		meta["uid"] = fmt.Sprintf("uid-%d", p.version)
	}
	p.objects[path] = o
}

// Vanish takes a namespace away, with everything in it.
func (p *Peer) Vanish(namespace string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.objects, func(path string, _ object) bool { return strings.HasPrefix(path, "/api/v1/namespaces/"+namespace) })
}

// Writes counts the writes there were.
func (p *Peer) Writes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writes
}

// Refuse refuses everything from now on.
func (p *Peer) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = true
}

// Allow takes Refuse back.
func (p *Peer) Allow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = false
}

// Look is every object without what changes by itself.
func (p *Peer) Look() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]object{}
	for path, o := range p.objects {
		c := clone(o)
		meta := child(c, "metadata")
		delete(meta, "resourceVersion")
		delete(meta, "uid")
		delete(meta, "managedFields")
		prune(c)
		out[path] = c
	}
	return out
}

func prune(o object) {
	for name, v := range o {
		if m, ok := v.(object); ok {
			if prune(m); len(m) == 0 {
				delete(o, name)
			}
		}
	}
}

// ServeHTTP implements http.Handler.
func (p *Peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	if hook := p.before; hook != nil && r.Method != http.MethodGet {
		p.before = nil
		p.mu.Unlock()
		hook()
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	if r.Method != http.MethodGet {
		p.writes++
	}
	status, answer := p.answer(r, body)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func failure(status int, reason, message string) (int, object) {
	return status, object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": status}
}

func (p *Peer) answer(r *http.Request, body []byte) (int, object) {
	path := r.URL.Path
	parts := strings.Split(path, "/")
	switch {
	case p.refuse:
		return failure(http.StatusForbidden, "Forbidden", "you may not")
	case len(parts) == 5 && r.Method == http.MethodGet:
	case len(parts) != 7 || parts[5] != "secrets" && parts[5] != "serviceaccounts":
		return failure(http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method+" "+path)
	case p.objects[strings.Join(parts[:5], "/")] == nil:
		return failure(http.StatusNotFound, "NotFound", "no namespace "+parts[4])
	}
	there := p.objects[path]
	switch {
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/apply-patch+yaml":
		return p.apply(path, r, body)
	case there == nil:
		return failure(http.StatusNotFound, "NotFound", "no "+path)
	case r.Method == http.MethodGet:
		return http.StatusOK, p.show(path)
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/merge-patch+json":
		return p.merge(path, body)
	case r.Method == http.MethodDelete:
		return p.remove(path, body)
	}
	return failure(http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method+" "+path)
}

func (p *Peer) show(path string) object {
	o := clone(p.objects[path])
	entries := []any{}
	for _, manager := range slices.Sorted(maps.Keys(p.owners[path])) {
		fields := object{}
		for _, leaf := range p.owners[path][manager] {
			at := fields
			for _, name := range strings.Split(leaf, "/") {
				at = child(at, "f:"+strings.ReplaceAll(name, "~1", "/"))
			}
		}
		entries = append(entries, object{"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
	}
	child(o, "metadata")["managedFields"] = entries
	return o
}

// stale tells whether a request was tied to a version that has passed.
func (p *Peer) stale(path string, meta object) bool {
	wanted, _ := meta["resourceVersion"].(string)
	return wanted != "" && (p.objects[path] == nil || child(p.objects[path], "metadata")["resourceVersion"] != wanted)
}

func (p *Peer) apply(path string, r *http.Request, body []byte) (int, object) {
	manager := r.URL.Query().Get("fieldManager")
	var wanted object
	if err := json.Unmarshal(body, &wanted); err != nil || manager == "" || wanted["apiVersion"] != "v1" || wanted["kind"] == nil {
		return failure(http.StatusBadRequest, "BadRequest", "an apply needs apiVersion, kind and a field manager")
	}
	meta := child(wanted, "metadata")
	if meta["managedFields"] != nil || meta["name"] != path[strings.LastIndex(path, "/")+1:] {
		return failure(http.StatusBadRequest, "BadRequest", "metadata is not right")
	}
	if p.stale(path, meta) {
		return failure(http.StatusConflict, "Conflict", "the object has been modified")
	}
	delete(meta, "resourceVersion")
	leaves := leavesOf(wanted, "")
	o := p.objects[path]
	if o == nil {
		o = object{}
		p.owners[path] = map[string][]string{}
	}
	for _, leaf := range p.owners[path][manager] {
		if !slices.Contains(leaves, leaf) && !p.ownedByOther(path, manager, leaf) {
			drop(o, leaf)
		}
	}
	mergeInto(o, wanted)
	for _, leaf := range leaves {
		p.disown(path, manager, leaf)
	}
	p.owners[path][manager] = leaves
	p.store(path, o)
	return http.StatusOK, p.show(path)
}

func (p *Peer) ownedByOther(path, manager, leaf string) bool {
	for who, leaves := range p.owners[path] {
		if who != manager && slices.Contains(leaves, leaf) {
			return true
		}
	}
	return false
}

// disown takes a field from everybody but one.
func (p *Peer) disown(path, except, leaf string) {
	for who, leaves := range p.owners[path] {
		if who != except {
			p.owners[path][who] = slices.DeleteFunc(slices.Clone(leaves), func(l string) bool { return l == leaf })
		}
	}
}

func (p *Peer) merge(path string, body []byte) (int, object) {
	var change object
	if json.Unmarshal(body, &change) != nil {
		return failure(http.StatusBadRequest, "BadRequest", "no JSON")
	}
	if p.stale(path, child(change, "metadata")) {
		return failure(http.StatusConflict, "Conflict", "the object has been modified")
	}
	o := p.objects[path]
	mergeInto(o, change)
	for _, leaf := range leavesOf(change, "") {
		p.disown(path, "", leaf)
	}
	p.store(path, o)
	return http.StatusOK, p.show(path)
}

func (p *Peer) remove(path string, body []byte) (int, object) {
	var options struct {
		Preconditions object `json:"preconditions"`
	}
	_ = json.Unmarshal(body, &options)
	if uid := options.Preconditions["uid"]; p.stale(path, options.Preconditions) || uid != nil && uid != child(p.objects[path], "metadata")["uid"] {
		return failure(http.StatusConflict, "Conflict", "a precondition does not hold")
	}
	delete(p.objects, path)
	return http.StatusOK, object{"kind": "Status", "apiVersion": "v1", "status": "Success"}
}

// leavesOf lists members of maps by path, without what says which object it is.
func leavesOf(o object, prefix string) []string {
	var out []string
	for name, v := range o {
		at := prefix + strings.ReplaceAll(name, "/", "~1")
		m, isMap := v.(object)
		switch {
		case slices.Contains([]string{"apiVersion", "kind", "metadata/name", "metadata/namespace", "metadata/resourceVersion"}, at):
		case isMap:
			out = append(out, leavesOf(m, at+"/")...)
		default:
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return out
}

func drop(o object, leaf string) {
	names := strings.Split(leaf, "/")
	for _, n := range names[:len(names)-1] {
		o = child(o, n)
	}
	delete(o, strings.ReplaceAll(names[len(names)-1], "~1", "/"))
}

func mergeInto(o, change object) {
	for name, v := range change {
		m, isMap := v.(object)
		switch {
		case v == nil:
			delete(o, name)
		case isMap:
			mergeInto(child(o, name), m)
		default:
			o[name] = v
		}
	}
}

func child(o object, name string) object {
	m, ok := o[name].(object)
	if !ok {
		m = object{}
		o[name] = m
	}
	return m
}

func clone(o object) object {
	raw, _ := json.Marshal(o)
	var out object
	_ = json.Unmarshal(raw, &out)
	return out
}
