package arm

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// WithMemo returns a context in which clients made with a Memo transport read each
// address at most once: while a plan is made, the same resource may be asked for by
// several drivers, and ARM counts reads. The memo ends with the context.
func WithMemo(ctx context.Context) context.Context {
	return context.WithValue(ctx, memoKey{}, &memo{answers: map[string]*remembered{}})
}

type memoKey struct{}

type memo struct {
	mu      sync.Mutex
	answers map[string]*remembered
}

// remembered is one answer, or the promise of one: done is closed when it is there.
type remembered struct {
	done   chan struct{}
	status int
	header http.Header
	body   []byte
	err    error
}

// Memo wraps a transport so that it honours WithMemo. Writes pass through, and so
// does everything outside such a context.
func Memo(next policy.Transporter) policy.Transporter { return memoTransport{next} }

type memoTransport struct{ next policy.Transporter }

// Do implements policy.Transporter.
func (t memoTransport) Do(req *http.Request) (*http.Response, error) {
	m, ok := req.Context().Value(memoKey{}).(*memo)
	if !ok || !onlyReads(req) {
		return t.next.Do(req)
	}
	key := req.Method + " " + strings.ToLower(req.URL.String())
	m.mu.Lock()
	a, known := m.answers[key]
	if !known {
		a = &remembered{done: make(chan struct{})}
		m.answers[key] = a
	}
	m.mu.Unlock()
	if !known {
		t.ask(req, a)
		if a.err != nil || passes(a.status) {
			m.forget(key)
		}
		close(a.done)
	}
	select {
	case <-a.done:
		return a.response(req)
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// passes tells whether the same question may be answered otherwise at once: after a
// pause, or with another token.
func passes(status int) bool {
	return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || status == http.StatusUnauthorized
}

func (m *memo) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.answers, key)
}

// onlyReads tells whether a request changes nothing: a GET, or one of ARM's list
// actions, which are POSTs because their answers hold secrets.
func onlyReads(req *http.Request) bool {
	if req.Method == http.MethodGet {
		return true
	}
	last := strings.ToLower(req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:])
	return req.Method == http.MethodPost && strings.HasPrefix(last, "list")
}

func (t memoTransport) ask(req *http.Request, a *remembered) {
	resp, err := t.next.Do(req)
	if err != nil {
		a.err = err
		return
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	a.body, a.err = io.ReadAll(resp.Body)
}

func (a *remembered) response(req *http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: req}, nil
}
