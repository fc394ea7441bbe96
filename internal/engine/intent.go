package engine

import (
	"encoding/json"
	"fmt"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

// intent is the machine's part of a journal entry: what was about to be written
// and what stood there, so that an undo needs nothing else. It holds secrets and
// is only ever handed to the ledger as Entry.Sealed.
type intent struct {
	Step      string
	Path      string
	Dismantle bool
	Changes   []intentChange
}

type intentChange struct {
	Change plan.Change
	Had    *plan.Record // the record as it was before the intent; nil when there was none
}

// openState and openFacet are the forms that keep secret values; the domain's own
// JSON masks them.
type openValue struct {
	Text   string `json:"t"`
	Secret bool   `json:"s,omitempty"`
}

type openState struct {
	connection.State
	Attrs map[string]openValue `json:"attrs"`
}

type openChange struct {
	Key      connection.Key       `json:"key"`
	Want     map[string]openValue `json:"want"`
	Scaffold bool                 `json:"scaffold,omitempty"`
	Action   plan.Action          `json:"action"`
	Before   openState            `json:"before"`
	Restore  *openState           `json:"restore,omitempty"`
	Was      map[string]string    `json:"was,omitempty"`
	Had      *openRecord          `json:"had,omitempty"`
}

type openRecord struct {
	plan.Record
	Previous *openState `json:"previous,omitempty"`
}

type openIntent struct {
	Step      string       `json:"step"`
	Path      string       `json:"path"`
	Dismantle bool         `json:"dismantle,omitempty"`
	Changes   []openChange `json:"changes"`
}

func (in intent) encode() ([]byte, error) {
	out := openIntent{Step: in.Step, Path: in.Path, Dismantle: in.Dismantle}
	for _, ic := range in.Changes {
		c := ic.Change
		oc := openChange{Key: c.Facet.Key, Want: openAttrs(c.Facet.Want), Scaffold: c.Facet.Scaffold, Action: c.Action,
			Before: *open(&c.Before), Restore: open(c.Restore), Was: c.Was}
		if ic.Had != nil {
			oc.Had = &openRecord{Record: *ic.Had, Previous: open(ic.Had.Previous)}
		}
		out.Changes = append(out.Changes, oc)
	}
	return json.Marshal(out)
}

func decodeIntent(raw []byte) (intent, error) {
	var in openIntent
	if err := json.Unmarshal(raw, &in); err != nil {
		return intent{}, fmt.Errorf("read a journal entry: %w", err)
	}
	out := intent{Step: in.Step, Path: in.Path, Dismantle: in.Dismantle}
	for _, oc := range in.Changes {
		c := plan.Change{Facet: connection.Facet{Key: oc.Key, Want: closedAttrs(oc.Want), Scaffold: oc.Scaffold}, Action: oc.Action,
			Before: *closed(&oc.Before), Restore: closed(oc.Restore), Was: oc.Was}
		ic := intentChange{Change: c}
		if oc.Had != nil {
			had := oc.Had.Record
			had.Previous = closed(oc.Had.Previous)
			ic.Had = &had
		}
		out.Changes = append(out.Changes, ic)
	}
	return out, nil
}

func openAttrs(a connection.Attrs) map[string]openValue {
	out := map[string]openValue{}
	for name, v := range a {
		out[name] = openValue{Text: v.Text, Secret: v.Secret}
	}
	return out
}

func closedAttrs(a map[string]openValue) connection.Attrs {
	out := connection.Attrs{}
	for name, v := range a {
		out[name] = connection.Value{Text: v.Text, Secret: v.Secret}
	}
	return out
}

func open(s *connection.State) *openState {
	if s == nil {
		return nil
	}
	return &openState{State: *s, Attrs: openAttrs(s.Attrs)}
}

func closed(s *openState) *connection.State {
	if s == nil {
		return nil
	}
	out := s.State
	out.Attrs = closedAttrs(s.Attrs)
	return &out
}
