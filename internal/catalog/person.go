package catalog

import "github.com/patchbay/patchbay/internal/connection"

// withPerson lets a person sign in wherever an app's own identity may: the settings are
// the same, because both find the sign-in where they run. Only what has an ARM id can
// hand out rights to a person.
func (t *Target) withPerson() {
	_, identity := t.Auth[connection.AuthSystemIdentity]
	if _, there := t.Auth[connection.AuthUserAccount]; identity && !there && t.Namespace != "" {
		t.Auth[connection.AuthUserAccount] = Auth{As: connection.AuthSystemIdentity}
	}
}
