package ledger

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
)

// everything is a state with no member left at its zero value.
func everything() *connection.State {
	return &connection.State{
		Exists: true, Unknown: true, Why: "w", Spelling: "S", Mark: "m", Outputs: map[string]string{"o": "1"},
		Attrs: connection.Attrs{
			"plain": connection.Plain("p"), "hidden": connection.Hidden("<h&>\x01"), "empty": connection.Plain(""),
			"later": connection.Output(connection.Key{Kind: connection.KindIdentity, Resource: "/r", Name: "system"}, "principalId"),
		},
	}
}

func TestStateSurvivesEncodingWithItsSecrets(t *testing.T) {
	t.Parallel()
	members := reflect.ValueOf(*everything())
	for i := range members.NumField() {
		if members.Field(i).IsZero() {
			t.Errorf("the sample lacks %s", members.Type().Field(i).Name)
		}
	}
	for _, want := range []*connection.State{everything(), {}, {Attrs: connection.Attrs{}}} {
		b, err := EncodeState(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeState(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(want.Attrs) == 0 {
			want.Attrs, got.Attrs = nil, nil // an empty map is none
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v from %s", got, b)
		}
	}
}

func TestStateMasksOutsideItsEncoding(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(everything())
	if err != nil || strings.Contains(string(b), "h&") || !strings.Contains(string(b), connection.Mask) {
		t.Errorf("%s %v", b, err)
	}
}

func FuzzDecodeState(f *testing.F) {
	b, err := EncodeState(everything())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"attrs":{"a":{"Text":"x","Secret":true}}}`))
	f.Add([]byte(`{"attrs":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := DecodeState(b)
		if err != nil {
			return
		}
		again, err := EncodeState(st)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeState(again)
		if err != nil || len(back.Attrs) != len(st.Attrs) {
			t.Fatalf("%v: %s", err, again)
		}
	})
}
