package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func TestFirewall(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	b.run("DELETE", "/firewallRules/all", nil)
	refused := func(source, channel string, secure bool) {
		t.Helper()
		_, err := b.dialFrom(source, login, password, "app", secure)
		want := fmt.Sprintf(`no pg_hba.conf entry for host "%s", user "%s", database "app", %s`, source, login, channel)
		if got := b.state(err, "28000").Message; got != want {
			t.Errorf("refused with %q, want %q", got, want)
		}
	}
	opened := func(source string) {
		t.Helper()
		conn, err := b.dialFrom(source, login, password, "app", true)
		if err != nil {
			t.Fatalf("from %s: %v", source, err)
		}
		_ = conn.Close(b.ctx)
	}
	refused("127.0.0.1", "SSL encryption", true)
	refused("127.0.0.1", "no encryption", false)
	b.allow("narrow", "127.0.0.7", "127.0.0.9")
	refused("127.0.0.6", "SSL encryption", true)
	refused("127.0.0.10", "SSL encryption", true)
	opened("127.0.0.7")
	opened("127.0.0.9")
	b.run("DELETE", "/firewallRules/narrow", nil)
	refused("127.0.0.7", "SSL encryption", true)
	b.allow("AllowAllAzureServices", "0.0.0.0", "0.0.0.0")
	opened("127.0.0.1")

	// Without TLS the server itself refuses, naming the gate's address.
	_, err := b.dialFrom("127.0.0.1", login, password, "app", false)
	if m := b.state(err, "28000").Message; !strings.Contains(m, "no encryption") {
		t.Errorf("without TLS: %q", m)
	}
	b.run("PUT", "/configurations/require_secure_transport", provider.Document{"properties": map[string]any{"value": "OFF", "source": "user-override"}})
	conn, err := b.dialFrom("127.0.0.1", login, password, "app", false)
	if err != nil {
		t.Fatalf("without TLS, allowed: %v", err)
	}
	_ = conn.Close(b.ctx)

	b.run("PATCH", "", provider.Document{"properties": map[string]any{"network": map[string]any{"publicNetworkAccess": "Disabled"}}})
	if _, err := b.dial(login, password, "app"); err == nil || strings.Contains(err.Error(), "pg_hba") {
		t.Errorf("public access off: %v, want a closed connection", err)
	}
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"network": map[string]any{"publicNetworkAccess": "Enabled"}}})
	opened("127.0.0.1")
}

func TestRuleRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, c := range map[string][2]string{
		"backwards": {"10.0.0.2", "10.0.0.1"}, "no address": {"x", "10.0.0.1"}, "no end": {"10.0.0.1", ""}, "IPv6": {"::1", "::1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := b.fault("PUT", "/firewallRules/r", provider.Document{"properties": map[string]any{"startIpAddress": c[0], "endIpAddress": c[1]}})
			if f.Status != 400 {
				t.Errorf("got %v", f)
			}
		})
	}
	f := b.fault("PUT", "/firewallRules/r", provider.Document{"properties": map[string]any{"startIpAddress": "1.1.1.1", "endIpAddress": "1.1.1.1"}})
	if f.Status != 404 || f.Code != "ParentResourceNotFound" {
		t.Errorf("rule without a server: %v", f)
	}
}
