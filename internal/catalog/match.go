package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Match is a target that a request named, by ARM id or by address.
type Match struct {
	Target *Target
	ID     string           // as given; an address where the target has no ARM id
	Form   string           // which of the target's linkers it is, where it takes several
	Facts  connection.Facts // the names along the id, subscription and resource group
	head   []string         // segments up to and with the namespace
	tail   []string         // types and names
}

// Match finds the target an id belongs to, types compared folded.
// *problem.Error TARGET_UNSUPPORTED when there is none, or when no connection can be
// made to it.
func (c *Catalog) Match(id string) (*Match, error) {
	m, err := c.find(id)
	if err == nil && m.Target.Status == StatusPreview {
		return nil, c.previewOnly(id, m.Target)
	}
	return m, err
}

// MatchTarget finds the target of a request: by its ARM id, or by the word of
// targetService.type where it has none. Errors as for Match.
func (c *Catalog) MatchTarget(t connection.Target) (*Match, error) {
	if t.Type == "" || strings.EqualFold(t.Type, connection.TargetAzure) {
		return c.Match(t.ID)
	}
	for _, e := range c.entries {
		at := slices.IndexFunc(e.head.Types, func(w string) bool { return strings.EqualFold(w, t.Type) })
		if at < 0 || !e.head.reaches(t.Endpoint) {
			continue
		}
		if e.head.Status == StatusPreview {
			return nil, c.previewOnly(t.Endpoint, e.head)
		}
		if t.Endpoint == "" {
			return nil, problem.New(problem.BodyInvalid, "", "targetService of type %s needs an endpoint", e.head.Types[at]).WithFix("%s", e.whole().addressOption(e.head.Types[at]))
		}
		m := &Match{Target: e.whole(), ID: t.Endpoint, Facts: connection.Facts{FactEndpoint: connection.Plain(t.Endpoint)}}
		if len(e.head.Types) > 1 {
			m.Form = e.head.Types[at]
		}
		if err := m.checkAddress(e.head.Types[at], t.Endpoint); err != nil {
			return nil, err
		}
		return m, nil
	}
	return nil, c.typeUnsupported(t)
}

// reaches tells whether an address has one of the target's schemes; one without
// schemes takes every address.
func (t *Target) reaches(endpoint string) bool {
	scheme, _, found := strings.Cut(endpoint, "://")
	return len(t.Schemes) == 0 || found && slices.ContainsFunc(t.Schemes, func(s string) bool { return strings.EqualFold(s, scheme) })
}

// typeUnsupported lists the words of targetService.type, and the schemes one of them takes.
func (c *Catalog) typeUnsupported(t connection.Target) error {
	words, schemes := []string{connection.TargetAzure}, []string(nil)
	for _, e := range c.entries {
		if e.head.Status == StatusPreview {
			continue
		}
		for _, word := range e.head.Types {
			if !slices.Contains(words, word) {
				words = append(words, word)
			}
			if strings.EqualFold(word, t.Type) {
				schemes = append(schemes, e.head.Schemes...)
			}
		}
	}
	if len(schemes) > 0 {
		slices.Sort(schemes)
		return problem.New(problem.TargetUnsupported, t.Endpoint, "the endpoint of a %s is a URL whose scheme tells the protocol; allowed: %s", t.Type, strings.Join(slices.Compact(schemes), ", "))
	}
	return problem.New(problem.TargetUnsupported, t.ID, "targets of type %q are not supported; %s", t.Type, OneOf(t.Type, words))
}

// Kind settles which of the targets of one ARM type it is once the account's kind is
// known; a target without kinds is itself.
func (c *Catalog) Kind(t *Target, kind string) *Target {
	if kind == "" || len(t.Kinds) == 0 {
		return t
	}
	return c.OfKind(t, kind)
}

// Type is what siblings of a connection are told by: the target's name, and which of
// its linkers it is.
func (m *Match) Type() string {
	if m.Form == "" {
		return m.Target.Name
	}
	return m.Target.Name + "/" + m.Form
}

// Rows returns the rows of a pair; *problem.Error AUTH_UNSUPPORTED or CLIENT_UNSUPPORTED when there are none.
func (m *Match) Rows(auth, client string) ([]Row, error) {
	return m.Target.rowsOf(auth, client, m.Form)
}

// find is Match for every target, whatever its status.
func (c *Catalog) find(id string) (*Match, error) {
	segments := strings.Split(strings.Trim(id, "/"), "/")
	at := lastIndexFold(segments, "providers")
	if at < 0 || at+1 >= len(segments) {
		return nil, c.unsupported(id, "")
	}
	head, tail := segments[:at+2], segments[at+2:]
	var found *entry
	for _, e := range c.entries {
		if strings.EqualFold(head[at+1], e.head.Namespace) && e.head.typed(tail) && (found == nil || e.head.takes(AnyKind)) {
			found = &e
		}
	}
	if found == nil {
		return nil, c.unsupported(id, typeOf(head[at+1], tail))
	}
	m := &Match{Target: found.whole(), ID: id, Facts: connection.Facts{}, head: head, tail: tail}
	return m, m.read()
}

func (t *Target) takes(kind string) bool {
	return slices.ContainsFunc(t.Kinds, func(k string) bool { return strings.EqualFold(k, kind) })
}

// OfKind returns the target for an account of that kind: a match by id cannot tell
// the targets of one ARM type apart. Without such a target it is the one given.
func (c *Catalog) OfKind(t *Target, kind string) *Target {
	for _, e := range c.entries {
		if e.head.Type() == t.Type() && e.head.takes(kind) {
			return e.whole()
		}
	}
	return t
}

// OfType returns the target for a word of targetService.type that stands for
// something without an ARM id.
func (c *Catalog) OfType(word string) (*Target, bool) {
	for _, e := range c.entries {
		if slices.ContainsFunc(e.head.Types, func(w string) bool { return strings.EqualFold(w, word) }) {
			return e.whole(), true
		}
	}
	return nil, false
}

// typed tells whether the tail has the target's types and as many names.
func (t *Target) typed(tail []string) bool {
	if len(tail) != 2*len(t.ID) || len(tail) == 0 {
		return false
	}
	for i, part := range t.ID {
		if !strings.EqualFold(part.Type, tail[2*i]) || tail[2*i+1] == "" {
			return false
		}
	}
	return true
}

// read takes the names out of the id.
func (m *Match) read() error {
	for i, part := range m.Target.ID {
		name := m.tail[2*i+1]
		switch {
		case part.Fixed != "" && !strings.EqualFold(part.Fixed, name):
			return problem.New(problem.TargetUnsupported, m.ID, "the id of a %s ends in %s/%s, not %q", m.Target.Name, part.Type, part.Fixed, name)
		case part.Pattern != "" && !regexp.MustCompile("^(?:"+part.Pattern+")$").MatchString(name):
			return problem.New(problem.TargetUnsupported, m.ID, "%s/%s of a %s must look like %s", part.Type, name, m.Target.Name, part.Pattern)
		case part.Fact != "":
			m.Facts[part.Fact] = connection.Plain(name)
		}
	}
	for n := 0; n+1 < len(m.head) && n < 4; n += 2 {
		switch strings.ToLower(m.head[n]) {
		case "subscriptions":
			m.Facts[FactSubscriptionID] = connection.Plain(m.head[n+1])
		case "resourcegroups":
			m.Facts[FactResourceGroup] = connection.Plain(m.head[n+1])
		}
	}
	return nil
}

// Resource returns the id of one of the target's resources ("" when it has none of that name).
func (m *Match) Resource(name string) string {
	r, ok := m.Target.Resources[name]
	if !ok {
		return ""
	}
	id := "/" + strings.Join(append(append([]string{}, m.head...), m.tail[:2*r.Depth]...), "/")
	if r.Child != "" {
		id += "/" + r.Child
	}
	return id
}

// ResourceType returns the full type of one of the target's resources.
func (t *Target) ResourceType(name string) string {
	r := t.Resources[name]
	parts := []string{t.Namespace}
	for _, p := range t.ID[:r.Depth] {
		parts = append(parts, p.Type)
	}
	if r.Child != "" {
		parts = append(parts, r.Child)
	}
	return strings.Join(parts, "/")
}

// Type is the full type of the target's id.
func (t *Target) Type() string {
	parts := []string{t.Namespace}
	for _, p := range t.ID {
		parts = append(parts, p.Type)
	}
	return strings.Join(parts, "/")
}

// IDTemplate is the target's id with {subscription}, {target-resource-group} and
// the command line's options in braces; empty for a target without one.
func (t *Target) IDTemplate() string {
	if len(t.ID) == 0 {
		return ""
	}
	id := "/subscriptions/{subscription}/resourceGroups/{target-resource-group}/providers/" + t.Namespace
	for _, p := range t.ID {
		name := p.Fixed
		if name == "" {
			name = "{" + p.Option + "}"
		}
		id += "/" + p.Type + "/" + name
	}
	return id
}

// unsupported lists what there is, the likeliest first.
func (c *Catalog) unsupported(id, given string) error {
	p := problem.New(problem.TargetUnsupported, id, "%q is not the id of a target; there are %s", id, c.ready())
	if given != "" {
		p.Detail = fmt.Sprintf("no target has the type %s; there are %s", given, c.ready())
	}
	if near := c.nearType(given); near != nil {
		p.Detail += "; nearest: " + near.Name
		p = p.WithFix("give the id of a %s: --target-id %s", near.Name, near.IDTemplate())
	}
	return p
}

// previewOnly refuses a target whose settings are known and nothing else.
func (c *Catalog) previewOnly(id string, t *Target) error {
	return problem.New(problem.TargetUnsupported, id, "%s can be previewed, but no connection can be made to it yet; there are %s", t.Name, c.ready()).
		WithFix("see the settings it would get: patchbay preview %s --auth-type %s --client-type %s", t.Name, t.AuthTypes()[0], t.Clients[0])
}

// ready lists the targets that connections can be made to.
func (c *Catalog) ready() string {
	var known []string
	for _, e := range c.entries {
		if e.head.Status != StatusPreview {
			known = append(known, e.head.Name+" ("+e.head.Type()+")")
		}
	}
	return strings.Join(known, ", ")
}

// nearType is the target whose type has most in common with the given one, at
// least the namespace.
func (c *Catalog) nearType(given string) *Target {
	var best *Target
	most := 0
	for _, e := range c.entries {
		n := common(strings.ToLower(given), strings.ToLower(e.head.Type()))
		if n > most && n >= len(e.head.Namespace) && e.head.Status != StatusPreview {
			best, most = e.head, n
		}
	}
	return best
}

func typeOf(namespace string, tail []string) string {
	parts := []string{namespace}
	for i := 0; i < len(tail); i += 2 {
		parts = append(parts, tail[i])
	}
	return strings.Join(parts, "/")
}

func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func lastIndexFold(list []string, word string) int {
	for i := len(list) - 1; i >= 0; i-- {
		if strings.EqualFold(list[i], word) {
			return i
		}
	}
	return -1
}
