package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// prepareDryrun finds out which rights the rehearsed change would need. What else
// stands in its way is the rehearsal's own result.
func (e *Engine) prepareDryrun(ctx context.Context, p *Prepared) error {
	c := p.Connection
	if !namePattern.MatchString(c.Name) {
		return problem.New(problem.ConnectionName, c.ID, "%q is not a name for a dryrun", c.Name)
	}
	c.UID = uuid.NewString()
	if p.Existing != nil {
		inherit(c, p.Existing)
	}
	var err error
	if p.secrets, err = e.secretsFor(ctx, p); err != nil {
		return err
	}
	inner, err := e.Prepare(ctx, rehearsed(p.Request, p.secrets))
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		p.Rights = refused.Rights
	case inner != nil:
		p.Rights = inner.Rights
	}
	if problem.Is(err, problem.StoreFailed) || ctx.Err() != nil {
		return err
	}
	return nil
}

// rehearsed is the request a dryrun stands for.
func rehearsed(r Request, secrets connection.Secrets) Request {
	c := *r.Connection
	c.ID, c.Rehearsal, c.Problem = c.Rehearsal.For, nil, nil
	c.Source = sourceOf(c.ID)
	r.Verb, r.Connection, r.Secrets = ledger.VerbCreate, &c, secrets
	return r
}

// sourceOf is what a connection's id stands on; a local connection is its own source.
func sourceOf(id string) string {
	at := strings.LastIndex(strings.ToLower(id), "/providers/microsoft.servicelinker/linkers/")
	if at < 0 {
		return id
	}
	return id[:at]
}

// rehearse runs a dryrun: the same checks and the same plan as the change itself, and
// no write.
func (r *run) rehearse(ctx context.Context) error {
	c := *r.op.Wanted
	secrets, err := r.secrets(ctx)
	if err != nil {
		return r.fail(ctx, &c, err)
	}
	found := *c.Rehearsal
	c.Rehearsal = &found
	inner, err := r.Prepare(ctx, rehearsed(Request{Connection: &c, Correlation: r.op.Correlation}, secrets))
	if inner != nil && problem.Is(err, problem.EngineLacksRight) {
		err = r.namesLacking(ctx, &found, inner.Rights)
	}
	if err == nil && inner != nil {
		err = r.foresee(ctx, &found, inner)
	}
	if ctx.Err() != nil || err != nil && (halted(err) || problem.Is(err, problem.StoreFailed)) {
		return err
	}
	if err != nil {
		p := problem.As(err)
		found.Prerequisites = append(found.Prerequisites, connection.Prerequisite{Code: string(p.Code), Message: p.Error()})
	}
	c.State, c.Problem = connection.StateSucceeded, nil
	return r.finish(ctx, ledger.Succeeded, &c, nil)
}

// namesLacking adds the rights the engine's own identity lacks.
func (r *run) namesLacking(ctx context.Context, found *connection.Rehearsal, rights []Right) error {
	missing, err := r.lacking(ctx, rights)
	found.Prerequisites = append(found.Prerequisites, Missing(missing)...)
	return err
}

// Missing groups rights by scope, as prerequisites name them.
func Missing(rights []Right) []connection.Prerequisite {
	var out []connection.Prerequisite
	for _, r := range rights {
		at := slices.IndexFunc(out, func(p connection.Prerequisite) bool { return foldEqual(p.Scope, r.Scope) })
		if at < 0 {
			at = len(out)
			out = append(out, connection.Prerequisite{Scope: r.Scope})
		}
		out[at].Actions = append(out[at].Actions, r.Action)
	}
	for i := range out {
		out[i].Role = roleFor(out[i].Actions)
	}
	return out
}

// roleFor is the built-in role that suffices: owners alone hand out rights.
func roleFor(actions []string) string {
	for _, a := range actions {
		if strings.HasPrefix(strings.ToLower(a), "microsoft.authorization/") && !strings.HasSuffix(strings.ToLower(a), "/read") {
			return "Owner"
		}
	}
	return "Contributor"
}

// foresee writes down what the plan would do.
func (r *run) foresee(ctx context.Context, found *connection.Rehearsal, inner *Prepared) error {
	p, err := r.Engine.Plan(ctx, inner)
	if err != nil {
		return err
	}
	for _, s := range p.Steps {
		if s.Dismantle {
			continue
		}
		for _, c := range s.Changes {
			found.Previews = append(found.Previews, r.preview(c))
		}
	}
	return nil
}

// previewTerms are the names of the contract for what is written, by kind of facet.
func previewTerms() map[connection.Kind][2]string {
	const settings, network, auth = "configConnection", "configNetwork", "configAuth"
	return map[connection.Kind][2]string{
		connection.KindSetting:  {"configAppSetting", settings},
		connection.KindFirewall: {"configFirewallRule", network},
		connection.KindIdentity: {"configIdentity", auth},
		connection.KindObject:   {"configKubernetesObject", settings},
		connection.KindRole:     {"configRoleAssignment", auth},
		connection.KindAccess:   {"configAccessPolicy", auth},
		connection.KindFeature:  {"configAuthentication", auth},
		connection.KindDBUser:   {"configDatabaseUser", auth},
	}
}

func (r *run) preview(c plan.Change) connection.Preview {
	terms, ok := previewTerms()[c.Facet.Kind]
	if !ok {
		terms = [2]string{"config" + strings.ToUpper(string(c.Facet.Kind[:1])) + string(c.Facet.Kind[1:]), "configConnection"}
	}
	out := connection.Preview{Name: terms[0], Type: terms[1], Scope: c.Facet.Resource, Description: describe([]plan.Change{c})}
	if c.Facet.Scaffold {
		out.Description += ", only while the operation runs"
	}
	driver, err := r.driver(c.Facet)
	if err != nil {
		return out
	}
	if right, ok := writing(driver.Rights(c.Facet), c.Action); ok {
		out.Action, out.Scope = right.Action, right.Scope
	}
	return out
}

// writing picks the right that a change stands and falls with.
func writing(rights []Right, action plan.Action) (Right, bool) {
	order := []string{"/write", "/action", "/delete"}
	if action == plan.Remove {
		order = []string{"/delete", "/write", "/action"}
	}
	for _, suffix := range order {
		for _, right := range rights {
			if strings.HasSuffix(strings.ToLower(right.Action), suffix) {
				return right, true
			}
		}
	}
	if len(rights) > 0 {
		return rights[0], true
	}
	return Right{}, false
}
