package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/demo/outside"
)

func TestSettingsThatDifferAreNamedWithoutTheirValues(t *testing.T) {
	t.Parallel()
	want := map[string]string{"A": "1", "B": "secret-b", "C": "3"}
	if err := sameSettings(map[string]string{"A": "1", "B": "secret-b", "C": "3"}, want); err != nil {
		t.Error(err)
	}
	err := sameSettings(map[string]string{"A": "1", "B": "secret-d", "D": "4"}, want)
	if err == nil {
		t.Fatal("settings that differ pass")
	}
	if got := err.Error(); got != "settings: B has another value, C is missing, D is not expected" {
		t.Errorf("said %q", got)
	}
}

func TestFactsFail(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"same":  same("number", 1, 2),
		"lists": same("names", []string{"a"}, []string{"a", "b"}),
		"holds": holds("it rains", false),
	} {
		if err == nil {
			t.Errorf("%s passes what is not so", name)
		}
	}
	if err := errors.Join(same("number", 1, 1), same("names", []string{"a"}, []string{"a"}), holds("it rains", true)); err != nil {
		t.Error(err)
	}
}

func TestAValidationHasToBeWhole(t *testing.T) {
	t.Parallel()
	s := &story{teller: &teller{out: &bytes.Buffer{}}}
	for report, sound := range map[string]bool{
		`[{"name":"Target","result":"success"}]`:                                        true,
		`[{"name":"Target","result":"success"},{"name":"Identity","result":"failure"}]`: false,
		`[{"name":"Target","result":"warning"}]`:                                        false,
		`[]`:                                                                            false,
		``:                                                                              false,
	} {
		if err := s.healthy("db", report); (err == nil) != sound {
			t.Errorf("%s: %v", report, err)
		}
	}
}

// A step that fails ends the story: nothing after it is told.
func TestAFailedStepIsNamed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tell := &teller{out: &out}
	if err := tell.step(t.Context(), step{"go well", func(context.Context) error { return nil }}); err != nil {
		t.Error(err)
	}
	err := tell.step(t.Context(), step{"go wrong", func(context.Context) error { return errors.New("rain") }})
	if err == nil || err.Error() != "go wrong: rain" || strings.Contains(out.String(), "go wrong") || tell.told != 1 {
		t.Errorf("said %v and %q", err, out.String())
	}
}

func TestWithoutPostgresNothingIsToldOfDatabases(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &story{teller: &teller{out: &out}, program: &outside.Program{}}
	for _, st := range s.steps() {
		if strings.Contains(st.title, "database") {
			t.Errorf("step %q", st.title)
		}
	}
	if strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), "postgres") {
		t.Errorf("said %q", out.String())
	}
	if _, asked := s.expected(1)["AZURE_POSTGRESQL_CONNECTIONSTRING"]; asked {
		t.Error("the database is expected to count")
	}
}
