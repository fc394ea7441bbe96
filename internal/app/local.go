package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/localcloud"
	"github.com/patchbay/patchbay/internal/localcloud/aks"
	"github.com/patchbay/patchbay/internal/localcloud/appconfig"
	"github.com/patchbay/patchbay/internal/localcloud/atlas"
	"github.com/patchbay/patchbay/internal/localcloud/cognitive"
	"github.com/patchbay/patchbay/internal/localcloud/confluent"
	"github.com/patchbay/patchbay/internal/localcloud/cosmos"
	"github.com/patchbay/patchbay/internal/localcloud/insights"
	"github.com/patchbay/patchbay/internal/localcloud/keyvault"
	"github.com/patchbay/patchbay/internal/localcloud/messaging"
	"github.com/patchbay/patchbay/internal/localcloud/mysql"
	"github.com/patchbay/patchbay/internal/localcloud/neon"
	"github.com/patchbay/patchbay/internal/localcloud/postgres"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/redis"
	"github.com/patchbay/patchbay/internal/localcloud/redisenterprise"
	"github.com/patchbay/patchbay/internal/localcloud/signalr"
	"github.com/patchbay/patchbay/internal/localcloud/sql"
	"github.com/patchbay/patchbay/internal/localcloud/storage"
	"github.com/patchbay/patchbay/internal/problem"
)

// enginePrincipal is who the server in front of the local cloud acts as. Its rights
// there are ordinary role assignments.
const enginePrincipal = "patchbay-engine"

// localEgress is the loopback address the engine's own traffic comes from in the local
// cloud, so that firewalls there can tell it from the apps.
const localEgress = "127.77.255.1"

// local implements cli.LocalCloud.
type local struct{ app *app }

// providers is the whole list of the local cloud's resource providers.
func providers(c provider.Cloud) []provider.Provider {
	return []provider.Provider{postgres.New(c), mysql.New(c), sql.NewFabric(c), redis.New(c), storage.New(c), keyvault.New(c), appconfig.New(c),
		signalr.New(c), cognitive.New(c), redisenterprise.New(c), insights.New(c),
		messaging.NewEventHubs(c), messaging.NewServiceBus(c), confluent.New(c),
		sql.New(c), cosmos.New(c, cosmosPlanes()), atlas.New(c), neon.New(c), aks.New(c)}
}

// cosmosPlanes are the protocol peers of Cosmos DB's APIs that its package does not speak itself.
func cosmosPlanes() cosmos.Planes {
	return cosmos.Planes{cosmos.MongoDB: cosmos.OpenMongo, cosmos.Cassandra: cosmos.OpenCassandra, cosmos.Gremlin: cosmos.OpenGremlin}
}

// RunForeground runs the local cloud until ctx ends, with the ServiceLinker server in
// front of it unless only the cloud is asked for.
func (l *local) RunForeground(ctx context.Context, o cli.LocalStartOptions, ready func(cli.ReadyInfo)) error {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return problem.New(problem.LocalStartFailed, o.Listen, "the address cannot be listened on").Because(err)
	}
	log := slog.New(slog.NewTextHandler(l.app.streams.Err, nil))
	cloud, err := localcloud.Start(ctx, localcloud.Config{
		Data: o.Data, URL: "https://" + listener.Addr().String(), RecordBodies: o.RecordBodies, Providers: providers,
		Logf: func(format string, args ...any) { l.app.logf(format, args...) },
	})
	if err != nil {
		return errors.Join(problem.New(problem.LocalStartFailed, o.Data, "the local cloud cannot start").Because(err), listener.Close())
	}
	err = l.run(ctx, cloud, tls.NewListener(listener, cloud.ServerTLS()), o, log, ready)
	return errors.Join(err, cloud.Close())
}

func (l *local) run(ctx context.Context, cloud *localcloud.Cloud, listener net.Listener, o cli.LocalStartOptions, log *slog.Logger, ready func(cli.ReadyInfo)) error {
	front := &front{}
	front.set(cloud.Handler())
	info := cli.ReadyInfo(cloud.Ready())
	announce := func() error {
		if err := writeReady(o.ReadyFile, info); err != nil {
			return err
		}
		ready(info)
		return nil
	}
	// The engine signs in at the very endpoint it will stand in front of: the cloud
	// answers first, then the server takes its place.
	open := func(ctx context.Context) (*station, error) {
		if o.CloudOnly {
			return nil, nil
		}
		s, err := openLocalStation(ctx, cloud, log)
		if err == nil {
			front.set(s.handler(info.Endpoint, cloud.Handler(), log))
		}
		return s, err
	}
	return runServer(ctx, listener, front, open, announce)
}

// openLocalStation gives the engine's principal its rights and opens its station.
func openLocalStation(ctx context.Context, cloud *localcloud.Cloud, log *slog.Logger) (*station, error) {
	info := cloud.Ready()
	who, err := cloud.NewServicePrincipal(enginePrincipal)
	if err != nil {
		return nil, err
	}
	for _, role := range []string{"Contributor", "User Access Administrator"} {
		if err := cloud.Assign(role, who.ObjectID, "/subscriptions/"+info.SubscriptionID); err != nil {
			return nil, err
		}
	}
	p, err := localPlace(ctx, info.Endpoint, info.CAFile)
	if err != nil {
		return nil, err
	}
	p.tenant, p.clientID, p.clientSecret = who.TenantID, who.ClientID, who.ClientSecret
	return openStation(ctx, p, connectorDir(info.CAFile), log, nil)
}

// connectorDir is the server's own folder beside the cloud's, found from the cloud's
// certificate, which lies one folder below the data folder.
func connectorDir(caFile string) string {
	return filepath.Join(filepath.Dir(filepath.Dir(caFile)), "connector")
}

// localPlace is a local cloud by its address: it answers fast, so we ask often.
func localPlace(ctx context.Context, endpoint, caFile string) (place, error) {
	roots, err := rootsWith(caFile)
	if err != nil {
		return place{}, err
	}
	client := arm.HTTPClient(roots)
	cloud, err := arm.FromMetadata(ctx, endpoint, client)
	if err != nil {
		return place{}, err
	}
	return place{cloud: cloud, http: client, roots: roots, egress: bindable(localEgress),
		poll: localPoll, settle: localSettle, patience: localPatience()}, nil
}

// localPoll and localSettle: how often we ask a cloud on loopback whether its work is done; a real
// one says itself how often it wants to be asked.
const (
	localPoll   = 50 * time.Millisecond
	localSettle = 250 * time.Millisecond
)

func localPatience() facet.Patience {
	return facet.Patience{Limit: 15 * time.Second, Pause: 100 * time.Millisecond}
}

// bindable returns the address if this machine lets us use it, otherwise "".
func bindable(address string) string {
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return "127.0.0.1"
	}
	_ = l.Close()
	return address
}

func (a *app) logf(format string, args ...any) {
	slog.New(slog.NewTextHandler(a.streams.Err, nil)).Info(fmt.Sprintf(format, args...))
}
