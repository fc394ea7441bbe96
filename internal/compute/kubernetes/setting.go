package kubernetes

import (
	"context"
	"encoding/base64"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// Setting drives the entries of a Secret. Key.Resource is the Secret
// (CLUSTER/namespaces/NS/secrets/NAME), Key.Name the entry; Want holds value. The Secret
// itself is an object of its own, which goes first.
type Setting struct{ open Open }

// NewSetting makes the driver.
func NewSetting(open Open) *Setting { return &Setting{open} }

// Path is the Secret: its entries are written together.
func (d *Setting) Path(f connection.Facet) string { return placeOf(f).path() }

// Fresh is true: the Secret may be a moment old, made by the step before.
func (d *Setting) Fresh() bool { return true }

// Rights names opening the cluster.
func (d *Setting) Rights(f connection.Facet) []connection.Right { return rights(f) }

// Read reads the Secret.
func (d *Setting) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return look(ctx, d.open, placeOf(facets[0]))
}

// State finds an entry. Names of entries differ by case.
func (d *Setting) State(b any, f connection.Facet) connection.State {
	if why, away := b.(unseen); away {
		return connection.State{Unknown: true, Why: string(why)}
	}
	found, ok := b.(*unstructured.Unstructured)
	if !ok || found == nil {
		return connection.State{}
	}
	value, ok := entry(found, f.Name)
	if !ok {
		return connection.State{}
	}
	return connection.State{Exists: true, Attrs: connection.Attrs{connection.AttrValue: seen(f, value)}}
}

// entry is one value of a Secret.
func entry(u *unstructured.Unstructured, name string) (string, bool) {
	data, _ := u.Object["data"].(object)
	encoded, ok := data[name].(string)
	if !ok {
		return "", false
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	return string(raw), err == nil
}

// seen hides every value but one that we wanted in the open: what somebody else put
// under our name may be a secret.
func seen(f connection.Facet, value string) connection.Value {
	if want, ok := f.Want[connection.AttrValue]; ok && want.From == nil && want.Text == value {
		return want
	}
	return connection.Hidden(value)
}

// Write applies what comes and takes away what goes, each in one call where there is any.
func (d *Setting) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	at := placeOf(changes[0].Facet)
	before, err := basis(ctx, d.open, at, b)
	if err != nil {
		return nil, err
	}
	after := before
	if before != nil || comes(changes) {
		after, err = contended(ctx, d.open, at, before, func(api API, now *unstructured.Unstructured) (*unstructured.Unstructured, error) {
			return d.write(ctx, api, at, now, changes)
		})
		if err != nil {
			return nil, err
		}
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		states[n] = d.State(after, c.Facet)
	}
	return states, nil
}

func (d *Setting) write(ctx context.Context, api API, at place, now *unstructured.Unstructured, changes []plan.Change) (*unstructured.Unstructured, error) {
	if now == nil {
		if !comes(changes) {
			return nil, nil
		}
		return nil, problem.New(problem.SourceNotFound, at.cluster, "the %s is not there", at).While("write settings")
	}
	puts, drops := split(now, changes)
	var err error
	if len(puts) > 0 {
		fields := owned(now)
		for name, value := range puts {
			within(fields, "data")[name] = base64.StdEncoding.EncodeToString([]byte(value))
		}
		if now, err = apply(ctx, api, at, now.GetResourceVersion(), fields); err != nil {
			return nil, err
		}
	}
	if len(drops) > 0 {
		now, err = merge(ctx, api, at, now.GetResourceVersion(), object{"data": drops})
	}
	return now, err
}

// split parts the changes that are not true yet into entries to put and to drop.
func split(now *unstructured.Unstructured, changes []plan.Change) (puts map[string]string, drops object) {
	puts, drops = map[string]string{}, object{}
	for _, c := range changes {
		is, there := entry(now, c.Facet.Name)
		want, wanted := target(c)
		switch {
		case wanted && (!there || is != want):
			puts[c.Facet.Name] = want
		case !wanted && there:
			drops[c.Facet.Name] = nil
		}
	}
	return puts, drops
}

// target is the value an entry has after a change, if any.
func target(c plan.Change) (value string, wanted bool) {
	switch {
	case c.Action != plan.Remove:
		return c.Facet.Want[connection.AttrValue].Text, true
	case c.Restore != nil && c.Restore.Exists:
		return c.Restore.Attrs[connection.AttrValue].Text, true
	}
	return "", false
}

// comes tells whether anything is to be there after the changes.
func comes(changes []plan.Change) bool {
	for _, c := range changes {
		if _, wanted := target(c); wanted {
			return true
		}
	}
	return false
}
