package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// place is where a request's path leads: one of our resource types, on a source
// or alone, or somewhere that is not ours.
type place struct {
	foreign  bool
	kind     string // resource type, as messages name it
	source   string // ARM id of what stands before our namespace, in the caller's casing
	linker   string // ARM id of the linker, when the path names one
	names    []string
	versions []string
	methods  map[string]handler
}

type handler func(*exchange) error

func (p place) id() string {
	if p.linker != "" {
		return p.linker
	}
	return p.source
}

// handler finds the handler of a method, and the methods there are.
func (p place) handler(method string) (handler, string) {
	allowed := map[string]bool{http.MethodOptions: true}
	for m := range p.methods {
		allowed[m] = true
		if m == http.MethodGet {
			allowed[http.MethodHead] = true
		}
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return p.methods[method], strings.Join(sortedKeys(allowed), ", ")
}

// spot is one row of the routing table. In tail, a star stands for a name.
type spot struct {
	space   string
	on      scope
	tail    string
	kind    string
	foreign bool // goes upstream: registration of the namespace is ARM's own business
	methods map[string]handler
}

// scope says what must stand before the namespace.
type scope int

const (
	onSource scope = iota
	onTenant
	onSubscription
	onAny
)

func spots() []spot {
	get, post := http.MethodGet, http.MethodPost
	return []spot{
		{space: api.Provider, on: onSource, tail: "linkers", kind: "linkers", methods: map[string]handler{get: (*exchange).listLinkers}},
		{space: api.Provider, on: onSource, tail: "linkers/*", kind: "linkers", methods: map[string]handler{
			get: (*exchange).getLinker, http.MethodPut: (*exchange).putLinker, http.MethodPatch: (*exchange).patchLinker, http.MethodDelete: (*exchange).deleteLinker}},
		{space: api.Provider, on: onSource, tail: "linkers/*/validateLinker", kind: "linkers/validateLinker", methods: map[string]handler{post: (*exchange).validateLinker}},
		{space: api.Provider, on: onSource, tail: "linkers/*/listConfigurations", kind: "linkers/listConfigurations", methods: map[string]handler{post: (*exchange).listConfigurations}},
		{space: api.Provider, on: onTenant, tail: "operations", kind: "operations", methods: map[string]handler{get: (*exchange).listActions}},
		{space: api.Provider, on: onSubscription, tail: "locations/*/operationStatuses/*", kind: "locations/operationStatuses", methods: map[string]handler{get: (*exchange).getStatus}},
		{space: api.Provider, on: onAny, tail: "", foreign: true},
		{space: api.Provider, on: onAny, tail: "register", foreign: true},
		{space: api.Provider, on: onAny, tail: "unregister", foreign: true},

		{space: api.Namespace, on: onSource, tail: "connections/*/plan", kind: "connections/plan", methods: map[string]handler{post: (*exchange).planConnection}},
		{space: api.Namespace, on: onSource, tail: "connections/*/drift", kind: "connections/drift", methods: map[string]handler{post: (*exchange).driftOfConnection}},
		{space: api.Namespace, on: onSource, tail: "connections/*/repair", kind: "connections/repair", methods: map[string]handler{post: (*exchange).repairConnection}},
		{space: api.Namespace, on: onSource, tail: "drift", kind: "drift", methods: map[string]handler{post: (*exchange).driftOfSource}},
		{space: api.Namespace, on: onTenant, tail: "drift", kind: "drift", methods: map[string]handler{post: (*exchange).driftOfAll}},
		{space: api.Namespace, on: onTenant, tail: "operations", kind: "operations", methods: map[string]handler{get: (*exchange).listOperations}},
		{space: api.Namespace, on: onTenant, tail: "operations/*", kind: "operations", methods: map[string]handler{get: (*exchange).getOperation}},
		{space: api.Namespace, on: onTenant, tail: "operations/*/events", kind: "operations/events", methods: map[string]handler{get: (*exchange).followOperation}},
		{space: api.Namespace, on: onTenant, tail: "operations/*/resume", kind: "operations/resume", methods: map[string]handler{post: (*exchange).resumeOperation}},
		{space: api.Namespace, on: onTenant, tail: "operations/*/undo", kind: "operations/undo", methods: map[string]handler{post: (*exchange).undoOperation}},
		{space: api.Namespace, on: onTenant, tail: "supportTypes", kind: "supportTypes", methods: map[string]handler{get: (*exchange).listSupportTypes}},
	}
}

// locate reads an escaped path. What does not name one of our namespaces is
// foreign and not looked at further; what does must be spelled plainly.
func locate(escaped string) (place, error) {
	raw := strings.Split(strings.TrimLeft(escaped, "/"), "/")
	segments, odd := unescape(raw)
	at := lastOurs(segments)
	if at < 0 {
		if hidesOurs(segments) {
			return place{}, malformed(escaped)
		}
		return place{foreign: true}, nil
	}
	if odd {
		return place{}, malformed(escaped)
	}
	before, space, tail := segments[:at], segments[at+1], segments[at+2:]
	source := ""
	if len(before) > 0 {
		source = "/" + strings.Join(before, "/")
	}
	for _, s := range spots() {
		names, fits := s.match(space, source, tail)
		if fits {
			return s.place(source, names)
		}
	}
	return place{}, unknownType(space, tail)
}

// unescape decodes segments and tells whether any is one that no resource id has.
func unescape(raw []string) (segments []string, odd bool) {
	segments = make([]string, len(raw))
	for i, r := range raw {
		s, err := url.PathUnescape(r)
		if err != nil {
			s, odd = r, true
		}
		control := strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\uFFFD' })
		if s == "" || s == "." || s == ".." || control || strings.ContainsAny(s, `/\?#%`) {
			odd = true
		}
		segments[i] = s
	}
	return segments, odd
}

// lastOurs is the index of the last "providers" that one of our namespaces follows.
func lastOurs(segments []string) int {
	for i := len(segments) - 2; i >= 0; i-- {
		if strings.EqualFold(segments[i], "providers") && isOurs(segments[i+1]) {
			return i
		}
	}
	return -1
}

func isOurs(namespace string) bool {
	return strings.EqualFold(namespace, api.Provider) || strings.EqualFold(namespace, api.Namespace)
}

// hidesOurs tells whether a path that is not ours by its segments becomes ours when
// it is decoded once more: such a path must not reach another server by way of us.
func hidesOurs(segments []string) bool {
	whole := strings.Join(segments, "/")
	for range 3 {
		if strings.Contains(strings.ToLower(strings.ReplaceAll(whole, `\`, "/")), "/"+strings.ToLower(api.Provider)+"/") {
			return true
		}
		decoded, err := url.PathUnescape(whole)
		if err != nil || decoded == whole {
			return false
		}
		whole = decoded
	}
	return false
}

func malformed(path string) error {
	return problem.New(problem.PathMalformed, "", "%q is not the address of a resource", clip(path))
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

func unknownType(space string, tail []string) error {
	kind := ""
	for i := 0; i < len(tail); i += 2 {
		kind += "/" + tail[i]
	}
	kind = strings.TrimPrefix(kind, "/")
	return problem.New(problem.RouteUnknown, "", "The resource type '%s' could not be found in the namespace '%s'.", clip(kind), space)
}

func (s spot) match(space, source string, tail []string) (names []string, fits bool) {
	if !strings.EqualFold(space, s.space) || !s.on.fits(source) {
		return nil, false
	}
	var pattern []string
	if s.tail != "" {
		pattern = strings.Split(s.tail, "/")
	}
	if len(pattern) != len(tail) {
		return nil, false
	}
	for i, p := range pattern {
		switch {
		case p == "*":
			names = append(names, tail[i])
		case !strings.EqualFold(p, tail[i]):
			return nil, false
		}
	}
	return names, true
}

func (on scope) fits(source string) bool {
	segments := strings.Count(source, "/")
	switch on {
	case onTenant:
		return source == ""
	case onSubscription:
		return segments == 2 && strings.HasPrefix(fold(source), "/subscriptions/")
	case onAny:
		return true
	}
	return source != ""
}

func (s spot) place(source string, names []string) (place, error) {
	p := place{foreign: s.foreign, kind: s.kind, source: source, names: names, methods: s.methods}
	if s.foreign {
		return p, nil
	}
	if s.on == onSource {
		parsed, err := id.Parse(source)
		if err != nil || parsed.Namespace() == "" || len(parsed.Names()) == 0 {
			return place{}, malformed(source)
		}
		if len(names) > 0 {
			p.linker = source + "/providers/" + api.Provider + "/linkers/" + names[0]
		}
	}
	p.versions = []string{api.NamespaceV}
	if s.space == api.Provider {
		p.versions = p.versions[:0]
		for _, v := range api.Versions() {
			p.versions = append(p.versions, string(v))
		}
		if s.on == onSubscription {
			p.versions = append(p.versions, api.StatusVersion)
		}
	}
	p.kind = s.space + "/" + s.kind
	return p, nil
}

func fold(s string) string { return connection.FoldID(s) }
