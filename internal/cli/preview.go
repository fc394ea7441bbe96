package cli

import (
	"encoding/json"
	"io"
	"os"

	"github.com/spf13/cobra"
)

type previewOptions struct {
	*shell
	PreviewRequest
	facts wordList
	file  string
}

func newPreview(s *shell) *cobra.Command {
	o := &previewOptions{shell: s}
	c := &cobra.Command{
		Use: "preview TARGET", Short: "Show the settings an app would get, without a cloud", Args: exactArgs("TARGET"),
		Long: "Print name, value and kind (plain, templated, secret) of every setting a connection writes.\n" +
			"Nothing is asked and nothing is kept: values are made of the facts given and the cloud's own\n" +
			"host names. A fact is named as in the target's page (docs/targets); what is missing is said.",
		Example: "  patchbay preview postgres-flexible --auth-type secret --client-type python \\\n" +
			"    --fact server=pg1 database=orders username=app password=VALUE -o table",
		RunE: func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.AuthType, "auth-type", "", "Auth `type`, as in a request: secret, systemAssignedIdentity and so on.")
	f.StringVar(&o.ClientType, "client-type", "", "Client `type` of the app. Default: none.")
	f.StringVar(&o.Cloud, "cloud", "", "Cloud whose host names are used, by `name`. Default: AzureCloud.")
	f.StringVar(&o.Connection, "connection", "", "The `name` of a further connection to a target of this type: it goes into the settings' names.")
	f.Var(&o.facts, "fact", "Facts as NAME=VALUE words; the option may also be repeated.")
	f.StringVar(&o.file, "fact-file", "", "JSON object of facts in this `file`, or - for standard input; keeps secrets off the command line.")
	_ = c.RegisterFlagCompletionFunc("cloud", words("AzureCloud", "AzureUSGovernment", "AzureChinaCloud"))
	return c
}

// run needs no server: what it prints is in the program.
func (o *previewOptions) run(target string) error {
	o.Target = target
	var err error
	if o.Facts, err = o.allFacts(); err != nil {
		return err
	}
	settings, err := o.Preview(o.PreviewRequest)
	if err != nil {
		return err
	}
	if o.g.output == "" && o.g.compiled == nil {
		return o.own(settings, func(t *texter) {
			for _, s := range settings {
				t.line("%s=%s (%s)", s.Name, s.Value, s.Kind)
			}
		})
	}
	return o.printRows(settings, settings, "name", "value", "kind")
}

// allFacts are those of the file, and over them those of the command line.
func (o *previewOptions) allFacts() (map[string]string, error) {
	given, err := o.facts.pairs("--fact", nil)
	if err != nil || o.file == "" {
		return given, err
	}
	facts, err := o.readFacts()
	if err != nil {
		return nil, err
	}
	for name, value := range given {
		facts[name] = value
	}
	return facts, nil
}

// maxFacts bounds the file of facts, in bytes.
const maxFacts = 1 << 20

func (o *previewOptions) readFacts() (map[string]string, error) {
	from := o.Streams.In
	if o.file != "-" {
		f, err := os.Open(o.file)
		if err != nil {
			return nil, usage("the file after --fact-file cannot be read").WithFix("give the path of a readable file, or - for standard input")
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, maxFacts))
	if err != nil {
		return nil, err
	}
	var facts map[string]string
	if err := json.Unmarshal(b, &facts); err != nil || facts == nil {
		return nil, usage("what comes after --fact-file is not a JSON object of texts").WithFix(`write {"server": "pg1", "database": "orders"}`)
	}
	return facts, nil
}
