package messaging

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

// A PUT of the rule set replaces it whole: what it leaves out is gone.
func TestRuleSetIsReplacedWhole(t *testing.T) {
	t.Parallel()
	b := withHub(t)
	set := "/networkRuleSets/default"
	if r := b.run("GET", set, nil); provider.Text(r.Body, "properties", "defaultAction") != "Allow" {
		t.Errorf("a set nobody wrote: %v", r.Body)
	}
	b.run("PUT", set, provider.Document{"properties": map[string]any{"defaultAction": "Deny", "trustedServiceAccessEnabled": true,
		"ipRules":             []any{map[string]any{"ipMask": "192.0.2.0/24"}},
		"virtualNetworkRules": []any{map[string]any{"subnet": map[string]any{"id": "/subnet"}}}}})
	r := b.run("PUT", set, provider.Document{"properties": map[string]any{"defaultAction": "Deny", "ipRules": []any{map[string]any{"ipMask": "192.0.2.7"}}}})
	p := r.Body["properties"].(map[string]any)
	if fmt.Sprint(p["ipRules"]) != "[map[action:Allow ipMask:192.0.2.7]]" || len(p["virtualNetworkRules"].([]any)) != 0 || p["trustedServiceAccessEnabled"] != false {
		t.Errorf("after the second PUT: %v", p)
	}
	for name, bad := range map[string]map[string]any{
		"an action":  {"defaultAction": "Maybe"},
		"an address": {"ipRules": []any{map[string]any{"ipMask": "::1"}}},
		"a range":    {"ipRules": []any{map[string]any{"ipMask": "10.0.0.1-10.0.0.9"}}},
		"a subnet":   {"virtualNetworkRules": []any{map[string]any{}}},
	} {
		if _, err := b.front.Run(b.ctx, "PUT", b.id+set, provider.Document{"properties": bad}); err == nil {
			t.Errorf("%s that is none was taken", name)
		}
	}
	if _, err := b.front.Run(b.ctx, "PUT", b.id+"/networkRuleSets/other", provider.Document{"properties": map[string]any{}}); err == nil {
		t.Error("there is a second rule set")
	}
}

func TestRuleSetNeedsTheTier(t *testing.T) {
	t.Parallel()
	b := withQueue(t)
	b.run("PATCH", "", provider.Document{"sku": map[string]any{"name": "Standard"}})
	if _, err := b.front.Run(b.ctx, "PUT", b.id+"/networkRuleSets/default", provider.Document{"properties": map[string]any{"defaultAction": "Deny"}}); err == nil {
		t.Error("a namespace of the tier Standard has a rule set")
	}
}

// The firewall is by the caller's address on both protocols. A set that denies and
// has no rule lets everybody in.
func TestFirewall(t *testing.T) {
	t.Parallel()
	b := withHub(t)
	connection := b.connectionString(root)
	reach := func(address string) string {
		return fmt.Sprintf("amqp %v, kafka %v", b.amqpFrom(address) == nil, b.kafkaFrom(connection, address) == nil)
	}
	deny := func(rules ...any) {
		b.run("PUT", "/networkRuleSets/default", provider.Document{"properties": map[string]any{"defaultAction": "Deny", "ipRules": rules}})
	}
	const in, out = "amqp true, kafka true", "amqp false, kafka false"
	if got := reach("127.0.0.9"); got != in {
		t.Errorf("without a firewall: %s", got)
	}
	deny()
	if got := reach("127.0.0.9"); got != in {
		t.Errorf("with Deny and no rule: %s", got)
	}
	deny(map[string]any{"ipMask": "127.0.0.8/31"})
	if got := reach("127.0.0.9"); got != in {
		t.Errorf("inside the block: %s", got)
	}
	if got := reach("127.0.0.10"); got != out {
		t.Errorf("outside the block: %s", got)
	}
	var refused *amqp.ConnError
	if err := b.amqpFrom("127.0.0.10"); !errors.As(err, &refused) || refused.RemoteErr == nil || !strings.Contains(refused.RemoteErr.Description, "Ip has been prevented") {
		t.Errorf("the refusal: %v", err)
	}
	b.run("PUT", "/networkRuleSets/default", provider.Document{"properties": map[string]any{"defaultAction": "Allow", "publicNetworkAccess": "Disabled"}})
	if got := reach("127.0.0.9"); got != out {
		t.Errorf("without public access: %s", got)
	}
	if r := b.run("GET", "", nil); provider.Text(r.Body, "properties", "publicNetworkAccess") != "Disabled" {
		t.Error("the namespace does not know that public access is off")
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	b := withQueue(t)
	for name, rights := range map[string][]any{"no right": {}, "a wrong right": {"Write"}, "Manage alone": {manage}, "Manage with Send": {manage, send}} {
		if _, err := b.front.Run(b.ctx, "PUT", b.id+"/authorizationRules/x", provider.Document{"properties": map[string]any{"rights": rights}}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	before := b.rule("app", listen)
	if b.rule("app", listen, send) != before {
		t.Error("changing the rights changed the keys")
	}
	keys := b.run("POST", "/authorizationRules/app/listKeys", nil).Body
	after := b.run("POST", "/authorizationRules/app/regenerateKeys", provider.Document{"keyType": "PrimaryKey"}).Body
	if keys["primaryKey"] == after["primaryKey"] || keys["secondaryKey"] != after["secondaryKey"] {
		t.Error("the wrong key was regenerated")
	}
	if err := sendTo(b, b.bus(before), "orders", "x"); err == nil || !strings.Contains(err.Error(), "InvalidSignature") {
		t.Errorf("the old key: %v", err)
	}
	if err := sendTo(b, b.bus(provider.Text(after, "secondaryConnectionString")), "orders", "x"); err != nil {
		t.Errorf("the secondary key: %v", err)
	}
	b.run("DELETE", "/authorizationRules/app", nil)
	if err := sendTo(b, b.bus(provider.Text(after, "primaryConnectionString")), "orders", "x"); err == nil {
		t.Error("a rule that is gone lets somebody in")
	}
	shown := fmt.Sprint(b.run("GET", "/authorizationRules/"+rootRule, nil).Body) + b.cloud.Logged()
	if strings.Contains(shown, provider.Text(b.run("POST", root+"/listKeys", nil).Body, "primaryKey")) {
		t.Error("a key shows in the document or the log")
	}
}

// A namespace comes with its root rule and is not there until its work is done.
func TestNamespaceIsMade(t *testing.T) {
	t.Parallel()
	b := withQueue(t)
	other := strings.Replace(b.id, "bus-space", "second-bus", 1)
	pending, err := b.front.Do(b.ctx, "PUT", other, provider.Document{"location": "westeurope", "identity": map[string]any{"type": "SystemAssigned"}})
	if err != nil || provider.Text(pending.Body, "properties", "provisioningState") != "Created" {
		t.Fatalf("%+v, %v", pending, err)
	}
	if err := pending.Finish(b.ctx); err != nil {
		t.Fatal(err)
	}
	r, err := b.front.Run(b.ctx, "GET", other, nil)
	if err != nil || provider.Text(r.Body, "properties", "provisioningState") != succeeded || provider.Text(r.Body, "properties", "status") != "Active" {
		t.Fatalf("%+v, %v", r, err)
	}
	who := provider.Text(r.Body, "identity", "principalId")
	if _, known := b.cloud.Directory().Lookup(who); !known {
		t.Error("the identity has no principal")
	}
	if r, err = b.front.Run(b.ctx, "PATCH", other, provider.Document{"identity": map[string]any{"type": "None"}}); err != nil || provider.Text(r.Body, "identity", "principalId") != "" {
		t.Errorf("switched off: %v, %v", r, err)
	}
	if _, known := b.cloud.Directory().Lookup(who); known {
		t.Error("the principal stays")
	}
	if _, err := b.front.Do(b.ctx, "PUT", strings.Replace(other, "/Rg/", "/Other/", 1), provider.Document{"location": "westeurope"}); err == nil {
		t.Error("a name was given away twice")
	}
	b.run("DELETE", "", nil)
	if err := b.amqpFrom("127.0.0.1"); err == nil {
		t.Error("a namespace that is gone answers")
	}
}

// A lock that has ended does not complete, and the message comes again until it has
// come too often.
func TestLocksEnd(t *testing.T) {
	t.Parallel()
	q := newQueue(provider.Document{"properties": map[string]any{"lockDuration": "PT0.02S", "maxDeliveryCount": 2.0}})
	q.put(&amqpMessage)
	r := q.reader()
	first := r.Take()
	<-r.Wake()
	<-r.Wake() // for the message that came back
	if e := r.Settle(first.Tag, accepted); e == nil || e.Condition != "com.microsoft:message-lock-lost" {
		t.Errorf("settling late: %v", e)
	}
	dead := q.dead.reader()
	<-dead.Wake()
	if r.Take() == nil {
		t.Fatal("the message did not come back")
	}
	<-dead.Wake()
	if dead.Take() == nil || r.Take() != nil {
		t.Error("the message is not among the dead letters")
	}
}

// Sessions are missing, so that an entity that requires them is refused.
func TestSessionsAreRefused(t *testing.T) {
	t.Parallel()
	b := withQueue(t)
	b.run("PUT", "/queues/sessions", provider.Document{"properties": map[string]any{"requiresSession": true}})
	_, err := b.receive(b.bus(b.connectionString(root)), "sessions")
	var e *azservicebus.Error
	if err == nil || errors.As(err, &e) && e.Code == azservicebus.CodeNotFound || !strings.Contains(err.Error(), "sessions") {
		t.Errorf("got %v", err)
	}
}

func TestEntities(t *testing.T) {
	t.Parallel()
	b := withHub(t)
	for name, body := range map[string]map[string]any{"another count": {"partitionCount": 3.0}} {
		if _, err := b.front.Run(b.ctx, "PUT", b.id+"/eventhubs/orders", provider.Document{"properties": body}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if r := b.run("GET", "/eventhubs/orders/consumergroups/$Default", nil); provider.Text(r.Body, "name") != "$Default" {
		t.Errorf("the first consumer group: %v", r.Body)
	}
	b.run("PUT", "/eventhubs/orders", provider.Document{"properties": map[string]any{"partitionCount": 2.0, "userMetadata": "x"}})
	if _, err := b.front.Run(b.ctx, "PUT", b.id+"/eventhubs/many", provider.Document{"properties": map[string]any{"partitionCount": 33.0}}); err == nil {
		t.Error("33 partitions were taken")
	}
}

// After a restart the same addresses, keys and entities are there, without messages.
func TestResume(t *testing.T) {
	t.Parallel()
	cloud := providertest.New(t)
	p := NewEventHubs(cloud)
	b := &bench{t: t, ctx: t.Context(), cloud: cloud, front: providertest.NewFront(cloud, p), id: hubsID}
	b.run("PUT", "", provider.Document{"location": "westeurope"})
	b.run("PUT", "/eventhubs/Orders", provider.Document{"properties": map[string]any{"partitionCount": 2.0}})
	connection := b.connectionString(root)
	if err := errors.Join(b.produce(connection, "0", "x"), p.Close()); err != nil {
		t.Fatal(err)
	}
	again := NewEventHubs(cloud)
	t.Cleanup(func() { _ = again.Close() })
	if err := again.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.front = providertest.NewFront(cloud, again)
	if b.connectionString(root) != connection {
		t.Error("the connection string is another")
	}
	if err := errors.Join(b.produce(connection, "0", "y"), b.record(b.kafka(withString(connection)), "z")); err != nil {
		t.Error(err)
	}
	if got, err := b.consume(connection, "0", azeventhubs.StartPosition{Earliest: to.Ptr(true)}, 1); err != nil || fmt.Sprint(got) != "[y@0/0]" {
		t.Errorf("%v, %v", got, err)
	}
}
