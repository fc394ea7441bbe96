package server

import (
	"net/http"
	"net/url"
	"slices"
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
	linker   string // ARM id of the connection or dryrun, when the path names one
	name     string // its name
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
	item    string // tail of the connection or dryrun that the path names, from the provider's namespace
	since   api.Version
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
	onGroup
	onAny
)

// Tails of what has a name of its own, with a star for each name.
const (
	itemLinker          = "linkers/*"
	itemConnector       = "locations/*/connectors/*"
	itemDryrun          = "dryruns/*"
	itemConnectorDryrun = "locations/*/dryruns/*"
)

func spots() []spot {
	return slices.Concat(linkerSpots(), connectorSpots(), ownSpots())
}

func linkerSpots() []spot {
	get, post := http.MethodGet, http.MethodPost
	return []spot{
		{space: api.Provider, on: onSource, tail: "linkers", kind: "linkers", methods: map[string]handler{get: (*exchange).listLinkers}},
		{space: api.Provider, on: onSource, tail: itemLinker, item: itemLinker, kind: "linkers", methods: map[string]handler{
			get: (*exchange).getLinker, http.MethodPut: (*exchange).putLinker, http.MethodPatch: (*exchange).patchLinker, http.MethodDelete: (*exchange).deleteLinker}},
		{space: api.Provider, on: onSource, tail: itemLinker + "/validateLinker", item: itemLinker, kind: "linkers/validateLinker", methods: map[string]handler{post: (*exchange).validateLinker}},
		{space: api.Provider, on: onSource, tail: itemLinker + "/listConfigurations", item: itemLinker, kind: "linkers/listConfigurations", methods: map[string]handler{post: (*exchange).listConfigurations}},
		{space: api.Provider, on: onSource, tail: itemLinker + "/generateConfigurations", item: itemLinker, since: api.V20221101Preview, kind: "linkers/generateConfigurations", methods: map[string]handler{post: (*exchange).generateConfigurations}},
		{space: api.Provider, on: onSource, tail: "dryruns", since: api.V20221101Preview, kind: "dryruns", methods: map[string]handler{get: (*exchange).listDryruns}},
		{space: api.Provider, on: onSource, tail: itemDryrun, item: itemDryrun, since: api.V20221101Preview, kind: "dryruns", methods: dryrunMethods()},
		{space: api.Provider, on: onSource, tail: "daprConfigurations", since: api.V20230401Preview, kind: "daprConfigurations", methods: map[string]handler{get: (*exchange).listDaprConfigurations}},
		{space: api.Provider, on: onTenant, tail: "configurationNames", since: api.V20221101Preview, kind: "configurationNames", methods: map[string]handler{get: (*exchange).listConfigurationNames}},
		{space: api.Provider, on: onTenant, tail: "operations", kind: "operations", methods: map[string]handler{get: (*exchange).listActions}},
		{space: api.Provider, on: onSubscription, tail: "locations/*/operationStatuses/*", kind: "locations/operationStatuses", methods: map[string]handler{get: (*exchange).getStatus}},
		{space: api.Provider, on: onAny, tail: "", foreign: true},
		{space: api.Provider, on: onAny, tail: "register", foreign: true},
		{space: api.Provider, on: onAny, tail: "unregister", foreign: true},
	}
}

func dryrunMethods() map[string]handler {
	return map[string]handler{http.MethodGet: (*exchange).getDryrun, http.MethodPut: (*exchange).putDryrun,
		http.MethodPatch: (*exchange).patchDryrun, http.MethodDelete: (*exchange).deleteDryrun}
}

func connectorSpots() []spot {
	get, post := http.MethodGet, http.MethodPost
	list := []spot{
		{tail: "locations/*/connectors", kind: "locations/connectors", methods: map[string]handler{get: (*exchange).listConnectors}},
		{tail: itemConnector, item: itemConnector, kind: "locations/connectors", methods: map[string]handler{
			get: (*exchange).getLinker, http.MethodPut: (*exchange).putLinker, http.MethodPatch: (*exchange).patchConnector, http.MethodDelete: (*exchange).deleteConnector}},
		{tail: itemConnector + "/validate", item: itemConnector, kind: "locations/connectors/validate", methods: map[string]handler{post: (*exchange).validateLinker}},
		{tail: itemConnector + "/generateConfigurations", item: itemConnector, kind: "locations/connectors/generateConfigurations", methods: map[string]handler{post: (*exchange).generateConfigurations}},
		{tail: "locations/*/dryruns", kind: "locations/dryruns", methods: map[string]handler{get: (*exchange).listDryruns}},
		{tail: itemConnectorDryrun, item: itemConnectorDryrun, kind: "locations/dryruns", methods: dryrunMethods()},
	}
	for i := range list {
		list[i].space, list[i].on, list[i].since = api.Provider, onGroup, api.V20221101Preview
	}
	return list
}

// ownSpots are the rows of our own namespace. A connection's come twice: on a source,
// and for local ones in a location of a group.
func ownSpots() []spot {
	get, post := http.MethodGet, http.MethodPost
	list := []spot{
		{on: onSource, tail: "drift", kind: "drift", methods: map[string]handler{post: (*exchange).driftOfSource}},
		{on: onTenant, tail: "drift", kind: "drift", methods: map[string]handler{post: (*exchange).driftOfAll}},
		{on: onTenant, tail: "operations", kind: "operations", methods: map[string]handler{get: (*exchange).listOperations}},
		{on: onTenant, tail: "operations/*", kind: "operations", methods: map[string]handler{get: (*exchange).getOperation}},
		{on: onTenant, tail: "operations/*/events", kind: "operations/events", methods: map[string]handler{get: (*exchange).followOperation}},
		{on: onTenant, tail: "operations/*/resume", kind: "operations/resume", methods: map[string]handler{post: (*exchange).resumeOperation}},
		{on: onTenant, tail: "operations/*/undo", kind: "operations/undo", methods: map[string]handler{post: (*exchange).undoOperation}},
		{on: onTenant, tail: "supportTypes", kind: "supportTypes", methods: map[string]handler{get: (*exchange).listSupportTypes}},
	}
	for verb, handle := range map[string]handler{"plan": (*exchange).planConnection, "drift": (*exchange).driftOfConnection, "repair": (*exchange).repairConnection} {
		methods := map[string]handler{post: handle}
		list = append(list,
			spot{on: onSource, tail: "connections/*/" + verb, item: itemLinker, kind: "connections/" + verb, methods: methods},
			spot{on: onGroup, tail: "locations/*/connections/*/" + verb, item: itemConnector, kind: "locations/connections/" + verb, methods: methods})
	}
	for i := range list {
		list[i].space = api.Namespace
	}
	return list
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
	case onGroup:
		return segments == 4 && strings.HasPrefix(fold(source), "/subscriptions/") && strings.Contains(fold(source), "/resourcegroups/")
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
	}
	if s.item != "" {
		p.name = names[len(names)-1]
		p.linker = source + "/providers/" + api.Provider + "/" + fill(s.item, names)
	}
	p.versions = []string{api.NamespaceV}
	if s.space == api.Provider {
		p.versions = p.versions[:0]
		for _, v := range api.Versions() {
			if v >= s.since {
				p.versions = append(p.versions, string(v))
			}
		}
		if s.on == onSubscription {
			p.versions = append(p.versions, api.StatusVersion)
		}
	}
	p.kind = s.space + "/" + s.kind
	return p, nil
}

// fill puts names in the place of stars.
func fill(pattern string, names []string) string {
	for _, name := range names {
		pattern = strings.Replace(pattern, "*", name, 1)
	}
	return pattern
}

func fold(s string) string { return connection.FoldID(s) }
