package storage

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	queueServiceType = accountType + "/queueServices"
	queueType        = queueServiceType + "/queues"
	messageRight     = queueType + "/messages"
)

// Bounds of the protocol.
const (
	maxMessage     = 64 << 10
	maxTaken       = 32
	maxHidden      = 7 * 24 * time.Hour
	defaultHidden  = 30 * time.Second
	defaultMessage = 7 * 24 * time.Hour
)

var (
	errQueueNotFound   = &wireError{status: http.StatusNotFound, code: "QueueNotFound", message: "The specified queue does not exist."}
	errQueueExists     = &wireError{status: http.StatusConflict, code: "QueueAlreadyExists", message: "The specified queue already exists."}
	errMessageNotFound = &wireError{status: http.StatusNotFound, code: "MessageNotFound", message: "The specified message does not exist."}
	errReceipt         = &wireError{status: http.StatusBadRequest, code: "PopReceiptMismatch", message: "The specified pop receipt did not match the pop receipt for a dequeued message."}
	errMessageTooLarge = &wireError{status: http.StatusBadRequest, code: "RequestBodyTooLarge", message: "The request body is too large and exceeds the maximum permissible limit."}
	errOutOfRange      = &wireError{status: http.StatusBadRequest, code: "OutOfRangeQueryParameterValue", message: "One of the query parameters specified in the request URI is outside the permissible range."}
	errXML             = &wireError{status: http.StatusBadRequest, code: "InvalidXmlDocument", message: "XML specified is not syntactically valid."}
)

// queueTarget is what a path names: the account, a queue, its messages or one of them.
type queueTarget struct {
	queue    string
	messages bool
	message  string
}

func (t queueTarget) place() string {
	switch {
	case t.queue == "":
		return "account"
	case !t.messages:
		return "queue"
	case t.message == "":
		return "messages"
	}
	return "message"
}

func parseQueueTarget(path string) (queueTarget, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for n := range parts {
		part, err := url.PathUnescape(parts[n])
		if err != nil {
			return queueTarget{}, errName
		}
		parts[n] = part
	}
	t := queueTarget{queue: parts[0]}
	switch {
	case t.queue != "" && !validName(t.queue):
		return t, errName
	case len(parts) > 3 || len(parts) > 1 && parts[1] != "messages":
		return t, errResourceNotFound
	}
	t.messages = len(parts) > 1
	if len(parts) == 3 {
		t.message = parts[2]
	}
	return t, nil
}

// queueOperation is one thing the protocol can do and the rights it takes.
type queueOperation struct {
	method, on, comp string
	anyOf            [][]string
	data             bool
	do               func(q queuePlane, w http.ResponseWriter, r *http.Request, t queueTarget) error
}

var queueOperations = []queueOperation{
	{"GET", "account", "list", one(queueType + "/read"), false, queuePlane.serveQueues},
	{"GET", "account", "properties", one(queueServiceType + "/read"), false, queuePlane.serveProperties},
	{"PUT", "queue", "", one(queueType + "/write"), false, queuePlane.create},
	{"DELETE", "queue", "", one(queueType + "/delete"), false, queuePlane.drop},
	{"GET", "queue", "metadata", one(queueType + "/read"), false, queuePlane.serveMetadata},
	{"PUT", "queue", "metadata", one(queueType + "/write"), false, queuePlane.putMetadata},
	{"POST", "messages", "", [][]string{{messageRight + "/add/action"}, {messageRight + "/write"}}, true, queuePlane.put},
	{"GET", "messages", "", [][]string{{messageRight + "/process/action"}, {messageRight + "/delete", messageRight + "/read"}}, true, queuePlane.take},
	{"GET", "messages", "peek", one(messageRight + "/read"), true, queuePlane.peek},
	{"DELETE", "messages", "", one(messageRight + "/delete"), true, queuePlane.clear},
	{"DELETE", "message", "", [][]string{{messageRight + "/process/action"}, {messageRight + "/delete"}}, true, queuePlane.remove},
	{"PUT", "message", "", one(messageRight + "/write"), true, queuePlane.change},
}

// queuePlane answers the queue protocol for an account.
type queuePlane struct{ a *account }

// ServeHTTP answers one request.
func (q queuePlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	preamble(w, r, "Windows-Azure-Queue/1.0 (local cloud)")
	if err := q.answer(w, r); err != nil {
		q.a.fail(w, r, q.a.protocolError(err))
	}
}

func (q queuePlane) answer(w http.ResponseWriter, r *http.Request) error {
	t, err := parseQueueTarget(q.below(r.URL.EscapedPath()))
	var op *queueOperation
	if err == nil {
		op, err = findQueueOperation(r, t)
	}
	d := demand{service: "queue", anyOf: one(queueServiceType + "/read")}
	if op != nil {
		d.anyOf, d.data = op.anyOf, op.data
		if t.queue != "" {
			d.below = "/queues/" + t.queue
		}
	}
	// Whoever may not even come in learns nothing about what is offered.
	if refused := q.a.admit(r, d); refused != nil && (op != nil || refused != errPermission) {
		return refused
	}
	if err != nil {
		return err
	}
	if _, there := q.a.child(queueType, t.queue); !there && t.queue != "" && (op.on != "queue" || op.method != http.MethodPut || op.comp != "") {
		return errQueueNotFound
	}
	return op.do(q, w, r, t)
}

// below is a path without the account's name in front: a host that is an address does not
// tell it, so clients put it there. What is signed is the path as it was sent.
func (q queuePlane) below(path string) string {
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if first == q.a.name {
		return rest
	}
	return path
}

func findQueueOperation(r *http.Request, t queueTarget) (*queueOperation, error) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	comp := strings.ToLower(r.URL.Query().Get("comp"))
	if t.messages && strings.EqualFold(r.URL.Query().Get("peekonly"), "true") {
		comp = "peek"
	}
	sameVerb := false
	for _, op := range queueOperations {
		if op.method != method || op.on != t.place() {
			continue
		}
		sameVerb = true
		if op.comp == comp {
			return &op, nil
		}
	}
	if sameVerb {
		return nil, errQuery
	}
	return nil, errVerb
}

func (q queuePlane) serveQueues(w http.ResponseWriter, r *http.Request, _ queueTarget) error {
	l, err := page(r, q.a.serviceEndpoint("queue"))
	if err != nil {
		return err
	}
	type item struct {
		Name     string
		Metadata xmlMetadata `xml:",omitempty"`
	}
	answer := struct {
		listing
		Queues struct{ Queue []item }
	}{listing: l}
	for _, doc := range q.a.children(queueType) {
		name := provider.Text(doc, "name")
		if !strings.HasPrefix(name, l.Prefix) || name < l.Marker {
			continue
		}
		if len(answer.Queues.Queue) == l.limit() {
			answer.NextMarker = name
			break
		}
		x := item{Name: name}
		if includesMetadata(r) {
			x.Metadata = documentMetadata(doc)
		}
		answer.Queues.Queue = append(answer.Queues.Queue, x)
	}
	writeXML(w, http.StatusOK, answer)
	return nil
}

// documentMetadata is the metadata of a thing that ARM shows.
func documentMetadata(doc provider.Document) map[string]string {
	out := map[string]string{}
	members, _ := provider.At(doc, "properties", "metadata").(map[string]any)
	for name := range members {
		out[name] = provider.Text(members, name)
	}
	return out
}

// asMembers is metadata as a document holds it.
func asMembers(metadata map[string]string) map[string]any {
	out := map[string]any{}
	for name, value := range metadata {
		out[name] = value
	}
	return out
}

func (q queuePlane) serveProperties(w http.ResponseWriter, r *http.Request, _ queueTarget) error {
	return q.a.serveProperties(w, r, target{})
}

func (q queuePlane) create(w http.ResponseWriter, r *http.Request, t queueTarget) error {
	metadata := metadataOf(r.Header)
	if q.a.addChild(queueType, t.queue, map[string]any{"metadata": asMembers(metadata)}) {
		w.WriteHeader(http.StatusCreated)
		return nil
	}
	doc, _ := q.a.child(queueType, t.queue)
	have := documentMetadata(doc)
	for name, value := range metadata {
		if have[name] != value || len(have) != len(metadata) {
			return errQueueExists
		}
	}
	if len(have) != len(metadata) {
		return errQueueExists
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (q queuePlane) drop(w http.ResponseWriter, _ *http.Request, t queueTarget) error {
	if !q.a.dropChild(queueType, t.queue) {
		return errQueueNotFound
	}
	if err := q.a.queues.forget(t.queue); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (q queuePlane) serveMetadata(w http.ResponseWriter, _ *http.Request, t queueTarget) error {
	doc, _ := q.a.child(queueType, t.queue)
	setMetadata(w.Header(), documentMetadata(doc))
	w.Header().Set("x-ms-approximate-messages-count", strconv.Itoa(q.a.queues.count(t.queue)))
	w.WriteHeader(http.StatusOK)
	return nil
}

func (q queuePlane) putMetadata(w http.ResponseWriter, r *http.Request, t queueTarget) error {
	if !q.a.changeChild(queueType, t.queue, map[string]any{"metadata": asMembers(metadataOf(r.Header))}) {
		return errQueueNotFound
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// seconds reads a duration of the query within bounds.
func seconds(r *http.Request, name string, absent, least, most time.Duration) (time.Duration, error) {
	given := r.URL.Query().Get(name)
	if given == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(given)
	if err != nil {
		return 0, errQuery
	}
	d := time.Duration(n) * time.Second
	if n < int(least/time.Second) || n > int(most/time.Second) {
		return 0, errOutOfRange
	}
	return d, nil
}

// messageBody reads the text of a message; nil where there is no body.
func messageBody(r *http.Request) (*string, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxMessage*2))
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	var body struct {
		XMLName     xml.Name `xml:"QueueMessage"`
		MessageText string
	}
	if err := xml.Unmarshal(raw, &body); err != nil {
		return nil, errXML
	}
	if len(body.MessageText) > maxMessage {
		return nil, errMessageTooLarge
	}
	return &body.MessageText, nil
}

// century stands for no bound: a message may live as long as its sender likes.
const century = 100 * 365 * 24 * time.Hour

func (q queuePlane) put(w http.ResponseWriter, r *http.Request, t queueTarget) error {
	hidden, err1 := seconds(r, "visibilitytimeout", 0, 0, maxHidden)
	life, err2 := seconds(r, "messagettl", defaultMessage, -time.Second, century)
	text, err3 := messageBody(r)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	if life == 0 || life > 0 && hidden >= life {
		return errOutOfRange
	}
	if text == nil {
		return errXML
	}
	m, err := q.a.queues.put(t.queue, *text, hidden, life)
	if err != nil {
		return err
	}
	writeMessages(w, http.StatusCreated, []xmlMessage{{MessageID: m.ID, InsertionTime: httpTime(m.Inserted), ExpirationTime: httpTime(m.Expires),
		PopReceipt: m.Receipt, TimeNextVisible: httpTime(m.Visible)}})
	return nil
}

type xmlMessage struct {
	MessageID       string `xml:"MessageId"`
	InsertionTime   string
	ExpirationTime  string
	PopReceipt      string  `xml:",omitempty"`
	TimeNextVisible string  `xml:",omitempty"`
	DequeueCount    *int64  `xml:",omitempty"`
	MessageText     *string `xml:",omitempty"`
}

func httpTime(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

func writeMessages(w http.ResponseWriter, status int, list []xmlMessage) {
	writeXML(w, status, struct {
		XMLName      xml.Name `xml:"QueueMessagesList"`
		QueueMessage []xmlMessage
	}{QueueMessage: list})
}

func handed(m message, taken bool) xmlMessage {
	x := xmlMessage{MessageID: m.ID, InsertionTime: httpTime(m.Inserted), ExpirationTime: httpTime(m.Expires), DequeueCount: &m.Dequeued, MessageText: &m.Text}
	if taken {
		x.PopReceipt, x.TimeNextVisible = m.Receipt, httpTime(m.Visible)
	}
	return x
}

func howMany(r *http.Request) (int, error) {
	given := r.URL.Query().Get("numofmessages")
	if given == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 || n > maxTaken {
		return 0, errOutOfRange
	}
	return n, nil
}

func (q queuePlane) take(w http.ResponseWriter, r *http.Request, t queueTarget) error {
	hidden, err1 := seconds(r, "visibilitytimeout", defaultHidden, time.Second, maxHidden)
	n, err2 := howMany(r)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	taken, err := q.a.queues.take(t.queue, n, hidden)
	if err != nil {
		return err
	}
	list := make([]xmlMessage, 0, len(taken))
	for _, m := range taken {
		list = append(list, handed(m, true))
	}
	writeMessages(w, http.StatusOK, list)
	return nil
}

func (q queuePlane) peek(w http.ResponseWriter, r *http.Request, t queueTarget) error {
	n, err := howMany(r)
	if err != nil {
		return err
	}
	var list []xmlMessage
	for _, m := range q.a.queues.peek(t.queue, n) {
		list = append(list, handed(m, false))
	}
	writeMessages(w, http.StatusOK, list)
	return nil
}

func (q queuePlane) clear(w http.ResponseWriter, _ *http.Request, t queueTarget) error {
	if err := q.a.queues.forget(t.queue); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (q queuePlane) remove(w http.ResponseWriter, r *http.Request, t queueTarget) error {
	if err := q.a.queues.remove(t.queue, t.message, r.URL.Query().Get("popreceipt")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (q queuePlane) change(w http.ResponseWriter, r *http.Request, t queueTarget) error {
	hidden, err1 := seconds(r, "visibilitytimeout", 0, 0, maxHidden)
	text, err2 := messageBody(r)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	m, err := q.a.queues.change(t.queue, t.message, r.URL.Query().Get("popreceipt"), text, hidden)
	if err != nil {
		return err
	}
	w.Header().Set("x-ms-popreceipt", m.Receipt)
	w.Header().Set("x-ms-time-next-visible", httpTime(m.Visible))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
