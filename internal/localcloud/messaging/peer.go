package messaging

import (
	"net"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/amqp"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// peer is one AMQP connection as the service sees it.
type peer struct {
	plane  *plane
	from   net.Addr
	passes []pass
}

// SignIn implements amqp.Peer. A key may be shown here; everybody else shows
// tokens to $cbs later.
func (c *peer) SignIn(mechanism, user, secret string) bool {
	if mechanism != amqp.Plain {
		return true
	}
	s, err := c.plane.withKey(user, secret, nil)
	if err != nil {
		return false
	}
	c.passes = append(c.passes, s)
	return true
}

// Admit implements amqp.Peer: the firewall speaks once the connection opens.
func (c *peer) Admit() *amqp.Error {
	if c.plane.admits(c.from) {
		return nil
	}
	return &amqp.Error{Condition: amqp.Unauthorized, Description: "Ip has been prevented to connect to the endpoint."}
}

// Attach implements amqp.Peer.
func (c *peer) Attach(l amqp.Link) (amqp.Node, *amqp.Error) {
	path := segments(l.Address)
	switch {
	case len(path) == 1 && path[0] == "$cbs":
		return amqp.Node{Answer: c.putToken}, nil
	case len(path) > 0 && path[len(path)-1] == "$management":
		return amqp.Node{Answer: c.management(path[:len(path)-1])}, nil
	case len(path) == 0:
		return amqp.Node{}, c.missing(l.Address)
	}
	right := listen
	if l.Sends {
		right = send
	}
	if !c.allows(right, path) {
		return amqp.Node{}, c.unauthorized(right, l.Address)
	}
	if c.plane.provider.kafka { // event hubs
		return c.attachHub(l, path)
	}
	return c.attachQueue(l, path)
}

func (c *peer) allows(right string, path []string) bool {
	for _, s := range c.passes {
		if c.plane.allows(s, right, path) {
			return true
		}
	}
	return false
}

func (c *peer) unauthorized(right, address string) *amqp.Error {
	return &amqp.Error{Condition: amqp.Unauthorized, Description: "Unauthorized access. '" + right +
		"' claim(s) are required to perform this operation. Resource: 'sb://" + c.plane.address + "/" + address + "'."}
}

func (c *peer) missing(address string) *amqp.Error {
	return &amqp.Error{Condition: amqp.NotFound, Description: "The messaging entity 'sb://" + c.plane.address + "/" + address + "' could not be found."}
}

// putToken takes a token for what comes next on the connection.
func (c *peer) putToken(request *amqp.Message) amqp.Reply {
	if request.Application.Text("operation") != "put-token" {
		return amqp.Reply{Status: http.StatusBadRequest, Description: "The operation is put-token."}
	}
	token, _ := request.Value.(string)
	check := c.plane.withToken // the type that clients name is no help: Python's call a signature a web token
	if strings.HasPrefix(token, signatureScheme+" ") {
		check = c.plane.withSignature
	}
	s, err := check(token)
	if err != nil {
		return amqp.Reply{Status: http.StatusUnauthorized, Description: err.Error()}
	}
	if s.objectID != "" {
		s.path, _ = c.plane.resource(request.Application.Text("name"))
	}
	c.passes = append(c.live(), s)
	return amqp.Reply{Status: http.StatusAccepted, Description: "Accepted"}
}

// live are the passes that have not ended, so that renewing does not pile them up.
func (c *peer) live() []pass {
	var kept []pass
	for _, s := range c.passes {
		if s.expires.IsZero() || c.plane.provider.cloud.Now().Before(s.expires) {
			kept = append(kept, s)
		}
	}
	return kept
}

// management answers questions about an entity.
func (c *peer) management(path []string) func(*amqp.Message) amqp.Reply {
	return func(request *amqp.Message) amqp.Reply {
		name := request.Application.Text("name")
		if len(path) == 0 {
			path = segments(name)
		}
		if !c.allows(listen, path) && !c.allows(send, path) {
			return amqp.Reply{Status: http.StatusUnauthorized, Description: c.unauthorized(listen, name).Description}
		}
		if !c.plane.provider.kafka || request.Application.Text("operation") != "READ" {
			return amqp.Reply{Status: http.StatusNotImplemented, Description: "The local cloud does not know this operation."}
		}
		return c.describeHub(path, request)
	}
}

// attachHub leads to an event hub: sending to it or one of its partitions,
// receiving from a partition through a consumer group.
func (c *peer) attachHub(l amqp.Link, path []string) (amqp.Node, *amqp.Error) {
	h, doc, ok := c.findHub(path[0])
	if !ok {
		return amqp.Node{}, c.missing(l.Address)
	}
	switch {
	case l.Sends && len(path) == 1:
		return amqp.Node{Target: hubTarget{h, anyPartition}}, nil
	case l.Sends && len(path) == 3 && path[1] == "partitions":
		if n, ok := h.index(path[2]); ok {
			return amqp.Node{Target: hubTarget{h, n}}, nil
		}
	case !l.Sends && len(path) == 5 && path[1] == "consumergroups" && path[3] == "partitions":
		n, ok := h.index(path[4])
		if _, known := c.plane.provider.find(c.plane.id, "eventhubs/consumergroups", provider.Text(doc, "name"), path[2]); ok && known {
			return c.read(h, n, l)
		}
	}
	return amqp.Node{}, c.missing(l.Address)
}

func (c *peer) findHub(name string) (*hub, provider.Document, bool) {
	doc, ok := c.plane.provider.find(c.plane.id, "eventhubs", name)
	if !ok {
		return nil, nil, false
	}
	return c.plane.hub(c.plane.id.Child("eventhubs", provider.Text(doc, "name")), doc), doc, true
}

func (c *peer) read(h *hub, n int, l amqp.Link) (amqp.Node, *amqp.Error) {
	expression := ""
	for _, f := range l.Filters {
		if d, ok := f.Value.(amqp.Described); ok && strings.Contains(nameOf(f.Key), "selector-filter") {
			expression, _ = d.Value.(string)
		}
	}
	at, err := parsePosition(expression)
	if err != nil {
		return amqp.Node{}, &amqp.Error{Condition: "com.microsoft:argument-error", Description: err.Error()}
	}
	return amqp.Node{Source: h.reader(n, at)}, nil
}

func nameOf(v any) string {
	switch s := v.(type) {
	case string:
		return s
	case amqp.Symbol:
		return string(s)
	}
	return ""
}

func (c *peer) describeHub(path []string, request *amqp.Message) amqp.Reply {
	h, _, ok := c.findHub(path[0])
	if !ok {
		return amqp.Reply{Status: http.StatusNotFound, Description: c.missing(path[0]).Description}
	}
	if request.Application.Text("type") != "com.microsoft:partition" {
		return amqp.Reply{Status: http.StatusOK, Description: "OK", Value: h.describe()}
	}
	n, ok := h.index(request.Application.Text("partition"))
	if !ok {
		return amqp.Reply{Status: http.StatusNotFound, Description: "The specified partition is invalid for an EventHub partition sender or receiver."}
	}
	return amqp.Reply{Status: http.StatusOK, Description: "OK", Value: h.describePartition(n)}
}

// attachQueue leads to a queue, a topic or a subscription.
func (c *peer) attachQueue(l amqp.Link, path []string) (amqp.Node, *amqp.Error) {
	dead := len(path) > 1 && path[len(path)-1] == "$deadletterqueue"
	if dead {
		path = path[:len(path)-1]
	}
	if l.Sends {
		if t := c.target(path); t != nil && !dead {
			return amqp.Node{Target: t}, nil
		}
		return amqp.Node{}, c.missing(l.Address)
	}
	q := c.source(path)
	switch {
	case q == nil:
		return amqp.Node{}, c.missing(l.Address)
	case dead:
		q = q.dead
	case q.sessions:
		return amqp.Node{}, &amqp.Error{Condition: amqp.NotAllowed, Description: "It is not possible for an entity that requires sessions to create a non-sessionful message receiver."}
	}
	return amqp.Node{Source: q.reader()}, nil
}

// source finds a queue or a subscription.
func (c *peer) source(path []string) *queue {
	kind, names := "queues", path
	if len(path) == 3 && path[1] == "subscriptions" {
		kind, names = "topics/subscriptions", []string{path[0], path[2]}
	} else if len(path) != 1 {
		return nil
	}
	doc, ok := c.plane.provider.find(c.plane.id, kind, names...)
	if !ok {
		return nil
	}
	i := c.plane.id
	for n, t := range splitKind(kind) {
		i = i.Child(t, names[n])
	}
	return c.plane.queue(i, doc)
}

// target finds a queue or a topic.
func (c *peer) target(path []string) amqp.Target {
	if q := c.source(path); q != nil && len(path) == 1 {
		return queueTarget{func() []*queue { return []*queue{q} }}
	}
	doc, ok := c.plane.provider.find(c.plane.id, "topics", path...)
	if !ok || len(path) != 1 {
		return nil
	}
	topic := c.plane.id.Child("topics", provider.Text(doc, "name"))
	return queueTarget{func() []*queue {
		var all []*queue
		for _, sub := range c.plane.provider.cloud.Store().Children(topic.String(), c.plane.provider.namespace+"/topics/subscriptions") {
			all = append(all, c.plane.queue(topic.Child("subscriptions", provider.Text(sub, "name")), sub))
		}
		return all
	}}
}
