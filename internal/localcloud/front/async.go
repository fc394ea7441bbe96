package front

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// keptOperations is how many finished operations can still be asked about.
const keptOperations = 1000

// operations runs long work in the background and remembers how it ended. They
// live in memory: a restart forgets them.
type operations struct {
	now    func() time.Time
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	order  keyedLocks // one piece of long work at a time per top-level resource

	mu    sync.Mutex
	delay time.Duration
	byID  map[string]*operation
	age   []string // ids, oldest first
}

// operation is one piece of long work. Fields after started change under the lock
// of operations.
type operation struct {
	id, caller string
	started    time.Time
	ended      time.Time
	fault      *provider.Fault
	final      func(ctx context.Context) *reply // what Location answers in the end
}

func newOperations(o Options) *operations {
	ctx, cancel := context.WithCancel(context.Background())
	return &operations{now: o.Now, ctx: ctx, cancel: cancel, delay: o.AsyncDelay, byID: map[string]*operation{}}
}

func (o *operations) setDelay(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.delay = d
}

func (o *operations) currentDelay() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.delay
}

func (o *operations) close() {
	o.cancel()
	o.wg.Wait()
}

func (o *operations) add(caller string, final func(context.Context) *reply) *operation {
	op := &operation{id: uuid.NewString(), caller: caller, started: o.now(), final: final}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byID[op.id] = op
	o.age = append(o.age, op.id)
	for len(o.age) > keptOperations && !o.byID[o.age[0]].ended.IsZero() {
		delete(o.byID, o.age[0])
		o.age = o.age[1:]
	}
	return op
}

// start runs the work after the delay and records its end.
func (o *operations) start(op *operation, key string, work func(ctx context.Context) *provider.Fault) {
	delay := o.currentDelay()
	o.wg.Go(func() {
		select {
		case <-time.After(delay):
		case <-o.ctx.Done():
		}
		defer o.order.lock(key)()
		f := fault(http.StatusServiceUnavailable, "ServiceUnavailable", "The service is shutting down.")
		if o.ctx.Err() == nil {
			f = work(o.ctx)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		op.fault, op.ended = f, o.now()
	})
}

func (o *operations) find(opID string) (operation, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	op, ok := o.byID[strings.ToLower(opID)]
	if !ok {
		return operation{}, false
	}
	return *op, true
}

// later answers a call whose effect comes later: at once with addresses to poll,
// or, for a call from inside, when it is done.
func (f *Front) later(ctx context.Context, c *call, ans *provider.Answer) *reply {
	work := func(ctx context.Context) *provider.Fault { return f.runLater(ctx, c, ans) }
	if c.wait {
		defer f.ops.order.lock(topLevel(c.target.id))()
		if refused := work(ctx); refused != nil {
			return refusal(refused)
		}
		return f.final(c, ans)(ctx)
	}
	op := f.ops.add(c.caller.ObjectID, f.final(c, ans))
	r := &reply{status: http.StatusAccepted, header: f.pollHeaders(c, op)}
	for k, v := range ans.Header {
		r.header[k] = v
	}
	if (c.method == http.MethodPut || c.method == http.MethodPatch) && !c.kind.Async202 {
		r.status, r.body = ans.Status, nonTerminal(ans)
		if r.status == 0 {
			r.status = http.StatusOK
		}
		r.header.Del("Location")
	}
	f.ops.start(op, topLevel(c.target.id), work)
	return r
}

func (f *Front) runLater(ctx context.Context, c *call, ans *provider.Answer) (refused *provider.Fault) {
	defer func() {
		if v := recover(); v != nil {
			refused = f.asFault(fmt.Errorf("panic: %v\n%s", v, debug.Stack()), c.method+" "+c.path)
		}
		f.settle(c, refused)
	}()
	if err := ans.Later(ctx); err != nil {
		return f.asFault(err, c.method+" "+c.path)
	}
	return nil
}

// settle writes the end of an operation into a document that still says it is
// under way.
func (f *Front) settle(c *call, refused *provider.Fault) {
	doc, ok := f.opts.Store.Get(c.target.id.String())
	props, _ := doc["properties"].(map[string]any)
	state, _ := props["provisioningState"].(string)
	if !ok || c.method == http.MethodPost || terminal(state) {
		return
	}
	props["provisioningState"] = "Succeeded"
	if refused != nil {
		props["provisioningState"] = "Failed"
	}
	f.opts.Store.Put(c.target.id.String(), doc)
}

func terminal(state string) bool {
	switch strings.ToLower(state) {
	case "", "succeeded", "failed", "canceled":
		return true
	}
	return false
}

// nonTerminal is the body of a write whose work has not run: it must not say
// that it has.
func nonTerminal(ans *provider.Answer) any {
	raw, ok := ans.Body.(provider.Document)
	if !ok {
		return ans.Body
	}
	doc, props := provider.Document{}, map[string]any{}
	for k, v := range raw {
		doc[k] = v
	}
	old, _ := raw["properties"].(map[string]any)
	for k, v := range old {
		props[k] = v
	}
	if state, _ := props["provisioningState"].(string); terminal(state) {
		props["provisioningState"] = "Updating"
		if ans.Status == http.StatusCreated {
			props["provisioningState"] = "Creating"
		}
	}
	doc["properties"] = props
	return doc
}

// final is what the Location address answers once the work is done.
func (f *Front) final(c *call, ans *provider.Answer) func(context.Context) *reply {
	if c.method == http.MethodPut || c.method == http.MethodPatch {
		read := *c
		read.method, read.body, read.system, read.target.action = http.MethodGet, nil, true, ""
		return func(ctx context.Context) *reply { return f.execute(ctx, &read) }
	}
	return func(context.Context) *reply {
		if c.method == http.MethodPost && ans.Body != nil {
			return &reply{status: http.StatusOK, body: ans.Body}
		}
		return &reply{status: http.StatusNoContent}
	}
}

func (f *Front) pollHeaders(c *call, op *operation) http.Header {
	ns, _, _ := strings.Cut(c.kind.Name, "/")
	base := fmt.Sprintf("%s/subscriptions/%s/providers/%s/locations/local", f.opts.URL, c.target.id.Subscription(), ns)
	query := "/" + op.id + "?api-version=" + c.version
	h := retryAfter(f.ops.currentDelay())
	h.Set("Azure-AsyncOperation", base+"/"+statusWord+query)
	h.Set("Location", base+"/"+resultWord+query)
	return h
}

// The last type segment of the two polling addresses.
const (
	statusWord = "operationStatuses"
	resultWord = "operationResults"
)

// retryAfter says when to ask again, in whole seconds and, for clients that know
// it, in milliseconds.
func retryAfter(delay time.Duration) http.Header {
	h := http.Header{}
	seconds := int(math.Ceil(delay.Seconds()))
	h.Set("Retry-After", strconv.Itoa(max(1, seconds)))
	h.Set("Retry-After-Ms", strconv.FormatInt(max(20, delay.Milliseconds()), 10))
	return h
}

// poll answers the polling addresses; ok is false when the path is not one.
func (f *Front) poll(ctx context.Context, c *call) (r *reply, ok bool) {
	i, err := id.Parse(c.path)
	if err != nil || c.method != http.MethodGet {
		return nil, false
	}
	kind := id.Fold(i.Type())
	status := strings.HasSuffix(kind, "/locations/"+id.Fold(statusWord))
	if !status && !strings.HasSuffix(kind, "/locations/"+id.Fold(resultWord)) {
		return nil, false
	}
	op, found := f.ops.find(i.Name())
	if !found || !f.mayPoll(c, op, i) {
		return refusal(fault(http.StatusNotFound, "OperationNotFound", "The operation '%s' could not be found.", i.Name())), true
	}
	switch {
	case status:
		return &reply{status: http.StatusOK, header: retryAfter(f.ops.currentDelay()), body: op.document(i)}, true
	case op.ended.IsZero():
		h := retryAfter(f.ops.currentDelay())
		h.Set("Location", f.opts.URL+c.path+"?api-version="+c.query.Get("api-version"))
		return &reply{status: http.StatusAccepted, header: h}, true
	case op.fault != nil:
		return refusal(op.fault), true
	}
	return op.final(ctx), true
}

// mayPoll lets the principal that started an operation ask about it, and whoever
// may read the subscription's operations.
func (f *Front) mayPoll(c *call, op operation, i id.ID) bool {
	return op.caller == c.caller.ObjectID ||
		f.opts.Rights.Allowed(c.caller.ObjectID, i.Type()+"/read", "/subscriptions/"+i.Subscription(), false)
}

func (op operation) document(i id.ID) map[string]any {
	doc := map[string]any{
		"id": i.String(), "name": op.id, "status": "InProgress", "percentComplete": 50.0,
		"startTime": op.started.UTC().Format(time.RFC3339Nano),
	}
	if op.ended.IsZero() {
		return doc
	}
	doc["status"], doc["percentComplete"], doc["endTime"] = "Succeeded", 100.0, op.ended.UTC().Format(time.RFC3339Nano)
	if op.fault != nil {
		doc["status"], doc["error"] = "Failed", errorObject(op.fault)
	}
	return doc
}
