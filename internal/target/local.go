package target

import "github.com/patchbay/patchbay/internal/connection"

// sourceless tells whether there is no app to read or to write to: the settings go to
// whoever asks for them.
func sourceless(c *connection.Connection) bool { return c.Source == "" || c.Local() }
