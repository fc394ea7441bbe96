package api

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// InProcess answers requests by a handler in the same process, without a socket:
// bodies stream, so that events arrive as they are written. The handler runs until
// it has answered or the body is closed, and Close of the body waits for it.
func InProcess(h http.Handler) Doer { return inProcess{handler: h} }

type inProcess struct{ handler http.Handler }

// Do runs the handler and returns once it has written its header.
func (p inProcess) Do(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(request.Context())
	inner := serverSide(request.WithContext(ctx))
	reader, writer := io.Pipe()
	w := &pipedWriter{header: http.Header{}, body: writer, started: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer w.end()
		p.handler.ServeHTTP(w, inner)
	}()
	select {
	case <-w.started:
	case <-ctx.Done():
		cancel()
		reader.CloseWithError(ctx.Err()) //nolint:errcheck // never fails
		<-ended
		return nil, request.Context().Err()
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, ContentLength: -1, Request: request,
		Body: &pipedBody{PipeReader: reader, cancel: cancel, ended: ended},
	}, nil
}

// serverSide makes a client's request look like one a server received.
func serverSide(request *http.Request) *http.Request {
	out := request.Clone(request.Context())
	out.RequestURI = out.URL.RequestURI()
	out.RemoteAddr = "in-process"
	out.Host = request.URL.Host
	if out.Body == nil {
		out.Body = http.NoBody
	}
	return out
}

// pipedWriter is a response writer whose body is read at the other end of a pipe.
type pipedWriter struct {
	header  http.Header
	sent    http.Header // the header as it stood when it was written
	body    *io.PipeWriter
	started chan struct{}
	once    sync.Once
	status  int
}

func (w *pipedWriter) Header() http.Header { return w.header }

func (w *pipedWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.started)
	})
}

func (w *pipedWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush does nothing: a pipe has no buffer.
func (w *pipedWriter) Flush() { w.WriteHeader(http.StatusOK) }

func (w *pipedWriter) end() {
	if recovered := recover(); recovered != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
	w.WriteHeader(http.StatusOK)
	w.body.Close() //nolint:errcheck // never fails
}

// pipedBody ends the handler when it is closed.
type pipedBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	ended  chan struct{}
}

// Close makes the handler's writes fail, cancels its context and waits for it.
func (b *pipedBody) Close() error {
	b.cancel()
	err := b.PipeReader.Close()
	<-b.ended
	return err
}
