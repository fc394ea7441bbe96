package ledger

import (
	"encoding/json"
	"fmt"

	"github.com/patchbay/patchbay/internal/connection"
)

// storedState carries a state with its real values. The attributes shadow those of
// connection.State, whose own encoding masks secrets.
type storedState struct {
	connection.State
	Attrs map[string]storedValue `json:"attrs,omitempty"`
}

// storedValue is a connection.Value without its masking methods.
type storedValue connection.Value

// EncodeState writes a state with its secret values in the clear, so that it can be
// sealed: for Entry.Sealed, never for anything that is stored or printed as it is.
func EncodeState(st *connection.State) ([]byte, error) {
	out := storedState{State: *st}
	if st.Attrs != nil {
		out.Attrs = make(map[string]storedValue, len(st.Attrs))
	}
	for name, v := range st.Attrs {
		out.Attrs[name] = storedValue(v)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	return b, nil
}

// DecodeState reads what EncodeState wrote.
func DecodeState(b []byte) (*connection.State, error) {
	var in storedState
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	st := in.State
	if in.Attrs != nil {
		st.Attrs = make(connection.Attrs, len(in.Attrs))
	}
	for name, v := range in.Attrs {
		st.Attrs[name] = connection.Value(v)
	}
	return &st, nil
}
