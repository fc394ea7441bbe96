package containerapp

import (
	"context"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// attrSecret names, in a state, the secret that a variable takes its value from: a
// removal that restores leads it there again.
const attrSecret = "secretRef"

// Setting drives the environment variables of one container or init container of an app.
// Key.Resource is what ContainerOf says, or the app for its first container; Key.Name is
// the variable, in which case counts; Want holds value. A value that is secret goes to a
// secret of the app, and the variable refers to it.
type Setting struct {
	arm      *arm.Client
	patience Patience
}

// NewSetting makes the driver. patience bounds the wait for a revision to be ready.
func NewSetting(c *arm.Client, patience Patience) *Setting {
	return &Setting{c, patience.orDefault()}
}

// basis is an app as it was read, with its secrets.
type basis struct {
	exists  bool
	app     map[string]any
	secrets []any
}

func (b *basis) container(name string) map[string]any {
	kinds := map[string][]any{}
	for _, kind := range containerKinds {
		kinds[kind] = list(at(b.app, "properties", "template", kind))
	}
	return containerIn(kinds, name)
}

// Path is the app: all its containers and secrets are written by changing it.
func (d *Setting) Path(f connection.Facet) string {
	app, _ := split(f.Resource)
	return connection.FoldID(app)
}

// Fresh is true: arrays are replaced whole and there is no ETag.
func (d *Setting) Fresh() bool { return true }

// Rights names reading and changing the app and listing its secrets, and what a rollout
// looks at and starts anew.
func (d *Setting) Rights(f connection.Facet) []connection.Right {
	app, _ := split(f.Resource)
	return []connection.Right{right(app, "read"), right(app, "write"), right(app, "listSecrets/action"),
		right(app, "revisions/read"), right(app, "revisions/restart/action")}
}

// Read reads the app, and its secrets when it has any.
func (d *Setting) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	app, _ := split(facets[0].Resource)
	return d.read(ctx, app)
}

func (d *Setting) read(ctx context.Context, app string) (*basis, error) {
	seen := &basis{}
	err := d.arm.Get(ctx, app, apiVersion, &seen.app)
	if arm.IsNotFound(err) {
		return seen, nil
	}
	if err != nil {
		return nil, err
	}
	seen.exists = true
	if len(list(at(seen.app, "properties", "configuration", "secrets"))) == 0 {
		return seen, nil
	}
	var answer struct {
		Value []any `json:"value"`
	}
	err = d.arm.Post(ctx, app+"/listSecrets", apiVersion, nil, &answer)
	if arm.IsNotFound(err) {
		return &basis{}, nil
	}
	seen.secrets = answer.Value
	return seen, err
}

// State finds a variable in its container.
func (d *Setting) State(b any, f connection.Facet) connection.State {
	seen, ok := b.(*basis)
	if !ok || !seen.exists {
		return connection.State{}
	}
	_, name := split(f.Resource)
	env, n := variable(seen.container(name), f.Name)
	if n < 0 {
		return connection.State{}
	}
	value, ref := text(env[n], "value"), text(env[n], "secretRef")
	if ref != "" {
		value = valueOf(seen.secrets, ref)
	}
	state := connection.State{Exists: true, Attrs: connection.Attrs{connection.AttrValue: shown(f, value)}}
	if ref != "" {
		state.Attrs[attrSecret] = connection.Plain(ref)
	}
	return state
}

// shown hides every value but one that we wanted in the open: what somebody else put
// under our name may be a secret.
func shown(f connection.Facet, value string) connection.Value {
	if want, ok := f.Want[connection.AttrValue]; ok && want.From == nil && want.Text == value {
		return want
	}
	return connection.Hidden(value)
}

// Write merges all changes into the fresh containers and secrets, writes them once when
// that changes anything, waits for the revision, and reads back.
func (d *Setting) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	app, _ := split(changes[0].Facet.Resource)
	before, ok := b.(*basis)
	if !ok {
		return nil, problem.New(problem.Internal, app, "the basis was not read by this driver")
	}
	if !before.exists {
		return vanished(app, changes)
	}
	next, brings := newDraft(before.app, before.secrets), false
	for _, c := range changes {
		brings = brings || c.Action != plan.Remove
		if err := apply(next, c); err != nil {
			return nil, err
		}
	}
	after := before
	if _, stuck := lifted(before.app); stuck || next.template() != nil || next.secretsChanged() {
		if err := d.roll(ctx, app, next, brings); err != nil {
			return nil, err
		}
		var err error
		if after, err = d.read(ctx, app); err != nil {
			return nil, err
		}
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		states[n] = d.State(after, c.Facet)
		if !asWritten(c, states[n]) {
			return nil, problem.New(problem.WriteLost, app, "the setting %s is not as it was written", c.Facet.Name).While("write settings")
		}
	}
	return states, nil
}

// vanished is the answer for an app that is gone: removals are done, the rest cannot be.
func vanished(app string, changes []plan.Change) ([]connection.State, error) {
	for _, c := range changes {
		if c.Action != plan.Remove {
			return nil, problem.New(problem.SourceNotFound, app, "the container app is not there").While("write source")
		}
	}
	return make([]connection.State, len(changes)), nil
}

// apply makes one change in a draft.
func apply(d *draft, c plan.Change) error {
	app, name := split(c.Facet.Resource)
	container, removal := d.container(name), c.Action == plan.Remove
	var err error
	switch {
	case container == nil && removal: // it went with its container
	case container == nil:
		return problem.New(problem.BodyInvalid, app, "the app has no container %q", name).While("write settings")
	case !removal:
		want := c.Facet.Want[connection.AttrValue]
		_, confided := vaultURI(want.Text)
		err = d.put(container, c.Facet.Name, entry{value: want.Text, secret: want.Secret || confided})
	case c.Restore != nil && c.Restore.Exists:
		ref := c.Restore.Attrs[attrSecret].Text
		err = d.put(container, c.Facet.Name, entry{value: c.Restore.Attrs[connection.AttrValue].Text, secret: ref != "", ref: ref})
	default:
		d.drop(container, c.Facet.Name)
	}
	if err != nil {
		return problem.New(problem.OptionUnsupported, app, "%s cannot be kept as a reference: %s", c.Facet.Name, err).
			WithFix("az containerapp identity assign --ids %s --system-assigned", app)
	}
	return nil
}

// asWritten tells whether a state is what its change leads to.
func asWritten(c plan.Change, s connection.State) bool {
	want, on := c.Facet.Want, true
	if c.Action == plan.Remove {
		if on = c.Restore != nil && c.Restore.Exists; on {
			want = c.Restore.Attrs
		}
	}
	if !on || !s.Exists {
		return on == s.Exists || c.Action == plan.Remove // its container may be gone
	}
	return want[connection.AttrValue].Text == s.Attrs[connection.AttrValue].Text
}
