package engine

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9._]{1,60}$`)

// Prepare does everything about a request that needs no write: checks it, reads
// the facts, derives the facets and lists the rights the change needs. What reading
// brought to light comes as *Refused.
func (e *Engine) Prepare(ctx context.Context, r Request) (*Prepared, error) {
	p := &Prepared{Request: r}
	existing, err := e.Ledger.Connection(ctx, r.Connection.ID)
	switch {
	case err == nil:
		p.Existing = existing
	case !errors.Is(err, ledger.ErrNotFound):
		return nil, storeProblem(err)
	}
	ctx = e.Memo(e.Trace(ctx, r.Correlation))
	switch r.Verb {
	case ledger.VerbCreate, ledger.VerbUpdate:
		err = e.prepareChange(ctx, p)
	case ledger.VerbDryrun:
		return p, e.prepareDryrun(ctx, p)
	default:
		err = e.prepareExisting(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	return p, e.checkOwnRights(ctx, p.Rights)
}

func (e *Engine) prepareChange(ctx context.Context, p *Prepared) error {
	c := p.Connection
	p.Verb = ledger.VerbUpdate
	if p.Existing == nil {
		p.Verb = ledger.VerbCreate
		if !namePattern.MatchString(c.Name) {
			return problem.New(problem.ConnectionName, c.ID, "%q is not a name for a connection", c.Name)
		}
		c.UID = uuid.NewString()
	} else {
		inherit(c, p.Existing)
	}
	var err error
	if p.secrets, err = e.secretsFor(ctx, p); err != nil {
		return err
	}
	if err := e.Targets.Check(c, p.secrets); err != nil {
		return err
	}
	if err := e.checkStores(ctx, c, p.Existing); err != nil {
		return err
	}
	if err := e.name(ctx, c); err != nil {
		return err
	}
	facts, facets, err := e.derive(ctx, c, p.secrets)
	if err != nil {
		return e.refused(c, err)
	}
	p.facets = facets
	p.Rights = e.rights(p.facets, append(e.Targets.Reads(c), vaultRights(facts)...))
	return nil
}

// inherit keeps what never changes about a connection.
func inherit(c, existing *connection.Connection) {
	c.UID, c.ID, c.Name, c.Source = existing.UID, existing.ID, existing.Name, existing.Source
	c.Infix, c.Named = existing.Infix, existing.Named
	c.System.CreatedAt, c.System.CreatedBy, c.System.CreatedByType = existing.System.CreatedAt, existing.System.CreatedBy, existing.System.CreatedByType
}

// prepareExisting prepares a delete, validation or repair. A target that cannot be
// read does not stand in the way: the records say what is ours.
func (e *Engine) prepareExisting(ctx context.Context, p *Prepared) error {
	if p.Existing == nil {
		return problem.New(problem.ConnectionNotFound, p.Connection.ID, "there is no connection %s", p.Connection.ID)
	}
	p.Connection = p.Existing
	if connection.IsDryrun(p.Existing.ID) {
		return nil
	}
	var err error
	if p.secrets, err = e.kept(ctx, p.Existing); err != nil && p.Verb == ledger.VerbRepair {
		return err
	}
	if p.Verb == ledger.VerbDelete {
		p.secrets = standIn(p.secrets)
	}
	var facets []connection.Facet
	_, p.facets, err = e.deriveRemains(ctx, p.Existing, p.secrets)
	if err == nil || p.Verb == ledger.VerbDelete {
		facets = append(facets, p.facets...)
	} else if p.Verb == ledger.VerbRepair {
		return e.refused(p.Existing, err)
	}
	records, err := e.Ledger.RecordsOf(ctx, p.Existing.UID)
	if err != nil {
		return storeProblem(err)
	}
	for _, r := range records {
		facets = append(facets, connection.Facet{Key: r.Key})
	}
	if p.Verb == ledger.VerbValidate {
		facets = scaffoldOnly(facets)
	}
	p.Rights = e.rights(facets, nil)
	return nil
}

func scaffoldOnly(facets []connection.Facet) []connection.Facet {
	var out []connection.Facet
	for _, f := range facets {
		if f.Scaffold {
			out = append(out, f)
		}
	}
	return out
}

// secretsFor joins given secrets with kept ones. A kept secret serves only the auth
// type, target and user name it was given for.
func (e *Engine) secretsFor(ctx context.Context, p *Prepared) (connection.Secrets, error) {
	if p.Existing == nil || !sameLogin(p.Connection.Properties, p.Existing.Properties) {
		return p.Secrets, nil
	}
	kept, err := e.kept(ctx, p.Existing)
	if err != nil && len(p.Secrets) == 0 {
		return nil, err
	}
	joined := connection.Secrets{}
	for slot, s := range kept {
		joined[slot] = s
	}
	for slot, s := range p.Secrets {
		joined[slot] = s
	}
	return joined, nil
}

func sameLogin(a, b connection.Properties) bool {
	if a.Auth == nil || b.Auth == nil {
		return a.Auth == b.Auth
	}
	return a.Auth.Type == b.Auth.Type && a.Auth.Name == b.Auth.Name && strings.EqualFold(a.Auth.ClientID, b.Auth.ClientID) &&
		foldEqual(a.Target.ID, b.Target.ID) && a.Target.Endpoint == b.Target.Endpoint
}

func (e *Engine) kept(ctx context.Context, c *connection.Connection) (connection.Secrets, error) {
	kept, err := e.Ledger.Kept(ctx, c.UID)
	if err != nil {
		return nil, storeProblem(err)
	}
	return kept, nil
}

// name chooses, once, whether setting names carry the connection's name: they do
// when another connection of the source to this kind of target was named before.
func (e *Engine) name(ctx context.Context, c *connection.Connection) error {
	if c.Named {
		return nil
	}
	siblings, err := e.Ledger.Connections(ctx, c.Source)
	if err != nil {
		return storeProblem(err)
	}
	c.Infix = ""
	if longNames(c) {
		c.Infix = strings.ToUpper(c.Name)
	}
	for _, s := range siblings {
		if s.UID != c.UID && s.Named && e.Targets.Type(s) == e.Targets.Type(c) {
			c.Infix = strings.ToUpper(c.Name)
		}
	}
	return nil
}

// derive reads the facts and derives the facets. A database user name that another
// connection has already given to somebody else is replaced by one that carries the
// source's hash.
func (e *Engine) derive(ctx context.Context, c *connection.Connection, secrets connection.Secrets) (Facts, []connection.Facet, error) {
	facts, err := e.Targets.Facts(ctx, c)
	if err != nil {
		return facts, nil, err
	}
	facets, err := e.deriveMarked(c, facts, secrets)
	if err == nil && c.Local() {
		nameUser(c, facets)
	}
	if err != nil || c.Properties.Auth == nil || c.Properties.Auth.UserName != "" {
		return facts, facets, err
	}
	for _, f := range facets {
		if f.Kind != connection.KindDBUser {
			continue
		}
		taken, err := e.takenByOther(ctx, f, c.UID)
		if err != nil {
			return nil, nil, err
		}
		if taken {
			c.Properties.Auth.UserName = f.Name + "_" + shortHash(connection.FoldID(c.Source))
			facets, err = e.deriveMarked(c, facts, secrets)
			return facts, facets, err
		}
	}
	return facts, facets, nil
}

// deriveMarked derives the facets and puts our mark on those that let somebody in:
// that is where a write has room for it.
func (e *Engine) deriveMarked(c *connection.Connection, facts Facts, secrets connection.Secrets) ([]connection.Facet, error) {
	facets, err := e.Targets.Derive(c, facts, secrets)
	facets = placed(c, facets)
	for _, f := range facets {
		if _, ok := f.Want[connection.AttrPrincipalID]; ok && !f.Scaffold {
			f.Want[connection.AttrMark] = connection.Plain(c.UID)
		}
	}
	return facets, err
}

// takenByOther tells whether another connection has the user for somebody else.
func (e *Engine) takenByOther(ctx context.Context, f connection.Facet, uid string) (bool, error) {
	records, err := e.Ledger.Records(ctx, []connection.Key{f.Key})
	if err != nil {
		return false, storeProblem(err)
	}
	for _, r := range records {
		others := len(r.Owners) > 1 || len(r.Owners) > 0 && !r.OwnedBy(uid)
		if others && !e.sameGrant(f, r) {
			return true, nil
		}
	}
	return false, nil
}

// rights lists, without repeats, what reading and writing the facets needs.
func (e *Engine) rights(facets []connection.Facet, more []Right) []Right {
	seen := map[string]bool{}
	var out []Right
	add := func(rights []Right) {
		for _, r := range rights {
			if key := strings.ToLower(r.Action + " " + r.Scope); !seen[key] {
				seen[key] = true
				out = append(out, r)
			}
		}
	}
	add(more)
	for _, f := range facets {
		if d, err := e.driver(f); err == nil {
			add(d.Rights(f))
		}
	}
	return out
}

func (e *Engine) checkOwnRights(ctx context.Context, rights []Right) error {
	missing, err := e.lacking(ctx, rights)
	if err != nil || len(missing) == 0 {
		return err
	}
	return problem.New(problem.EngineLacksRight, missing[0].Scope, "Patchbay's identity %s may not %s", e.Runner, Actions(missing))
}

// lacking are those of the rights that the engine's own identity lacks.
func (e *Engine) lacking(ctx context.Context, rights []Right) ([]Right, error) {
	if e.Permissions == nil || len(rights) == 0 {
		return nil, nil
	}
	return e.Permissions.Missing(ctx, rights)
}

// Actions prints rights for people: action on scope, joined by semicolons.
func Actions(rights []Right) string {
	words := make([]string, 0, len(rights))
	for _, r := range rights {
		words = append(words, r.Action+" on "+r.Scope)
	}
	return strings.Join(words, "; ")
}

// Accept journals a prepared request as an operation; workers do the rest.
func (e *Engine) Accept(ctx context.Context, p *Prepared) (*ledger.Operation, *connection.Connection, error) {
	c := *p.Connection
	c.Problem = nil
	op := &ledger.Operation{Verb: p.Verb, UID: c.UID, Connection: c.ID, Source: c.Source, Runner: e.Runner,
		Caller: p.Caller, Correlation: p.Correlation, Before: p.Existing, Force: p.Force, Forget: p.Forget}
	now := time.Now().UTC()
	switch p.Verb {
	case ledger.VerbCreate, ledger.VerbUpdate, ledger.VerbDryrun:
		wanted := c
		op.Wanted = &wanted
		c.State = connection.StateAccepted
		c.System.LastModifiedAt = now
		if p.Existing == nil {
			c.System.CreatedAt = now
		}
		wanted.System = c.System
	case ledger.VerbDelete:
		c.State = connection.StateDeleting
	case ledger.VerbRepair:
		c.State = connection.StateUpdating
	}
	if err := e.Ledger.Accept(ctx, op, &c, p.Secrets); err != nil {
		if errors.Is(err, ledger.ErrBusy) {
			return nil, nil, problem.New(problem.ConnectionBusy, c.ID, "another operation on %s is under way", c.Name).Because(err)
		}
		return nil, nil, storeProblem(err)
	}
	e.signal()
	return op, &c, nil
}

// Plan computes what a prepared request would do, and writes nothing.
func (e *Engine) Plan(ctx context.Context, p *Prepared) (*plan.Plan, error) {
	r := &run{Engine: e, uid: p.Connection.UID}
	ctx = e.Memo(e.Trace(ctx, p.Correlation))
	if p.Verb == ledger.VerbDelete {
		return r.plan(ctx, nil, p.facets, modeOf(p.Verb, p.Force))
	}
	return r.plan(ctx, p.facets, r.contextOf(ctx, p.Existing, p.Connection), modeOf(p.Verb, p.Force))
}

func modeOf(v ledger.Verb, force bool) plan.Mode {
	switch {
	case force:
		return plan.Insist
	case v == ledger.VerbRepair:
		return plan.Mend
	}
	return plan.Apply
}
