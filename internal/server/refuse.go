package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

// armCodes are the codes ARM's own clients know. A problem that is not listed goes
// out under its own code in ARM's spelling.
func armCodes() map[problem.Code]string {
	return map[problem.Code]string{
		problem.Internal:           "InternalServerError",
		problem.BodyNotJSON:        "InvalidRequestContent",
		problem.BodyInvalid:        "InvalidRequestContent",
		problem.BodyTooLarge:       "RequestContentTooLarge",
		problem.PathMalformed:      "InvalidResourceId",
		problem.RouteUnknown:       "InvalidResourceType",
		problem.APIVersionMissing:  "MissingApiVersionParameter",
		problem.APIVersionUnknown:  "InvalidApiVersionParameter",
		problem.TokenMissing:       "AuthenticationFailed",
		problem.TokenInvalid:       "InvalidAuthenticationToken",
		problem.TokenExpired:       "ExpiredAuthenticationToken",
		problem.TokenAudience:      "InvalidAuthenticationTokenAudience",
		problem.CallerLacksRight:   "AuthorizationFailed",
		problem.EngineLacksRight:   "LinkedAuthorizationFailed",
		problem.DeploymentRefused:  "InvalidTemplateDeployment",
		problem.UpstreamUnreached:  "BadGateway",
		problem.ConnectionNotFound: "ResourceNotFound",
		problem.SourceNotFound:     "ResourceNotFound",
		problem.TargetNotFound:     "ResourceNotFound",
		problem.OperationNotFound:  "ResourceNotFound",
		problem.ConnectionBusy:     "Conflict",
		problem.ConnectionName:     "InvalidResourceName",
		problem.ARMThrottled:       "TooManyRequests",
	}
}

func armCode(p *problem.Error) string {
	var named api.ARMCode
	if errors.As(p.Cause, &named) {
		return string(named)
	}
	if code, ok := armCodes()[p.Code]; ok {
		return code
	}
	var out strings.Builder
	for _, word := range strings.Split(strings.ToLower(string(p.Code)), "_") {
		if word != "" {
			out.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return out.String()
}

// detail words a problem for ARM's clients, which print code and message only: a fix
// that the error brings along stands in the message.
func detail(p *problem.Error) api.ErrorDetail {
	message := p.Error()
	if p.Fix != "" {
		message = strings.TrimRight(message, ".") + ". " + p.Fix
	}
	return api.NewErrorDetail(armCode(p), message, p)
}

// Challenge, as the cause of a problem, is the WWW-Authenticate header that goes
// with it.
type Challenge string

func (Challenge) Error() string { return "" }

// refuse answers with the error envelope, unless an answer was begun.
func (x *exchange) refuse(err error) {
	p := problem.As(err)
	if x.r.Context().Err() != nil && p.Code == problem.Internal {
		return // the client is gone
	}
	if p.Code == problem.Internal {
		x.Log.Error("internal error", "method", x.r.Method, "path", x.r.URL.Path, "correlation", x.correlation, "error", p.Error())
	}
	if x.w.begun {
		return
	}
	var challenge Challenge
	if errors.As(p.Cause, &challenge) {
		x.w.Header().Set("WWW-Authenticate", string(challenge))
	} else if p.Entry().Status == http.StatusUnauthorized {
		x.w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	if p.Entry().Status == http.StatusTooManyRequests {
		x.w.Header().Set("Retry-After", "10")
	}
	x.w.Header().Set("x-ms-failure-cause", "service")
	writeError(x.w, p)
}

func writeError(w http.ResponseWriter, p *problem.Error) {
	status := p.Entry().Status
	if status < http.StatusBadRequest {
		status = http.StatusInternalServerError
	}
	raw, err := json.Marshal(api.ErrorBody{Error: detail(p)})
	if err != nil { // texts always marshal
		raw = []byte(`{"error":{"code":"InternalServerError","message":"","details":[]}}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // a client that is gone needs no answer
}

// lacks words missing rights as ARM does: on the source itself, or on something the
// connection reaches from there.
func (x *exchange) lacks(missing []engine.Right) error {
	who := fmt.Sprintf("The client '%s' with object id '%s'", x.caller.Name, x.caller.ObjectID)
	first := missing[0]
	if fold(first.Scope) == fold(x.place.source) || x.place.source == "" {
		return problem.New(problem.CallerLacksRight, first.Scope,
			"%s does not have authorization to perform action %s or the scope is invalid. If access was recently granted, please refresh your credentials.",
			who, actions(missing))
	}
	return problem.New(problem.CallerLacksRight, first.Scope, "%s may change '%s', however it may not perform action %s, which the connection needs.",
		who, x.place.source, actions(missing)).Because(api.ARMCode("LinkedAuthorizationFailed"))
}

func actions(rights []engine.Right) string {
	words := make([]string, len(rights))
	for i, r := range rights {
		words[i] = fmt.Sprintf("'%s' over scope '%s'", r.Action, r.Scope)
	}
	return strings.Join(words, ", ")
}
