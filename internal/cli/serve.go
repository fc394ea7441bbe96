package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type serveOptions struct {
	*shell
	ServeOptions
}

func newServe(s *shell) *cobra.Command {
	o := &serveOptions{shell: s}
	c := &cobra.Command{
		Use: "serve", Short: "Run the ServiceLinker server in front of a cloud", Args: noArgs,
		Long: "Answer Microsoft.ServiceLinker and pass every other request through, so that one endpoint\n" +
			"serves a whole client session. The server acts as its own identity, found as the Azure SDKs\n" +
			"find it (AZURE_CLIENT_ID and the like, or a managed identity).",
		Example: "  patchbay serve --upstream https://management.azure.com --listen 127.0.0.1:8443 --state DIR",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	f := c.Flags()
	f.StringVar(&o.Upstream, "upstream", "", "The `url` of the resource manager behind the server.")
	f.StringVar(&o.UpstreamCA, "upstream-ca", "", "PEM `file` of certificates to trust there, besides the system's.")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "Listen on this `address`; port 0 takes any free one.")
	f.StringVar(&o.State, "state", "", "The `folder` of the ledger and the seal key. Default: below PATCHBAY_HOME.")
	f.StringVar(&o.TLSCert, "tls-cert", "", "PEM `file` of the server's certificate. Default: one of its own making.")
	f.StringVar(&o.TLSKey, "tls-key", "", "PEM `file` of the certificate's key.")
	f.StringVar(&o.ReadyFile, "ready-file", "", "Write one JSON line to this `file` (mode 0600) when the server answers.")
	return c
}

func (o *serveOptions) check() error {
	var c complaints
	if o.Upstream == "" {
		c.add(usage("--upstream is missing"))
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		c.add(usage("--tls-cert and --tls-key go together"))
	}
	return c.err("patchbay serve --upstream https://management.azure.com")
}

func (o *serveOptions) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	return o.Serve(ctx, o.ServeOptions, func(r ReadyInfo) { o.ready(r) })
}
