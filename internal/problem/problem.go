// Package problem holds errors as data: a code from one registry, what was
// attempted, on which resource, the cause, and a fix that can be run.
//
// It promises that every error a person meets has a page (docs/errors.md is
// generated from the registry) and that the exit code and HTTP status follow
// from the code alone. It knows nothing of any other room.
package problem

import (
	"errors"
	"fmt"
	"strings"
)

// Code names one kind of problem; codes are stable, upper snake case.
type Code string

// Exit codes of the command line.
const (
	ExitOK       = 0
	ExitFailed   = 1
	ExitUsage    = 2
	ExitNotFound = 3
	ExitDenied   = 4
	ExitDrift    = 5
	ExitRunning  = 8
)

// Error is one problem met. It wraps its cause.
type Error struct {
	Code     Code
	Attempt  string // short verb phrase: what was being done
	Resource string // ARM id or name of the thing it was done to
	Detail   string // the sentence for people, without secrets
	Fix      string // a command or an instruction; empty means the registry's
	Cause    error
}

// New makes an error; detail is formatted with args.
func New(code Code, resource, detail string, args ...any) *Error {
	return &Error{Code: code, Resource: resource, Detail: fmt.Sprintf(detail, args...)}
}

// Because sets the cause.
func (e *Error) Because(cause error) *Error { e.Cause = cause; return e }

// While says what was being attempted.
func (e *Error) While(attempt string) *Error { e.Attempt = attempt; return e }

// WithFix sets the fix.
func (e *Error) WithFix(format string, args ...any) *Error {
	e.Fix = fmt.Sprintf(format, args...)
	return e
}

// Error prints one line: attempt, detail, cause.
func (e *Error) Error() string {
	var parts []string
	for _, p := range []string{e.Attempt, e.Detail} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if e.Cause != nil && !strings.Contains(e.Detail, e.Cause.Error()) {
		parts = append(parts, e.Cause.Error())
	}
	if len(parts) == 0 {
		return e.Entry().Summary
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Entry returns the registry's row of the code.
func (e *Error) Entry() Entry {
	if row, ok := Lookup(e.Code); ok {
		return row
	}
	return Entry{Code: e.Code, Status: 500, Exit: ExitFailed}
}

// FixText returns the fix, falling back to the registry's.
func (e *Error) FixText() string {
	if e.Fix != "" {
		return e.Fix
	}
	return e.Entry().Fix
}

// As finds a problem in an error chain; any other error becomes INTERNAL.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var p *Error
	if errors.As(err, &p) {
		return p
	}
	return &Error{Code: Internal, Detail: err.Error(), Cause: err}
}

// Is tells whether err carries the code.
func Is(err error, code Code) bool {
	var p *Error
	return errors.As(err, &p) && p.Code == code
}

// ExitCode maps an error to the command line's exit code.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	return As(err).Entry().Exit
}
