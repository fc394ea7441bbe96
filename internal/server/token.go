package server

import (
	"context"

	"github.com/patchbay/patchbay/internal/problem"
)

// Caller is who a verified token speaks for.
type Caller struct {
	ObjectID string
	ClientID string
	Name     string // user name, or the application's id
	App      bool   // an application, not a person
	// Token is the token itself. It is used only while the request is answered.
	Token string
	// Forwardable tells whether ARM takes the token too; a token made for our own
	// address it does not.
	Forwardable bool
}

func (c Caller) kind() string {
	if c.App {
		return "Application"
	}
	return "User"
}

// String prints a caller without its token.
func (c Caller) String() string { return c.Name + " (" + c.ObjectID + ")" }

// GoString prints a caller without its token.
func (c Caller) GoString() string { return c.String() }

// TokenVerifier tells who a token speaks for. token is empty when the request
// carries none. Errors are TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED,
// TOKEN_AUDIENCE, or UPSTREAM_UNREACHED when the signing keys cannot be had.
type TokenVerifier interface {
	Verify(ctx context.Context, token string) (Caller, error)
}

// Myself is the verifier of a server inside the caller's own process: every
// request is the caller's.
type Myself Caller

// Verify returns the caller.
func (m Myself) Verify(context.Context, string) (Caller, error) { return Caller(m), nil }

func missingToken(challenge Challenge) error {
	return problem.New(problem.TokenMissing, "", "Authentication failed. The 'Authorization' header is missing.").Because(challenge)
}
