package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/problem"
)

// createOptions are the options of connection create.
type createOptions struct {
	*shell
	source     *place
	target     *targetPlace
	auth       *authFlags
	properties *propertyFlags
	writeFlags
}

// writeFlags are how create and update go about the write.
type writeFlags struct {
	noWait, dryRun, noKeep, yes bool
}

func (w *writeFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&w.noWait, "no-wait", false, "Return as soon as the operation is accepted.")
	f.BoolVar(&w.dryRun, "dry-run", false, "Print every change with before and after, and write nothing.")
	f.BoolVar(&w.noKeep, "no-keep-secret", false, "Do not keep the given secret; repair will ask for it.")
	f.BoolVarP(&w.yes, "yes", "y", false, "Do not ask anything.")
}

func newCreate(s *shell, source SourceCommand, target TargetCommand) *cobra.Command {
	o := &createOptions{shell: s}
	c := &cobra.Command{
		Use:   target.Name,
		Short: "Connect a " + source.Display + " to " + target.Display,
		Long: fmt.Sprintf("Connect a %s to %s.\n\nAuthentication: %s.\nClient types: %s.",
			source.Display, target.Display, target.authWords(), strings.Join(target.ClientTypes, ", ")),
		Example: target.example(source),
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	f := c.Flags()
	f.SortFlags = false
	o.source = newPlace(s, f, source)
	f.StringVar(&o.source.name, "connection", "", "The connection's `name`. Default: the target's and five letters.")
	o.target = newTargetPlace(f, target)
	o.properties = newPropertyFlags(f, target).in(source)
	o.properties.withBindings(f, source)
	o.auth = newAuthFlags(f, target, &o.properties.vaultID)
	o.register(c)
	completeWrite(c, target)
	return c
}

func completeWrite(c *cobra.Command, target TargetCommand) {
	_ = c.RegisterFlagCompletionFunc("client-type", words(target.ClientTypes...))
	_ = c.RegisterFlagCompletionFunc("opt-out", words(optOuts()...))
}

// example is a command line that works once the capitals are replaced.
func (t TargetCommand) example(source SourceCommand) string {
	parts := []string{"patchbay", source.Name, "connection create", t.Name}
	if !source.Machine {
		parts = append(parts, "-g GROUP")
	}
	for _, o := range source.Options {
		if o.Part == "" {
			parts = append(parts, sourceExample(o))
		}
	}
	parts = append(parts, t.exampleTarget()...)
	return strings.TrimRight("  "+strings.Join(append(parts, t.exampleAuth()), " "), " ")
}

// authWords says how the app may sign in.
func (t TargetCommand) authWords() string {
	if t.open() {
		return "none, there is nothing to sign in to"
	}
	return strings.Join(t.authOptionList(), ", ") + ". The first is the default"
}

func sourceExample(o SourceOption) string {
	if o.Short != "" {
		return "-" + o.Short + " " + strings.ToUpper(o.Name)
	}
	return "--" + o.Name + " " + strings.ToUpper(o.Name)
}

func (t TargetCommand) exampleTarget() []string {
	if t.ID == "" {
		var parts []string
		for _, l := range t.Linkers {
			for _, option := range []string{l.Endpoint, l.Name, l.Secret} {
				if option != "" {
					parts = append(parts, "--"+option+" "+strings.ToUpper(strings.ReplaceAll(option, "-", "_")))
				}
			}
		}
		return parts
	}
	parts := []string{"--tg GROUP"}
	for _, o := range t.Options {
		if o.Default == "" {
			parts = append(parts, "--"+o.Name+" "+strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_")))
		}
	}
	return parts
}

func (t TargetCommand) exampleAuth() string {
	if len(t.AuthTypes) == 0 || t.ownAuth() || t.open() {
		return ""
	}
	o, _ := authByWire(t.AuthTypes[0])
	if o.Wire == authSecret && t.KeysFetched {
		return "--secret"
	}
	return strings.TrimSpace("--" + o.Name + " " + exampleWords(o, t.requiredWords(o)))
}

func (o *createOptions) check() error {
	var c complaints
	c.add(o.source.checkSource())
	c.add(checkName(o.source.name))
	c.add(o.target.check())
	c.add(o.auth.check())
	c.add(o.properties.check())
	return c.err(strings.TrimSpace(o.target.target.example(o.source.source)))
}

func (o *createOptions) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	var authInfo map[string]any
	var err error
	if !o.target.target.ownAuth() {
		if authInfo, err = o.authInfo(ctx); err != nil {
			return err
		}
	}
	a, d, done, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	linkers, err := o.linkers(ctx, a, d, authInfo)
	if err != nil {
		return err
	}
	if more, err := o.reachStores(ctx, a, d, linkers[0], o.properties, o.writeFlags); err != nil || !more {
		return err
	}
	return o.writeAll(ctx, a, d, linkers, o.writeFlags)
}

// linkers makes the connections that are asked for: one, but for targets that take several.
func (o *createOptions) linkers(ctx context.Context, a API, d Defaults, authInfo map[string]any) ([]linkerBody, error) {
	if err := o.source.locate(ctx, a, d); err != nil {
		return nil, err
	}
	if err := identify(ctx, a, authInfo); err != nil {
		return nil, err
	}
	source, err := o.source.sourceOf(d.Subscription)
	if err != nil {
		return nil, err
	}
	all, err := o.target.wanted(d.Subscription, o.Streams.In)
	if err != nil {
		return nil, err
	}
	if o.source.name == "" {
		if o.source.name, err = generatedName(o.target.target.Name); err != nil {
			return nil, err
		}
		o.note("the connection is named %s", o.source.name)
	}
	if err := o.properties.bindingClient(text(authInfo, "authType")); err != nil {
		return nil, err
	}
	if o.properties.clientType == "" {
		o.properties.clientType = o.findClient(ctx, a, source)
	}
	var out []linkerBody
	for _, w := range all {
		properties := map[string]any{"targetService": w.service}
		if w.auth == nil {
			w.auth = authInfo
		}
		if w.auth != nil {
			properties["authInfo"] = w.auth
		}
		if err := o.properties.apply(properties); err != nil {
			return nil, err
		}
		if err := o.bind(ctx, a, o.properties, properties); err != nil {
			return nil, err
		}
		o.warnOfHost(o.source.source, properties)
		o.properties.letIn(properties, o.source.source)
		out = append(out, linkerBody{source + o.source.source.segment() + o.source.name + w.suffix, map[string]any{"properties": properties}})
	}
	return out, nil
}

// authInfo returns the chosen authentication, or the target's first.
func (o *createOptions) authInfo(ctx context.Context) (map[string]any, error) {
	option, ok, err := o.auth.chosen()
	if err != nil {
		return nil, err
	}
	if !ok {
		if o.target.target.open() || o.properties.optedOut("auth") && o.properties.optedOut("configinfo") {
			return nil, nil
		}
		if option, err = o.defaultAuth(ctx); err != nil {
			return nil, err
		}
	}
	return o.auth.info(option, o.Streams.In)
}

// defaultAuth takes the target's first auth type; where that needs words only a
// person can give, it asks, or refuses when nobody is there to answer.
func (o *createOptions) defaultAuth(ctx context.Context) (authOption, error) {
	t := o.target.target
	if len(t.AuthTypes) == 0 {
		return authOption{}, usage("%s has no authentication to choose", t.Name)
	}
	option, ok := authByWire(t.AuthTypes[0])
	if !ok {
		return option, usage("no authentication is chosen: give %s", strings.Join(t.authOptionList(), " or "))
	}
	if option.Wire != authSecret || t.KeysFetched {
		o.note("no authentication is chosen: taking --%s (%s)", option.Name, strings.Join(t.authOptionList(), ", "))
		return option, nil
	}
	if o.yes || !o.Streams.InTerminal {
		return option, problem.New(problem.SecretNeeded, "", "no authentication is chosen, and the default of %s needs a user and a password; choose one of %s",
			t.Name, strings.Join(t.authOptionList(), ", ")).WithFix("add --secret %s", exampleWords(option, t.requiredWords(option)))
	}
	return option, o.askSecret(ctx, option)
}

// askSecret asks for user and password on the terminal.
func (o *createOptions) askSecret(ctx context.Context, option authOption) error {
	var words []string
	asked := "Connection string: "
	if !o.target.target.Nameless {
		user, err := o.ask(ctx, "User name: ")
		if err != nil {
			return err
		}
		words, asked = []string{"name=" + user}, "Password: "
	}
	fmt.Fprint(o.Streams.Err, asked)
	password, err := o.Streams.ReadSecret(ctx)
	fmt.Fprintln(o.Streams.Err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return usage("the password could not be read: %v", err)
	}
	if strings.HasPrefix(password, "@") { // what is typed is never a file's name
		password = "@" + password
	}
	list := o.auth.given[option.Name]
	list.Given, list.Words = true, append(words, "secret="+password)
	return nil
}
