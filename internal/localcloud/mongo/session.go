package mongo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Codes of errors, in the server's numbering.
const (
	codeBadValue      = 2
	codeFailedParse   = 9
	codeUnauthorized  = 13
	codeTypeMismatch  = 14
	codeAuthFailed    = 18
	codeIllegal       = 20
	codeNoNamespace   = 26
	codeExists        = 48
	codeNoCommand     = 59
	codeBadNamespace  = 73
	codeNotSupported  = 115
	codeBadOpQuery    = 352
	codeDuplicateKey  = 11000
	codeUnknownField  = 40415
	codeMechanism     = 334
	codeProtocolError = 17
)

// names of the codes above, as the server writes them beside the number.
var codeNames = map[int32]string{
	codeBadValue: "BadValue", codeFailedParse: "FailedToParse", codeUnauthorized: "Unauthorized", codeTypeMismatch: "TypeMismatch",
	codeAuthFailed: "AuthenticationFailed", codeIllegal: "IllegalOperation", codeNoNamespace: "NamespaceNotFound",
	codeExists: "NamespaceExists", codeNoCommand: "CommandNotFound", codeBadNamespace: "InvalidNamespace",
	codeNotSupported: "CommandNotSupported", codeBadOpQuery: "UnsupportedOpQueryCommand", codeDuplicateKey: "DuplicateKey",
	codeUnknownField: "Location40415", codeMechanism: "MechanismUnavailable", codeProtocolError: "ProtocolError",
}

// refusal is an error a client sees.
type refusal struct {
	code    int32
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(code int32, format string, args ...any) error {
	return &refusal{code: code, message: fmt.Sprintf(format, args...)}
}

// session is one connection: what it has shown so far.
type session struct {
	server *Server
	conn   net.Conn
	remote netip.Addr

	conversation *scram
	mechanism    string
	user         string // signed in as; "" before
	secret       Secret // signed in with
}

// command is one thing a client may ask for.
type command struct {
	run    func(*session, *request) (bson.D, error)
	open   bool // before sign-in as well
	writes bool
	// takes are the arguments it understands, beside those every command may carry.
	takes string
}

// everyCommand are arguments that any command may carry: sessions, times and notes for people.
const everyCommand = "$db lsid $clusterTime $readPreference apiVersion apiStrict apiDeprecationErrors comment readConcern writeConcern maxTimeMS txnNumber"

func commands() map[string]command {
	hello := command{run: (*session).hello, open: true, takes: "helloOk client compression saslSupportedMechs speculativeAuthenticate loadBalanced topologyVersion maxAwaitTimeMS backpressure"}
	return map[string]command{
		"hello": hello, "ismaster": hello,
		"ping":             {run: answerOK},
		"buildinfo":        {run: (*session).buildInfo, open: true},
		"saslstart":        {run: (*session).saslStart, open: true, takes: "mechanism payload options autoAuthorize db"},
		"saslcontinue":     {run: (*session).saslContinue, open: true, takes: "conversationId payload"},
		"endsessions":      {run: answerOK, open: true},
		"connectionstatus": {run: (*session).connectionStatus, open: true, takes: "showPrivileges"},
		"listdatabases":    {run: (*session).listDatabases, takes: "nameOnly filter authorizedDatabases"},
		"listcollections":  {run: (*session).listCollections, takes: "nameOnly filter authorizedCollections cursor"},
		"create":           {run: (*session).create, writes: true},
		"drop":             {run: (*session).drop, writes: true},
		"dropdatabase":     {run: (*session).dropDatabase, writes: true},
		"insert":           {run: (*session).insert, writes: true, takes: "documents ordered bypassDocumentValidation"},
		"find":             {run: (*session).find, takes: "filter limit skip batchSize singleBatch sort"},
		"count":            {run: (*session).count, takes: "query limit skip"},
		"update":           {run: (*session).update, writes: true, takes: "updates ordered bypassDocumentValidation"},
		"delete":           {run: (*session).delete, writes: true, takes: "deletes ordered"},
	}
}

// request is one command with its arguments.
type request struct {
	name string
	db   string
	args bson.D
}

// get returns an argument, nil when there is none.
func (r *request) get(name string) any {
	for _, e := range r.args {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

func (r *request) text(name string) string {
	s, _ := r.get(name).(string)
	return s
}

// answer runs a message's command and writes what comes of it. Its error ends the session.
func (s *session) answer(m *message) error {
	doc, err := s.run(m)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		doc = bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: refused.message}, {Key: "code", Value: refused.code}, {Key: "codeName", Value: codeNames[refused.code]}}
	case err != nil:
		return err
	}
	if m.silent {
		return nil
	}
	out, err := m.encode(doc)
	if err != nil {
		return err
	}
	if _, err := s.conn.Write(out); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

func (s *session) run(m *message) (bson.D, error) {
	if len(m.body) == 0 {
		return nil, refuse(codeFailedParse, "empty command")
	}
	r := &request{name: strings.ToLower(m.body[0].Key), args: m.body, db: m.dbField}
	if !m.legacy {
		r.db = r.text("$db")
		if r.db == "" {
			return nil, refuse(codeFailedParse, "OP_MSG requests require a $db argument")
		}
	}
	if m.legacy && r.name != "hello" && r.name != "ismaster" {
		return nil, refuse(codeBadOpQuery, "Unsupported OP_QUERY command: %s", m.body[0].Key)
	}
	known, ok := commands()[r.name]
	if !ok {
		return nil, refuse(codeNoCommand, "no such command: '%s'", m.body[0].Key)
	}
	if err := s.admit(known, r); err != nil {
		return nil, err
	}
	if err := known.check(m.body[0].Key, r.args[1:]); err != nil {
		return nil, err
	}
	return known.run(s, r)
}

// admit checks network, sign-in and the right to write. A password that no longer
// works ends what was signed in with it.
func (s *session) admit(c command, r *request) error {
	isHello := r.name == "hello" || r.name == "ismaster"
	if err := s.server.config.Host.Allow(s.remote); err != nil && !isHello {
		return refuse(codeUnauthorized, "Request originated from IP %s through public internet. This is blocked by the server's firewall settings.", s.remote)
	}
	if c.open {
		return nil
	}
	if s.user != "" && !slices.Contains(s.server.config.Host.Secrets(s.user), s.secret) {
		s.user = ""
	}
	if s.user == "" {
		return refuse(codeUnauthorized, "command %s requires authentication", r.name)
	}
	if c.writes && s.secret.ReadOnly {
		return refuse(codeUnauthorized, "not authorized on %s to execute command %s", r.db, r.name)
	}
	if r.get("txnNumber") != nil && !s.server.config.RetryableWrites {
		return refuse(codeIllegal, `Retryable writes are not supported. Please disable retryable writes by specifying "retrywrites=false" in the connection string or an equivalent driver specific config.`)
	}
	return nil
}

// check refuses arguments the command does not understand.
func (c command) check(name string, args bson.D) error {
	for _, e := range args {
		if !slices.Contains(strings.Fields(everyCommand+" "+c.takes), e.Key) {
			return refuse(codeUnknownField, "BSON field '%s.%s' is an unknown field.", name, e.Key)
		}
	}
	return nil
}

func answerOK(*session, *request) (bson.D, error) { return done(), nil }

// done is an answer that ends well.
func done(members ...bson.E) bson.D {
	return append(bson.D(members), bson.E{Key: "ok", Value: 1.0})
}

// hello tells what the server is; drivers ask it before anything else.
func (s *session) hello(r *request) (bson.D, error) {
	c := s.server.config
	members := bson.D{{Key: "helloOk", Value: true}}
	if r.name == "ismaster" {
		members = append(members, bson.E{Key: "ismaster", Value: true})
	} else {
		members = append(members, bson.E{Key: "isWritablePrimary", Value: true})
	}
	members = append(members, bson.D{
		{Key: "setName", Value: c.ReplicaSet}, {Key: "setVersion", Value: int32(1)}, {Key: "secondary", Value: false},
		{Key: "hosts", Value: bson.A{c.Address}}, {Key: "primary", Value: c.Address}, {Key: "me", Value: c.Address},
		{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, {Key: "maxMessageSizeBytes", Value: int32(maxMessage)}, {Key: "maxWriteBatchSize", Value: int32(1000)},
		{Key: "localTime", Value: bson.NewDateTimeFromTime(time.Now())}, {Key: "logicalSessionTimeoutMinutes", Value: int32(30)},
		{Key: "minWireVersion", Value: int32(0)}, {Key: "maxWireVersion", Value: int32(17)}, {Key: "readOnly", Value: false},
	}...)
	if asked := r.text("saslSupportedMechs"); asked != "" {
		_, user, _ := strings.Cut(asked, ".")
		if offered := s.mechanisms(); len(s.server.config.Host.Secrets(user)) > 0 {
			members = append(members, bson.E{Key: "saslSupportedMechs", Value: offered})
		}
	}
	return done(members...), nil
}

func (s *session) mechanisms() bson.A {
	offered := bson.A{mechanismSHA256, mechanismSHA1}
	if s.server.config.Plain {
		offered = append(offered, mechanismPlain)
	}
	return offered
}

func (s *session) buildInfo(*request) (bson.D, error) {
	return done(bson.E{Key: "version", Value: "6.0.0"}, bson.E{Key: "versionArray", Value: bson.A{int32(6), int32(0), int32(0), int32(0)}},
		bson.E{Key: "bits", Value: int32(64)}, bson.E{Key: "maxBsonObjectSize", Value: int32(16 << 20)}), nil
}

func (s *session) connectionStatus(*request) (bson.D, error) {
	users := bson.A{}
	if s.user != "" {
		users = append(users, bson.D{{Key: "user", Value: s.user}, {Key: "db", Value: "admin"}})
	}
	return done(bson.E{Key: "authInfo", Value: bson.D{{Key: "authenticatedUsers", Value: users}, {Key: "authenticatedUserRoles", Value: bson.A{}}}}), nil
}

func payload(r *request) (string, error) {
	b, ok := r.get("payload").(bson.Binary)
	if !ok {
		return "", refuse(codeTypeMismatch, "the payload of a sign-in must be binary")
	}
	return string(b.Data), nil
}

func (s *session) saslStart(r *request) (bson.D, error) {
	s.user, s.conversation = "", nil
	first, err := payload(r)
	if err != nil {
		return nil, err
	}
	s.mechanism = r.text("mechanism")
	switch {
	case s.mechanism == mechanismPlain && s.server.config.Plain:
		user, secret, err := plain(first, s.server.config.Host.Secrets)
		if err != nil {
			return nil, refuse(codeAuthFailed, "Authentication failed.")
		}
		s.user, s.secret = user, secret
		return said("", true), nil
	case s.mechanism != mechanismSHA256 && s.mechanism != mechanismSHA1:
		return nil, refuse(codeMechanism, "Received authentication for mechanism %s which is not enabled", s.mechanism)
	}
	if s.conversation, err = newScram(s.mechanism, first); err != nil {
		return nil, refuse(codeAuthFailed, "Authentication failed.")
	}
	return said(s.conversation.first, false), nil
}

func (s *session) saslContinue(r *request) (bson.D, error) {
	next, err := payload(r)
	if err != nil {
		return nil, err
	}
	if s.conversation == nil {
		if next == "" && s.user != "" { // the empty round some drivers end with
			return said("", true), nil
		}
		return nil, refuse(codeProtocolError, "No SASL session state found")
	}
	talk := s.conversation
	s.conversation = nil
	secret, last, err := talk.finish(next, s.server.config.Host.Secrets(talk.user))
	if err != nil {
		return nil, refuse(codeAuthFailed, "Authentication failed.")
	}
	s.user, s.secret = talk.user, secret
	return said(last, true), nil
}

// said is one round of a sign-in.
func said(text string, end bool) bson.D {
	return done(bson.E{Key: "conversationId", Value: int32(1)}, bson.E{Key: "done", Value: end},
		bson.E{Key: "payload", Value: bson.Binary{Data: []byte(text)}})
}
