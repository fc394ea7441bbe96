package app

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/server"
)

// azureContext is the context of a machine where none was saved: Azure itself, with
// the sign-in of azidentity's default chain, the work done in this process.
const azureContext = "azure"

// connect opens the API a command wants: a server, or the same handler in this process.
func (a *app) connect(ctx context.Context, o cli.ContextOptions) (cli.API, cli.Defaults, error) {
	h, err := a.home()
	if err != nil {
		return nil, cli.Defaults{}, err
	}
	name, saved, err := a.choose(h, o.Context)
	if err != nil {
		return nil, cli.Defaults{}, err
	}
	d := cli.Defaults{Context: name, Subscription: first(o.Subscription, saved.SubscriptionID, a.variable("AZURE_SUBSCRIPTION_ID")), InProcess: !saved.Server}
	if o.Here && name == localContext { // the local cloud's server is this person's own
		saved.Server, d.InProcess = false, true
	}
	p, err := a.placeOf(ctx, saved, o.Logf)
	if err != nil {
		return nil, d, err
	}
	if saved.Server {
		client, err := overHTTP(p, saved.Endpoint)
		return client, d, err
	}
	client, err := inProcess(ctx, p, h.path("ledger"))
	return client, d, err
}

// choose finds the context: the one asked for, the current one, or Azure itself.
func (a *app) choose(h home, wanted string) (string, savedContext, error) {
	f, err := h.readContexts()
	if err != nil {
		return "", savedContext{}, err
	}
	name := first(wanted, a.variable("PATCHBAY_CONTEXT"), f.Current, azureContext)
	if saved, ok := f.Contexts[name]; ok {
		return name, saved, nil
	}
	for _, c := range arm.Clouds() {
		if name == azureContext && c.Name == arm.PublicCloud || strings.EqualFold(c.Name, name) {
			return name, savedContext{Endpoint: c.ARM}, nil
		}
	}
	return "", savedContext{}, problem.New(problem.NoContext, name, "there is no saved context %q", name).WithFix("patchbay context list")
}

// placeOf describes the cloud of a context and who we are there.
func (a *app) placeOf(ctx context.Context, saved savedContext, logf func(string, ...any)) (place, error) {
	var p place
	var err error
	if saved.CAFile != "" {
		p, err = localPlace(ctx, saved.Endpoint, saved.CAFile)
	} else {
		p, err = a.upstream(ctx, saved.Endpoint, "")
	}
	if err != nil {
		return p, err
	}
	if saved.ClientID != "" {
		p.tenant, p.clientID, p.clientSecret = saved.TenantID, saved.ClientID, saved.ClientSecret
	}
	if logf != nil {
		p.observer = func(c arm.Call) { logf("%s %s %d %s", c.Method, c.Path, c.Status, c.Duration) }
	}
	return p, nil
}

func rootsWith(caFile string) (*x509.CertPool, error) {
	if caFile == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(caFile)
	if err != nil {
		return nil, problem.New(problem.NoContext, caFile, "the certificates to trust cannot be read").Because(err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(raw) {
		return nil, problem.New(problem.NoContext, caFile, "%s holds no certificate", caFile)
	}
	return roots, nil
}

// overHTTP is the API of a server.
func overHTTP(p place, endpoint string) (cli.API, error) {
	credential, err := arm.Credential(arm.CredentialOptions{Cloud: p.cloud, TenantID: p.tenant, ClientID: p.clientID, ClientSecret: p.clientSecret, HTTP: p.http})
	if err != nil {
		return nil, err
	}
	token := func(ctx context.Context) (string, error) { return arm.Token(ctx, credential, p.cloud.Audience) }
	return &face{Client: api.NewClient(api.Options{Endpoint: endpoint, HTTP: p.http, Token: token})}, nil
}

// inProcess is the same server without a socket: the runner is the caller's own
// credential chain, and operations run while the command waits for them.
func inProcess(ctx context.Context, p place, state string) (cli.API, error) {
	log := slog.New(slog.DiscardHandler)
	p.files = true
	s, err := openStation(ctx, p, state, log, nil)
	if err != nil {
		return nil, err
	}
	upstream, err := upstreamProxy(p, "")
	if err != nil {
		return nil, err
	}
	h := server.New(server.Config{Engine: s.engine, Upstream: s.signed(upstream), SupportTypes: supportTypes, Log: log, PublicURL: p.cloud.ARM,
		Names: configurationNames, Components: daprConfigurations, Here: p.here(),
		Tokens: server.Myself(server.Caller{ObjectID: s.who.objectID, ClientID: s.who.clientID, Name: s.who.name, App: s.who.kind != "User"}), Rights: server.Unchecked{}})
	return &face{Client: api.NewClient(api.Options{Endpoint: p.cloud.ARM, HTTP: api.InProcess(h)}), station: s}, nil
}

// signed puts our own token on requests that are handed on to the cloud.
func (s *station) signed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := arm.Token(r.Context(), s.credential, s.place.cloud.Audience)
		if err != nil {
			http.Error(w, problem.As(err).Error(), http.StatusUnauthorized)
			return
		}
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token)
		next.ServeHTTP(w, r)
	})
}

// face is the API as the commands want it. With a station, operations run in this
// process while somebody waits for them.
type face struct {
	*api.Client
	station *station
}

var _ cli.API = (*face)(nil)

// Close implements io.Closer.
func (f *face) Close() error {
	if f.station == nil {
		return nil
	}
	return f.station.close()
}

// Events follows an operation's journal. In process, this is where the operation is
// worked on: while somebody waits for it.
func (f *face) Events(ctx context.Context, id string, each func(api.JournalEntry) error) (*api.Operation, error) {
	if f.station == nil {
		return f.Client.Events(ctx, id, each)
	}
	worked := make(chan error, 1)
	go func() {
		_, err := f.station.engine.Drain(ctx, id)
		worked <- err
	}()
	op, err := f.Client.Events(ctx, id, each)
	if drained := <-worked; err == nil {
		err = drained
	}
	return op, err
}
