package messaging

import (
	"fmt"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

var noRetry = azeventhubs.RetryOptions{MaxRetries: -1}

func (b *bench) produce(connection, partition string, bodies ...string) error {
	p, err := azeventhubs.NewProducerClientFromConnectionString(connection, "Orders", &azeventhubs.ProducerClientOptions{TLSConfig: b.cloud.ClientTLS(), RetryOptions: noRetry})
	if err != nil {
		return err
	}
	defer p.Close(b.ctx) //nolint:errcheck // the send counts
	batch, err := p.NewEventDataBatch(b.ctx, &azeventhubs.EventDataBatchOptions{PartitionID: to.Ptr(partition)})
	if err != nil {
		return err
	}
	for _, body := range bodies {
		if err := batch.AddEventData(&azeventhubs.EventData{Body: []byte(body), Properties: map[string]any{"kind": "t"}}, nil); err != nil {
			return err
		}
	}
	return p.SendEventDataBatch(b.ctx, batch, nil)
}

func (b *bench) consume(connection, partition string, at azeventhubs.StartPosition, count int) ([]string, error) {
	c, err := azeventhubs.NewConsumerClientFromConnectionString(connection, "Orders", azeventhubs.DefaultConsumerGroup, &azeventhubs.ConsumerClientOptions{TLSConfig: b.cloud.ClientTLS(), RetryOptions: noRetry})
	if err != nil {
		return nil, err
	}
	defer c.Close(b.ctx) //nolint:errcheck // the events count
	p, err := c.NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{StartPosition: at})
	if err != nil {
		return nil, err
	}
	events, err := p.ReceiveEvents(b.ctx, count, nil)
	var bodies []string
	for _, e := range events {
		bodies = append(bodies, fmt.Sprintf("%s@%d/%s", e.Body, e.SequenceNumber, e.Offset))
	}
	return bodies, err
}

func TestHubHoldsEvents(t *testing.T) {
	t.Parallel()
	b := withHub(t)
	connection := b.connectionString(root)
	if err := b.produce(connection, "1", "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		at   azeventhubs.StartPosition
		want string
	}{
		"from the beginning": {azeventhubs.StartPosition{Earliest: to.Ptr(true)}, "[a@0/0 b@1/1 c@2/2]"},
		"after a number":     {azeventhubs.StartPosition{SequenceNumber: to.Ptr(int64(1))}, "[c@2/2]"},
		"from an offset on":  {azeventhubs.StartPosition{Offset: to.Ptr("1"), Inclusive: true}, "[b@1/1 c@2/2]"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := b.consume(connection, "1", row.at, strings.Count(row.want, "@"))
			if err != nil || fmt.Sprint(got) != row.want {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	p, err := azeventhubs.NewProducerClientFromConnectionString(connection, "Orders", &azeventhubs.ProducerClientOptions{TLSConfig: b.cloud.ClientTLS()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(b.ctx) //nolint:errcheck // the answers count
	about, err := p.GetEventHubProperties(b.ctx, nil)
	if err != nil || about.Name != "Orders" || len(about.PartitionIDs) != 2 {
		t.Errorf("hub %+v, %v", about, err)
	}
	part, err := p.GetPartitionProperties(b.ctx, "1", nil)
	if err != nil || part.LastEnqueuedSequenceNumber != 2 || part.IsEmpty {
		t.Errorf("partition %+v, %v", part, err)
	}
	if part, err = p.GetPartitionProperties(b.ctx, "0", nil); err != nil || !part.IsEmpty {
		t.Errorf("empty partition %+v, %v", part, err)
	}
}

func TestEventHubsRights(t *testing.T) {
	t.Parallel()
	b := withHub(t)
	sender, listener := b.rule("sender", send), b.rule("listener", listen)
	earliest := azeventhubs.StartPosition{Earliest: to.Ptr(true)}
	if err := b.produce(listener, "0", "x"); err == nil || !strings.Contains(err.Error(), "'Send' claim(s) are required") {
		t.Errorf("sending with Listen: %v", err)
	}
	if err := b.produce(sender, "0", "x"); err != nil {
		t.Errorf("sending with Send: %v", err)
	}
	if _, err := b.consume(sender, "0", earliest, 1); err == nil || !strings.Contains(err.Error(), "'Listen' claim(s) are required") {
		t.Errorf("receiving with Send: %v", err)
	}
	if got, err := b.consume(listener, "0", earliest, 1); err != nil || len(got) != 1 {
		t.Errorf("receiving with Listen: %v, %v", got, err)
	}
	who := b.principal("https://eventhubs.azure.net")
	c, err := azeventhubs.NewConsumerClient(b.host(), "Orders", azeventhubs.DefaultConsumerGroup, who, &azeventhubs.ConsumerClientOptions{TLSConfig: b.cloud.ClientTLS(), RetryOptions: noRetry})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetEventHubProperties(b.ctx, nil); err == nil {
		t.Error("a principal without a role may read")
	}
	b.cloud.Grants().Allow(who.id, b.id, "Microsoft.EventHub/namespaces/messages/receive/action")
	if _, err := c.GetEventHubProperties(b.ctx, nil); err != nil {
		t.Errorf("a principal with the role: %v", err)
	}
}
