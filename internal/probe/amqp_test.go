package probe_test

import (
	"context"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/localcloud/messaging"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	settingsName = "Configured connection information validated."
	networkName  = "Target network access validated."
	firewallName = "Target service firewall validated."
)

// space is a namespace in a small cloud of its own.
type space struct {
	t      *testing.T
	target string
	cloud  *providertest.Cloud
	front  *providertest.Front
	id     string
}

func newSpace(t *testing.T, target string) *space {
	t.Helper()
	kinds := map[string]struct {
		kind string
		made func(provider.Cloud) provider.Provider
	}{"eventhub": {"Microsoft.EventHub", messaging.NewEventHubs}, "servicebus": {"Microsoft.ServiceBus", messaging.NewServiceBus}}
	cloud := providertest.New(t)
	p := kinds[target].made(cloud)
	t.Cleanup(func() { _ = p.Close() })
	s := &space{t, target, cloud, providertest.NewFront(cloud, p), group + "/providers/" + kinds[target].kind + "/namespaces/space-one"}
	s.run("PUT", "", provider.Document{"location": "westeurope", "sku": map[string]any{"name": "Premium"}})
	return s
}

func (s *space) run(method, path string, d provider.Document) provider.Document {
	s.t.Helper()
	r, err := s.front.Run(s.t.Context(), method, s.id+path, d)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Body
}

const rootKey = "/authorizationRules/RootManageSharedAccessKey"

func (s *space) values() map[string]string {
	keys := s.run("POST", rootKey+"/listKeys", nil)
	return map[string]string{"endpoint": provider.Text(s.run("GET", "", nil), "properties", "serviceBusEndpoint"), "host": s.cloud.Address(s.id),
		"accessKeyName": "RootManageSharedAccessKey", "accessKey": provider.Text(keys, "primaryKey"),
		"clientId": "id", "clientSecret": "canary", "tenantId": providertest.Tenant}
}

func (s *space) knock(c *connection.Connection, values, facts map[string]string, o probe.Options) []connection.Finding {
	s.t.Helper()
	if o.Roots == nil {
		o.Roots = s.cloud.CertPool()
	}
	return probe.New(o).Probe(s.t.Context(), c, known(s.target, s.target, facts), written(s.t, s.target, c, values))
}

func messagingLink(s *space, auth, client string) *connection.Connection {
	return link("redis", auth, client, func(c *connection.Connection) { c.Properties.Target.ID = s.id })
}

func TestMessagingEveryClient(t *testing.T) {
	t.Parallel()
	for target, clients := range map[string]string{
		"eventhub":   "dotnet java python nodejs go springBoot kafka-springBoot none",
		"servicebus": "dotnet java python nodejs go springBoot none",
	} {
		s := newSpace(t, target)
		good := s.values()
		wrong := maps.Clone(good)
		wrong["accessKey"] = "canary"
		for _, client := range strings.Fields(clients) {
			for _, auth := range []string{secret, connection.AuthAccessKey} {
				c := messagingLink(s, auth, client)
				check(t, s.knock(c, good, nil, probe.Options{}), "", exists, open, fine)
				got := s.knock(c, wrong, nil, probe.Options{})
				check(t, got, "InvalidSignature", exists, open, finding(settingsName, "failure", problem.LoginRefused))
				if fix := got[len(got)-1].Fix; fix != "patchbay repair --id "+linker+" --force" {
					t.Errorf("%s with %s: the fix is %q", target, client, fix)
				}
			}
			got := s.knock(messagingLink(s, system, client), good, nil, probe.Options{})
			check(t, got, "not proven", exists, open, fine)
		}
	}
}

func TestMessagingPrincipal(t *testing.T) {
	t.Parallel()
	for target, clients := range map[string]string{"eventhub": "python springBoot kafka-springBoot", "servicebus": "go springBoot"} {
		s := newSpace(t, target)
		who := s.cloud.Directory().NewManagedIdentity("/app", "app")
		audience := map[string]string{"eventhub": "https://eventhubs.azure.net", "servicebus": "https://servicebus.azure.net"}[target]
		for _, client := range strings.Fields(clients) {
			for given, want := range map[string]string{audience: fine, "https://vault.azure.net": finding(settingsName, "failure", problem.LoginRefused)} {
				c := messagingLink(s, connection.AuthServicePrincipalSecret, client)
				signIn := func(_ context.Context, p probe.Principal, _ string) (string, error) {
					if p.ClientID != "id" || p.Secret != "canary" {
						t.Errorf("%s with %s: the app's settings say %+v", target, client, p)
					}
					token, _, err := s.cloud.Directory().Token(who.ObjectID, given)
					return token, err
				}
				check(t, s.knock(c, s.values(), map[string]string{"tenantId": "t"}, probe.Options{SignIn: signIn}), "", exists, open, want)
			}
		}
	}
}

func TestMessagingFaults(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "eventhub")
	good := s.values()
	c := messagingLink(s, secret, "python")
	from := func(address string) probe.DialFunc {
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 5 * time.Second}
		return d.DialContext
	}
	s.run("PUT", "/networkRuleSets/default", provider.Document{"properties": map[string]any{"defaultAction": "Deny", "ipRules": []any{map[string]any{"ipMask": "127.0.0.9"}}}})
	walled := map[string]string{"firewall": "true", "source.addresses": "127.0.0.10"}
	check(t, s.knock(c, good, walled, probe.Options{Dial: from("127.0.0.9")}), "", exists, open, fine)
	for client, phrase := range map[string]string{"python": "Ip has been prevented", "kafka-springBoot": "closes the connection at once"} {
		got := s.knock(messagingLink(s, secret, client), good, map[string]string{"firewall": "true", connection.FactAddresses: "127.0.0.10"}, probe.Options{Dial: from("127.0.0.10")})
		check(t, got, phrase, exists, finding(firewallName, "failure", problem.FirewallClosed))
		got = s.knock(messagingLink(s, secret, client), good, map[string]string{"firewall": "true", connection.FactAddresses: "127.0.0.9"}, probe.Options{Dial: from("127.0.0.10")})
		check(t, got, "not proven", exists, open, unproven)
	}
	s.run("PATCH", "", provider.Document{"properties": map[string]any{"disableLocalAuth": true}})
	check(t, s.knock(c, good, nil, probe.Options{Dial: from("127.0.0.9")}), "LocalAuthDisabled", exists, open, finding(settingsName, "failure", problem.LoginRefused))
	bad := map[string]connection.Value{"AZURE_EVENTHUB_CONNECTIONSTRING": connection.Hidden("Endpoint=http://canary/;SharedAccessKeyName=a;SharedAccessKey=b")}
	check(t, probe.New(probe.Options{}).Probe(t.Context(), c, known("eventhub", "eventhub", nil), bad), "sb://", exists, open, finding(settingsName, "failure", problem.SettingChanged))
	check(t, probe.New(probe.Options{}).Probe(t.Context(), c, known("eventhub", "eventhub", nil), nil), "AZURE_EVENTHUB_CONNECTIONSTRING", exists, open, finding(settingsName, "failure", problem.SettingMissing))
	check(t, s.knock(c, good, nil, probe.Options{Dial: dialTo("1", "127.0.0.1")}), "nothing listens", exists, finding(networkName, "failure", problem.TargetNoAnswer))
	check(t, s.knock(c, good, nil, probe.Options{Dial: dialTo(answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "127.0.0.1")}), "does not speak TLS", exists, finding(networkName, "failure", problem.TargetNoAnswer))
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, port, _ := net.SplitHostPort(silent.Addr().String())
	for _, client := range []string{"python", "kafka-springBoot"} {
		start := time.Now()
		got := s.knock(messagingLink(s, secret, client), good, nil, probe.Options{Dial: dialTo(port, "127.0.0.1"), Timeout: 200 * time.Millisecond})
		check(t, got, "does not answer in time", exists, finding(networkName, "failure", problem.TargetNoAnswer))
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s took %s", client, took)
		}
	}
}

func FuzzParseBus(f *testing.F) {
	f.Add("Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=k==")
	f.Add("Endpoint=sb://[::1]/;;=;SharedAccessKey")
	f.Fuzz(func(t *testing.T, text string) {
		host, name, key, err := probe.ParseBus(text)
		if err == nil && (host == "" || name == "" || key == "") {
			t.Fatalf("%q has %q, %q", text, host, name)
		}
	})
}
