package probe

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/problem"
)

// gremlinPlace is where the app's settings point.
type gremlinPlace struct{ host, port, user, password string }

const gremlinPort = "443"

func (v *visit) gremlinPlace() (gremlinPlace, error) {
	place := gremlinPlace{host: v.get("AZURE_COSMOS_HOSTNAME"), port: v.get("AZURE_COSMOS_PORT"), user: v.get("AZURE_COSMOS_USERNAME")}
	if !v.identity() {
		place.password = v.get("AZURE_COSMOS_PASSWORD")
	}
	if len(v.missing) > 0 {
		return place, errors.New("settings are missing")
	}
	if port, err := strconv.ParseUint(place.port, 10, 16); err != nil || port == 0 {
		return place, errors.New("its port is not a number")
	}
	if place.host == "" || !strings.HasPrefix(place.user, "/dbs/") || !strings.Contains(place.user, "/colls/") {
		return place, errors.New("it names no host or no graph")
	}
	return place, nil
}

// gremlin signs in and asks for one vertex.
func (p *Prober) gremlin(ctx context.Context, v *visit) outcome {
	if v.bare() {
		return p.door(ctx, v, gremlinPort)
	}
	place, err := v.gremlinPlace()
	if err != nil {
		return v.unsettled(err)
	}
	if v.identity() {
		return p.keyHolder(ctx, v, "AZURE_COSMOS_LISTKEYURL", place.port, func(answer map[string]any) outcome {
			place.password = primaryKeyIn(answer)
			return p.gremlinLogin(ctx, v, place)
		})
	}
	return p.gremlinLogin(ctx, v, place)
}

func (p *Prober) gremlinLogin(ctx context.Context, v *visit, place gremlinPlace) outcome {
	at := net.JoinHostPort(place.host, place.port)
	from := &origin{dial: p.options.Dial}
	transport := &http.Transport{DialContext: from.DialContext, TLSClientConfig: p.tlsConfig(place.host)}
	defer transport.CloseIdleConnections()
	conn, answer, err := websocket.Dial(ctx, "wss://"+at+"/gremlin", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	switch {
	case answer != nil && answer.StatusCode == http.StatusForbidden:
		return v.shutOut(from.address(), "the service refuses the connection with 403")
	case answer != nil && err != nil:
		return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: fmt.Sprintf("%s answers %d instead of opening a WebSocket", at, answer.StatusCode)}
	case err != nil:
		return v.noAnswer(at, err)
	}
	defer conn.CloseNow() //nolint:errcheck // the talk is over
	said, err := gremlinTalk(ctx, conn, place)
	if err != nil {
		return v.noAnswer(at, err)
	}
	return v.gremlinOutcome(place, said)
}

// origin remembers the address a connection came from.
type origin struct {
	dial DialFunc
	mu   sync.Mutex
	from string
}

// DialContext dials and remembers.
func (o *origin) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := o.dial(ctx, network, address)
	if err == nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.from = local(conn)
	}
	return conn, err
}

func (o *origin) address() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.from
}

// gremlinStatus is how a request ended.
type gremlinStatus struct {
	Code       int
	Message    string
	Attributes map[string]any
}

// beneath is the status of the service below the protocol's.
func (s gremlinStatus) beneath() string {
	switch x := s.Attributes["x-ms-status-code"].(type) {
	case float64:
		return strconv.Itoa(int(x))
	case map[string]any: // with its type
		return fmt.Sprint(x["@value"])
	}
	return ""
}

// Codes of answers.
const (
	gremlinOK           = 200
	gremlinNoContent    = 204
	gremlinPartial      = 206
	gremlinUnauthorized = 401
	gremlinForbidden    = 403
	gremlinChallenge    = 407
)

// gremlinTalk sends a script and signs in when asked to.
func gremlinTalk(ctx context.Context, conn *websocket.Conn, place gremlinPlace) (gremlinStatus, error) {
	said, err := gremlinRound(ctx, conn, "eval", map[string]any{"gremlin": "g.V().limit(1)", "language": "gremlin-groovy", "bindings": map[string]any{}})
	if err != nil || said.Code != gremlinChallenge {
		return said, err
	}
	token := base64.StdEncoding.EncodeToString([]byte("\x00" + place.user + "\x00" + place.password))
	return gremlinRound(ctx, conn, "authentication", map[string]any{"sasl": token})
}

func gremlinRound(ctx context.Context, conn *websocket.Conn, op string, args map[string]any) (gremlinStatus, error) {
	const kind = "application/vnd.gremlin-v2.0+json"
	body, err := json.Marshal(map[string]any{
		"requestId": map[string]any{"@type": "g:UUID", "@value": uuid.NewString()}, "op": op, "processor": "", "args": args,
	})
	if err != nil {
		return gremlinStatus{}, fmt.Errorf("write request: %w", err)
	}
	if err := conn.Write(ctx, websocket.MessageBinary, append(append([]byte{byte(len(kind))}, kind...), body...)); err != nil {
		return gremlinStatus{}, fmt.Errorf("ask: %w", err)
	}
	_, raw, err := conn.Read(ctx)
	if err != nil {
		return gremlinStatus{}, fmt.Errorf("read the answer: %w", err)
	}
	var answer struct{ Status gremlinStatus }
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Status.Code == 0 {
		return gremlinStatus{}, errors.New("the answer is not Gremlin's protocol")
	}
	return answer.Status, nil
}

func (v *visit) gremlinOutcome(place gremlinPlace, said gremlinStatus) outcome {
	text := fmt.Sprintf("the service answers %d: %s", said.Code, said.Message)
	if m := blockedAddress.FindStringSubmatch(said.Message); m != nil {
		return v.shutOut(m[1], text)
	}
	switch {
	case said.Code == gremlinOK, said.Code == gremlinNoContent, said.Code == gremlinPartial:
		return outcome{}
	case said.Code == gremlinUnauthorized, said.Code == gremlinForbidden, said.Code == gremlinChallenge, said.beneath() == "401":
		return v.keyRefused(text)
	case said.beneath() == "404":
		_, graph, _ := strings.Cut(place.user, "/colls/")
		return outcome{code: problem.DatabaseMissing, detail: "the account has no graph " + place.user, fix: v.remake(graph)}
	}
	return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: text}
}
