package probe_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	localamqp "github.com/patchbay/patchbay/internal/localcloud/amqp"
	"github.com/patchbay/patchbay/internal/localcloud/cognitive"
	"github.com/patchbay/patchbay/internal/localcloud/insights"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
	"github.com/patchbay/patchbay/internal/localcloud/signalr"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

// stand is one resource of the local cloud, with an app that knocks at it.
type stand struct {
	t      *testing.T
	cloud  *providertest.Cloud
	front  *providertest.Front
	id     string
	prober *probe.Prober
}

func newStand(t *testing.T, id string, make func(provider.Cloud) provider.Provider, body provider.Document) *stand {
	t.Helper()
	s := &stand{t: t, cloud: providertest.New(t), id: "/subscriptions/0000/resourceGroups/rg/providers/" + id}
	p := make(s.cloud)
	t.Cleanup(func() { _ = p.Close() })
	s.front = providertest.NewFront(s.cloud, p)
	s.prober = probe.New(probe.Options{Roots: s.cloud.CertPool()})
	s.run("PUT", "", body)
	return s
}

func (s *stand) run(method, path string, body provider.Document) provider.Document {
	s.t.Helper()
	r, err := s.front.Run(s.t.Context(), method, s.id+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Body
}

func (s *stand) knock(target, auth, client string, facts, values map[string]string) []connection.Finding {
	s.t.Helper()
	c := link(target, auth, client)
	return s.prober.Probe(s.t.Context(), c, known(target, target, facts), written(s.t, target, c, values))
}

func TestHubs(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"signalr", "webpubsub"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			kind := map[string]string{"signalr": "SignalR", "webpubsub": "WebPubSub"}[target]
			s := newStand(t, "Microsoft.SignalRService/"+kind+"/one", signalr.New, provider.Document{"location": "x", "sku": map[string]any{"name": "Free_F1"}})
			values := map[string]string{"host": provider.Text(s.run("GET", "", nil), "properties", "hostName"), "accessKey": provider.Text(s.run("POST", "/listKeys", nil), "primaryKey")}
			check(t, s.knock(target, secret, "dotnet", nil, values), "", exists, open, fine)
			check(t, s.knock(target, system, "dotnet", nil, values), "not proven", exists, open, fine)
			wrong := map[string]string{"host": values["host"], "accessKey": "canary"}
			check(t, s.knock(target, secret, "dotnet", nil, wrong), "401", exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
			s.run("PATCH", "", provider.Document{"properties": map[string]any{"networkACLs": map[string]any{"ipRules": []any{map[string]any{"value": "192.0.2.1", "action": "Allow"}}}}})
			check(t, s.knock(target, secret, "dotnet", nil, values), "403", exists, finding("Target service firewall validated.", "failure", problem.FirewallClosed))
			check(t, s.knock(target, secret, "dotnet", map[string]string{connection.FactAddresses: "192.0.2.1"}, values), "not proven", exists, open, unproven)
			s.run("DELETE", "", nil)
			check(t, s.knock(target, secret, "dotnet", nil, values), "nothing listens", exists, finding("Target network access validated.", "failure", problem.TargetNoAnswer))
		})
	}
}

func TestAIAccounts(t *testing.T) {
	t.Parallel()
	for target, kind := range map[string]string{"openai": "OpenAI", "aiservices": "AIServices", "cognitiveservices": "TextAnalytics"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, "Microsoft.CognitiveServices/accounts/one", cognitive.New, provider.Document{"location": "x", "kind": kind,
				"sku": map[string]any{"name": "S0"}, "properties": map[string]any{"customSubDomainName": "one"}})
			at := provider.Text(s.run("GET", "", nil), "properties", "endpoint")
			values := map[string]string{"endpoint": at, "openaiEndpoint": at, "speechEndpoint": at, "apiKey": provider.Text(s.run("POST", "/listKeys", nil), "key2")}
			protocol := map[string]string{"cognitiveservices": "cognitive"}[target]
			if protocol == "" {
				protocol = target
			}
			knock := func(auth string, values map[string]string) []connection.Finding {
				c := link(target, auth, "python")
				return s.prober.Probe(t.Context(), c, known(target, protocol, nil), written(t, target, c, values))
			}
			check(t, knock(secret, values), "", exists, open, fine)
			check(t, knock(system, values), "not proven", exists, open, fine)
			refused := finding("Configured connection information validated.", "failure", problem.LoginRefused)
			check(t, knock(secret, map[string]string{"endpoint": at, "openaiEndpoint": at, "speechEndpoint": at, "apiKey": "canary"}), "401", exists, open, refused)
			s.run("PATCH", "", provider.Document{"properties": map[string]any{"disableLocalAuth": true}})
			check(t, knock(secret, values), "AuthenticationTypeDisabled", exists, open, finding("Configured connection information validated.", "failure", problem.KeyAccessDisabled))
			s.run("PATCH", "", provider.Document{"properties": map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny"}}})
			check(t, knock(secret, values), "403", exists, finding("Target service firewall validated.", "failure", problem.FirewallClosed))
		})
	}
}

func TestInsights(t *testing.T) {
	t.Parallel()
	s := newStand(t, "Microsoft.Insights/components/one", insights.New, provider.Document{"location": "x", "kind": "web", "properties": map[string]any{"Application_Type": "web"}})
	text := provider.Text(s.run("GET", "", nil), "properties", "ConnectionString")
	knock := func(has string) []connection.Finding {
		c := link("app-insights", secret, "nodejs")
		return s.prober.Probe(t.Context(), c, known("app-insights", "insights", map[string]string{"connectionString": text}),
			written(t, "app-insights", c, map[string]string{"connectionString": has}))
	}
	check(t, knock(text), "", exists, open, fine)
	other := strings.Replace(text, "InstrumentationKey=", "InstrumentationKey=0", 1)
	check(t, knock(other), "not that of the component", exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
	check(t, knock("hello"), "cannot be read", exists, open, finding("Configured connection information validated.", "failure", problem.SettingChanged))
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	status := http.StatusNotFound
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(srv.Close)
	p := probe.New(probe.Options{Roots: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	c := link("containerapp", secret, "python")
	c.Properties.Auth = nil
	host := map[string]string{connection.FactHost: strings.TrimPrefix(srv.URL, "https://")}
	settings := map[string]connection.Value{"AZURE_CONTAINERAPP_ENDPOINT": connection.Plain(srv.URL)}
	knock := func() []connection.Finding {
		return p.Probe(t.Context(), c, known("containerapp", "https", host), settings)
	}
	check(t, knock(), "", exists, open, fine)
	status = http.StatusForbidden
	check(t, knock(), "403", exists, finding("Target service firewall validated.", "failure", problem.FirewallClosed))
	status = http.StatusBadGateway
	check(t, knock(), "502", exists, finding("Target network access validated.", "failure", problem.TargetNoAnswer))
}

// door is a broker that knows one user.
type door struct{ localamqp.Peer }

func (door) SignIn(_, user, secret string) bool {
	return user == "app" && secret == password
}

// Admit lets every user in.
func (door) Admit() *localamqp.Error { return nil }

func TestBrokers(t *testing.T) {
	t.Parallel()
	cloud := providertest.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := localamqp.Serve(tls.NewListener(l, cloud.ServerTLS()), localamqp.Options{Name: "broker", Mechanisms: []string{localamqp.Plain},
		Accept: func(net.Addr) localamqp.Peer { return door{} }})
	t.Cleanup(func() { _ = s.Close() })
	host, port, _ := net.SplitHostPort(l.Addr().String())
	p := probe.New(probe.Options{Roots: cloud.CertPool()})
	knock := func(secretText string) []connection.Finding {
		c := link("selfhosted-amqp", secret, "python")
		c.Properties.Auth.Name = "app"
		return p.Probe(t.Context(), c, known("selfhosted-amqp", "amqp-plain", nil),
			written(t, "selfhosted-amqp", c, map[string]string{"host": host, "port": port, "username": "app", "password": secretText}))
	}
	check(t, knock(password), "", exists, open, fine)
	check(t, knock("canary"), "user and password", exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
}
