package facet

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	secretVersion = "7.4"
	// markTag is the tag that carries our mark on secrets and key-values.
	markTag        = "patchbay"
	secretDisabled = "SecretDisabled"
)

// Secret drives values in a Key Vault. Key.Resource is the vault, Key.Name the secret's
// name; Want holds value and uri, the secret's address without a version. Its outputs
// are the id and the version that was written.
//
// A delete is the service's soft delete: the name stays taken, and a later write of the
// same name brings the secret back first, provided that it carries our mark. Tags of
// others on a secret stay.
type Secret struct{ plane DataPlane }

// NewSecret makes the driver.
func NewSecret(p DataPlane) *Secret {
	p.Patience = p.Patience.orDefault()
	return &Secret{p}
}

// secretBasis is what was seen of one secret.
type secretBasis struct {
	failed   error // the vault did not let us look
	exists   bool
	value    string
	id, mark string
	tags     map[string]string
}

type secretBundle struct {
	ID    string            `json:"id,omitempty"`
	Value string            `json:"value"`
	Tags  map[string]string `json:"tags,omitempty"`
}

// Path is the secret.
func (d *Secret) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/secrets/" + strings.ToLower(f.Name)
}

// Fresh is true: a vault opens to the engine only while an operation runs.
func (d *Secret) Fresh() bool { return true }

// Rights names writing secrets as ARM knows it: the engine works on the data plane, and
// whom it works for must be allowed to have it done.
func (d *Secret) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, "Microsoft.KeyVault/vaults/secrets/", "write")
}

// Read looks at the secret. A vault that does not let the engine in gives an unknown
// state, not an error.
func (d *Secret) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	b := d.read(ctx, facets[0])
	return b, ctx.Err()
}

func (d *Secret) read(ctx context.Context, f connection.Facet) *secretBasis {
	var seen secretBundle
	_, err := d.plane.do(ctx, exchange{method: http.MethodGet, uri: secretURI(f, ""), into: &seen})
	switch r, _ := err.(*refusal); { //nolint:errorlint // do returns it bare
	case err == nil:
		return &secretBasis{exists: true, value: seen.Value, id: seen.ID, mark: seen.Tags[markTag], tags: seen.Tags}
	case r != nil && r.status == http.StatusNotFound:
		return &secretBasis{}
	case r != nil && r.inner == secretDisabled:
		return &secretBasis{exists: true} // with a value that nobody can read
	}
	return &secretBasis{failed: err}
}

// Await waits, within bounds, until the vault lets the engine in.
func (d *Secret) Await(ctx context.Context, f connection.Facet) (any, error) {
	var b *secretBasis
	_ = d.plane.Patience.until(ctx, func() (bool, error) { // what failed stands in the basis
		b = d.read(ctx, f)
		return closed(b.failed), b.failed
	})
	return b, ctx.Err()
}

// secretURI is the address of a secret, or of the deleted one with what is done to it.
func secretURI(f connection.Facet, deleted string) string {
	uri := known(f.Want, connection.AttrURI)
	if deleted != "" {
		at := strings.LastIndex(uri, "/secrets/")
		if at < 0 {
			return ""
		}
		uri = uri[:at] + "/deletedsecrets/" + uri[at+len("/secrets/"):] + strings.TrimSuffix(deleted, "/")
	}
	return uri + "?api-version=" + secretVersion
}

// State tells the secret's value.
func (d *Secret) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*secretBasis)
	switch {
	case !ok:
		return connection.State{}
	case basis.failed != nil:
		return connection.State{Unknown: true, Why: strings.Join(strings.Fields(basis.failed.Error()), " ")}
	case !basis.exists:
		return connection.State{}
	}
	return connection.State{
		Exists: true, Mark: basis.mark,
		Attrs:   connection.Attrs{connection.AttrValue: connection.Hidden(basis.value)},
		Outputs: outputsOf(basis.id),
	}
}

func outputsOf(id string) map[string]string {
	if id == "" {
		return nil
	}
	return map[string]string{connection.OutID: id, connection.OutVersion: id[strings.LastIndex(id, "/")+1:]}
}

// Write sets or deletes one secret.
func (d *Secret) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		basis, ok := b.(*secretBasis)
		if !ok {
			return nil, foreign(c.Facet.Resource)
		}
		if basis.failed != nil {
			next, err := d.Await(ctx, c.Facet)
			if err != nil {
				return nil, err
			}
			basis = next.(*secretBasis)
		}
		if basis.failed != nil {
			return nil, d.problem(basis.failed, c.Facet, "write secret")
		}
		state, err := d.write(ctx, basis, c)
		if err != nil {
			return nil, err
		}
		states[n] = state
	}
	return states, nil
}

func (d *Secret) write(ctx context.Context, b *secretBasis, c plan.Change) (connection.State, error) {
	want := c.Facet
	if c.Action == plan.Remove {
		if !restores(c) {
			return connection.State{}, d.remove(ctx, want)
		}
		want.Want = maps.Clone(want.Want)
		want.Want[connection.AttrValue] = c.Restore.Attrs[connection.AttrValue]
		want.Want[connection.AttrMark] = connection.Plain(c.Restore.Mark)
	}
	if is := d.State(b, want); is.Exists && is.Attrs[connection.AttrValue].Text == want.Want[connection.AttrValue].Text {
		return is, nil
	}
	body := secretBundle{Value: want.Want[connection.AttrValue].Text, Tags: marked(b.tags, want)}
	var made secretBundle
	err := d.plane.Patience.until(ctx, func() (bool, error) {
		_, err := d.plane.do(ctx, exchange{method: http.MethodPut, uri: secretURI(want, ""), contentType: "application/json", body: body, into: &made})
		r, conflict := refusedWith(err, http.StatusConflict)
		if !conflict {
			return closed(err), err
		}
		if r.inner == "ObjectIsDeletedButRecoverable" {
			if err := d.recover(ctx, want); err != nil {
				return false, err
			}
		}
		return true, err // it is on its way out of, or back into, the vault
	})
	if err != nil {
		return connection.State{}, d.problem(err, want, "write secret")
	}
	return d.State(&secretBasis{exists: true, value: made.Value, id: made.ID, mark: made.Tags[markTag]}, want), nil
}

// marked are the tags that a thing had, with our mark in place of what was ours.
func marked(tags map[string]string, f connection.Facet) map[string]string {
	out := maps.Clone(tags)
	if out == nil {
		out = map[string]string{}
	}
	delete(out, markTag)
	if uid := f.Want[connection.AttrMark].Text; uid != "" {
		out[markTag] = uid
	}
	return out
}

// recover brings a deleted secret back, if it was one of ours: its name is taken until
// then, and a stranger's is not ours to bring back.
func (d *Secret) recover(ctx context.Context, f connection.Facet) error {
	var gone secretBundle
	_, err := d.plane.do(ctx, exchange{method: http.MethodGet, uri: secretURI(f, "/"), into: &gone})
	if _, missing := refusedWith(err, http.StatusNotFound); missing {
		return nil // recovered or purged in this moment
	}
	if err != nil {
		return err
	}
	if gone.Tags[markTag] == "" {
		return problem.New(problem.ForeignMark, f.Resource, "a deleted secret of somebody else's holds the name %s", f.Name).While("write secret").
			WithFix("az keyvault secret recover --vault-name %s --name %s, or purge it", lastName(f.Resource, ""), f.Name)
	}
	_, err = d.plane.do(ctx, exchange{method: http.MethodPost, uri: secretURI(f, "/recover"), contentType: "application/json", body: struct{}{}})
	if _, done := refusedWith(err, http.StatusNotFound); done {
		return nil
	}
	return err
}

func (d *Secret) remove(ctx context.Context, f connection.Facet) error {
	err := d.plane.Patience.until(ctx, func() (bool, error) {
		_, err := d.plane.do(ctx, exchange{method: http.MethodDelete, uri: secretURI(f, "")})
		_, conflict := refusedWith(err, http.StatusConflict)
		if _, missing := refusedWith(err, http.StatusNotFound); missing {
			return false, nil
		}
		return conflict || closed(err), err
	})
	return d.problem(err, f, "delete secret")
}

func (d *Secret) problem(err error, f connection.Facet, attempt string) error {
	if err == nil {
		return nil
	}
	if p, ok := err.(*problem.Error); ok { //nolint:errorlint // ours, bare
		return p
	}
	return asProblem(err, f.Resource, attempt)
}

// Secret reads the value at an address of a vault, for a connection whose password lies
// there already. Errors name the vault and hold no value.
func (d DataPlane) Secret(ctx context.Context, vault, uri string) (string, error) {
	var seen secretBundle
	_, err := d.do(ctx, exchange{method: http.MethodGet, uri: uri + "?api-version=" + secretVersion, into: &seen})
	r, refused := err.(*refusal) //nolint:errorlint // do returns it bare
	name := uri[strings.Index(uri, "/secrets/")+1:]
	switch {
	case err == nil:
		return seen.Value, nil
	case refused && r.status == http.StatusNotFound:
		return "", problem.New(problem.SecretNeeded, vault, "the vault has no %s", name).While("read the password")
	case refused && r.status == http.StatusForbidden:
		return "", problem.New(problem.EngineLacksRight, vault, "Patchbay's identity may not read %s: the vault answers %s", name, r.Error()).
			While("read the password").WithFix("give Patchbay's identity the role Key Vault Secrets User on %s, and let its address in", vault)
	}
	return "", asProblem(err, vault, "read the password")
}
