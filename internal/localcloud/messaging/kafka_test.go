package messaging

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// kafka is a client of the namespace's Kafka endpoint.
func (b *bench) kafka(how sasl.Mechanism, more ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	options := append([]kgo.Opt{kgo.SeedBrokers(net.JoinHostPort(b.host(), kafkaPort)), kgo.SASL(how),
		kgo.RequestRetries(0), kgo.RecordRetries(0), kgo.RetryTimeout(2 * time.Second), kgo.DisableIdempotentWrite()}, more...)
	if len(more) == 0 {
		options = append(options, kgo.DialTLSConfig(b.cloud.ClientTLS()))
	}
	c, err := kgo.NewClient(options...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

func withString(connection string) sasl.Mechanism {
	return plain.Auth{User: "$ConnectionString", Pass: connection}.AsMechanism()
}

func (b *bench) record(c *kgo.Client, value string) error {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	return c.ProduceSync(ctx, &kgo.Record{Topic: "Orders", Value: []byte(value)}).FirstErr()
}

func TestKafkaEndpoint(t *testing.T) {
	t.Parallel()
	b := withHub(t)
	c := b.kafka(withString(b.connectionString(root)), kgo.ConsumeTopics("Orders"), kgo.ConsumerGroup("$Default"), kgo.DialTLSConfig(b.cloud.ClientTLS()))
	if err := b.record(c, "over kafka"); err != nil {
		t.Fatal(err)
	}
	got := c.PollFetches(b.ctx)
	if err := got.Err(); err != nil || got.NumRecords() != 1 || string(got.Records()[0].Value) != "over kafka" {
		t.Fatalf("%d records, %v", got.NumRecords(), err)
	}
	told, err := kadm.NewClient(c).ListBrokers(b.ctx)
	if err != nil || len(told) != 1 || told[0].Host != b.host() || told[0].Port != 9093 {
		t.Errorf("the brokers are said to be %v, %v", told, err)
	}
	if err := c.CommitUncommittedOffsets(b.ctx); err != nil {
		t.Errorf("commit: %v", err)
	}
	b.run("DELETE", "/eventhubs/Orders", nil)
	if err := b.record(b.kafka(withString(b.connectionString(root))), "x"); err == nil {
		t.Error("an event hub takes records after it is gone")
	}
}

func TestKafkaSignIn(t *testing.T) {
	t.Parallel()
	b := withHub(t)
	good, sender, listener := b.connectionString(root), b.rule("sender", send), b.rule("listener", listen)
	for name, row := range map[string]struct {
		how  sasl.Mechanism
		want error
	}{
		"the connection string": {withString(good), nil},
		"Send":                  {withString(sender), nil},
		"Listen":                {withString(listener), kerr.TopicAuthorizationFailed},
		"a wrong key":           {withString(strings.Replace(good, "SharedAccessKey=", "SharedAccessKey=x", 1)), kerr.SaslAuthenticationFailed},
		"an unknown rule":       {withString(strings.Replace(good, rootRule, "Nobody", 1)), kerr.SaslAuthenticationFailed},
		"another user":          {plain.Auth{User: "me", Pass: good}.AsMechanism(), kerr.SaslAuthenticationFailed},
		"nonsense":              {withString("x"), kerr.SaslAuthenticationFailed},
	} {
		t.Run(name, func(t *testing.T) {
			if err := b.record(b.kafka(row.how), "x"); !errors.Is(err, row.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	b.run("PATCH", "", map[string]any{"properties": map[string]any{"disableLocalAuth": true}})
	if err := b.record(b.kafka(withString(good)), "x"); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("a key while keys are off: %v", err)
	}
}

func TestKafkaEntra(t *testing.T) {
	t.Parallel()
	b := withHub(t)
	who := b.principal("https://" + b.host())
	how := oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
		token, _, err := b.cloud.Directory().Token(who.id, who.audience)
		return oauth.Auth{Token: token}, err
	})
	if err := b.record(b.kafka(how), "x"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("without a role: %v", err)
	}
	b.cloud.Grants().Allow(who.id, b.id+"/eventhubs/orders", "Microsoft.EventHub/namespaces/messages/send/action")
	if err := b.record(b.kafka(how), "x"); err != nil {
		t.Errorf("with the role: %v", err)
	}
	who.audience = "https://storage.azure.com"
	if err := b.record(b.kafka(how), "x"); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("a token for something else: %v", err)
	}
}
