package tables

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func sample() *Entity {
	return &Entity{PartitionKey: "p's", RowKey: "7", Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Properties: map[string]Value{
		"Name": {edmString, "Ærø"}, "Size": {edmInt32, int64(5)}, "Big": {edmInt64, int64(9007199254740993)}, "Price": {edmDouble, 2.5},
		"Done": {edmBoolean, true}, "Due": {edmDateTime, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)},
		"ID": {edmGUID, "a455c695-df98-5678-aaaa-81d3367e5a34"}, "Raw": {edmBinary, []byte{1, 255}},
	}}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	for filter, want := range map[string]bool{
		"PartitionKey eq 'p''s'":                   true,
		"PartitionKey eq 'p''s' and RowKey ge '7'": true,
		"RowKey lt '7'":                            false,
		"Name eq 'Ærø'":                            true,
		"Name ne 'x'":                              true,
		"Size eq 5":                                true,
		"Size gt 4.5":                              true,
		"5 le Size":                                true,
		"6 le Size":                                false,
		"Big eq 9007199254740993L":                 true,
		"Big eq 9007199254740992L":                 false,
		"Price eq 2.5":                             true,
		"Done":                                     true,
		"not Done":                                 false,
		"Done eq false":                            false,
		"Due lt datetime'2026-02-01T00:00:01Z'":    true,
		"Due eq datetime'2026-02-01T00:00:00.0000000Z'":    true,
		"Timestamp gt datetime'2025-01-01'":                true,
		"ID eq guid'A455C695-DF98-5678-AAAA-81D3367E5A34'": true,
		"Raw eq X'01ff'":                    true,
		"Raw gt binary'01'":                 true,
		"Missing ne 'x'":                    false,
		"Size eq '5'":                       false,
		"Name eq 'x' or Size eq 5 and Done": true,
		"(Name eq 'x' or Size eq 5) and not (Price eq 2.5)":     false,
		"not (Name eq 'x') and ((Size eq 5))":                   true,
		"PartitionKey eq 'p''s' and (RowKey gt '6' or Missing)": true,
	} {
		f, err := ParseFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if got := f.Holds(sample()); got != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
}

func TestFiltersRefused(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"", "(", ")", "Name eq", "eq 'x'", "Name eq 'x", "Name like 'x'", "'a' eq 'b'", "Name eq Size", "Name eq 'x' and", "not",
		"Name eq 'x' Size", "Due eq datetime'soon'", "ID eq guid'x'", "Raw eq X'0g'", "Name eq float'1'", strings.Repeat("(", 100) + "Done" + strings.Repeat(")", 100)} {
		var syntax *FilterError
		if _, err := ParseFilter(filter); !errors.As(err, &syntax) {
			t.Errorf("%q: %v", filter, err)
		}
	}
}

// A string survives its way through a literal, whatever it holds, and no filter
// brings the parser down.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"a", "it's", "''", "') or (true", "Name eq 'x'", "datetime'2026-01-01'", "Ærø\x00\n", "((((", "not not Done", "1e999 eq Price"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if parsed, err := ParseFilter(text); err == nil {
			parsed.Holds(sample())
		}
		parsed, err := ParseFilter("Name eq '" + strings.ReplaceAll(text, "'", "''") + "'")
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		e := &Entity{Properties: map[string]Value{"Name": {edmString, text}, "Other": {edmString, "x"}}}
		if !parsed.Holds(e) {
			t.Errorf("%q does not equal itself", text)
		}
		e.Properties["Name"] = Value{edmString, text + "x"}
		if parsed.Holds(e) {
			t.Errorf("%q equals something else", text)
		}
	})
}

// An entity keeps its values over JSON and over the disk.
func FuzzEntity(f *testing.F) {
	f.Add(`{"PartitionKey":"p","RowKey":"r","A":"x","B":5,"C":2.5,"D":true,"E":"9","E@odata.type":"Edm.Int64","F":"2026-01-01T00:00:00Z","F@odata.type":"Edm.DateTime"}`)
	f.Add(`{"A":1e400}`)
	f.Add(`{"A":"AQ==","A@odata.type":"Edm.Binary","B":null,"C":3.0,"C@odata.type":"Edm.Double"}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, _, err := readEntity([]byte(text))
		if err != nil {
			return
		}
		store, err := OpenEntities(t.TempDir()+"/t", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := store.put("T", e, insert, "")
		if err != nil {
			t.Fatal(err)
		}
		again, err := OpenEntities(store.path, time.Now)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		read := again.get("t", kept.PartitionKey, kept.RowKey)
		for name, v := range kept.Properties {
			if order, ok := compare(v, read.Properties[name]); ok && order != 0 || v.Type != read.Properties[name].Type {
				t.Errorf("%s was %v and is %v", name, v, read.Properties[name])
			}
		}
	})
}

func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"/", "/Tables", "/Tables('x')", "/T()", "/T(PartitionKey='a''b',RowKey='')", "/$batch", "/T(PartitionKey='(',RowKey=')')", "/(PartitionKey='',RowKey='')"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if got, err := parseTarget(path); err == nil && got.keyed && got.table == "" {
			t.Errorf("%q names a thing of no table", path)
		}
	})
}
