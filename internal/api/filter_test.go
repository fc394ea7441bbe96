package api_test

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

func record(field string) string {
	return map[string]string{"targetService": "MICROSOFT.CACHE/REDIS", "clientType": "python", "authType": "it's"}[field]
}

func TestFilter(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": true, " ": true,
		"TargetService eq 'Microsoft.Cache/redis' and ClientType eq 'python'": true,
		"TargetService eq 'Microsoft.Cache/redis' and ClientType eq 'java'":   false,
		"clienttype ne 'java'":                                                         true,
		"properties/clientType EQ 'python'":                                            true,
		"clientType in ('java', 'python')":                                             true,
		"clientType in ('java','go')":                                                  false,
		"not clientType eq 'python'":                                                   false,
		"not (clientType eq 'java' or clientType eq 'go')":                             true,
		"clientType eq 'java' and authType eq 'x' or targetService ne ''":              true,
		"clientType eq 'java' and (authType eq 'x' or targetService ne '')":            false,
		"authType eq 'it''s'":                                                          true,
		"not not clientType eq 'python'":                                               true,
		"(((clientType eq 'python')))and(authType eq 'it''s')":                         true,
		"clientType eq 'python' or clientType eq 'a and b' and clientType eq '(not x'": true,
	} {
		f, err := api.ParseFilter(text, "targetService", "clientType", "authType")
		if err != nil || f.Holds(record) != want {
			t.Errorf("%s: %v, %v", text, !want, err)
		}
	}
}

func TestFilterRefused(t *testing.T) {
	t.Parallel()
	for text, phrase := range map[string]string{
		"color eq 'red'":                 "none of the fields",
		"clientType":                     "eq, ne or in",
		"clientType eq":                  "no text in single quotes",
		"clientType eq python":           "no text in single quotes",
		"clientType eq 'python":          "closing quote",
		"clientType gt 'python'":         "eq, ne or in",
		"startswith(clientType,'p')":     "none of the fields",
		"clientType eq 'a' clientType":   "not expected",
		"(clientType eq 'a'":             "not closed",
		"clientType in ()":               "no text",
		"clientType in 'a'":              "parentheses",
		"clientType in ('a' 'b')":        "commas",
		"clientType eq 'a' and":          "too early",
		strings.Repeat("(", 1000):        "nested",
		strings.Repeat("not ", 1000):     "nested",
		"clientType eq '\xff'":           "no text",
		"properties/x/clientType eq 'a'": "none of the fields",
	} {
		if _, err := api.ParseFilter(text, "targetService", "clientType"); !problem.Is(err, problem.BodyInvalid) || !strings.Contains(err.Error(), phrase) {
			t.Errorf("%.40s: %v does not say %q", text, err, phrase)
		}
	}
}

// FuzzFilter: a value in quotes always comes back as it was, and nothing panics.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"", "python", "it's", "''", "a and b", "clientType eq 'x'", "(", "not"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = api.ParseFilter(text, "clientType")
		parsed, err := api.ParseFilter("clientType eq '"+strings.ReplaceAll(text, "'", "''")+"'", "clientType")
		if err != nil {
			if strings.ToValidUTF8(text, "") == text {
				t.Fatal(err)
			}
			return
		}
		if !parsed.Holds(func(string) string { return text }) || parsed.Holds(func(string) string { return text + "x" }) {
			t.Fatalf("%q does not equal itself", text)
		}
	})
}
