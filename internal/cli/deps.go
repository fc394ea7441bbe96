package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Deps is everything the commands reach outside themselves. Functions are called
// by the commands that need them and by no other.
type Deps struct {
	Streams  Streams
	Env      func(string) (string, bool)
	Version  Version
	Targets  []TargetCommand
	Sources  []SourceCommand // nil means all there are
	Connect  func(context.Context, ContextOptions) (API, Defaults, error)
	Local    LocalCloud
	Contexts Contexts
	Serve    func(context.Context, ServeOptions, func(ReadyInfo)) error
	// SourceFile makes the id of a source that is a file of this machine, from its options.
	SourceFile func(source string, options map[string]string) (string, error)
	// Preview renders settings from names alone, without a cloud.
	Preview func(PreviewRequest) ([]PreviewSetting, error)
	// Exec runs a program to its end, passing signals on, and returns its exit code. It may
	// take this process's place instead.
	Exec func(argv, env []string) (int, error)
	// Environ lists this process's environment, NAME=VALUE.
	Environ func() []string
	// Extra makes further commands of the root, such as hidden ones.
	Extra func() []*cobra.Command
	// Poll is the pause between two looks at an operation when its events cannot be
	// followed; zero means one second.
	Poll time.Duration
}

// Streams are the three standard streams and what is at their other end.
type Streams struct {
	In                                   io.Reader
	Out, Err                             io.Writer
	InTerminal, OutTerminal, ErrTerminal bool
	// Width is the terminal's width in columns; nil means 80.
	Width func() int
	// ReadSecret reads one line from the terminal without showing it. When ctx ends it
	// returns, and leaves the terminal showing what is typed.
	ReadSecret func(context.Context) (string, error)
}

// SystemStreams returns the process's own streams.
func SystemStreams() Streams {
	in, out, err := int(os.Stdin.Fd()), int(os.Stdout.Fd()), int(os.Stderr.Fd())
	return Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTerminal: term.IsTerminal(in), OutTerminal: term.IsTerminal(out), ErrTerminal: term.IsTerminal(err),
		Width: func() int {
			if w, _, e := term.GetSize(err); e == nil && w > 0 {
				return w
			}
			return 80
		},
		ReadSecret: func(ctx context.Context) (string, error) { return readHidden(ctx, in) },
	}
}

// readHidden reads a line from a terminal that shows nothing meanwhile.
func readHidden(ctx context.Context, fd int) (string, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	line, err := unlessDone(ctx, func() (string, error) {
		b, err := term.ReadPassword(fd)
		return string(b), err
	})
	if ctx.Err() != nil {
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	}
	return line, err
}

// unlessDone reads, or gives up when ctx ends. A read from a terminal cannot be
// called off: the goroutine that is left in it ends with the process, which is about to.
func unlessDone(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := read()
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Version says what was built.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Date    string `json:"date,omitempty"`
}

// ContextOptions say which API a command wants.
type ContextOptions struct {
	Context      string // name; empty means the current one
	Subscription string // id; empty means the context's
	// Here asks for the work to be done in this process where the context allows it: the
	// files of this machine are nobody else's.
	Here bool
	// Logf receives one line per request when --debug is given, nil otherwise. What it
	// is given must hold no secret.
	Logf func(format string, args ...any)
}

// Defaults are what the chosen context fills in.
type Defaults struct {
	Context      string
	Subscription string
	// InProcess tells that operations run in this process and stop when it ends.
	InProcess bool
}

// TargetCommand is one backing service as create and update know it.
type TargetCommand struct {
	Name    string // "postgres-flexible": the word on the command line
	Display string // "Azure Database for PostgreSQL flexible server"
	Options []TargetOption
	// ID is the resource id with the options' names in braces, besides {subscription}
	// and {target-resource-group}; empty when the target is given by address only.
	ID string
	// Linkers are what a target without a resource id takes: one connection each.
	Linkers   []TargetLinker
	AuthTypes []string // wire names; the first is the default
	// LocalAuthTypes are those of local connections; none means there are no such
	// connections to the target. LocalClientTypes are client types besides ClientTypes.
	LocalAuthTypes, LocalClientTypes []string
	// Service is the target's type as configurationNames calls it.
	Service     string
	KeysFetched bool     // secret authentication fetches the key, none is given
	Nameless    bool     // the secret that is given is a whole connection string, without a user name
	Grants      []string // what a database user may do, the default first
	// ConnectionStrings: App Service has a word for the target's connection strings.
	ConnectionStrings bool
	ClientTypes       []string // wire names
	// Bindings are how function apps' bindings read it; APIVersion reads the target.
	Bindings   []TargetBinding
	APIVersion string
	// ServiceEndpoint and PrivateEndpoint tell whether the target has these ways in.
	ServiceEndpoint, PrivateEndpoint bool
}

// TargetLinker is one connection to a target that is named by address.
type TargetLinker struct {
	Type     string // of targetService
	Suffix   string // of the connection's name
	Endpoint string // the option that takes the address, without dashes
	Help     string // of that option
	// Name and Secret are the options that take the user's name and password, where each
	// connection has its own; empty where --secret does.
	Name, Secret string
}

// TargetOption is one option that names a part of the target's id.
type TargetOption struct {
	Name    string // without dashes
	Help    string
	Default string // what stands for it when it is not given; empty means it must be
}

// SourceCommand is one kind of compute: the word before "connection".
type SourceCommand struct {
	Name    string // "webapp"
	Display string // "web app"
	ID      string // resource id with {subscription}, {resource-group} and the options in braces
	Options []SourceOption
	// RuntimeFields are the members of the resource's properties that name its runtime.
	RuntimeFields []string
	// APIVersion reads the resource.
	APIVersion string
	// Title is what many of them are called, where that is not App Service and Display.
	Title string
	// PlainOnly tells that the source keeps no connection strings apart from its settings.
	PlainOnly bool
	// Scope is the option that names one of several places for the settings; none without a name.
	Scope SourceOption
	// Federated tells that apps there sign in with a user-assigned identity by federation only.
	Federated bool
	// Bindings tells that the source's bindings want names of their own: --binding.
	Bindings bool
	// Machine marks sources that are files of this machine: no cloud knows them, and Deps.SourceFile
	// makes their ids. Scoped ones have more than one place for settings.
	Machine, Scoped bool
	// Local marks connections without a source; ID is the location they are kept in.
	Local bool
}

// SourceOption is one option that names a part of the source's id.
type SourceOption struct {
	Name, Short, Help string
	Env               string // environment variable that holds its default, as the Azure CLI has it
	Optional          bool   // what is missing can be found out
	Part              string // what it adds to the id when it is given: /slots/{slot}
}

// WebApp is the source command of App Service web apps.
func WebApp() SourceCommand {
	return SourceCommand{
		Name: "webapp", Display: "web app",
		ID:            "/subscriptions/{subscription}/resourceGroups/{resource-group}/providers/Microsoft.Web/sites/{name}",
		Options:       []SourceOption{{Name: "name", Short: "n", Help: "The web app's `name`.", Env: "AZURE_DEFAULTS_WEB"}, slotOption("web app")},
		RuntimeFields: []string{"siteConfig.linuxFxVersion", "siteConfig.windowsFxVersion"},
		APIVersion:    "2023-12-01",
	}
}

// PreviewRequest is what preview asks for. Names are taken as they come, case aside
// for target, auth type, client type and cloud.
type PreviewRequest struct {
	Target, AuthType, ClientType string
	Cloud                        string            // empty means the public one
	Connection                   string            // of a further connection; empty means the first
	Facts                        map[string]string // by placeholder
}

// PreviewSetting is one setting of a preview; Kind is plain, templated or secret.
type PreviewSetting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Kind  string `json:"kind"`
}

// ReadyInfo is what a client needs to use a cloud that has started.
type ReadyInfo struct {
	Endpoint       string `json:"endpoint"`
	CAFile         string `json:"caFile"`
	SubscriptionID string `json:"subscriptionId"`
	TenantID       string `json:"tenantId"`
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret"`
}

// LocalStartOptions say how the local cloud starts.
type LocalStartOptions struct {
	Data         string // folder of its state; empty means one of its own choice
	Listen       string // host:port; port 0 means any free one
	ReadyFile    string // written (mode 0600) when ready; empty means none
	RecordBodies bool
	CloudOnly    bool // without the ServiceLinker server
}

// LocalStatus is what is known of the local cloud.
type LocalStatus struct {
	Running        bool      `json:"running"`
	Endpoint       string    `json:"endpoint,omitempty"`
	SubscriptionID string    `json:"subscriptionId,omitempty"`
	PID            int       `json:"pid,omitempty"`
	Data           string    `json:"data,omitempty"`
	Log            string    `json:"log,omitempty"`
	Since          time.Time `json:"since,omitzero"`
}

// EnvVar is one line of local env.
type EnvVar struct{ Name, Value string }

// LocalCloud starts and stops the local cloud.
type LocalCloud interface {
	// Start runs it in the background, saves a context and makes it the current one.
	// It returns when the cloud answers.
	Start(context.Context, LocalStartOptions) (ReadyInfo, error)
	// RunForeground runs it until ctx ends; ready is called once, when it answers.
	RunForeground(ctx context.Context, o LocalStartOptions, ready func(ReadyInfo)) error
	// Stop ends it and makes the former context current again.
	Stop(context.Context) error
	Status(context.Context) (LocalStatus, error)
	// Reset empties it; it keeps running.
	Reset(context.Context) error
	// Env returns the variables that point the Azure CLI, Terraform and the SDKs at it.
	Env(context.Context) ([]EnvVar, error)
}

// Contexts are the saved places the commands can talk to.
type Contexts interface {
	List() ([]ContextInfo, error)
	Current() (string, error)
	Use(name string) error
}

// ContextInfo is one saved context.
type ContextInfo struct {
	Name         string `json:"name"`
	Endpoint     string `json:"endpoint"`
	Server       bool   `json:"server"` // a Patchbay server answers there, else the work runs in this process
	Subscription string `json:"subscriptionId"`
	Current      bool   `json:"current"`
}

// ServeOptions say how the server starts.
type ServeOptions struct {
	Upstream        string // base URL of the ARM behind it
	UpstreamCA      string // PEM file that is trusted besides the system's
	Listen          string
	State           string // folder of ledger and seal key
	TLSCert, TLSKey string // PEM files; empty means a certificate of its own making
	ReadyFile       string
}
