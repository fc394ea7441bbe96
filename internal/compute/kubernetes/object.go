package kubernetes

import (
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

// Object drives objects as such: that a Secret or a service account is there. Key.Resource
// is the namespace (CLUSTER/namespaces/NS), Key.Name kind and name ("Secret/NAME"). Want
// holds the mark, and clientId for a service account. An object that holds more than what
// we put there when it is to go stays, without our mark.
type Object struct{ open Open }

// NewObject makes the driver.
func NewObject(open Open) *Object { return &Object{open} }

// Path is the object.
func (d *Object) Path(f connection.Facet) string { return placeOf(f).path() }

// Fresh is false: every write is tied to the version that was read.
func (d *Object) Fresh() bool { return false }

// Rights names opening the cluster.
func (d *Object) Rights(f connection.Facet) []connection.Right { return rights(f) }

// Read reads the object.
func (d *Object) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return look(ctx, d.open, placeOf(facets[0]))
}

// State tells that the object is there, whose it is, and what it stands for.
func (d *Object) State(b any, f connection.Facet) connection.State {
	if why, away := b.(unseen); away {
		return connection.State{Unknown: true, Why: string(why)}
	}
	found, ok := b.(*unstructured.Unstructured)
	if !ok || found == nil {
		return connection.State{}
	}
	s := connection.State{Exists: true, Attrs: connection.Attrs{}, Mark: found.GetLabels()[labelConnection],
		Outputs: map[string]string{connection.OutID: string(found.GetUID())}}
	if placeOf(f).kind == connection.ObjectAccount {
		s.Attrs[connection.AttrClientID] = echo(f.Want, found.GetAnnotations()[annotationClient])
	}
	return s
}

// echo reports a client id in the wanted spelling when only the case differs.
func echo(want connection.Attrs, seen string) connection.Value {
	if v, ok := want[connection.AttrClientID]; ok && v.From == nil && strings.EqualFold(v.Text, seen) {
		return v
	}
	return connection.Plain(seen)
}

// Write makes one object there, or takes it away.
func (d *Object) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	before, err := basis(ctx, d.open, placeOf(changes[0].Facet), b)
	if err != nil {
		return nil, err
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		after, err := d.write(ctx, before, c)
		if err != nil {
			return nil, err
		}
		before, states[n] = after, d.State(after, c.Facet)
	}
	return states, nil
}

func (d *Object) write(ctx context.Context, before *unstructured.Unstructured, c plan.Change) (*unstructured.Unstructured, error) {
	at, want := placeOf(c.Facet), c.Facet.Want
	if c.Action == plan.Remove {
		if before == nil {
			return nil, nil
		}
		want = nil
		if c.Restore != nil && c.Restore.Exists {
			want = connection.Attrs{connection.AttrClientID: c.Restore.Attrs[connection.AttrClientID], connection.AttrMark: connection.Plain(c.Restore.Mark)}
		}
	}
	return contended(ctx, d.open, at, before, func(api API, now *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		switch {
		case want != nil:
			return put(ctx, api, at, now, want)
		case now == nil:
			return nil, nil
		case holdsMore(now):
			return apply(ctx, api, at, now.GetResourceVersion(), object{})
		}
		err := remove(ctx, api, at, now)
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return nil, err
	})
}

// put applies what we want of an object beside what we own of it, when that changes anything.
func put(ctx context.Context, api API, at place, now *unstructured.Unstructured, want connection.Attrs) (*unstructured.Unstructured, error) {
	fields, version := object{}, ""
	if now != nil {
		fields, version = owned(now), now.GetResourceVersion()
	}
	client, mark := want[connection.AttrClientID].Text, want[connection.AttrMark].Text
	if now != nil && (client == "" || strings.EqualFold(now.GetAnnotations()[annotationClient], client)) && now.GetLabels()[labelConnection] == mark {
		return now, nil
	}
	if mark != "" {
		labels := within(fields, "metadata", "labels")
		labels[labelManager], labels[labelConnection] = FieldManager, mark
	} else {
		delete(within(fields, "metadata"), "labels")
	}
	if client != "" {
		within(fields, "metadata", "annotations")[annotationClient] = client
	} else {
		delete(within(fields, "metadata"), "annotations")
	}
	if at.kind == connection.ObjectSecret && now == nil {
		fields["type"] = "Opaque"
	}
	return apply(ctx, api, at, version, fields)
}

// holdsMore tells whether others keep something in an object.
func holdsMore(u *unstructured.Unstructured) bool {
	data, _ := u.Object["data"].(object)
	pulls, _ := u.Object["imagePullSecrets"].([]any)
	for name := range u.GetAnnotations() {
		if name != annotationClient {
			return true
		}
	}
	return len(data) > 0 || len(pulls) > 0
}
