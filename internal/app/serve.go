package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/localcloud/authority"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/server"
)

// serve runs the ServiceLinker server in front of a cloud until ctx ends.
func (a *app) serve(ctx context.Context, o cli.ServeOptions, ready func(cli.ReadyInfo)) error {
	return a.serveOver(ctx, o, ready, nil)
}

// serveOver is serve with a ledger that may be wrapped; tests stop the process at a
// journal entry of their choice that way.
func (a *app) serveOver(ctx context.Context, o cli.ServeOptions, ready func(cli.ReadyInfo), wrap func(ledger.Ledger) ledger.Ledger) error {
	h, err := a.home()
	if err != nil {
		return err
	}
	if o.State == "" {
		o.State = h.path("server")
	}
	p, err := a.upstream(ctx, o.Upstream, o.UpstreamCA)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return problem.New(problem.UsageInvalid, o.Listen, "the address cannot be listened on").Because(err)
	}
	config, caFile, err := serverTLS(o)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	public := "https://" + listener.Addr().String()
	log := slog.New(slog.NewTextHandler(a.streams.Err, nil))
	proxy, err := upstreamProxy(p, public)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	front := &front{}
	front.set(proxy)
	open := func(ctx context.Context) (*station, error) {
		s, err := openStation(ctx, p, o.State, log, wrap)
		if err == nil {
			front.set(s.handler(public, proxy, log))
		}
		return s, err
	}
	info := cli.ReadyInfo{Endpoint: public, CAFile: caFile, TenantID: p.tenant}
	return runServer(ctx, tls.NewListener(listener, config), front, open, func() error {
		ready(info)
		return writeReady(o.ReadyFile, info)
	})
}

// upstream finds the cloud at a URL and signs in there as the environment says.
func (a *app) upstream(ctx context.Context, address, caFile string) (place, error) {
	roots, err := rootsWith(caFile)
	if err != nil {
		return place{}, err
	}
	p := place{http: arm.HTTPClient(roots), roots: roots, egress: a.variable("PATCHBAY_EGRESS_ADDRESS"),
		tenant: a.variable("AZURE_TENANT_ID"), clientID: a.variable("AZURE_CLIENT_ID"), clientSecret: a.variable("AZURE_CLIENT_SECRET")}
	for _, c := range arm.Clouds() {
		if c.ARM == address {
			p.cloud = c
			return p, nil
		}
	}
	if onLoopback(address) {
		p.poll, p.settle, p.patience = localPoll, localSettle, localPatience()
	}
	p.cloud, err = arm.FromMetadata(ctx, address, p.http)
	return p, err
}

func onLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func isAzure(c arm.Cloud) bool {
	built, ok := arm.CloudNamed(c.Name)
	return ok && built.ARM == c.ARM
}

// serverTLS loads the given certificate, or makes an authority and one of its own.
func serverTLS(o cli.ServeOptions) (*tls.Config, string, error) {
	if o.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
		if err != nil {
			return nil, "", problem.New(problem.UsageInvalid, o.TLSCert, "the certificate cannot be used").Because(err)
		}
		return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, "", nil
	}
	if err := os.MkdirAll(o.State, 0o700); err != nil {
		return nil, "", problem.New(problem.StoreFailed, o.State, "the server's folder cannot be made").Because(err)
	}
	made, err := authority.Open(o.State, []string{"127.0.0.1", "localhost", "::1"})
	if err != nil {
		return nil, "", fmt.Errorf("make a certificate: %w", err)
	}
	_, _, ca := made.Files()
	return made.ServerTLS(), ca, nil
}

// handler is the ServiceLinker server over this station.
func (s *station) handler(url string, upstream http.Handler, log *slog.Logger) http.Handler {
	return server.New(server.Config{
		Engine: s.engine, Upstream: upstream, PublicURL: url, SupportTypes: supportTypes, Log: log,
		Names: configurationNames, Components: daprConfigurations, Here: s.place.here(),
		Tokens: server.NewJWKS(server.JWKSConfig{
			Issuers:      s.issuers(),
			Audiences:    []string{s.place.cloud.Audience, s.place.cloud.ARM},
			OwnAudiences: []string{url},
			HTTP:         s.place.http,
			SignInURL:    s.place.cloud.Login,
		}),
		Rights: server.ByAudience{
			Forward: server.ByToken{ARM: s.place.cloud.ARM, HTTP: s.place.http},
			Assigned: server.ByAssignment{ARM: s.place.cloud.ARM, HTTP: s.place.http, Token: func(ctx context.Context) (string, error) {
				return arm.Token(ctx, s.credential, s.place.cloud.Audience)
			}},
		},
	})
}

// issuers are those whose tokens we take: the cloud's sign-in, in the forms its
// clients use, for the tenant we are in.
func (s *station) issuers() []server.Issuer {
	login := strings.TrimRight(s.place.cloud.Login, "/")
	base := strings.TrimSuffix(login, "/adfs")
	tenant := s.who.tenant
	if isAzure(s.place.cloud) {
		keys := login + "/" + tenant + "/v2.0"
		return []server.Issuer{{Name: keys}, {Name: "https://sts.windows.net/" + tenant + "/", Authority: keys},
			{Name: "https://sts.chinacloudapi.cn/" + tenant + "/", Authority: keys}}
	}
	return []server.Issuer{{Name: login}, {Name: base + "/" + tenant + "/v2.0"}, {Name: base + "/adfs"}}
}

func upstreamProxy(p place, public string) (http.Handler, error) {
	upstream, err := url.Parse(p.cloud.ARM)
	if err != nil {
		return nil, problem.New(problem.UsageInvalid, p.cloud.ARM, "the address of the cloud cannot be read").Because(err)
	}
	return server.Proxy(server.ProxyConfig{Upstream: upstream, Transport: p.http.Transport, PublicURL: public, Azure: isAzure(p.cloud)}), nil
}

// runServer serves at once, opens the station behind it (nil: there is none), says
// that all is ready, and works until ctx ends; then it lets requests and operations end.
func runServer(ctx context.Context, listener net.Listener, h http.Handler, open func(context.Context) (*station, error), ready func() error) error {
	web := &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		s, err := open(gctx)
		if err != nil {
			return err
		}
		if err := ready(); err != nil || s == nil {
			return err
		}
		return errors.Join(s.engine.Run(gctx), s.close())
	})
	g.Go(func() error {
		<-gctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := web.Shutdown(last); err != nil {
			return web.Close()
		}
		return nil
	})
	return g.Wait()
}

// shutdownGrace is how long open requests may take to end when the server stops.
const shutdownGrace = 3 * time.Second

// front is a handler that can be set once everything behind it stands.
type front struct{ h atomic.Value }

type held struct{ http.Handler }

func (f *front) set(h http.Handler) { f.h.Store(held{h}) }

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.h.Load().(held).ServeHTTP(w, r) }

func writeReady(path string, info cli.ReadyInfo) error {
	if path == "" {
		return nil
	}
	raw, err := json.Marshal(info)
	if err != nil {
		return err
	}
	if err := writePrivate(path, append(raw, '\n')); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	return os.Chmod(path, 0o600)
}
