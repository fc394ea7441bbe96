package api_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// cases reads a file of cases: sections named "case/part".
func cases(t *testing.T, file string) map[string]map[string]string {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, f := range archive.Files {
		name, part, ok := strings.Cut(f.Name, "/")
		if !ok {
			t.Fatalf("%s: section %q has no part", file, f.Name)
		}
		if out[name] == nil {
			out[name] = map[string]string{}
		}
		out[name][part] = strings.TrimSpace(string(f.Data))
	}
	return out
}

func object(t *testing.T, raw string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(raw), &out); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return out
}

// plain makes a value what it is after a trip through JSON.
func plain(t *testing.T, value any) any {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBodies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bodies/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		read := api.Replace
		if strings.HasSuffix(file, "patch.txtar") {
			read = api.Merge
		}
		for name, c := range cases(t, file) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var existing *connection.Connection
				if stored := c["stored"]; stored != "" {
					existing = &connection.Connection{Properties: *api.Unwire(object(t, stored))}
				}
				before := plain(t, existing)
				got, secrets, err := read(api.Version(c["version"]), existing, []byte(c["given"]))
				if err != nil {
					t.Fatal(err)
				}
				want := object(t, c["want"])
				if d := cmp.Diff(plain(t, want), plain(t, api.Wire(got))); d != "" {
					t.Error(d)
				}
				if d := cmp.Diff(c["secrets"], revealed(secrets)); d != "" {
					t.Error(d)
				}
				if d := cmp.Diff(before, plain(t, existing)); d != "" {
					t.Error("the stored connection was changed:", d)
				}
			})
		}
	}
}

func revealed(secrets connection.Secrets) string {
	var lines []string
	for slot, s := range secrets {
		lines = append(lines, slot+"="+s.Reveal())
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func TestNotAnObject(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]problem.Code{
		"":                         problem.BodyNotJSON,
		" \n":                      problem.BodyNotJSON,
		"{":                        problem.BodyNotJSON,
		`{"properties":{}} {}`:     problem.BodyNotJSON,
		"<linker/>":                problem.BodyNotJSON,
		strings.Repeat("[", 20000): problem.BodyNotJSON,
		"[]":                       problem.BodyInvalid,
		"null":                     problem.BodyInvalid,
		`"text"`:                   problem.BodyInvalid,
		`{"properties":{"scope":"a\u0000` + "\x01" + `"}}`: problem.BodyNotJSON,
	} {
		_, _, err := api.Decode(api.Newest, []byte(body))
		if !problem.Is(err, code) {
			t.Errorf("%.40q: %v, want %s", body, err, code)
		}
	}
	_, _, err := api.Decode(api.Newest, []byte("\xef\xbb\xbf"+`{"properties":{"targetService":{"type":"AzureResource","id":"/x"}}}`))
	if err != nil {
		t.Errorf("a byte order mark is refused: %v", err)
	}
	_, _, err = api.Decode(api.Newest, []byte(`{"properties":{"authInfo":{"authType":"systemAssignedIdentity"}}}`))
	if !problem.Is(err, problem.BodyInvalid) || problem.As(err).Resource != "/properties/targetService" {
		t.Errorf("a linker without target: %v", err)
	}
}

// A body that is refused must not be repeated: it may hold a secret.
func TestErrorsKeepSecrets(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"properties":{"targetService":{"type":"AzureResource"},"authInfo":{"authType":"secret","secretInfo":{"secretType":"rawValue","value":["canary-1"]}}}}`,
		`{"properties":{"targetService":{"type":"AzureResource"},"authInfo":{"authType":"secret","secretInfo":"canary-1"}}}`,
		`{"properties":{"authInfo":{"authType":"servicePrincipalSecret","secret":"canary-1"}}}`,
		`{"secret":"canary-1" broken`,
	} {
		_, _, err := api.Decode(api.Newest, []byte(body))
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzReplace(f *testing.F) {
	for _, file := range []string{"put", "replace", "patch"} {
		raw, err := os.ReadFile("testdata/bodies/" + file + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range txtar.Parse(raw).Files {
			if strings.HasSuffix(part.Name, "/given") {
				f.Add(part.Data, part.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, v := range api.Versions() {
			made, _, err := api.Decode(v, first)
			if err != nil {
				continue
			}
			c := &connection.Connection{Properties: *made, State: connection.StateSucceeded}
			if merged, _, err := api.Merge(v, c, second); err == nil {
				c.Properties = *merged
			}
			answer, err := json.Marshal(api.Encode(v, c))
			if err != nil {
				t.Fatal(err)
			}
			again, secrets, err := api.Replace(v, c, answer)
			if err != nil || len(secrets) > 0 {
				t.Fatalf("%s: what was answered is refused: %v (%d secrets)\n%s", v, err, len(secrets), answer)
			}
			if d := cmp.Diff(api.Encode(v, c), api.Encode(v, &connection.Connection{Properties: *again, State: c.State})); d != "" {
				t.Fatalf("%s: GET then PUT changes the connection: %s", v, d)
			}
		}
	})
}

func jsonMarshal(value any) (string, error) {
	raw, err := json.Marshal(value)
	return string(raw), err
}
