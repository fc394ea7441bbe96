package api

import (
	"encoding/json"
	"net/http"

	"github.com/patchbay/patchbay/internal/problem"
)

// ErrorBody is ARM's error envelope.
type ErrorBody struct {
	Error ErrorDetail `json:"error"`
}

// ErrorDetail is the error inside the envelope and inside a failed operation.
type ErrorDetail struct {
	Code           string           `json:"code"`
	Message        string           `json:"message"`
	Target         string           `json:"target,omitempty"`
	Details        []ErrorDetail    `json:"details"`
	AdditionalInfo []AdditionalInfo `json:"additionalInfo,omitempty"`
}

// AdditionalInfo is a typed extension of an error.
type AdditionalInfo struct {
	Type string          `json:"type"`
	Info json.RawMessage `json:"info"`
}

// ARMCode, as the cause of a problem, names the ARM code it goes out under where
// the problem's own code does not tell. It prints as nothing.
type ARMCode string

func (ARMCode) Error() string { return "" }

// ProblemType marks the extension that carries our own problem.
const ProblemType = "PatchbayProblem"

// NewErrorDetail words a problem under an ARM code; our own code, fix and resource
// ride along as data.
func NewErrorDetail(armCode, message string, p *problem.Error) ErrorDetail {
	info, err := json.Marshal(Problem{Code: string(p.Code), Message: p.Error(), Resource: p.Resource, Fix: p.FixText()})
	if err != nil { // four strings always marshal
		info = json.RawMessage(`{}`)
	}
	return ErrorDetail{
		Code: armCode, Message: message, Target: p.Resource, Details: []ErrorDetail{},
		AdditionalInfo: []AdditionalInfo{{Type: ProblemType, Info: info}},
	}
}

// ProblemOf rebuilds the problem an error detail stands for. status is the HTTP
// status it came with; it decides when the error is not one of ours.
func ProblemOf(status int, e ErrorDetail) *problem.Error {
	for _, extra := range e.AdditionalInfo {
		var p Problem
		if extra.Type != ProblemType || json.Unmarshal(extra.Info, &p) != nil || p.Code == "" {
			continue
		}
		return &problem.Error{Code: problem.Code(p.Code), Resource: p.Resource, Detail: p.Message, Fix: p.Fix}
	}
	detail := e.Message
	if e.Code != "" {
		detail = "(" + e.Code + ") " + e.Message
	}
	return problem.New(foreignCode(status), e.Target, "%s", detail)
}

// foreignCode is the nearest code of ours for an error of another server.
func foreignCode(status int) problem.Code {
	switch status {
	case http.StatusUnauthorized:
		return problem.TokenInvalid
	case http.StatusForbidden:
		return problem.CallerLacksRight
	case http.StatusNotFound:
		return problem.RouteUnknown
	case http.StatusTooManyRequests:
		return problem.ARMThrottled
	}
	return problem.ARMRefused
}

// parseError reads an error answer.
func parseError(status int, body []byte) *problem.Error {
	var envelope ErrorBody
	if json.Unmarshal(body, &envelope) != nil || envelope.Error.Code == "" && envelope.Error.Message == "" {
		return problem.New(foreignCode(status), "", "the server answered %d %s", status, http.StatusText(status))
	}
	return ProblemOf(status, envelope.Error)
}
