package ledger

import (
	"crypto/subtle"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
)

// How stamps begin.
const (
	stampPlain  = "="
	stampSecret = "mac:"
)

// Stamp returns "=" and the text of a plain value, "mac:" and a keyed MAC of a
// secret one, and "" for a reference, which has no value yet.
func (s *SQLite) Stamp(v connection.Value) string {
	switch {
	case v.From != nil:
		return ""
	case v.Secret:
		return stampSecret + s.box.MAC(v.Text)
	}
	return stampPlain + v.Text
}

// Same tells whether v is the value that was stamped. The stamp says how to compare,
// not v: what is observed is often not known to be secret.
func (s *SQLite) Same(v connection.Value, stamp string) bool {
	if v.From != nil {
		return false
	}
	want := stampPlain + v.Text
	if strings.HasPrefix(stamp, stampSecret) {
		want = stampSecret + s.box.MAC(v.Text)
	}
	return subtle.ConstantTimeCompare([]byte(want), []byte(stamp)) == 1
}
