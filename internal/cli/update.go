package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/problem"
)

// updateOptions are the options of connection update.
type updateOptions struct {
	*shell
	place      *place
	target     TargetCommand
	auth       *authFlags
	properties *propertyFlags
	writeFlags
}

func newUpdate(s *shell, source SourceCommand, target TargetCommand) *cobra.Command {
	o := &updateOptions{shell: s, target: target}
	c := &cobra.Command{
		Use:   target.Name,
		Short: "Change a connection to " + target.Display,
		Long: "Change a connection to " + target.Display + ". What no option names stays as it is;\n" +
			"a secret that was kept need not be given again.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	f := c.Flags()
	f.SortFlags = false
	o.place = newPlace(s, f, source).withConnection(f)
	o.properties = newPropertyFlags(f, target).in(source)
	o.properties.withBindings(f, source)
	o.auth = newAuthFlags(f, target, &o.properties.vaultID)
	o.register(c)
	completeWrite(c, target)
	return c
}

func (o *updateOptions) check() (option authOption, given bool, err error) {
	var c complaints
	c.add(o.place.checkConnection())
	c.add(o.auth.check())
	c.add(o.properties.check())
	if err := c.err(""); err != nil {
		return option, false, err
	}
	option, given, err = o.auth.chosen()
	if err == nil && !given && !o.properties.any() {
		err = usage("there is nothing to change: give --client-type, an authentication or another option")
	}
	return option, given, err
}

func (o *updateOptions) run(ctx context.Context) error {
	option, given, err := o.check()
	if err != nil {
		return err
	}
	var authInfo map[string]any
	if given {
		if authInfo, err = o.auth.info(option, o.Streams.In); err != nil {
			return err
		}
	}
	a, d, id, done, err := o.open(ctx, o.place)
	if err != nil {
		return err
	}
	defer done()
	body, err := o.body(ctx, a, id, authInfo)
	if err != nil {
		return err
	}
	if more, err := o.reachStores(ctx, a, d, linkerBody{id, body}, o.properties, o.writeFlags); err != nil || !more {
		return err
	}
	return o.write(ctx, a, d, id, body, o.writeFlags)
}

// body is the linker as it stands with the options put in: what a dry run plans and
// what is written are the same value.
func (o *updateOptions) body(ctx context.Context, a API, id string, authInfo map[string]any) (map[string]any, error) {
	linker, err := a.Linker(ctx, id)
	if err != nil {
		return nil, withNames(ctx, a, id, err)
	}
	properties, _ := linker["properties"].(map[string]any)
	if properties == nil {
		properties = map[string]any{}
	}
	if err := o.checkTarget(id, text(properties, "targetService", "id")); err != nil {
		return nil, err
	}
	delete(properties, "provisioningState")
	if err := identify(ctx, a, authInfo); err != nil {
		return nil, err
	}
	if authInfo != nil {
		properties["authInfo"] = authInfo
	}
	if err := o.properties.bindingClient(text(properties, "authInfo", "authType")); err != nil {
		return nil, err
	}
	if err := o.properties.apply(properties); err != nil {
		return nil, err
	}
	if err := o.bind(ctx, a, o.properties, properties); err != nil {
		return nil, err
	}
	o.warnOfHost(o.place.source, properties)
	o.properties.letIn(properties, o.place.source)
	return map[string]any{"properties": properties}, nil
}

// checkTarget refuses to change a connection under another target's name: the
// client and auth types that were checked would be the wrong ones.
func (o *updateOptions) checkTarget(id, target string) error {
	if target == "" || o.target.ID == "" || o.target.matches(target) {
		return nil
	}
	for _, t := range o.Targets {
		if t.matches(target) {
			return problem.New(problem.TargetUnsupported, id, "%s is a connection to %s, not to %s", lastName(id), t.Name, o.target.Name).
				WithFix("patchbay %s connection update %s --id %s", o.place.source.Name, t.Name, id)
		}
	}
	return problem.New(problem.TargetUnsupported, id, "%s is not a connection to %s", lastName(id), o.target.Name).
		WithFix("patchbay %s connection show --id %s", o.place.source.Name, id)
}
