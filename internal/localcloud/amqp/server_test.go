package amqp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/Azure/go-amqp"
)

// echo is a peer whose one address gives back what it was sent.
type echo struct {
	user, secret string
	refuse       *Error

	mu      sync.Mutex
	waiting []*Message
	settled []Outcome
	ready   chan struct{}
}

func newEcho() *echo { return &echo{ready: make(chan struct{}, 1)} }

func (e *echo) SignIn(mechanism, user, secret string) bool {
	return mechanism != Plain || user == e.user && secret == e.secret
}
func (e *echo) Admit() *Error { return e.refuse }

func (e *echo) Attach(l Link) (Node, *Error) {
	switch {
	case l.Address == "ask":
		return Node{Answer: func(m *Message) Reply {
			return Reply{Status: 200, Description: fmt.Sprint(m.Value), Value: m.Application}
		}}, nil
	case l.Address != "echo":
		return Node{}, &Error{NotFound, "there is no " + l.Address}
	case l.Sends:
		return Node{Target: e}, nil
	}
	return Node{Source: e}, nil
}

func (e *echo) Put(m *Message, _ uint32) *Error {
	if m.Subject == "bad" {
		return &Error{NotAllowed, "it is bad"}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = append(e.waiting, m)
	select {
	case e.ready <- struct{}{}:
	default:
	}
	return nil
}

func (e *echo) Take() *Delivery {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) == 0 {
		return nil
	}
	m := e.waiting[0]
	e.waiting = e.waiting[1:]
	return &Delivery{Message: m}
}
func (e *echo) Wake() <-chan struct{} { return e.ready }
func (e *echo) Settle(_ []byte, o Outcome) *Error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settled = append(e.settled, o)
	if o == Rejected {
		return &Error{"test:lost", "too late"}
	}
	return nil
}
func (e *echo) Close() {}

// serving starts a server and returns how to connect to it.
func serving(t *testing.T, e *echo) func(o *client.ConnOptions) (*client.Conn, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, Options{Name: "test", Mechanisms: []string{Plain, Anonymous}, Accept: func(net.Addr) Peer { return e }})
	t.Cleanup(func() { _ = s.Close() })
	return func(o *client.ConnOptions) (*client.Conn, error) {
		c, err := client.Dial(t.Context(), "amqp://"+l.Addr().String(), o)
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
		return c, err
	}
}

func joined(t *testing.T, e *echo, o *client.ConnOptions) *client.Session {
	t.Helper()
	c, err := serving(t, e)(o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMessagesAreCarried(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]*client.ConnOptions{"usual frames": nil, "small frames": {MaxFrameSize: 512}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := joined(t, newEcho(), options)
			sender, err := s.NewSender(t.Context(), "echo", nil)
			if err != nil {
				t.Fatal(err)
			}
			receiver, err := s.NewReceiver(t.Context(), "echo", &client.ReceiverOptions{SettlementMode: client.ReceiverSettleModeFirst.Ptr()})
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{0, 1, 500, 70000, 900000} {
				sent := &client.Message{Data: [][]byte{bytes.Repeat([]byte("x"), size)}, Annotations: client.Annotations{"a": int64(size)},
					ApplicationProperties: map[string]any{"when": time.UnixMilli(7).UTC(), "list": "é"}}
				if err := sender.Send(t.Context(), sent, nil); err != nil {
					t.Fatal(err)
				}
				got, err := receiver.Receive(t.Context(), nil)
				if err != nil || !bytes.Equal(got.GetData(), sent.GetData()) || got.Annotations["a"] != int64(size) || got.ApplicationProperties["list"] != "é" {
					t.Fatalf("%d bytes came as %d, %v", size, len(got.GetData()), err)
				}
				if err := receiver.AcceptMessage(t.Context(), got); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// More messages than one grant of credit reaches.
func TestCreditIsGivenAgain(t *testing.T) {
	t.Parallel()
	e := newEcho()
	s := joined(t, e, nil)
	sender, err := s.NewSender(t.Context(), "echo", &client.SenderOptions{SettlementMode: client.SenderSettleModeSettled.Ptr()})
	if err != nil {
		t.Fatal(err)
	}
	const count = 3 * givenCredit
	for n := range count {
		if err := sender.Send(t.Context(), client.NewMessage([]byte{byte(n)}), nil); err != nil {
			t.Fatal(err)
		}
	}
	receiver, err := s.NewReceiver(t.Context(), "echo", &client.ReceiverOptions{Credit: 7})
	if err != nil {
		t.Fatal(err)
	}
	for n := range count {
		got, err := receiver.Receive(t.Context(), nil)
		if err != nil || got.GetData()[0] != byte(n) {
			t.Fatalf("message %d: %v, %v", n, got, err)
		}
		if err := receiver.AcceptMessage(t.Context(), got); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	e := newEcho()
	s := joined(t, e, nil)
	sender, err := s.NewSender(t.Context(), "echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	bad := "bad"
	var refused *client.Error
	if err := sender.Send(t.Context(), &client.Message{Properties: &client.MessageProperties{Subject: &bad}}, nil); !errors.As(err, &refused) || refused.Description != "it is bad" {
		t.Errorf("a bad message: %v", err)
	}
	receiver, err := s.NewReceiver(t.Context(), "echo", &client.ReceiverOptions{Credit: -1, SettlementMode: client.ReceiverSettleModeSecond.Ptr()})
	if err != nil {
		t.Fatal(err)
	}
	settle := []func(context.Context, *client.Message) error{receiver.AcceptMessage, receiver.ReleaseMessage,
		func(ctx context.Context, m *client.Message) error { return receiver.ModifyMessage(ctx, m, nil) },
		func(ctx context.Context, m *client.Message) error { return receiver.RejectMessage(ctx, m, nil) }}
	for n, how := range settle {
		if err := sender.Send(t.Context(), client.NewMessage([]byte("x")), nil); err != nil {
			t.Fatal(err)
		}
		if err := receiver.IssueCredit(1); err != nil {
			t.Fatal(err)
		}
		m, err := receiver.Receive(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := how(t.Context(), m); (err != nil) != (n == 3) || n == 3 && !strings.Contains(err.Error(), "too late") {
			t.Errorf("outcome %d: %v", n, err)
		}
	}
	if got := fmt.Sprint(e.settled); got != fmt.Sprint([]Outcome{Accepted, Released, Modified, Rejected}) {
		t.Errorf("settled %s", got)
	}
	if err := receiver.IssueCredit(5); err != nil {
		t.Fatal(err)
	}
	if err := receiver.DrainCredit(t.Context(), nil); err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	e := newEcho()
	e.user, e.secret = "me", "word"
	dial := serving(t, e)
	if _, err := dial(&client.ConnOptions{SASLType: client.SASLTypePlain("me", "wrong")}); err == nil {
		t.Error("a wrong password signs in")
	}
	if _, err := dial(&client.ConnOptions{SASLType: client.SASLTypeXOAUTH2("me", "word", 0)}); err == nil {
		t.Error("a mechanism that is not offered signs in")
	}
	c, err := dial(&client.ConnOptions{SASLType: client.SASLTypePlain("me", "word")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var missing *client.LinkError
	if _, err := s.NewSender(t.Context(), "nowhere", nil); !errors.As(err, &missing) && !strings.Contains(fmt.Sprint(err), "there is no nowhere") {
		t.Errorf("sending nowhere: %v", err)
	}
	if _, err := s.NewReceiver(t.Context(), "nowhere", nil); err == nil || !strings.Contains(err.Error(), "there is no nowhere") {
		t.Errorf("receiving from nowhere: %v", err)
	}
	sender, err := s.NewSender(t.Context(), "echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(t.Context(), client.NewMessage(make([]byte, 2*maxTarget)), nil); err == nil {
		t.Error("a message of 2 MiB was taken")
	}
	shut := newEcho()
	shut.refuse = &Error{Unauthorized, "not from there"}
	c, err = serving(t, shut)(nil)
	if err == nil {
		_, err = c.NewSession(t.Context(), nil)
	}
	if err == nil || !strings.Contains(err.Error(), "not from there") {
		t.Errorf("whom the firewall shuts out hears %v", err)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	s := joined(t, newEcho(), nil)
	sender, err := s.NewSender(t.Context(), "ask", nil)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := s.NewReceiver(t.Context(), "ask", &client.ReceiverOptions{TargetAddress: "me"})
	if err != nil {
		t.Fatal(err)
	}
	for _, back := range []string{"me", "somebody else"} {
		m := &client.Message{Properties: &client.MessageProperties{MessageID: "7", ReplyTo: &back}, Value: "question"}
		if err := sender.Send(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
		got, err := receiver.Receive(t.Context(), nil)
		if err != nil || got.ApplicationProperties["status-code"] != int32(200) || got.ApplicationProperties["status-description"] != "question" || got.Properties.CorrelationID != "7" {
			t.Errorf("answer %+v, %v", got, err)
		}
		if err := receiver.AcceptMessage(t.Context(), got); err != nil {
			t.Fatal(err)
		}
	}
}

// A client that speaks something else, or nonsense, gets the protocol's answer and no more.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, Options{Mechanisms: []string{Anonymous}, Accept: func(net.Addr) Peer { return newEcho() }})
	defer s.Close()
	for name, said := range map[string][]byte{
		"AMQP 0.9": {'A', 'M', 'Q', 'P', 0, 0, 9, 1}, "HTTP": []byte("GET / HTTP/1.1\r\n\r\n"),
		"a frame of four gigabytes": append(protocolHeader(headerAMQP), 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0),
		"no open":                   append(protocolHeader(headerAMQP), 0, 0, 0, 8, 2, 0, 0, 0),
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(said); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer := make([]byte, 4)
		if _, err := c.Read(answer); err != nil || string(answer) != "AMQP" {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
		_ = c.Close()
	}
}
