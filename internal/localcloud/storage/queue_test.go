package storage

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func (b *bench) endpointOf(service string) string {
	b.t.Helper()
	return provider.Text(b.run("GET", "", nil).Body, "properties", "primaryEndpoints", service)
}

func (b *bench) queues(key, source string) *azqueue.ServiceClient {
	b.t.Helper()
	cred, err := azqueue.NewSharedKeyCredential(name, key)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := azqueue.NewServiceClientWithSharedKeyCredential(b.endpointOf("queue"), cred, &azqueue.ClientOptions{ClientOptions: b.options(source).ClientOptions})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) queuesByToken(token string) *azqueue.ServiceClient {
	b.t.Helper()
	c, err := azqueue.NewServiceClient(b.endpointOf("queue"), staticToken(token), &azqueue.ClientOptions{ClientOptions: b.options("127.0.0.1").ClientOptions})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func listQueues(b *bench, c *azqueue.ServiceClient) ([]string, error) {
	var names []string
	for pager := c.NewListQueuesPager(&azqueue.ListQueuesOptions{MaxResults: to.Ptr[int32](2)}); pager.More(); {
		page, err := pager.NextPage(b.ctx)
		if err != nil {
			return nil, err
		}
		for _, q := range page.Queues {
			names = append(names, *q.Name)
		}
	}
	return names, nil
}

func TestQueueByKey(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	s := b.queues(b.key(0), "127.0.0.1")
	for _, queue := range []string{"orders", "a-b", "zzz"} {
		_, err := s.CreateQueue(b.ctx, queue, &azqueue.CreateOptions{Metadata: map[string]*string{"owner": to.Ptr("me")}})
		want(t, err, 0, "")
	}
	if names, err := listQueues(b, s); err != nil || strings.Join(names, " ") != "a-b orders zzz" {
		t.Errorf("queues: %q, %v", names, err)
	}
	_, err := s.CreateQueue(b.ctx, "orders", &azqueue.CreateOptions{Metadata: map[string]*string{"owner": to.Ptr("you")}})
	want(t, err, 409, "QueueAlreadyExists")
	_, err = s.CreateQueue(b.ctx, "Orders", nil)
	want(t, err, 400, "InvalidResourceName")

	q := s.NewQueueClient("orders")
	for _, text := range []string{"one <&>", "two"} {
		_, err := q.EnqueueMessage(b.ctx, text, nil)
		want(t, err, 0, "")
	}
	peeked, err := q.PeekMessages(b.ctx, &azqueue.PeekMessagesOptions{NumberOfMessages: to.Ptr[int32](9)})
	want(t, err, 0, "")
	if len(peeked.Messages) != 2 || *peeked.Messages[0].MessageText != "one <&>" {
		t.Fatalf("peek: %+v", peeked.Messages)
	}
	taken, err := q.DequeueMessage(b.ctx, nil)
	want(t, err, 0, "")
	m := taken.Messages[0]
	if *m.MessageText != "one <&>" || *m.DequeueCount != 1 {
		t.Errorf("taken: %q for the %d. time", *m.MessageText, *m.DequeueCount)
	}
	rest, err := q.DequeueMessages(b.ctx, &azqueue.DequeueMessagesOptions{NumberOfMessages: to.Ptr[int32](32)})
	want(t, err, 0, "")
	if len(rest.Messages) != 1 {
		t.Errorf("%d messages beside the hidden one", len(rest.Messages))
	}
	_, err = q.DeleteMessage(b.ctx, *m.MessageID, "other", nil)
	want(t, err, 400, "PopReceiptMismatch")
	_, err = q.DeleteMessage(b.ctx, *m.MessageID, *m.PopReceipt, nil)
	want(t, err, 0, "")
	_, err = q.DeleteMessage(b.ctx, *m.MessageID, *m.PopReceipt, nil)
	want(t, err, 404, "MessageNotFound")

	second := rest.Messages[0]
	changed, err := q.UpdateMessage(b.ctx, *second.MessageID, *second.PopReceipt, "two again", &azqueue.UpdateMessageOptions{VisibilityTimeout: to.Ptr[int32](0)})
	want(t, err, 0, "")
	if *changed.PopReceipt == *second.PopReceipt {
		t.Error("the old receipt still counts")
	}
	again, err := q.DequeueMessage(b.ctx, nil)
	want(t, err, 0, "")
	if *again.Messages[0].MessageText != "two again" || *again.Messages[0].DequeueCount != 2 {
		t.Errorf("again: %q for the %d. time", *again.Messages[0].MessageText, *again.Messages[0].DequeueCount)
	}
	props, err := q.GetProperties(b.ctx, nil)
	want(t, err, 0, "")
	if *props.ApproximateMessagesCount != 1 || *props.Metadata["Owner"] != "me" {
		t.Errorf("properties: %d %v", *props.ApproximateMessagesCount, props.Metadata)
	}
	_, err = q.ClearMessages(b.ctx, nil)
	want(t, err, 0, "")
	_, err = s.DeleteQueue(b.ctx, "orders", nil)
	want(t, err, 0, "")
	_, err = q.PeekMessage(b.ctx, nil)
	want(t, err, 404, "QueueNotFound")
	_, err = s.GetServiceProperties(b.ctx, nil)
	want(t, err, 0, "")
}

func TestQueueMessagesHideAndExpire(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	s := b.queues(b.key(1), "127.0.0.1")
	_, err := s.CreateQueue(b.ctx, "jobs", nil)
	want(t, err, 0, "")
	q := s.NewQueueClient("jobs")
	_, err = q.EnqueueMessage(b.ctx, "later", &azqueue.EnqueueMessageOptions{VisibilityTimeout: to.Ptr[int32](60), TimeToLive: to.Ptr[int32](600)})
	want(t, err, 0, "")
	visible := func() int {
		p, err := q.PeekMessages(b.ctx, nil)
		want(t, err, 0, "")
		return len(p.Messages)
	}
	if visible() != 0 {
		t.Error("a hidden message is seen")
	}
	b.cloud.Advance(2 * time.Minute)
	if visible() != 1 {
		t.Error("the message stays hidden")
	}
	b.cloud.Advance(10 * time.Minute)
	if visible() != 0 {
		t.Error("the message outlives its time")
	}
}

func TestQueueRights(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	_, err := b.queues(b.key(0), "127.0.0.1").CreateQueue(b.ctx, "orders", nil)
	want(t, err, 0, "")
	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	s := b.queuesByToken(b.token(app, publicAudience))
	q := s.NewQueueClient("orders")
	send := func() error { _, err := q.EnqueueMessage(b.ctx, "hi", nil); return err }
	take := func() error { _, err := q.DequeueMessage(b.ctx, nil); return err }
	peek := func() error { _, err := q.PeekMessage(b.ctx, nil); return err }
	const lacks = "AuthorizationPermissionMismatch"
	for _, try := range []func() error{send, take, peek} {
		want(t, try(), 403, lacks)
	}
	at := accountID + "/queueServices/default/queues/orders"
	b.cloud.Grants().Allow(app.ObjectID, at, messageRight+"/add/action")
	want(t, send(), 0, "")
	want(t, take(), 403, lacks)
	b.cloud.Grants().Allow(app.ObjectID, at, messageRight+"/read")
	want(t, peek(), 0, "")
	want(t, take(), 403, lacks)
	b.cloud.Grants().Allow(app.ObjectID, at, messageRight+"/delete")
	want(t, take(), 0, "")
	_, err = s.CreateQueue(b.ctx, "more", nil)
	want(t, err, 403, lacks)
	want(t, func() error { _, err := b.queuesByToken("nonsense").GetServiceProperties(b.ctx, nil); return err }(), 401, "InvalidAuthenticationInfo")
	want(t, func() error {
		_, err := b.queuesByToken(b.token(app, "https://vault.azure.net")).NewQueueClient("orders").PeekMessage(b.ctx, nil)
		return err
	}(), 401, "InvalidAuthenticationInfo")
}

func TestQueueDoors(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	key := b.key(0)
	list := func(key, source string) error { _, err := listQueues(b, b.queues(key, source)); return err }
	want(t, list("AAAA"+key[4:], "127.0.0.1"), 403, "AuthenticationFailed")
	b.patch(map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "ipRules": []any{map[string]any{"value": "127.0.0.9"}}}})
	want(t, list(key, "127.0.0.1"), 403, "AuthorizationFailure")
	want(t, list(key, "127.0.0.9"), 0, "")
	b.patch(map[string]any{"networkAcls": map[string]any{"defaultAction": "Allow"}, "allowSharedKeyAccess": false})
	want(t, list(key, "127.0.0.1"), 403, "KeyBasedAuthenticationNotPermitted")
}

// Queues made by one plane are those of the other.
func TestQueuesAreResources(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	s := b.queues(b.key(0), "127.0.0.1")
	r := b.run("PUT", "/queueServices/default/queues/byarm", provider.Document{"properties": map[string]any{"metadata": map[string]any{"k": "v"}}})
	if r.Status != 201 || r.Body["type"] != queueType {
		t.Errorf("PUT: %d %v", r.Status, r.Body)
	}
	_, err := s.CreateQueue(b.ctx, "bydata", nil)
	want(t, err, 0, "")
	if names, err := listQueues(b, s); err != nil || strings.Join(names, " ") != "byarm bydata" {
		t.Errorf("queues: %q, %v", names, err)
	}
	b.run("GET", "/queueServices/default/queues/bydata", nil)
	if doc := b.run("GET", "/queueServices/default", nil).Body; doc["type"] != queueServiceType {
		t.Errorf("service: %v", doc)
	}
	b.run("DELETE", "/queueServices/default/queues/bydata", nil)
	if names, _ := listQueues(b, s); strings.Join(names, " ") != "byarm" {
		t.Errorf("after the delete: %q", names)
	}
}

// What the services hold, and where they are reached, survives a restart.
func TestServicesSurviveARestart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.boot()
	b.run("PUT", "", accountBody(nil))
	key, places := b.key(0), b.run("GET", "", nil).Body["properties"].(map[string]any)["primaryEndpoints"]
	_, err := b.queues(key, "127.0.0.1").CreateQueue(b.ctx, "orders", nil)
	want(t, err, 0, "")
	_, err = b.queues(key, "127.0.0.1").NewQueueClient("orders").EnqueueMessage(b.ctx, "still here", nil)
	want(t, err, 0, "")
	_, err = b.tables(key, "127.0.0.1").CreateTable(b.ctx, "Rows", nil)
	wantTable(t, err, 0, "")
	_, err = b.tables(key, "127.0.0.1").NewClient("Rows").AddEntity(b.ctx, row("p", "r", nil), nil)
	wantTable(t, err, 0, "")
	f := files{b: b, key: key}
	f.want(201, "", "PUT", "/team?restype=share", nil)
	f.want(201, "", "PUT", "/team/x", nil, "x-ms-type", "file", "x-ms-content-length", "5")
	f.want(201, "", "PUT", "/team/x?comp=range", []byte("hello"), "x-ms-write", "update", "x-ms-range", "bytes=0-4")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = b.boot()
	if err := p.Resume(b.ctx); err != nil {
		t.Fatal(err)
	}
	if now := b.run("GET", "", nil).Body["properties"].(map[string]any)["primaryEndpoints"]; !reflect.DeepEqual(now, places) {
		t.Errorf("the endpoints are %v, were %v", now, places)
	}
	got, err := b.queues(key, "127.0.0.1").NewQueueClient("orders").DequeueMessage(b.ctx, nil)
	want(t, err, 0, "")
	if *got.Messages[0].MessageText != "still here" {
		t.Errorf("message: %q", *got.Messages[0].MessageText)
	}
	_, err = b.tables(key, "127.0.0.1").NewClient("Rows").GetEntity(b.ctx, "p", "r", nil)
	wantTable(t, err, 0, "")
	f.want(200, "hello", "GET", "/team/x", nil)
}

// TestQueueAddress: the told address ends in the account's name, because a host that is
// an IP address does not tell it; without, the account answers as well. A queue may be
// called like its account.
func TestQueueAddress(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	told := b.endpointOf("queue")
	bare, found := strings.CutSuffix(told, "/"+name+"/")
	if !found {
		t.Fatalf("the endpoint is %s", told)
	}
	cred, err := azqueue.NewSharedKeyCredential(name, b.key(0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.queues(b.key(0), "127.0.0.1").CreateQueue(b.ctx, name, nil); err != nil {
		t.Errorf("a queue of the account's name: %v", err)
	}
	for _, at := range []string{told, bare + "/"} {
		c, err := azqueue.NewServiceClientWithSharedKeyCredential(at, cred, &azqueue.ClientOptions{ClientOptions: b.options("127.0.0.1").ClientOptions})
		if err != nil {
			t.Fatal(err)
		}
		if names, err := listQueues(b, c); err != nil || len(names) != 1 || names[0] != name {
			t.Errorf("queues at %s: %q, %v", at, names, err)
		}
	}
}
