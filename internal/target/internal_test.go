package target

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/problem"
)

func TestParseSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", " 203.0.113.7 ": "203.0.113.7", "203.0.113.9/24": "203.0.113.0-203.0.113.255",
		"10.0.0.0/8": "10.0.0.0-10.255.255.255", "10.0.0.4/31": "10.0.0.4-10.0.0.5", "10.0.0.4/32": "10.0.0.4",
		"10.0.0.1 - 10.0.0.9": "10.0.0.1-10.0.0.9", "128.0.0.0/1": "128.0.0.0-255.255.255.255",
		"": "", "x": "", "10.0.0": "", "::1": "", "10.0.0.9-10.0.0.1": "", "10.0.0.1-": "", "0.0.0.0/0": "", "0.0.0.0-255.255.255.255": "",
		"10.0.0.0/33": "", "10.0.0.1-10.0.0.2-10.0.0.3": "",
	} {
		got, err := parseSpan(text)
		if want == "" && !problem.Is(err, problem.BodyInvalid) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if want != "" && (err != nil || got.String() != want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.4/5", "1.2.3.4-5.6.7.8", "::/0", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSpan(text)
		if err != nil {
			return
		}
		start, end := netip.MustParseAddr(s.start), netip.MustParseAddr(s.end)
		if !start.Is4() || !end.Is4() || end.Less(start) {
			t.Fatalf("%q is %v", text, s)
		}
	})
}

func TestMember(t *testing.T) {
	t.Parallel()
	from := map[string]any{
		"s": "x", "b": true, "n": 6380.0, "null": nil, "list": []any{map[string]any{"v": "y"}}, "deep": map[string]any{"aad-enabled": "True"},
	}
	for at, want := range map[string]string{
		"s": "x", "b": "true", "n": "6380", "null": "", "list.0.v": "y", "list.1.v": "", "list.-1": "", "list.x": "", "deep.aad-enabled": "True",
		"deep": "", "s.more": "", "missing.more": "",
	} {
		if got := member(from, at); got != want {
			t.Errorf("%s is %q, want %q", at, got, want)
		}
	}
}

func TestOutboundLeavesOutWhatNoRuleCanHold(t *testing.T) {
	t.Parallel()
	var got []string
	for _, s := range outbound("20.0.0.2, 20.0.0.1,::ffff:20.0.0.3,2001:db8::1,x,") {
		got = append(got, s.String())
	}
	if strings.Join(got, " ") != "20.0.0.1 20.0.0.2 20.0.0.3" {
		t.Error(got)
	}
}
