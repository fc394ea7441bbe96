package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

type envOptions struct {
	*shell
	settings *settingsOf
	format   string
}

func newEnv(s *shell) *cobra.Command {
	o := &envOptions{shell: s}
	c := &cobra.Command{
		Use: "env", Short: "Print a connection's settings for another tool to read", Args: noArgs,
		Long: "Print a connection's settings, with their values in the clear: for files that tools read\n" +
			"(dotenv, docker), and for shells that take them over (shell, powershell).",
		Example: "  eval \"$(patchbay env -g GROUP --connection NAME --format shell)\"\n" +
			"  patchbay env -g GROUP --connection NAME --format dotenv > .env\n" +
			"  docker run --env-file <(patchbay env -g GROUP --connection NAME --format docker) IMAGE",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.settings = newSettingsOf(s, c)
	c.Flags().StringVar(&o.format, "format", "dotenv", "The `format`: "+strings.Join(envFormatNames(), ", ")+".")
	_ = c.RegisterFlagCompletionFunc("format", words(envFormatNames()...))
	return c
}

func (o *envOptions) run(ctx context.Context) error {
	if !contains(envFormatNames(), o.format) {
		return unknownValue("--format", o.format, envFormatNames())
	}
	settings, err := o.settings.read(ctx, o.shell)
	if err != nil {
		return err
	}
	out, err := writeEnv(o.format, settings)
	if err != nil {
		return err
	}
	_, err = o.Streams.Out.Write(out)
	return err
}

// envFormat writes one setting as a line, or several; an error tells why it cannot.
type envFormat struct {
	name string
	line func(name, value string) (string, error)
}

// envFormats is the table of formats, json apart, which is one object.
func envFormats() []envFormat {
	return []envFormat{{"dotenv", dotenvLine}, {"shell", exportLine}, {"json", nil}, {"docker", dockerLine}, {"powershell", powerexportLine}}
}

func envFormatNames() []string {
	var names []string
	for _, f := range envFormats() {
		names = append(names, f.name)
	}
	return names
}

func writeEnv(format string, settings []envSetting) ([]byte, error) {
	if format == "json" {
		object := map[string]string{}
		for _, s := range settings {
			object[s.name] = s.value
		}
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err := encoder.Encode(object)
		return out.Bytes(), err
	}
	var out strings.Builder
	for _, f := range envFormats() {
		if f.name != format {
			continue
		}
		for _, s := range settings {
			if strings.ContainsRune(s.value, 0) {
				return nil, unwritable(s.name, "it holds a zero byte")
			}
			line, err := f.line(s.name, s.value)
			if err != nil {
				return nil, err
			}
			out.WriteString(line + "\n")
		}
	}
	return []byte(out.String()), nil
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func checkVariable(name, where string) error {
	if variableName.MatchString(name) {
		return nil
	}
	return unwritable(name, where+" has no variables of such a name").
		WithFix("use `patchbay run`, or --format json or docker, or rename it: --customized-keys %s=NAME", name)
}

// exportLine is for POSIX shells. Between single quotes everything stands for itself.
func exportLine(name, value string) (string, error) {
	return "export " + name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'", checkVariable(name, "a shell")
}

// dotenvLine is read by dotenv libraries and by POSIX shells. Single quotes are the
// plainest; a value that holds one stands between double quotes, where a backslash
// goes before what a shell would act on.
func dotenvLine(name, value string) (string, error) {
	if err := checkVariable(name, "a dotenv file"); err != nil {
		return "", err
	}
	if !strings.Contains(value, "'") {
		return name + "='" + value + "'", nil
	}
	return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(value) + `"`, nil
}

// dockerLine is for docker's --env-file, which knows no quotes: a line is a line.
func dockerLine(name, value string) (string, error) {
	if strings.ContainsAny(value, "\r\n") {
		return "", unwritable(name, "its value has several lines, which docker's env files cannot hold").
			WithFix("use `patchbay run -- docker run --env %s IMAGE`, which takes it over from the environment", name)
	}
	if name == "" || strings.ContainsAny(name, "= \t\r\n\x00") || strings.HasPrefix(name, "#") {
		return "", unwritable(name, "docker's env files have no variables of such a name")
	}
	return name + "=" + value, nil
}

// powerexportLine is for PowerShell, where four more characters than the plain
// apostrophe end a text between single quotes; each is doubled to stand for itself.
func powerexportLine(name, value string) (string, error) {
	if name == "" || strings.ContainsAny(name, "{}`=\x00\r\n") {
		return "", unwritable(name, "PowerShell has no variables of such a name")
	}
	quotes := []string{"'", "\u2018", "\u2019", "\u201a", "\u201b"}
	pairs := make([]string, 0, 2*len(quotes))
	for _, q := range quotes {
		pairs = append(pairs, q, q+q)
	}
	variable := "$env:" + name
	if !variableName.MatchString(name) {
		variable = "${env:" + name + "}"
	}
	return variable + " = '" + strings.NewReplacer(pairs...).Replace(value) + "'", nil
}
