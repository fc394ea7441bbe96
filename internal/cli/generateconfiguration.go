package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

// clientDapr is the client type whose settings are one component file.
const clientDapr = "dapr"

type generateConfigurationOptions struct {
	*shell
	place      *place
	clientType string
	dapr       daprFlags
}

func newGenerateConfiguration(s *shell, source SourceCommand) *cobra.Command {
	o := &generateConfigurationOptions{shell: s}
	c := &cobra.Command{
		Use: "generate-configuration", Short: "Print the settings a connection stands for, with their values", Args: noArgs,
		Long: "Print the settings a connection stands for. Their values are shown in the clear, to those who\n" +
			"may read them from the target. A Dapr component comes as a file with -o yaml.",
		Example: "  patchbay connection generate-configuration -g GROUP --connection NAME\n" +
			"  patchbay connection generate-configuration -g GROUP --connection NAME --client-type dapr -o yaml",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.place = newPlace(s, c.Flags(), source).withConnection(c.Flags())
	c.Flags().StringVar(&o.clientType, "client-type", "", "Client `type` to print for instead of the connection's own.")
	o.dapr.register(c.Flags())
	return c
}

func (o *generateConfigurationOptions) run(ctx context.Context) error {
	said, err := o.dapr.properties()
	if err != nil {
		return err
	}
	a, _, id, done, err := o.open(ctx, o.place)
	if err != nil {
		return err
	}
	defer done()
	var body map[string]any
	if said != nil {
		body = map[string]any{"daprProperties": said}
	}
	configurations, err := a.GenerateConfigurations(ctx, id, o.clientType, body)
	if err != nil {
		return withNames(ctx, a, id, err)
	}
	if o.g.output == "yaml" && o.g.compiled == nil && components(configurations) {
		return o.files(configurations)
	}
	return o.printRows(map[string]any{"configurations": configurations}, configurations, "name", "value")
}

// components tells whether settings are files of Dapr components.
func components(configurations []map[string]any) bool {
	for _, c := range configurations {
		if strings.HasSuffix(text(c, "name"), ".yaml") {
			return true
		}
	}
	return false
}

// files prints component files as they are, one after the other.
func (o *generateConfigurationOptions) files(configurations []map[string]any) error {
	var all []string
	for _, c := range configurations {
		all = append(all, text(c, "value"))
	}
	_, err := o.Streams.Out.Write([]byte(strings.Join(all, "---\n")))
	return err
}
