package gremlin

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/coder/websocket"
)

// Codes of answers.
const (
	codeOK           = 200
	codeNoContent    = 204
	codeUnauthorized = 401
	codeChallenge    = 407
	codeMalformed    = 498
	codeInvalid      = 499
	codeServer       = 500
	codeScript       = 597
)

// refusal is an error a client sees; status is the code of the service beneath, where
// it has one of its own.
type refusal struct {
	code    int
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(code int, format string, args ...any) error {
	return &refusal{code: code, message: fmt.Sprintf(format, args...)}
}

// userPath is how a user name names a graph.
var userPath = regexp.MustCompile(`^/dbs/([^/]+)/colls/([^/]+)$`)

// session is one connection: what it has shown, and what waits for its sign-in.
type session struct {
	server  *Server
	conn    *websocket.Conn
	remote  netip.Addr
	path    string // of the graph it signed in for; "" before
	key     Key
	waiting *request
}

// request is one message of a client.
type request struct {
	text    string
	op      string
	args    map[string]any
	dialect dialect
}

func (s *session) run(ctx context.Context) {
	for {
		kind, raw, err := s.conn.Read(ctx)
		if err != nil {
			return // gone, or the server closes
		}
		r, err := readRequest(raw)
		if err != nil {
			r = &request{dialect: graphSON2}
		}
		code, data := 0, []any(nil)
		if err == nil {
			code, data, err = s.answer(r)
		}
		out, err := r.encode(code, data, err)
		if err != nil {
			return
		}
		if err := s.conn.Write(ctx, kind, out); err != nil {
			return
		}
		if s.path == "" && s.waiting == nil { // a failed sign-in ends the session
			_ = s.conn.Close(websocket.StatusPolicyViolation, "not signed in")
			return
		}
	}
}

// dialect is a version of GraphSON.
type dialect string

const (
	graphSON2 dialect = "application/vnd.gremlin-v2.0+json"
	graphSON3 dialect = "application/vnd.gremlin-v3.0+json"
)

// readRequest takes a message apart: the length and name of its type, then JSON.
func readRequest(raw []byte) (*request, error) {
	r := &request{dialect: graphSON2}
	if len(raw) > 0 && raw[0] != '{' {
		n := int(raw[0])
		if len(raw) < n+1 {
			return nil, refuse(codeMalformed, "the message is shorter than the name of its type")
		}
		name := string(raw[1 : n+1])
		raw = raw[n+1:]
		switch r.dialect = dialect(name); {
		case name == "application/json":
			r.dialect = graphSON2
		case r.dialect != graphSON2 && r.dialect != graphSON3:
			return nil, refuse(codeMalformed, "messages of type %q are not supported", name)
		}
	}
	var body struct {
		RequestID any    `json:"requestId"`
		Op        string `json:"op"`
		Processor string `json:"processor"`
		Args      any    `json:"args"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&body); err != nil {
		return nil, refuse(codeMalformed, "the message is not JSON")
	}
	args, err := plain(body.Args)
	if err != nil {
		return nil, err
	}
	id, err := plain(body.RequestID)
	if err != nil {
		return nil, err
	}
	r.text, _ = id.(string)
	r.op = body.Op
	r.args, _ = args.(map[string]any)
	if r.text == "" || r.op == "" || r.args == nil {
		return nil, refuse(codeMalformed, "a message needs requestId, op and args")
	}
	return r, nil
}

func (s *session) answer(r *request) (int, []any, error) {
	if err := s.server.host.Allow(s.remote); err != nil {
		return 0, nil, &refusal{code: codeServer, status: 403, message: "the account's firewall settings do not let the address in"}
	}
	switch r.op {
	case "authentication":
		waiting := s.waiting
		s.waiting = nil
		if err := s.signIn(r); err != nil {
			return 0, nil, err
		}
		if waiting == nil {
			return codeNoContent, nil, nil
		}
		r.text, r.dialect = waiting.text, waiting.dialect
		return s.eval(waiting)
	case "eval":
		if s.path == "" {
			s.waiting = r
			return codeChallenge, nil, nil
		}
		if !slices.Contains(s.server.host.Keys(), s.key) {
			s.path = ""
			return 0, nil, refuse(codeUnauthorized, "the key of the session is no longer valid")
		}
		return s.eval(r)
	}
	if s.path == "" {
		s.waiting = r
		return codeChallenge, nil, nil
	}
	return 0, nil, refuse(codeMalformed, "op %q is not supported: send scripts with eval", r.op)
}

// signIn takes a PLAIN message: identity, user and password between NULs.
func (s *session) signIn(r *request) error {
	text, _ := r.args["sasl"].(string)
	raw, err := base64.StdEncoding.DecodeString(text)
	parts := strings.Split(string(raw), "\x00")
	if mechanism, given := r.args["saslMechanism"].(string); given && mechanism != "" && mechanism != "PLAIN" || err != nil || len(parts) != 3 {
		return refuse(codeUnauthorized, "sign in by SASL PLAIN with the graph's path and a key")
	}
	m := userPath.FindStringSubmatch(parts[1])
	if m == nil {
		return refuse(codeUnauthorized, "the user name is /dbs/DATABASE/colls/GRAPH")
	}
	for _, k := range s.server.host.Keys() {
		if subtle.ConstantTimeCompare([]byte(k.Secret), []byte(parts[2])) == 1 {
			s.path, s.key = parts[1], k
		}
	}
	if s.path == "" {
		return &refusal{code: codeUnauthorized, status: 401, message: "Invalid credentials provided for user '" + parts[1] + "'"}
	}
	return nil
}

func (s *session) eval(r *request) (int, []any, error) {
	m := userPath.FindStringSubmatch(s.path)
	if !s.server.host.Has(m[1], m[2]) {
		return 0, nil, &refusal{code: codeServer, status: 404, message: "Resource Not Found: the graph " + s.path + " does not exist"}
	}
	script, ok := r.args["gremlin"].(string)
	if !ok {
		return 0, nil, refuse(codeInvalid, "args need gremlin, a script")
	}
	bindings, _ := r.args["bindings"].(map[string]any)
	t, err := parse(script, bindings)
	if err != nil {
		return 0, nil, err
	}
	if t.writes() && s.key.ReadOnly {
		return 0, nil, &refusal{code: codeServer, status: 403, message: "Forbidden: the key is for reading only"}
	}
	data, err := s.server.graph(s.path).run(t)
	if err != nil {
		return 0, nil, err
	}
	if len(data) == 0 {
		return codeNoContent, nil, nil
	}
	return codeOK, data, nil
}

// encode writes an answer in the dialect of its request. mem: the service tells its own
// status beside the protocol's.
func (r *request) encode(code int, data []any, failed error) ([]byte, error) {
	status, message := code, ""
	var refused *refusal
	switch {
	case errors.As(failed, &refused):
		code, status, message = refused.code, refused.status, refused.message
		if status == 0 {
			status = code
		}
	case failed != nil:
		code, status, message = codeServer, codeServer, failed.Error()
	}
	list := make([]any, len(data))
	for n, each := range data {
		list[n] = typed(each, r.dialect)
	}
	var result any
	if code == codeOK {
		result = list
		if r.dialect == graphSON3 {
			result = map[string]any{"@type": "g:List", "@value": list}
		}
	}
	return json.Marshal(map[string]any{
		"requestId": r.text,
		"status":    map[string]any{"code": code, "message": message, "attributes": typed(map[string]any{"x-ms-status-code": int64(status)}, r.dialect)},
		"result":    map[string]any{"data": result, "meta": typed(map[string]any{}, r.dialect)},
	})
}
