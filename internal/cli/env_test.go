package cli

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/patchbay/patchbay/internal/problem"
)

// hostile are values that break careless quoting.
func hostile() []string {
	return []string{"", "plain", "a b", " lead and trail ", `it's`, `"quoted"`, `$HOME`, "`id`", `$(id)`, `\`, `\\n`, `a\`, "two\nlines", "tab\tand\rreturn",
		"#no comment", "a=b;c=d", "ünïcödé ✓", "‘curly’ ‚and‛", "!history", "%PATH%", "{x}", "'", "''", "'\"'\"'", "*", "~", "-n", "\n", "\\'", "$'x'", "a'b$c`d\"e\\f\ng"}
}

// throughShell has sh read settings and print one of them.
func throughShell(t testing.TB, text []byte, name string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", string(text)+`printf '%s.' "$`+name+`"`).Output()
	if err != nil {
		t.Fatalf("sh: %v for %q", err, text)
	}
	return strings.TrimSuffix(string(out), ".")
}

func written(t testing.TB, format, value string) []byte {
	t.Helper()
	out, err := writeEnv(format, []envSetting{{"BEFORE", "x"}, {"VALUE", value}, {"AFTER", "y"}})
	if err != nil {
		t.Fatalf("%s of %q: %v", format, value, err)
	}
	return out
}

// TestEnvThroughShells: what a shell reads back is what was written.
func TestEnvThroughShells(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"shell", "dotenv"} {
		for _, value := range hostile() {
			text := written(t, format, value)
			for name, want := range map[string]string{"VALUE": value, "AFTER": "y"} {
				if got := throughShell(t, text, name); got != want {
					t.Errorf("%s: %s of %q comes back as %q", format, name, value, got)
				}
			}
		}
	}
}

// value draws texts from the characters that matter to some format.
func value() *rapid.Generator[string] {
	special := rapid.SampledFrom([]rune("'\"\\$` \n\r\t#=;!%&|<>(){}[]*?~aZ0é✓‘’‚‛"))
	return rapid.StringOfN(rapid.OneOf(special, rapid.Rune().Filter(func(r rune) bool { return r != 0 && r != utf8.RuneError })), 0, 24, -1)
}

// TestEnvProperties tries many values at once, each a variable of one file.
func TestEnvProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOfN(value(), 1, 20).Draw(rt, "values")
		for _, format := range []string{"shell", "dotenv"} {
			var settings []envSetting
			script := ""
			for i, v := range values {
				settings = append(settings, envSetting{fmt.Sprintf("V%d", i), v})
				script += fmt.Sprintf(`printf '%%s\0' "$V%d";`, i)
			}
			text, err := writeEnv(format, settings)
			if err != nil {
				rt.Fatal(err)
			}
			out, err := exec.Command("sh", "-c", string(text)+script).Output()
			if err != nil {
				rt.Fatalf("sh: %v", err)
			}
			got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
			for i, v := range values {
				if got[i] != v {
					rt.Fatalf("%s: %q comes back as %q", format, v, got[i])
				}
			}
		}
	})
}

// parsePowershell reads `$env:NAME = '...'` lines by the language's rule: between single
// quotes only a doubled quote, of any of five kinds, is special.
func parsePowershell(t testing.TB, text, name string) string {
	t.Helper()
	rest, found := strings.CutPrefix(text[strings.Index(text, "$env:"+name):], "$env:"+name+" = '")
	if !found {
		t.Fatalf("no assignment in %q", text)
	}
	isQuote := func(r rune) bool { return strings.ContainsRune("'\u2018\u2019\u201a\u201b", r) }
	var out []rune
	runes := []rune(rest)
	for i := 0; i < len(runes); i++ {
		if !isQuote(runes[i]) {
			out = append(out, runes[i])
			continue
		}
		if i+1 < len(runes) && isQuote(runes[i+1]) {
			out = append(out, runes[i])
			i++
			continue
		}
		return string(out)
	}
	t.Fatalf("the text of %q does not end", text)
	return ""
}

func FuzzEnv(f *testing.F) {
	for _, v := range hostile() {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if strings.ContainsRune(v, 0) {
			for _, format := range []string{"shell", "dotenv", "docker", "powershell"} {
				if _, err := writeEnv(format, []envSetting{{"VALUE", v}}); !problem.Is(err, problem.SettingName) {
					t.Fatalf("%s writes a zero byte: %v", format, err)
				}
			}
			return
		}
		if utf8.ValidString(v) {
			if got := parsePowershell(t, string(written(t, "powershell", v)), "VALUE"); got != v {
				t.Fatalf("powershell: %q comes back as %q", v, got)
			}
		}
		text, err := writeEnv("docker", []envSetting{{"VALUE", v}, {"AFTER", "y"}})
		if strings.ContainsAny(v, "\r\n") != (err != nil) {
			t.Fatalf("docker: %q gives %v", v, err)
		}
		if err == nil && string(text) != "VALUE="+v+"\nAFTER=y\n" {
			t.Fatalf("docker: %q gives %q", v, text)
		}
		if line, err := exportLine("VALUE", v); err != nil || strings.Count(line, "'")%2 != 0 && !strings.Contains(v, "'") {
			t.Fatalf("shell: %q gives %q, %v", v, line, err)
		}
	})
}

func TestEnvNames(t *testing.T) {
	t.Parallel()
	for name, formats := range map[string]string{
		"spring.datasource.url": "json docker powershell", "A__B": "shell dotenv json docker powershell", "Azure:App": "json docker powershell",
		"1A": "json docker powershell", "A-B": "json docker powershell", "A B": "json powershell", "A{B}": "json docker", "": "json",
	} {
		for _, f := range envFormats() {
			_, err := writeEnv(f.name, []envSetting{{name, "x"}})
			can := slices.Contains(strings.Fields(formats), f.name)
			if can != (err == nil) || err != nil && !problem.Is(err, problem.SettingName) {
				t.Errorf("%s of %q: %v", f.name, name, err)
			}
		}
	}
}
