package arm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/patchbay/patchbay/internal/problem"
)

// Names of the clouds that are built in.
const (
	PublicCloud     = "AzureCloud"
	GovernmentCloud = "AzureUSGovernment"
	ChinaCloud      = "AzureChinaCloud"
)

// Kinds of host whose suffix differs from cloud to cloud.
const (
	SuffixStorage         = "storage"
	SuffixSQL             = "sql"
	SuffixPostgres        = "postgres"
	SuffixMySQL           = "mysql"
	SuffixKeyVault        = "keyVault"
	SuffixServiceBus      = "serviceBus"
	SuffixCosmos          = "cosmos"
	SuffixAppConfig       = "appConfig"
	SuffixRedis           = "redis"
	SuffixRedisEnterprise = "redisEnterprise"
	SuffixSignalR         = "signalr"
	SuffixWebPubSub       = "webPubSub"
	SuffixCognitive       = "cognitive"
	SuffixAppService      = "appService"
	SuffixContainerApps   = "containerApps"
)

// Cloud is what differs between clouds. Addresses carry no trailing slash,
// suffixes no leading dot.
type Cloud struct {
	Name     string
	ARM      string // endpoint of Azure Resource Manager
	Audience string // of ARM tokens
	Login    string // authority that signs people and principals in
	Tenant   string // the only tenant there is, when the cloud says so
	Graph    string
	Portal   string
	Suffixes map[string]string

	// Audiences are what tokens for data planes are made for, by kind.
	Audiences map[string]string
}

// Kinds of data plane with an audience of their own.
const (
	AudienceOSSRDBMS = "ossrdbms" // PostgreSQL and MySQL
	AudienceSQL      = "sql"
	AudienceStorage  = "storage"
)

// audiences are the public cloud's, with what differs elsewhere in place of it.
func audiences(differ map[string]string) map[string]string {
	all := map[string]string{
		AudienceOSSRDBMS: "https://ossrdbms-aad.database.windows.net",
		AudienceSQL:      "https://database.windows.net",
		AudienceStorage:  "https://storage.azure.com",
		"redis":          "https://redis.azure.com",
		"cosmos":         "https://cosmos.azure.com",
		"vault":          "https://vault.azure.net",
		"appconfig":      "https://azconfig.io",
		"eventhubs":      "https://eventhubs.azure.net",
		"servicebus":     "https://servicebus.azure.net",
		"signalr":        "https://signalr.azure.com",
		"webpubsub":      "https://webpubsub.azure.com",
		"cognitive":      "https://cognitiveservices.azure.com",
	}
	maps.Copy(all, differ)
	return all
}

// Clouds returns the clouds that are built in.
func Clouds() []Cloud {
	return []Cloud{
		{
			Name: PublicCloud, ARM: "https://management.azure.com", Audience: "https://management.azure.com",
			Login: "https://login.microsoftonline.com", Graph: "https://graph.microsoft.com", Portal: "https://portal.azure.com",
			Audiences: audiences(nil),
			Suffixes: map[string]string{
				SuffixStorage: "core.windows.net", SuffixSQL: "database.windows.net",
				SuffixPostgres: "postgres.database.azure.com", SuffixMySQL: "mysql.database.azure.com",
				SuffixKeyVault: "vault.azure.net", SuffixServiceBus: "servicebus.windows.net",
				SuffixCosmos: "documents.azure.com", SuffixAppConfig: "azconfig.io",
				SuffixRedis: "redis.cache.windows.net", SuffixRedisEnterprise: "redisenterprise.cache.azure.net",
				SuffixSignalR: "service.signalr.net", SuffixWebPubSub: "webpubsub.azure.com",
				SuffixCognitive: "cognitiveservices.azure.com", SuffixAppService: "azurewebsites.net",
				SuffixContainerApps: "azurecontainerapps.io",
			},
		},
		{
			Name: GovernmentCloud, ARM: "https://management.usgovcloudapi.net", Audience: "https://management.usgovcloudapi.net",
			Login: "https://login.microsoftonline.us", Graph: "https://graph.microsoft.us", Portal: "https://portal.azure.us",
			Audiences: audiences(map[string]string{
				AudienceOSSRDBMS: "https://ossrdbms-aad.database.usgovcloudapi.net", AudienceSQL: "https://database.usgovcloudapi.net",
				"cosmos": "https://cosmos.azure.us", "vault": "https://vault.usgovcloudapi.net", "appconfig": "https://azconfig.azure.us",
				"cognitive": "https://cognitiveservices.azure.us",
			}),
			Suffixes: map[string]string{
				SuffixStorage: "core.usgovcloudapi.net", SuffixSQL: "database.usgovcloudapi.net",
				SuffixPostgres: "postgres.database.usgovcloudapi.net", SuffixMySQL: "mysql.database.usgovcloudapi.net",
				SuffixKeyVault: "vault.usgovcloudapi.net", SuffixServiceBus: "servicebus.usgovcloudapi.net",
				SuffixCosmos: "documents.azure.us", SuffixAppConfig: "azconfig.azure.us",
				SuffixRedis: "redis.cache.usgovcloudapi.net", SuffixSignalR: "service.signalr.azure.us",
				SuffixWebPubSub: "webpubsub.azure.us", SuffixCognitive: "cognitiveservices.azure.us",
				SuffixAppService: "azurewebsites.us", SuffixContainerApps: "azurecontainerapps.us",
			},
		},
		{
			Name: ChinaCloud, ARM: "https://management.chinacloudapi.cn", Audience: "https://management.chinacloudapi.cn",
			Login: "https://login.chinacloudapi.cn", Graph: "https://microsoftgraph.chinacloudapi.cn", Portal: "https://portal.azure.cn",
			Audiences: audiences(map[string]string{
				AudienceOSSRDBMS: "https://ossrdbms-aad.database.chinacloudapi.cn", AudienceSQL: "https://database.chinacloudapi.cn",
				"cosmos": "https://cosmos.azure.cn", "vault": "https://vault.azure.cn", "appconfig": "https://azconfig.azure.cn",
				"cognitive": "https://cognitiveservices.azure.cn",
			}),
			Suffixes: map[string]string{
				SuffixStorage: "core.chinacloudapi.cn", SuffixSQL: "database.chinacloudapi.cn",
				SuffixPostgres: "postgres.database.chinacloudapi.cn", SuffixMySQL: "mysql.database.chinacloudapi.cn",
				SuffixKeyVault: "vault.azure.cn", SuffixServiceBus: "servicebus.chinacloudapi.cn",
				SuffixCosmos: "documents.azure.cn", SuffixAppConfig: "azconfig.azure.cn",
				SuffixRedis: "redis.cache.chinacloudapi.cn", SuffixSignalR: "signalr.azure.cn",
				SuffixWebPubSub: "webpubsub.azure.cn", SuffixCognitive: "cognitiveservices.azure.cn",
				SuffixAppService: "chinacloudsites.cn",
			},
		},
	}
}

// CloudNamed finds a built-in cloud by its name, case aside.
func CloudNamed(name string) (Cloud, bool) {
	for _, c := range Clouds() {
		if strings.EqualFold(c.Name, name) {
			return c, true
		}
	}
	return Cloud{}, false
}

// metadata is the answer of /metadata/endpoints, api-version 2022-09-01.
type metadata struct {
	Name            string `json:"name"`
	Portal          string `json:"portal"`
	ResourceManager string `json:"resourceManager"`
	Authentication  struct {
		LoginEndpoint string   `json:"loginEndpoint"`
		Audiences     []string `json:"audiences"`
		Tenant        string   `json:"tenant"`
	} `json:"authentication"`
	MicrosoftGraph string            `json:"microsoftGraphResourceId"`
	OSSRDBMS       string            `json:"ossrDbmsResourceId"`
	Suffixes       map[string]string `json:"suffixes"`
}

// suffixNames pairs our kinds of host with the names that /metadata/endpoints uses.
func suffixNames() map[string]string {
	return map[string]string{
		"storage": SuffixStorage, "keyVaultDns": SuffixKeyVault, "sqlServerHostname": SuffixSQL,
		"mysqlServerEndpoint": SuffixMySQL, "postgresqlServerEndpoint": SuffixPostgres,
	}
}

const metadataVersion = "2022-09-01"

// metadataLimit is more than any cloud's description needs.
const metadataLimit = 1 << 20

// FromMetadata describes a custom cloud by asking its endpoint, without a token.
// What the cloud does not say is as in the public cloud. client nil: HTTPClient(nil).
func FromMetadata(ctx context.Context, endpoint string, client policy.Transporter) (Cloud, error) {
	if client == nil {
		client = HTTPClient(nil)
	}
	address := strings.TrimRight(endpoint, "/") + "/metadata/endpoints?api-version=" + metadataVersion
	body, err := fetch(ctx, client, address)
	if err != nil {
		return Cloud{}, err
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return Cloud{}, garbled(address, err)
	}
	if m.Authentication.LoginEndpoint == "" || len(m.Authentication.Audiences) == 0 {
		return Cloud{}, garbled(address, fmt.Errorf("it names no sign-in endpoint or audience"))
	}
	return m.cloud(endpoint), nil
}

func fetch(ctx context.Context, client policy.Transporter, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, &problem.Error{Code: problem.NoContext, Attempt: "ask the cloud for its endpoints", Resource: bare(address), Cause: err}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreached(ctx, http.MethodGet, address, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, metadataLimit))
	if err != nil {
		return nil, unreached(ctx, http.MethodGet, address, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refused(http.MethodGet, address, readError(resp.StatusCode, resp.Header, body))
	}
	return body, nil
}

func (m metadata) cloud(endpoint string) Cloud {
	c, _ := CloudNamed(PublicCloud)
	c.Name = m.Name
	c.ARM = strings.TrimRight(endpoint, "/")
	c.Audience = m.Authentication.Audiences[0]
	c.Login = strings.TrimRight(m.Authentication.LoginEndpoint, "/")
	if t := m.Authentication.Tenant; !strings.EqualFold(t, "common") {
		c.Tenant = t
	}
	c.Portal = strings.TrimRight(m.Portal, "/")
	set(&c.Graph, strings.TrimRight(m.MicrosoftGraph, "/"))
	if a := strings.TrimRight(m.OSSRDBMS, "/"); a != "" {
		c.Audiences[AudienceOSSRDBMS] = a
	}
	for theirs, ours := range suffixNames() {
		if s := strings.TrimLeft(m.Suffixes[theirs], "."); s != "" {
			c.Suffixes[ours] = s
		}
	}
	return c
}

func set(where *string, text string) {
	if text != "" {
		*where = text
	}
}
