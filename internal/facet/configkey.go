package facet

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	configKeyVersion = "1.0"
	configKeyType    = "application/vnd.microsoft.appconfig.kv+json"
)

// ConfigKey drives key-values in an App Configuration store, those without a label.
// Key.Resource is the store, Key.Name the key; Want holds value, contentType and uri,
// the store's address. Its output is the ETag that stood there after the write.
//
// Every write carries the ETag that was read: what somebody else wrote in between is
// not written over.
type ConfigKey struct{ plane DataPlane }

// NewConfigKey makes the driver.
func NewConfigKey(p DataPlane) *ConfigKey {
	p.Patience = p.Patience.orDefault()
	return &ConfigKey{p}
}

// keyBasis is what was seen of one key-value.
type keyBasis struct {
	failed error // the store did not let us look
	exists bool
	seen   keyValue
}

type keyValue struct {
	Value       string            `json:"value"`
	ContentType string            `json:"content_type"`
	Tags        map[string]string `json:"tags"`
	ETag        string            `json:"etag,omitempty"`
}

// Path is the key-value.
func (d *ConfigKey) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/kv/" + url.PathEscape(strings.ToLower(f.Name))
}

// Fresh is true: a store opens to the engine only while an operation runs.
func (d *ConfigKey) Fresh() bool { return true }

// Rights names writing key-values as ARM knows it: the engine works on the data plane,
// and whom it works for must be allowed to have it done.
func (d *ConfigKey) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, "Microsoft.AppConfiguration/configurationStores/keyValues/", "write")
}

// Read looks at the key-value. A store that does not let the engine in gives an unknown
// state, not an error.
func (d *ConfigKey) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	b := d.read(ctx, facets[0])
	return b, ctx.Err()
}

func keyURI(f connection.Facet) string {
	return strings.TrimRight(known(f.Want, connection.AttrURI), "/") + "/kv/" + url.PathEscape(f.Name) + "?api-version=" + configKeyVersion
}

func (d *ConfigKey) read(ctx context.Context, f connection.Facet) *keyBasis {
	b := &keyBasis{}
	_, err := d.plane.do(ctx, exchange{method: http.MethodGet, uri: keyURI(f), into: &b.seen})
	if _, missing := refusedWith(err, http.StatusNotFound); missing {
		return b
	}
	b.failed, b.exists = err, err == nil
	return b
}

// Await waits, within bounds, until the store lets the engine in.
func (d *ConfigKey) Await(ctx context.Context, f connection.Facet) (any, error) {
	var b *keyBasis
	_ = d.plane.Patience.until(ctx, func() (bool, error) { // what failed stands in the basis
		b = d.read(ctx, f)
		return closed(b.failed), b.failed
	})
	return b, ctx.Err()
}

// State tells value and content type.
func (d *ConfigKey) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*keyBasis)
	switch {
	case !ok:
		return connection.State{}
	case basis.failed != nil:
		return connection.State{Unknown: true, Why: strings.Join(strings.Fields(basis.failed.Error()), " ")}
	case !basis.exists:
		return connection.State{}
	}
	value := connection.Hidden(basis.seen.Value) // somebody else's may be secret
	if v, ok := f.Want[connection.AttrValue]; ok && v.Text == value.Text {
		value = v
	}
	return connection.State{
		Exists: true, Mark: basis.seen.Tags[markTag],
		Attrs:   connection.Attrs{connection.AttrValue: value, connection.AttrContentType: connection.Plain(basis.seen.ContentType)},
		Outputs: map[string]string{connection.OutETag: basis.seen.ETag},
	}
}

// Write sets or deletes one key-value.
func (d *ConfigKey) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		basis, ok := b.(*keyBasis)
		if !ok {
			return nil, foreign(c.Facet.Resource)
		}
		if basis.failed != nil {
			next, err := d.Await(ctx, c.Facet)
			if err != nil {
				return nil, err
			}
			basis = next.(*keyBasis)
		}
		if basis.failed != nil {
			return nil, asProblem(basis.failed, c.Facet.Resource, "write key-value")
		}
		state, err := d.write(ctx, basis, c)
		if err != nil {
			return nil, err
		}
		states[n] = state
	}
	return states, nil
}

func (d *ConfigKey) write(ctx context.Context, b *keyBasis, c plan.Change) (connection.State, error) {
	want := c.Facet
	if c.Action == plan.Remove {
		if !restores(c) {
			return connection.State{}, d.send(ctx, b, want, exchange{method: http.MethodDelete})
		}
		want.Want = maps.Clone(want.Want)
		want.Want[connection.AttrMark] = connection.Plain(c.Restore.Mark)
		for _, name := range []string{connection.AttrValue, connection.AttrContentType} {
			want.Want[name] = c.Restore.Attrs[name]
		}
	}
	if is := d.State(b, want); is.Exists && plan.Matches(want.Want, is) {
		return is, nil
	}
	made := &keyBasis{exists: true}
	body := keyValue{Value: want.Want[connection.AttrValue].Text, ContentType: want.Want[connection.AttrContentType].Text, Tags: marked(b.seen.Tags, want)}
	err := d.send(ctx, b, want, exchange{method: http.MethodPut, contentType: configKeyType, body: body, into: &made.seen})
	if problem.Is(err, problem.WriteLost) {
		// Unless it was we who wrote it: an answer may have got lost.
		if now := d.State(d.read(ctx, want), want); now.Mark == want.Want[connection.AttrMark].Text && plan.Matches(want.Want, now) {
			return now, nil
		}
	}
	return d.State(made, want), err
}

// send writes on the condition that what was read still stands there.
func (d *ConfigKey) send(ctx context.Context, b *keyBasis, f connection.Facet, x exchange) error {
	if !b.exists && x.method == http.MethodDelete {
		return nil
	}
	x.uri, x.header = keyURI(f), map[string]string{"If-None-Match": "*"}
	if b.exists {
		x.header = map[string]string{"If-Match": `"` + b.seen.ETag + `"`}
	}
	err := d.plane.Patience.until(ctx, func() (bool, error) {
		_, err := d.plane.do(ctx, x)
		return closed(err), err
	})
	if _, lost := refusedWith(err, http.StatusPreconditionFailed); lost && (x.method == http.MethodPut || d.read(ctx, f).exists) {
		return problem.New(problem.WriteLost, f.Resource, "somebody else wrote %s in the same moment", f.Name).While("write key-value")
	}
	if _, gone := refusedWith(err, http.StatusPreconditionFailed); err != nil && !gone {
		return asProblem(err, f.Resource, "write key-value")
	}
	return nil
}
