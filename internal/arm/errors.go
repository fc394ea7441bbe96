package arm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/problem"
)

// Error is what ARM answered instead of what was asked for. It is the cause
// inside the *problem.Error that every method returns.
type Error struct {
	Status     int    // HTTP status; 200 when a long-running operation ended in failure
	Code       string // ARM's own code, PascalCase; may be empty
	Message    string
	RetryAfter time.Duration // 0 when the cloud named none
}

func (e *Error) Error() string {
	switch {
	case e.Code == "" && e.Message == "":
		return fmt.Sprintf("HTTP %d", e.Status)
	case e.Code == "":
		return fmt.Sprintf("HTTP %d: %s", e.Status, e.Message)
	}
	return e.Code + ": " + e.Message
}

// IsNotFound tells whether err is ARM's answer that something is not there.
func IsNotFound(err error) bool { return HasStatus(err, http.StatusNotFound) }

// HasStatus tells whether err is an answer of ARM with this HTTP status.
func HasStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// HasCode tells whether err is an answer of ARM with this code.
func HasCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && strings.EqualFold(e.Code, code)
}

type errorBody struct {
	Code    string      `json:"code"`
	Message string      `json:"message"`
	Details []errorBody `json:"details"`
}

type errorEnvelope struct {
	Error errorBody `json:"error"`
}

// readError reads ARM's envelope; App Service and gateways in between sometimes
// answer a bare object or no JSON at all.
func readError(status int, h http.Header, body []byte) *Error {
	var envelope errorEnvelope
	if json.Unmarshal(body, &envelope) != nil || envelope.Error.Code == "" {
		var bare struct{ Code, Message string }
		if json.Unmarshal(body, &bare) == nil {
			envelope.Error.Code, envelope.Error.Message = bare.Code, bare.Message
		}
	}
	e := &Error{Status: status, Code: envelope.Error.Code, Message: sentence(envelope.Error), RetryAfter: retryAfter(h)}
	if e.Code == "" {
		e.Code = h.Get("x-ms-error-code")
	}
	return e
}

// sentence is a message with those of its details that say something more.
func sentence(b errorBody) string {
	parts := []string{b.Message}
	for _, d := range b.Details {
		if d.Message != "" && !strings.Contains(b.Message, d.Message) {
			parts = append(parts, d.Message)
		}
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// rule turns one kind of answer into a problem. Empty members match anything.
type rule struct {
	status  int
	code    string
	problem problem.Code
	detail  func(e *Error) string // nil: ARM's own words
	fix     func(e *Error) string // nil: the registry's
}

// rules is the one table of answers, most special first; the last row takes the rest.
func rules() []rule {
	return []rule{
		{status: http.StatusUnauthorized, problem: problem.SignInFailed},
		{status: http.StatusForbidden, code: "AuthorizationFailed", problem: problem.EngineLacksRight, detail: missingRight, fix: grantRight},
		{status: http.StatusForbidden, code: "LinkedAuthorizationFailed", problem: problem.EngineLacksRight},
		{status: http.StatusConflict, code: "ScopeLocked", problem: problem.ScopeLocked, detail: lockedScope, fix: removeLock},
		{status: http.StatusConflict, code: "MissingSubscriptionRegistration", problem: problem.ARMRefused, fix: registerProvider},
		{status: http.StatusTooManyRequests, problem: problem.ARMThrottled, detail: throttled},
		{problem: problem.ARMRefused},
	}
}

func (r rule) matches(e *Error) bool {
	return (r.status == 0 || r.status == e.Status) && (r.code == "" || strings.EqualFold(r.code, e.Code))
}

func refused(method, resource string, e *Error) *problem.Error {
	for _, r := range rules() {
		if !r.matches(e) {
			continue
		}
		p := &problem.Error{Code: r.problem, Attempt: attempt(method, resource), Resource: bare(resource), Detail: e.Error(), Cause: e}
		if r.detail != nil {
			p.Detail = r.detail(e)
		}
		if r.fix != nil {
			p.Fix = r.fix(e)
		}
		return p
	}
	panic("arm: the last rule matches everything")
}

var (
	actionOver    = regexp.MustCompile(`perform action '([^']*)' over scope '([^']*)'`)
	lockedScopes  = regexp.MustCompile(`scope\(s\) are locked: '([^']*)'`)
	namespaceName = regexp.MustCompile(`namespace '([^']*)'`)
)

// DeniedRight reads the action and scope out of an AuthorizationFailed answer.
func DeniedRight(err error) (action, scope string, ok bool) {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusForbidden {
		return "", "", false
	}
	return deniedRight(e)
}

func deniedRight(e *Error) (action, scope string, ok bool) {
	m := actionOver.FindStringSubmatch(e.Message)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

func missingRight(e *Error) string {
	action, scope, ok := deniedRight(e)
	if !ok {
		return e.Error()
	}
	return fmt.Sprintf("the identity may not perform %s on %s", action, scope)
}

func grantRight(e *Error) string {
	action, scope, ok := deniedRight(e)
	if !ok {
		return ""
	}
	return fmt.Sprintf("ask an owner of %s for a role that holds %s", scope, action)
}

func lockedScope(e *Error) string {
	if m := lockedScopes.FindStringSubmatch(e.Message); m != nil {
		return "a management lock on " + m[1] + " forbids the change"
	}
	return e.Error()
}

func removeLock(e *Error) string {
	if m := lockedScopes.FindStringSubmatch(e.Message); m != nil {
		return "look at the locks: az lock list --resource " + m[1]
	}
	return ""
}

func registerProvider(e *Error) string {
	if m := namespaceName.FindStringSubmatch(e.Message); m != nil {
		return "az provider register --namespace " + m[1]
	}
	return ""
}

func throttled(e *Error) string {
	if e.RetryAfter > 0 {
		return fmt.Sprintf("%s (try again after %s)", e.Error(), e.RetryAfter.Round(time.Second))
	}
	return e.Error()
}

// attempt is the short phrase for a method on a resource.
func attempt(method, resource string) string {
	verb := "call"
	switch method {
	case http.MethodGet:
		verb = "read"
	case http.MethodPut:
		verb = "write"
	case http.MethodPatch:
		verb = "change"
	case http.MethodDelete:
		verb = "delete"
	}
	return verb + " " + bare(resource)
}

func bare(resource string) string {
	path, _, _ := strings.Cut(resource, "?")
	return path
}

// unreached turns an error of the pipeline into a problem. A context that ended
// stays what it is: nobody can mend it with a command.
func unreached(ctx context.Context, method, resource string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", attempt(method, resource), ctx.Err())
	}
	var failed *signInError
	if errors.As(err, &failed) {
		return &problem.Error{Code: problem.SignInFailed, Attempt: "sign in", Resource: bare(resource), Detail: firstLine(failed.Error())}
	}
	return &problem.Error{Code: problem.ARMUnreached, Attempt: attempt(method, resource), Resource: bare(resource), Cause: err}
}

// firstLine keeps a credential's long report out of one-line messages.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

func operationFailed(method, resource, status string, body *errorBody) *problem.Error {
	e := &Error{Status: http.StatusOK, Code: "Operation" + status, Message: "the operation ended as " + status}
	if body != nil && body.Code != "" {
		e.Code, e.Message = body.Code, sentence(*body)
	}
	return &problem.Error{Code: problem.ARMFailed, Attempt: attempt(method, resource), Resource: bare(resource), Detail: e.Error(), Cause: e}
}

// asFailedOperation rewrites a plain refusal met while polling a Location: there
// it is the operation's own end. Rights, locks and throttling keep their code.
func asFailedOperation(err error) error {
	var p *problem.Error
	if errors.As(err, &p) && p.Code == problem.ARMRefused {
		p.Code = problem.ARMFailed
	}
	return err
}

func garbled(resource string, err error) *problem.Error {
	return &problem.Error{Code: problem.ARMRefused, Attempt: "read the answer for " + bare(resource), Resource: bare(resource),
		Detail: "the cloud's answer makes no sense: " + err.Error(), Cause: err}
}
