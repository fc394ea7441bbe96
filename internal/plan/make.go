package plan

import (
	"fmt"
	"sort"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
)

// Mode says how values that somebody else changed are treated.
type Mode int

// The modes.
const (
	Apply  Mode = iota // a user's own create or update: what is wanted wins
	Mend               // repair and drift: changed values are left and reported
	Insist             // repair or delete by force: changed values are written or removed too
)

// Input is everything Make looks at. Maps are keyed by Key.Fold.
type Input struct {
	UID string
	// Desired is what must be true, scaffolding included; nothing for a delete.
	Desired []connection.Facet
	// Context is what removals lean on: the facets of the connection as it was, for
	// their order and their scaffolding.
	Context  []connection.Facet
	Observed map[string]connection.State
	Records  map[string]*Record
	Stamps   Stamps
	Mode     Mode
	// Path names what a write of a facet goes to.
	Path func(connection.Facet) string
	// Hold asks for all scaffolding even when no write needs it: a look inside does.
	Hold bool
}

// Clash is a setting that another connection owns with another value, or a thing
// that carries a foreign mark.
type Clash struct {
	Key     connection.Key
	Owner   string // uid, when known
	Foreign bool   // the mark is not in this ledger
}

func (c *Clash) Error() string {
	if c.Foreign {
		return fmt.Sprintf("%s carries the mark of a connection that is not in this ledger", c.Key)
	}
	return fmt.Sprintf("%s belongs to another connection", c.Key)
}

// Make computes the plan. The only error is *Clash.
func Make(in Input) (*Plan, error) {
	m := &maker{Input: in}
	for _, f := range in.Desired {
		if f.Scaffold {
			continue
		}
		c, err := m.decide(f)
		if err != nil {
			return nil, err
		}
		m.add(c)
	}
	m.removals()
	m.scaffold()
	return m.graph(), nil
}

type maker struct {
	Input
	changes []Change
	quiet   []Change
	erect   []Change // scaffolding put up
	strike  []Change // scaffolding taken down
}

func (m *maker) add(c Change) {
	if c.Writes() {
		m.changes = append(m.changes, c)
		return
	}
	m.quiet = append(m.quiet, c)
}

// Lookup resolves references by what was observed.
func (in Input) Lookup(r connection.Ref) (string, bool) {
	s, ok := in.Observed[r.Facet.Fold()]
	if !ok || !s.Exists {
		return "", false
	}
	text, ok := s.Outputs[r.Output]
	return text, ok && text != ""
}

// decide compares one desired facet with what is there.
func (m *maker) decide(f connection.Facet) (Change, error) {
	f.Want = f.Want.Resolve(m.Lookup)
	s, r := m.Observed[f.Fold()], m.Records[f.Fold()]
	ours := r != nil && !r.Claimed && r.OwnedBy(m.UID)
	c := Change{Facet: f, Before: s, Note: s.Why}
	if ours {
		c.Was = r.Outputs
	}
	switch {
	case s.Unknown:
		return m.unseen(c, r, ours), nil
	case !s.Exists:
		return m.absent(c, r, ours), nil
	case f.Want.Known() && Matches(f.Want, s):
		return m.right(c, s, r, ours)
	}
	return m.differs(c, s, r, ours)
}

// unseen decides where the place cannot be looked into: the ledger's word counts.
func (m *maker) unseen(c Change, r *Record, ours bool) Change {
	c.Note = "looked at when it is written"
	switch {
	case !ours:
		c.Action, c.Reason = Create, New
	case m.replaced(c.Facet, r):
		c.Action, c.Reason = Update, Replaced
	case m.asWritten(c.Facet.Want, r):
		c.Action = Keep
	default:
		c.Action, c.Reason = Update, Moved
	}
	return c
}

func (m *maker) absent(c Change, r *Record, ours bool) Change {
	c.Action, c.Reason = Create, New
	if ours {
		c.Reason = Missing
		if m.replaced(c.Facet, r) {
			c.Reason = Replaced
		}
	}
	return c
}

func (m *maker) right(c Change, s connection.State, r *Record, ours bool) (Change, error) {
	owned := r != nil && !r.Claimed
	switch {
	case owned && !r.Found:
		c.Action = Keep
	case !owned && s.Mark == m.UID:
		c.Action = Keep
	case !owned && s.Mark != "":
		return c, &Clash{Key: c.Facet.Key, Foreign: true}
	default:
		c.Action = Found
	}
	return c, nil
}

func (m *maker) differs(c Change, s connection.State, r *Record, ours bool) (Change, error) {
	c.Action = Update
	switch {
	case r != nil && !r.Claimed && m.others(r) && !r.Found && m.stillAs(s, r):
		return c, &Clash{Key: c.Facet.Key, Owner: m.other(r)}
	case !ours:
		c.Reason = New
	case m.replaced(c.Facet, r):
		c.Reason = Replaced
	case r.Found:
		c.Reason = Changed
	case m.stillAs(s, r):
		c.Reason = Moved
	default:
		c.Reason = Changed
	}
	if c.Reason == Changed && m.Mode == Mend {
		c.Action = Leave
	}
	return c, nil
}

// replaced tells whether the facet was written for a principal that is another one now.
func (m *maker) replaced(f connection.Facet, r *Record) bool {
	v, ok := f.Want[connection.AttrPrincipalID]
	if !ok {
		return false
	}
	if v.From != nil {
		return true
	}
	stamp, ok := r.Written[connection.AttrPrincipalID]
	return ok && !m.Stamps.Same(v, stamp)
}

func (m *maker) others(r *Record) bool { return m.other(r) != "" }

func (m *maker) other(r *Record) string {
	for _, o := range r.Owners {
		if o != m.UID {
			return o
		}
	}
	return ""
}

// asWritten compares wanted attributes with the record's stamps.
func (m *maker) asWritten(want connection.Attrs, r *Record) bool {
	for name, v := range want {
		if stamp, ok := r.Written[name]; v.From != nil || !ok || !m.Stamps.Same(v, stamp) {
			return false
		}
	}
	return true
}

// stillAs compares observed attributes with the record's stamps.
func (m *maker) stillAs(s connection.State, r *Record) bool { return StillAs(m.Stamps, s, r) }

// StillAs tells whether a state carries what the record says was written.
func StillAs(stamps Stamps, s connection.State, r *Record) bool {
	for name, v := range s.Attrs {
		if stamp, ok := r.Written[name]; ok && !stamps.Same(v, stamp) {
			return false
		}
	}
	return s.Exists
}

// Matches tells whether a state carries the wanted attributes. An attribute the
// state does not report is a parameter of the write, not a thing to compare.
func Matches(want connection.Attrs, s connection.State) bool {
	for name, seen := range s.Attrs {
		if v, ok := want[name]; ok && v.Text != seen.Text {
			return false
		}
	}
	return s.Exists
}

// removals decides on everything we own that is no longer wanted.
func (m *maker) removals() {
	wanted := map[string]bool{}
	for _, f := range m.Desired {
		wanted[f.Fold()] = true
	}
	for _, fold := range m.recordKeys() {
		r := m.Records[fold]
		if r.Scaffold || wanted[fold] || !r.OwnedBy(m.UID) {
			continue
		}
		m.add(m.removal(r))
	}
}

func (m *maker) recordKeys() []string {
	keys := make([]string, 0, len(m.Records))
	for k := range m.Records {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func (m *maker) removal(r *Record) Change {
	s := m.Observed[r.Key.Fold()]
	c := Change{Facet: m.recalled(r), Before: s, Was: r.Outputs, Reason: Unwanted, Note: s.Why, Obsolete: true}
	switch {
	case r.Claimed || r.Found:
		c.Action, c.Note = Keep, "was there before us"
	case m.others(r):
		c.Action, c.Note = Keep, "another connection needs it"
	case !s.Unknown && !s.Exists && !m.orphan(r):
		c.Action, c.Note = Keep, "already gone"
	case r.Previous != nil && r.Previous.Unknown && m.Mode != Insist:
		c.Action, c.Note = Leave, "what was there before cannot be read back: "+r.Previous.Why
	case !s.Unknown && s.Exists && !m.stillAs(s, r) && m.Mode != Insist:
		c.Action, c.Reason, c.Note = Leave, Changed, "changed since we wrote it"
	default:
		c.Action = Remove
		if r.Previous != nil && r.Previous.Exists && !r.Previous.Unknown {
			c.Restore = r.Previous
		}
	}
	return c
}

// orphan tells whether something may remain although the facet looks absent: a role
// assignment of a principal that is gone, a database user without its grants.
func (m *maker) orphan(r *Record) bool {
	return r.Key.Kind == connection.KindDBUser || r.Key.Kind == connection.KindRole && r.Outputs[connection.OutID] != ""
}

// recalled rebuilds a facet from the record made at apply time; only its order and
// what it leans on come from the context.
func (m *maker) recalled(r *Record) connection.Facet {
	f := connection.Facet{Key: r.Key, Want: connection.Attrs{}}
	for name, stamp := range r.Written {
		if text, ok := strings.CutPrefix(stamp, "="); ok {
			f.Want[name] = connection.Plain(text)
		}
	}
	for _, c := range m.Context {
		if c.Fold() == r.Key.Fold() {
			f.After = c.After
		}
	}
	return f
}

// scaffold adds what writes lean on while they run, and its removal.
func (m *maker) scaffold() {
	needed := map[string]bool{}
	for _, c := range m.changes {
		for _, k := range c.Facet.After {
			needed[k.Fold()] = true
		}
	}
	seen := map[string]bool{}
	for _, f := range append(append([]connection.Facet{}, m.Desired...), m.Context...) {
		fold := f.Fold()
		if !f.Scaffold || seen[fold] {
			continue
		}
		seen[fold] = true
		m.scaffoldOne(f, needed[fold] || m.Hold)
	}
	for _, fold := range m.recordKeys() {
		if r := m.Records[fold]; r.Scaffold && !seen[fold] && r.OwnedBy(m.UID) {
			m.strike = append(m.strike, Change{Facet: m.recalled(r), Action: Remove, Reason: Unwanted, Before: m.Observed[fold], Was: r.Outputs})
		}
	}
}

func (m *maker) scaffoldOne(f connection.Facet, needed bool) {
	fold := f.Fold()
	f.Want = f.Want.Resolve(m.Lookup)
	s, r := m.Observed[fold], m.Records[fold]
	left := r != nil && r.Scaffold // put up by an operation that did not end
	stands := Matches(f.Want, s)
	up := Change{Facet: f, Action: Create, Reason: New, Before: s}
	down := Change{Facet: f, Action: Remove, Reason: Unwanted, Before: s}
	switch {
	case s.Exists && !stands: // it takes the place of what is there, which comes back afterwards
		up.Action = Update
		if !left {
			down.Restore = &s
		}
	case s.Exists && !left:
		if needed {
			m.quiet = append(m.quiet, Change{Facet: f, Action: Found, Before: s})
		}
		return
	}
	switch {
	case needed: // where another operation put it up, this one becomes its owner too
		m.erect, m.strike = append(m.erect, up), append(m.strike, down)
	case left && r.OwnedBy(m.UID): // whoever else put it up takes it down, or its recovery does
		m.strike = append(m.strike, down)
	}
}
