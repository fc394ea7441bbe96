package front

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
)

// serveLocal answers the levers under /_local. They need a management token of any
// principal, are not logged, and no injected fault strikes them.
func (f *Front) serveLocal(x *exchange) {
	if _, refused := f.authenticate(x); refused != nil {
		x.set(refused)
		return
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(x.r.URL.Path, localPrefix), "/")
	switch strings.ToLower(first) {
	case "requests":
		f.serveRequests(x)
	case "faults":
		f.serveFaults(x)
	case "advance":
		f.serveAdvance(x)
	default:
		f.serveFurther(x, strings.ToLower(first), rest)
	}
}

func (f *Front) serveRequests(x *exchange) {
	switch x.r.Method {
	case http.MethodGet:
		x.set(&reply{status: http.StatusOK, body: f.log.all()})
	case http.MethodDelete:
		f.log.clear()
		x.set(&reply{status: http.StatusNoContent})
	default:
		x.set(refusal(notAllowed(x.r.Method, "requests")))
	}
}

func (f *Front) serveFaults(x *exchange) {
	var list []injected
	switch x.r.Method {
	case http.MethodPut:
		if bad := readArray(x, &list); bad != nil {
			x.set(bad)
			return
		}
		if err := f.faults.set(list); err != nil {
			x.set(refusal(badContent(err.Error())))
			return
		}
	case http.MethodDelete:
		_ = f.faults.set(nil) // an empty list has nothing wrong with it
	case http.MethodGet:
	default:
		x.set(refusal(notAllowed(x.r.Method, "faults")))
		return
	}
	x.set(&reply{status: http.StatusOK, body: f.faults.all()})
}

// readArray reads a body that is a JSON array with no member the elements do not have.
func readArray(x *exchange, into any) *reply {
	d := json.NewDecoder(http.MaxBytesReader(x, x.r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refusal(badContent(err.Error()))
	}
	return nil
}

func (f *Front) serveAdvance(x *exchange) {
	body, bad := readBody(x)
	if bad != nil {
		x.set(refusal(bad))
		return
	}
	action, _ := body["action"].(string)
	lever, ok := f.ownLevers()[id.Fold(action)]
	if !ok {
		lever, ok = f.opts.Levers[id.Fold(action)]
	}
	if x.r.Method != http.MethodPost || !ok {
		x.set(refusal(badContent("action must be one of " + strings.Join(f.leverNames(), ", "))))
		return
	}
	answer, err := lever(x.r.Context(), body)
	f.setAnswer(x, http.StatusOK, answer, err)
}

func (f *Front) leverNames() []string {
	var names []string
	for name := range f.ownLevers() {
		names = append(names, name)
	}
	for name := range f.opts.Levers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (f *Front) setAnswer(x *exchange, status int, answer any, err error) {
	if err != nil {
		x.set(refusal(f.asFault(err, x.r.Method+" "+x.r.URL.Path)))
		return
	}
	if answer == nil {
		answer = map[string]any{}
	}
	x.set(&reply{status: status, body: answer})
}

func (f *Front) serveFurther(x *exchange, first, rest string) {
	handle, ok := f.opts.Local[first]
	if !ok {
		x.set(refusal(fault(http.StatusNotFound, "NotFound", "There is no lever '%s'.", first)))
		return
	}
	body, bad := readBody(x)
	if bad != nil {
		x.set(refusal(bad))
		return
	}
	status, answer, err := handle(x.r.Context(), x.r.Method, rest, body)
	f.setAnswer(x, status, answer, err)
}

// ownLevers are the levers over what the front door itself does.
func (f *Front) ownLevers() map[string]Lever {
	return map[string]Lever{
		"asyncdelay": func(_ context.Context, args map[string]any) (any, error) {
			f.SetAsyncDelay(Milliseconds(args))
			return nil, nil
		},
		"throttle": func(_ context.Context, args map[string]any) (any, error) {
			f.limits.set(Throttle{Reads: whole(args["reads"]), Writes: whole(args["writes"]), Deletes: whole(args["deletes"]), Refill: Milliseconds(args)})
			return nil, nil
		},
		"rotatekey": f.rotateKey,
	}
}

// rotateKey makes a resource's keys change under its users, as its owner's own
// regeneration would. Further members of the body go to that action.
func (f *Front) rotateKey(ctx context.Context, args map[string]any) (any, error) {
	resource, _ := args["id"].(string)
	body, _ := args["body"].(map[string]any)
	if body == nil {
		body = map[string]any{"keyType": "Primary", "keyName": "key1"}
	}
	return f.Invoke(ctx, Invocation{Method: http.MethodPost, Path: "/" + strings.Trim(resource, "/") + "/regenerateKey", Body: body, System: true})
}

// Milliseconds reads a duration from a lever's arguments: milliseconds or seconds.
func Milliseconds(args map[string]any) time.Duration {
	ms, _ := args["milliseconds"].(float64)
	s, _ := args["seconds"].(float64)
	return time.Duration((ms + s*1000) * float64(time.Millisecond))
}

func whole(v any) int {
	n, _ := v.(float64)
	return int(n)
}
