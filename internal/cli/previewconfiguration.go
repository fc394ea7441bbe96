package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

type previewConfigurationOptions struct {
	*shell
	target     TargetCommand
	auth       *authFlags
	clientType string
}

func newPreviewConfiguration(s *shell, _ SourceCommand, target TargetCommand) *cobra.Command {
	o := &previewConfigurationOptions{shell: s, target: target}
	c := &cobra.Command{
		Use: target.Name, Short: "Show the names of the settings of a connection to " + target.Display, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	vault := ""
	c.Flags().StringVar(&o.clientType, "client-type", "", "Client `type`: "+strings.Join(target.ClientTypes, ", ")+".")
	o.auth = newAuthFlags(c.Flags(), target, &vault)
	return c
}

// filter asks for the target, and for what the options say.
func (o *previewConfigurationOptions) filter() (string, error) {
	parts := []string{"TargetService eq '" + o.target.Service + "'"}
	option, given, err := o.auth.chosen()
	if err != nil {
		return "", err
	}
	if given {
		parts = append(parts, "AuthType eq '"+option.Wire+"'")
	}
	if err := asError(o.target.checkClient(o.clientType)); err != nil {
		return "", err
	}
	if o.clientType != "" {
		parts = append(parts, "ClientType eq '"+o.target.spelledClient(o.clientType)+"'")
	}
	return strings.Join(parts, " and "), nil
}

func (o *previewConfigurationOptions) run(ctx context.Context) error {
	filter, err := o.filter()
	if err != nil {
		return err
	}
	a, _, done, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	found, err := a.ConfigurationNames(ctx, filter)
	if err != nil {
		return err
	}
	rows := make([]any, 0, len(found))
	for _, row := range found {
		rows = append(rows, flat(row))
	}
	return o.print(rows)
}
