package messaging

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// bus is Azure's own client of Service Bus.
func (b *bench) bus(connection string) *azservicebus.Client {
	b.t.Helper()
	c, err := azservicebus.NewClientFromConnectionString(connection, b.busOptions())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close(b.ctx) })
	return c
}

func (b *bench) busOptions() *azservicebus.ClientOptions {
	return &azservicebus.ClientOptions{TLSConfig: b.cloud.ClientTLS(), RetryOptions: azservicebus.RetryOptions{MaxRetries: -1}}
}

func sendTo(b *bench, c *azservicebus.Client, entity, body string) error {
	s, err := c.NewSender(entity, nil)
	if err != nil {
		return err
	}
	defer s.Close(b.ctx) //nolint:errcheck // the send counts
	subject := "greeting"
	return s.SendMessage(b.ctx, &azservicebus.Message{Body: []byte(body), Subject: &subject, ApplicationProperties: map[string]any{"n": int64(7)}}, nil)
}

func TestQueueHoldsMessages(t *testing.T) {
	t.Parallel()
	b := withQueue(t)
	c := b.bus(b.connectionString(root))
	if err := sendTo(b, c, "orders", "one"); err != nil {
		t.Fatal(err)
	}
	r, err := c.NewReceiverForQueue("orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.ReceiveMessages(b.ctx, 1, nil)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d messages, %v", len(got), err)
	}
	m := got[0]
	if string(m.Body) != "one" || *m.Subject != "greeting" || m.ApplicationProperties["n"] != int64(7) || *m.SequenceNumber != 1 || m.DeliveryCount != 1 {
		t.Errorf("message %+v", m)
	}
	if err := r.AbandonMessage(b.ctx, m, nil); err != nil {
		t.Fatal(err)
	}
	if got, err = r.ReceiveMessages(b.ctx, 1, nil); err != nil || got[0].DeliveryCount != 2 {
		t.Fatalf("again: %v, %v", got, err)
	}
	if err := r.CompleteMessage(b.ctx, got[0], nil); err != nil {
		t.Fatal(err)
	}
}

func TestTopicCopiesAndDeadLetters(t *testing.T) {
	t.Parallel()
	b := withQueue(t)
	b.run("PUT", "/topics/news", provider.Document{"properties": map[string]any{}})
	for _, sub := range []string{"a", "b"} {
		b.run("PUT", "/topics/news/subscriptions/"+sub, provider.Document{"properties": map[string]any{}})
	}
	c := b.bus(b.connectionString(root))
	if err := sendTo(b, c, "news", "extra"); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"a", "b"} {
		r, err := c.NewReceiverForSubscription("news", sub, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.ReceiveMessages(b.ctx, 1, nil)
		if err != nil || string(got[0].Body) != "extra" {
			t.Fatalf("%s: %v, %v", sub, got, err)
		}
		if err := r.DeadLetterMessage(b.ctx, got[0], nil); err != nil {
			t.Fatal(err)
		}
		d, err := c.NewReceiverForSubscription("news", sub, &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
		if err != nil {
			t.Fatal(err)
		}
		if got, err = d.ReceiveMessages(b.ctx, 1, nil); err != nil || string(got[0].Body) != "extra" {
			t.Fatalf("%s, dead letters: %v, %v", sub, got, err)
		}
	}
}

func TestServiceBusRights(t *testing.T) {
	t.Parallel()
	b := withQueue(t)
	b.run("PUT", "/queues/other", provider.Document{"properties": map[string]any{}})
	sender, listener := b.rule("sender", send), b.rule("listener", listen)
	b.run("PUT", "/queues/orders/authorizationRules/only", provider.Document{"properties": map[string]any{"rights": []any{send}}})
	only := b.connectionString("/queues/orders/authorizationRules/only")
	if !strings.HasSuffix(only, ";EntityPath=orders") {
		t.Fatalf("an entity's connection string: %q", only[:20])
	}
	only, _, _ = strings.Cut(only, ";EntityPath") // the client would not even try another queue
	for name, row := range map[string]struct{ connection, entity, want string }{
		"send with Send":            {sender, "orders", "<nil>"},
		"send with Listen":          {listener, "orders", "unauthorized"},
		"send to its own":           {only, "orders", "<nil>"},
		"send to another's":         {only, "other", "unauthorized"},
		"send to nothing":           {sender, "nothing", "not-found"},
		"send with a changed key":   {strings.Replace(sender, "SharedAccessKey=", "SharedAccessKey=x", 1), "orders", "unauthorized"},
		"send with an unknown rule": {strings.Replace(sender, "KeyName=sender", "KeyName=nobody", 1), "orders", "unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			err := sendTo(b, b.bus(row.connection), row.entity, "x")
			var e *azservicebus.Error
			got := fmt.Sprint(err)
			if errors.As(err, &e) {
				got = string(e.Code)
			}
			if !strings.Contains(got, row.want) {
				t.Errorf("got %q (%v)", got, err)
			}
		})
	}
}

func TestServiceBusEntra(t *testing.T) {
	t.Parallel()
	b := withQueue(t)
	who := b.principal("https://servicebus.azure.net")
	c, err := azservicebus.NewClient(b.host(), who, b.busOptions())
	if err != nil {
		t.Fatal(err)
	}
	err = sendTo(b, c, "orders", "x")
	if err == nil || !strings.Contains(err.Error(), "'Send' claim(s) are required") {
		t.Errorf("without a role: %v", err)
	}
	b.cloud.Grants().Allow(who.id, b.id+"/queues/orders", "Microsoft.ServiceBus/namespaces/messages/send/action")
	if err := sendTo(b, c, "orders", "x"); err != nil {
		t.Errorf("with the role: %v", err)
	}
	if _, err := b.receive(c, "orders"); err == nil || !strings.Contains(err.Error(), "'Listen' claim(s) are required") {
		t.Errorf("receiving with the sender's role: %v", err)
	}
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"disableLocalAuth": true}})
	if err := sendTo(b, c, "orders", "x"); err != nil {
		t.Errorf("tokens while keys are off: %v", err)
	}
	if err := sendTo(b, b.bus(b.connectionString(root)), "orders", "x"); err == nil || !strings.Contains(err.Error(), "LocalAuthDisabled") {
		t.Errorf("keys while keys are off: %v", err)
	}
	wrong, err := azservicebus.NewClient(b.host(), b.principal("https://vault.azure.net"), b.busOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := sendTo(b, wrong, "orders", "x"); err == nil || !strings.Contains(err.Error(), "InvalidIssuer") {
		t.Errorf("a token for something else: %v", err)
	}
}

func (b *bench) receive(c *azservicebus.Client, queue string) ([]*azservicebus.ReceivedMessage, error) {
	r, err := c.NewReceiverForQueue(queue, nil)
	if err != nil {
		return nil, err
	}
	return r.ReceiveMessages(b.ctx, 1, nil)
}
