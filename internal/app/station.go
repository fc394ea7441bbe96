package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/compute/appservice"
	"github.com/patchbay/patchbay/internal/compute/compose"
	"github.com/patchbay/patchbay/internal/compute/containerapp"
	identities "github.com/patchbay/patchbay/internal/compute/identity"
	"github.com/patchbay/patchbay/internal/compute/kubernetes"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/seal"
	"github.com/patchbay/patchbay/internal/target"
)

// userAgent names us to the clouds; they allow 24 characters.
const userAgent = "patchbay"

// place is a cloud and who we are in it.
type place struct {
	cloud        arm.Cloud
	http         *http.Client
	roots        *x509.CertPool // nil means the machine's own
	tenant       string
	clientID     string // with secret: that principal; without: azidentity's default chain
	clientSecret string
	egress       string // address our traffic comes from, "" when not known
	patience     facet.Patience
	settle       time.Duration  // how long a lost answer's write may take to show, 0 is the engine's default
	poll         time.Duration  // between polls of long-running operations, 0 obeys the cloud
	observer     func(arm.Call) // may be nil
	files        bool           // the files of this machine are the caller's own
	bodies       bool           // hand request bodies to the observer
}

// station is one engine at one place, with the ledger it writes.
type station struct {
	engine     *engine.Engine
	ledger     ledger.Ledger
	client     *arm.Client
	credential azcore.TokenCredential
	who        who
	place      place
	clusters   *kubernetes.Clusters
}

// who is the principal behind a credential, as its ARM token says.
type who struct{ objectID, clientID, name, kind, tenant string }

// openStation signs in, opens the ledger under state and builds the engine.
func openStation(ctx context.Context, p place, state string, log *slog.Logger, wrap func(ledger.Ledger) ledger.Ledger) (*station, error) {
	s := &station{place: p}
	var err error
	if s.credential, err = arm.Credential(arm.CredentialOptions{Cloud: p.cloud, TenantID: p.tenant, ClientID: p.clientID, ClientSecret: p.clientSecret, HTTP: p.http}); err != nil {
		return nil, err
	}
	if s.client, err = p.armClient(s.credential); err != nil {
		return nil, err
	}
	token, err := arm.Token(ctx, s.credential, p.cloud.Audience)
	if err != nil {
		return nil, err
	}
	s.who = readWho(token)
	if s.ledger, err = openLedger(ctx, state); err != nil {
		return nil, err
	}
	if wrap != nil {
		s.ledger = wrap(s.ledger)
	}
	return s, s.build(log)
}

func (p place) armClient(credential azcore.TokenCredential) (*arm.Client, error) {
	o := arm.Options{Endpoint: p.cloud.ARM, Audience: p.cloud.Audience, Credential: credential, HTTP: arm.Memo(p.http), UserAgent: userAgent,
		Observer: p.observer, RecordBodies: p.bodies}
	if p.poll > 0 {
		o.PollInterval, o.MaxPollInterval, o.RetryDelay = p.poll, p.poll, p.poll
	}
	return arm.New(o)
}

func openLedger(ctx context.Context, state string) (ledger.Ledger, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, problem.New(problem.StoreFailed, state, "the folder of the ledger cannot be made").Because(err)
	}
	box, err := seal.OpenKeyFile(filepath.Join(state, "seal.key"))
	if err != nil {
		return nil, problem.New(problem.StoreFailed, state, "the seal key cannot be opened").Because(err)
	}
	l, err := ledger.Open(ctx, ledger.Options{Path: filepath.Join(state, "ledger.db"), Box: box})
	if err != nil {
		return nil, problem.New(problem.StoreFailed, state, "the ledger cannot be opened").Because(err)
	}
	return l, nil
}

func (s *station) build(log *slog.Logger) error {
	facts, err := catalog.Default()
	if err != nil {
		return fmt.Errorf("load catalog: %w", err)
	}
	s.clusters = kubernetes.NewClusters(s.client, s.tokenFor)
	s.engine = engine.New(engine.Options{
		Ledger: s.ledger, Runner: s.who.objectID, Log: log, Settle: s.place.settle,
		Targets:     s.targets(facts),
		Drivers:     s.fileDrivers(s.drivers()),
		Prober:      s.prober(),
		Permissions: arm.NewPermissions(s.client),
		Memo:        arm.WithMemo,
		Trace:       arm.WithCorrelation,
	})
	return nil
}

// drivers is the whole map of facet drivers: kind, then resource type.
func (s *station) drivers() engine.Drivers {
	c, patience := s.client, s.place.patience
	here := facet.Directory{TenantID: s.who.tenant, PrincipalType: s.who.kind}
	apps := containerapp.NewSetting(c, containerapp.Patience(patience))
	setting, links := appservice.NewSetting(c), appservice.NewConnectionString(c)
	identity, sticky := appservice.NewIdentity(c, appservice.Patience(patience)), appservice.NewSticky(c)
	const (
		site, slot = "Microsoft.Web/sites", "Microsoft.Web/sites/slots"
		containers = "Microsoft.App/containerApps"
		config     = "/config" // a site's dictionary of connection strings
		postgres   = "Microsoft.DBforPostgreSQL/flexibleServers"
		mysql      = "Microsoft.DBforMySQL/flexibleServers"
		mssql      = "Microsoft.Sql/servers"
		redis      = "Microsoft.Cache/redis"
		redisDB    = "Microsoft.Cache/redisEnterprise/databases"
		signalR    = "Microsoft.SignalRService/SignalR"
		webPubSub  = "Microsoft.SignalRService/WebPubSub"
		cognitive  = "Microsoft.CognitiveServices/accounts"
		storage    = "Microsoft.Storage/storageAccounts"
		vaults     = "Microsoft.KeyVault/vaults"
		appConfig  = "Microsoft.AppConfiguration/configurationStores"
		hubRules   = "Microsoft.EventHub/namespaces/networkRuleSets"
		busRules   = "Microsoft.ServiceBus/namespaces/networkRuleSets"
		cosmosDB   = "Microsoft.DocumentDB/databaseAccounts"
		userID     = "Microsoft.ManagedIdentity/userAssignedIdentities"
		namespace  = connection.TypeCluster + "/namespaces"
	)
	users := facet.NewSQLUser(facet.SQLUserOptions{Token: s.sqlToken, Roots: s.place.roots, Dial: s.dialer().DialContext, Patience: patience})
	return engine.Drivers{
		connection.KindSetting:    {containers: apps, containers + "/containers": apps, site: setting, slot: setting, site + config: links, slot + config: links, namespace + "/secrets": kubernetes.NewSetting(s.clusters.Open)},
		connection.KindObject:     {namespace: kubernetes.NewObject(s.clusters.Open)},
		connection.KindFederation: {userID: facet.NewFederation(c)},
		connection.KindSticky:     {site: sticky, site + config: sticky},
		connection.KindIdentity:   {containers: containerapp.NewIdentity(c, identities.Patience(patience)), site: identity, slot: identity},
		connection.KindRole:       {"": facet.NewRole(c, patience)},
		connection.KindAccess: {postgres: facet.NewServerAdmin(c, here), mysql: facet.NewMySQLAdmin(c, here), mssql: facet.NewSQLAdmin(c, here, s.who.clientID), redis: facet.NewRedisAccess(c), vaults: facet.NewVaultAccess(c), redisDB: facet.NewRedisEnterpriseAccess(c),
			cosmosDB + "/sqlRoleAssignments":       facet.NewCosmosAccess(c, "sqlRoleAssignments"),
			cosmosDB + "/mongoMIRoleAssignments":   facet.NewCosmosAccess(c, "mongoMIRoleAssignments"),
			cosmosDB + "/cassandraRoleAssignments": facet.NewCosmosAccess(c, "cassandraRoleAssignments"),
			cosmosDB + "/gremlinRoleAssignments":   facet.NewCosmosAccess(c, "gremlinRoleAssignments"),
			cosmosDB + "/tableRoleAssignments":     facet.NewCosmosAccess(c, "tableRoleAssignments")},
		connection.KindFeature: {postgres: facet.NewPostgresFeature(c, here), redis: facet.NewRedisFeature(c)},
		connection.KindFirewall: {postgres: facet.NewPostgresFirewall(c), mysql: facet.NewMySQLFirewall(c), mssql: facet.NewSQLFirewall(c), redis: facet.NewRedisFirewall(c), storage: facet.NewStorageFirewall(c), vaults: facet.NewVaultFirewall(c),
			hubRules: facet.NewEventHubsFirewall(c), busRules: facet.NewServiceBusFirewall(c),
			signalR: facet.NewSignalRFirewall(c), webPubSub: facet.NewWebPubSubFirewall(c), cognitive: facet.NewCognitiveFirewall(c), cosmosDB: facet.NewCosmosFirewall(c)},
		connection.KindSecret:    {vaults: facet.NewSecret(s.dataPlane("vault"))},
		connection.KindConfigKey: {appConfig: facet.NewConfigKey(s.dataPlane("appconfig"))},
		connection.KindDBUser: {postgres: facet.NewDBUser(facet.DBUserOptions{
			Token: s.databaseToken, Roots: s.place.roots, Dial: s.dialer().DialContext, Patience: patience}),
			mysql: facet.NewMySQLUser(facet.MySQLUserOptions{
				Token: s.databaseToken, Roots: s.place.roots, Dial: s.dialer().DialContext, Patience: patience}),
			mssql + "/databases": users, "": users}, // a database of Fabric has no ARM id
	}
}

// dataPlane reaches a data plane as ourselves, from the address a firewall rule names.
func (s *station) dataPlane(audience string) facet.DataPlane {
	return facet.DataPlane{
		Token: func(ctx context.Context) (string, error) {
			return arm.Token(ctx, s.credential, s.place.cloud.Audiences[audience])
		},
		HTTP: &http.Client{
			Transport: &http.Transport{DialContext: s.dialer().DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: dialTimeout,
				TLSClientConfig: &tls.Config{RootCAs: s.place.roots, MinVersion: tls.VersionTLS12}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       dataTimeout,
		},
		Patience: s.place.patience,
	}
}

func (s *station) databaseToken(ctx context.Context) (string, error) {
	return arm.Token(ctx, s.credential, s.place.cloud.Audiences[arm.AudienceOSSRDBMS])
}

func (s *station) sqlToken(ctx context.Context) (string, error) {
	return arm.Token(ctx, s.credential, s.place.cloud.Audiences[arm.AudienceSQL])
}

// dialTimeout bounds one attempt to reach a data plane.
const dialTimeout = 5 * time.Second

// dataTimeout bounds one request to a data plane.
const dataTimeout = 30 * time.Second

// dialer opens connections to data planes from the address a firewall rule names.
func (s *station) dialer() *net.Dialer {
	d := &net.Dialer{Timeout: dialTimeout}
	if ip := net.ParseIP(s.place.egress); ip != nil {
		d.LocalAddr = &net.TCPAddr{IP: ip}
	}
	return d
}

func (s *station) targets(facts *catalog.Catalog) *target.Reader {
	return &target.Reader{
		Catalog: facts, Client: s.client, Cloud: s.place.cloud,
		Source:  s.readSource,
		Cluster: s.cluster,
		Engine: func(context.Context) (target.Identity, error) {
			return target.Identity{PrincipalID: s.who.objectID, Login: s.who.name, TenantID: s.who.tenant, Type: personOnly(s.who.kind)}, nil
		},
		Place:       compose.Place,
		Address:     func(context.Context) (string, error) { return s.place.egress, nil },
		VaultSecret: s.dataPlane("vault").Secret,
	}
}

func (s *station) prober() engine.Prober {
	return probe.New(probe.Options{Dial: s.dialer().DialContext, Roots: s.place.roots, SignIn: s.signInAs})
}

// signInAs gets a token as the service principal an app signs in as.
func (s *station) signInAs(ctx context.Context, p probe.Principal, audience string) (string, error) {
	if p.ClientID == "" || p.Secret+p.Certificate == "" { // without them it would be our own sign-in
		return "", problem.New(problem.SignInFailed, p.ClientID, "the service principal has no secret")
	}
	credential, err := arm.Credential(arm.CredentialOptions{Cloud: s.place.cloud, TenantID: p.TenantID, ClientID: p.ClientID, ClientSecret: p.Secret, Certificate: p.Certificate, HTTP: s.place.http})
	if err != nil {
		return "", err
	}
	return arm.Token(ctx, credential, audience)
}

// personOnly is the word for a person; everything else goes without one.
func personOnly(kind string) string {
	if kind == "User" {
		return kind
	}
	return ""
}

func (s *station) close() error { return s.ledger.Close() }

// readWho reads the claims of our own token. It is not a check: the cloud checks.
func readWho(token string) who {
	var claims struct {
		OID, TID, AppID, IDTyp, UPN, Name string
		AZP                               string `json:"azp"`
		Unique                            string `json:"unique_name"`
		Display                           string `json:"app_displayname"`
	}
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if raw, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(raw, &claims)
		}
	}
	w := who{objectID: claims.OID, clientID: first(claims.AppID, claims.AZP), tenant: claims.TID, kind: "ServicePrincipal",
		name: first(claims.Display, claims.AppID, claims.AZP)}
	if login := first(claims.UPN, claims.Unique); login != "" && !strings.EqualFold(claims.IDTyp, "app") {
		w.kind, w.name = "User", login
	}
	return w
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
