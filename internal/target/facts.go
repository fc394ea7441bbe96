package target

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// reading is one round of reads: what was answered, by ARM path, and what failed.
type reading struct {
	reader *Reader
	c      *connection.Connection
	m      *catalog.Match

	mu      sync.Mutex
	answers map[string]any
	failed  map[string]error
	facts   connection.Facts
}

// Facts reads target and source. Errors: SOURCE_NOT_FOUND, TARGET_NOT_FOUND,
// IDENTITY_NOT_FOUND, TARGET_UNREADABLE, KEY_ACCESS_DISABLED, and those of package arm. With
// the first three come the facts of what is still there: who takes things down needs them.
func (r *Reader) Facts(ctx context.Context, c *connection.Connection) (connection.Facts, error) {
	m, err := r.match(c)
	if err != nil {
		return nil, err
	}
	round := &reading{reader: r, c: c, m: m, answers: map[string]any{}, failed: map[string]error{}, facts: connection.Facts{}}
	for name, value := range m.Facts {
		round.facts[name] = value
	}
	round.facts[connection.FactTarget] = connection.Plain(m.Target.Name)
	round.facts[connection.FactVersion] = connection.Plain(m.Target.APIVersion)
	round.facts[connection.FactProtocol] = connection.Plain(m.Target.Protocol)
	round.put(connection.FactAudience, r.audience(m.Target.Audience))
	if cfg := c.Properties.Configuration; cfg != nil {
		told, _ := m.Target.Ask(cfg.AdditionalConnection)
		for name, text := range told {
			round.put(name, text)
		}
	}
	round.put(catalog.FactManagement, strings.TrimRight(r.Cloud.ARM, "/"))
	round.run(ctx)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("read target: %w", ctx.Err())
	}
	gone, err := round.settle()
	if err != nil {
		return nil, err
	}
	return round.facts, gone
}

// What a failed read is filed under when it is not an ARM path.
const (
	fromSource   = "source"
	fromEngine   = "engine"
	fromIdentity = "identity"
)

// run starts every read and waits for all of them; none stops another, so that
// the error that says most can be chosen.
func (r *reading) run(ctx context.Context) {
	var group errgroup.Group
	start := func(key string, read func() error) {
		group.Go(func() error {
			if err := read(); err != nil {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.failed[key] = err
			}
			return nil
		})
	}
	start(fromSource, func() error { return r.readSource(ctx) })
	start(fromEngine, func() error { return r.readEngine(ctx) })
	if wantsIdentity(r.c) {
		start(fromIdentity, func() error { return r.readIdentity(ctx) })
	}
	if confided(r.c) && waysOf(r.c).settings {
		start(fromVault, func() error { return r.readConfided(ctx) })
	}
	for _, k := range keepers(r.c) {
		start(k.member, func() error { return r.readKeeper(ctx, k) })
	}
	for _, path := range r.paths() {
		start(path, func() error {
			var answer any
			err := r.reader.Client.Get(ctx, path, r.m.Target.APIVersion, &answer)
			r.answer(path, answer)
			return err
		})
	}
	for _, path := range r.keyPaths() {
		start(path, func() error { return r.readKeys(ctx, path) })
	}
	_ = group.Wait() // errors are in r.failed
}

func (r *reading) answer(path string, answer any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[path] = answer
}

// put adds a plain fact; an empty one stays unknown.
func (r *reading) put(name, text string) {
	if text == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts[name] = connection.Plain(text)
}

// paths are the resources to read, each once, parents before children.
func (r *reading) paths() []string {
	var out []string
	for _, name := range resourcesToRead(r.c, r.m.Target) {
		out = append(out, r.m.Resource(name))
	}
	return out
}

// keyPaths are the actions that hand out the keys, each once.
func (r *reading) keyPaths() []string {
	var out []string
	for _, place := range keysOf(r.c, r.m.Target) {
		if path := r.keyPath(place); !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	return out
}

func (r *reading) keyPath(place catalog.KeyPlace) string {
	return r.m.Resource(place.Of) + "/" + place.Action
}

// resourcesToRead names what is read, parents before children. It leaves out what
// matters only when the network is ours to open.
func resourcesToRead(c *connection.Connection, t *catalog.Target) []string {
	var names []string
	for _, name := range sortedKeys(t.Resources) {
		if !t.Resources[name].Network || waysOf(c).network {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		x, y := t.Resources[a], t.Resources[b]
		return cmp.Or(cmp.Compare(x.Depth, y.Depth), cmp.Compare(len(x.Child), len(y.Child)))
	})
	return names
}

func (r *reading) readSource(ctx context.Context) error {
	if sourceless(r.c) {
		return nil
	}
	read := func(ctx context.Context) (Source, error) { return r.reader.Source(ctx, r.c.Source) }
	if connection.OnKubernetes(r.c.Source) {
		read = r.readCluster
	}
	source, err := read(ctx)
	if err != nil {
		return err
	}
	r.put(connection.FactAddresses, strings.Join(source.Addresses, ","))
	r.put(factSourceLocation, source.Location)
	r.put(factConnectionStrings, source.ConnectionStrings)
	r.put(factNotInNames, source.NotInNames)
	r.put(factSticky, source.Sticky)
	if source.Triggers {
		r.put(factTriggers, triggersRead)
	}
	r.put(factScopes, scopesText(source.Scopes))
	return nil
}

func (r *reading) readEngine(ctx context.Context) error {
	enters := entersDatabase(r.c, r.m.Target) || len(keepers(r.c)) > 0
	me, err := r.reader.Engine(ctx)
	if err != nil {
		return err
	}
	if enters {
		r.put(factEnginePrincipal, me.PrincipalID)
		r.put(factEngineLogin, me.Login)
		r.put(factEngineType, me.Type)
	}
	if !wantsIdentity(r.c) { // which tells its own
		r.put(catalog.FactTenantID, me.TenantID)
	}
	if !waysOf(r.c).network || (!enters && !provesLogin(r.c, r.m.Target)) {
		return nil
	}
	address, err := r.reader.Address(ctx)
	r.put(factEngineAddress, address)
	return err
}

// settle turns answers into facts and picks the error that says most: a missing
// source, a missing or unreadable target, keys that do not work, the rest. What is
// missing comes as gone, with the facts of what is there.
func (r *reading) settle() (gone, err error) {
	if gone, err = r.vanished(); err != nil {
		return nil, err
	}
	r.becomeKind()
	for _, name := range sortedKeys(r.m.Target.Facts) {
		if err := r.place(name, r.m.Target.Facts[name]); err != nil && gone == nil {
			return nil, err
		}
	}
	if gone != nil {
		r.judge()
		return gone, nil
	}
	if err := checkKeyAccess(r.c, r.m, r.facts); err != nil {
		return nil, err
	}
	if err := r.keys(); err != nil {
		return nil, err
	}
	if err := r.failed[fromEngine]; err != nil {
		return nil, err
	}
	r.judge()
	return nil, nil
}

// vanished tells what is not there any more; err is any other reason not to read it.
func (r *reading) vanished() (gone, err error) {
	if err := r.failed[fromSource]; err != nil {
		if !problem.Is(err, problem.SourceNotFound) {
			return nil, err
		}
		gone = err
	}
	for _, name := range resourcesToRead(r.c, r.m.Target) {
		failed := r.failed[r.m.Resource(name)]
		if failed == nil {
			continue
		}
		failed = r.unreadable(name, failed)
		switch missing := problem.Is(failed, problem.TargetNotFound); {
		case missing && r.facts.Text(connection.FactGone) == "": // parents come first
			r.facts[connection.FactGone] = connection.Plain(r.m.Resource(name))
		case !missing && gone == nil:
			return nil, failed
		}
		if gone == nil {
			gone = failed
		}
	}
	if gone, err = r.lostKeepers(gone); err != nil {
		return nil, err
	}
	return r.lostIdentity(gone)
}

func (r *reading) place(name string, p catalog.Place) error {
	text := member(r.answers[r.m.Resource(p.Of)], p.At)
	if text == "" {
		text = p.Else
	}
	r.put(name, text)
	if text == "" && p.Needed {
		return problem.New(problem.TargetNoAnswer, r.m.Resource(p.Of), "the target does not tell its %s yet", name).
			While("read target").WithFix("wait until the target has been created and try again")
	}
	return nil
}

// becomeKind settles which of the targets of one ARM type it is, by the account's kind.
func (r *reading) becomeKind() {
	for _, name := range sortedKeys(r.m.Target.Resources) {
		if kind := member(r.answers[r.m.Resource(name)], "kind"); kind != "" && r.m.Target.Resources[name].Depth == 1 {
			settled := *r.m
			settled.Target = r.reader.Catalog.Kind(r.m.Target, kind)
			r.m = &settled
			r.facts[connection.FactTarget] = connection.Plain(settled.Target.Name)
			r.facts[connection.FactProtocol] = connection.Plain(settled.Target.Protocol)
			return
		}
	}
}

func (r *reading) keys() error {
	for name, place := range keysOf(r.c, r.m.Target) {
		path := r.keyPath(place)
		if err := r.failed[path]; err != nil {
			return err
		}
		text := member(r.answers[path], place.At)
		if text == "" {
			return problem.New(problem.TargetUnreadable, path, "the target hands out no key (%s)", name).While("read the target's keys")
		}
		r.facts[name] = connection.Value{Text: text, Secret: !r.m.Target.Keys[name].Open}
	}
	return nil
}

// unreadable says which of the two it is: not there, or not to be seen.
func (r *reading) unreadable(name string, err error) error {
	path, cause := r.m.Resource(name), err
	var said *arm.Error
	if errors.As(err, &said) {
		cause = said // the rest repeats the path
	}
	switch {
	case arm.HasStatus(err, http.StatusForbidden), arm.HasCode(err, "SubscriptionNotFound"), arm.HasCode(err, "InvalidSubscriptionId"):
		p := problem.New(problem.TargetUnreadable, path, "the %s %s cannot be read", name, path).While("read target").Because(cause)
		if action, _, found := arm.DeniedRight(err); found {
			p = p.WithFix("ask an owner of %s for a role that holds %s", path, action)
		}
		return p
	case arm.IsNotFound(err):
		return problem.New(problem.TargetNotFound, path, "the %s %s does not exist", name, path).While("read target").Because(cause)
	}
	return err
}

// member walks JSON by names and indexes between dots; scalars become words,
// anything else "". [name=word] is the first element of a list with such a member.
func member(from any, at string) string {
	for _, step := range strings.Split(at, ".") {
		switch node := from.(type) {
		case map[string]any:
			from = node[step]
		case []any:
			from = element(node, step)
		default:
			return ""
		}
	}
	return scalar(from)
}

func element(list []any, step string) any {
	if name, word, found := strings.Cut(strings.Trim(step, "[]"), "="); found {
		for _, one := range list {
			if m, ok := one.(map[string]any); ok && strings.EqualFold(scalar(m[name]), word) {
				return one
			}
		}
		return nil
	}
	if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(list) {
		return list[i]
	}
	return nil
}

func scalar(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case json.Number:
		return v.String()
	}
	return ""
}
