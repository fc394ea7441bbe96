package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestExpandWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"--secret name=u secret=p -g rg":         "--secret=name=u|--secret=secret=p|-g|rg",
		"--secret":                               "--secret=",
		"--secret --no-wait":                     "--secret=|--no-wait",
		"--secret=name=u secret=p":               "--secret=name=u|--secret=secret=p",
		"--system-identity --connection c":       "--system-identity=|--connection|c",
		"--opt-out auth configinfo":              "--opt-out=auth|--opt-out=configinfo",
		"--opt-out auth --opt-out configinfo":    "--opt-out=auth|--opt-out=configinfo",
		"--private-endpoint false -g rg":         "--private-endpoint=false|-g|rg",
		"--private-endpoint TRUE":                "--private-endpoint=true",
		"--private-endpoint -g rg":               "--private-endpoint|-g|rg",
		"--private-endpoint=false true":          "--private-endpoint=false|true",
		"--connection secret --name --secret":    "--connection|secret|--name|--secret=",
		"a b -- --secret x=y":                    "a|b|--|--secret|x=y",
		"__complete webapp --secret x":           "__complete|webapp|--secret|x",
		"--customized-keys A=B C=D --dry-run":    "--customized-keys=A=B|--customized-keys=C=D|--dry-run",
		"--service-principal client-id=a secret": "--service-principal=client-id=a|--service-principal=secret",
	} {
		if got := strings.Join(expandWords(strings.Fields(in)), "|"); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

// FuzzExpandWords: no word is lost, none is made up, and options keep their order.
func FuzzExpandWords(f *testing.F) {
	for _, seed := range []string{"--secret name=u secret=p", "--secret", "-- --secret a", "--private-endpoint false", "--secret= = ==", "--opt-out a b --c"} {
		f.Add(strings.ReplaceAll(seed, " ", "\x00"))
	}
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		got := expandWords(args)
		if !slices.Equal(values(got), values(args)) {
			t.Errorf("%q became %q", args, got)
		}
		if !slices.Equal(expandWords(got), got) {
			t.Errorf("%q is not stable: %q", got, expandWords(got))
		}
	})
}

// values leaves the words of a command line, without the names of the options that
// take many and without the case of truth values.
func values(args []string) []string {
	var out []string
	kinds := wordOptions()
	after := false
	for _, a := range args {
		name, value, has := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		known := !after && strings.HasPrefix(a, "--") && kinds[name] != 0
		after = after || a == "--" || strings.HasPrefix(a, "__complete") && len(out) == 0
		switch {
		case known && has && value != "":
			out = append(out, strings.ToLower(value))
		case !known && a != "": // an empty word says nothing
			out = append(out, strings.ToLower(a))
		}
	}
	return out
}

func TestPairs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		words   []string
		allowed []string
		want    map[string]string
		err     string
	}{
		{words: nil, want: map[string]string{}},
		{words: []string{"A=B", "c=d=e=", "E="}, want: map[string]string{"A": "B", "c": "d=e=", "E": ""}},
		{words: []string{"Name=Ada"}, allowed: []string{"name"}, want: map[string]string{"name": "Ada"}},
		{words: []string{"word"}, err: "word 1 after --x is not NAME=VALUE"},
		{words: []string{"a=1", "=canary"}, err: "word 2 after --x is not NAME=VALUE"},
		{words: []string{"a=canary", "a=canary"}, err: "--x has a= twice"},
		{words: []string{"nme=canary"}, allowed: []string{"name", "secret"}, err: `did you mean "name"?`},
	} {
		got, err := (&wordList{Words: c.words}).pairs("--x", c.allowed)
		switch {
		case c.err == "" && (err != nil || !reflect.DeepEqual(got, c.want)):
			t.Errorf("%q: %v, %v", c.words, got, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "canary")):
			t.Errorf("%q: error %v, want %q", c.words, err, c.err)
		}
	}
}

// FuzzPairs: what is read is what was written, and an error never repeats a value.
func FuzzPairs(f *testing.F) {
	f.Add("name", "canary-value-1", "secret", "canary-value-2")
	f.Add("a=b", "", "=", "=")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		v1, v2 = "canary-1-"+v1, "canary-2-"+v2
		list := &wordList{Words: []string{k1 + "=" + v1, k2 + "=" + v2}}
		for _, allowed := range [][]string{nil, {"name", "secret"}} {
			got, err := list.pairs("--secret", allowed)
			if err != nil {
				if strings.Contains(err.Error(), v1) || strings.Contains(err.Error(), v2) {
					t.Errorf("the error holds a value: %v", err)
				}
				continue
			}
			if len(got) != 2 {
				t.Errorf("%q: %v", list.Words, got)
			}
			for name, value := range got {
				word := name + "=" + value
				if allowed == nil && word != list.Words[0] && word != list.Words[1] {
					t.Errorf("%q holds %q", list.Words, word)
				}
			}
		}
	})
}

func TestSecretValue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ in, stdin, want string }{
		{in: "plain", want: "plain"},
		{in: "@" + write("a", "one\n"), want: "one"},
		{in: "@" + write("b", "one\r\n"), want: "one"},
		{in: "@" + write("c", " two\nlines \n\n"), want: " two\nlines \n"},
		{in: "-", stdin: "typed\n", want: "typed"},
		{in: "@@literal", want: "@literal"}, {in: "--", want: "--"}, {in: "a@b", want: "a@b"},
	} {
		if got, err := secretValue(c.in, strings.NewReader(c.stdin)); err != nil || got != c.want {
			t.Errorf("%q: %q, %v", c.in, got, err)
		}
	}
	for _, in := range []string{"@" + filepath.Join(dir, "none"), "@" + dir, "@" + write("e", "\n"), "@" + write("big", strings.Repeat("x", maxSecret+1)), "-"} {
		if got, err := secretValue(in, strings.NewReader("")); err == nil {
			t.Errorf("%q was read as %d bytes", in, len(got))
		}
	}
}
