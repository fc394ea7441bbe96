package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/problem"
)

// cqlPlace is where the app's settings point.
type cqlPlace struct {
	host, port, user, password, keyspace string
	datacenter                           string // what a driver must name; "" where it need not
	plain                                bool   // TLS is switched off
}

const cqlPort = "10350"

// cqlPlace reads the settings. An app with an identity has no password among them.
func (v *visit) cqlPlace() (cqlPlace, error) {
	var place cqlPlace
	if v.client() == "springBoot" {
		place = cqlPlace{
			host: v.get("spring.data.cassandra.contact-points"), port: v.get("spring.data.cassandra.port"), user: v.get("spring.data.cassandra.username"),
			password: v.get("spring.data.cassandra.password"), keyspace: v.get("spring.data.cassandra.keyspace-name"),
			datacenter: v.get("spring.data.cassandra.local-datacenter"), plain: !strings.EqualFold(v.get("spring.data.cassandra.ssl"), "true"),
		}
	} else {
		place = cqlPlace{host: v.get("AZURE_COSMOS_CONTACTPOINT"), port: v.get("AZURE_COSMOS_PORT"), user: v.get("AZURE_COSMOS_USERNAME"), keyspace: v.get("AZURE_COSMOS_KEYSPACE")}
		if !v.identity() {
			place.password = v.get("AZURE_COSMOS_PASSWORD")
		}
	}
	if len(v.missing) > 0 {
		return place, errors.New("settings are missing")
	}
	if port, err := strconv.ParseUint(place.port, 10, 16); err != nil || port == 0 {
		return place, errors.New("its port is not a number")
	}
	if place.host == "" || place.user == "" || place.keyspace == "" {
		return place, errors.New("it names no host, user or keyspace")
	}
	return place, nil
}

// cql signs in, and asks for the keyspace and the data centre.
func (p *Prober) cql(ctx context.Context, v *visit) outcome {
	if v.bare() {
		return p.door(ctx, v, cqlPort)
	}
	place, err := v.cqlPlace()
	if err != nil {
		return v.unsettled(err)
	}
	if v.identity() {
		return p.keyHolder(ctx, v, "AZURE_COSMOS_LISTKEYURL", place.port, func(answer map[string]any) outcome {
			place.password = primaryKeyIn(answer)
			return p.cqlLogin(ctx, v, place)
		})
	}
	return p.cqlLogin(ctx, v, place)
}

func (p *Prober) cqlLogin(ctx context.Context, v *visit, place cqlPlace) outcome {
	at := net.JoinHostPort(place.host, place.port)
	var conn net.Conn
	var err error
	if place.plain {
		conn, err = p.options.Dial(ctx, "tcp", at)
	} else {
		conn, err = p.dialTLS(ctx, place.host, place.port)
	}
	if err != nil {
		return v.noAnswer(at, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return v.cqlOutcome(place, at, cqlTalk(conn, v, place))
}

// Codes of the protocol, version 4.
const (
	cqlError, cqlStartup, cqlReady, cqlAuthenticate             = 0x00, 0x01, 0x02, 0x03
	cqlQuery, cqlResult, cqlAuthResponse, cqlAuthSuccess        = 0x07, 0x08, 0x0F, 0x10
	cqlBadCredentials, cqlUnauthorized                   uint32 = 0x0100, 0x2100
)

// cqlRefusal is an error the server answered with.
type cqlRefusal struct {
	code    uint32
	message string
}

func (r *cqlRefusal) Error() string { return r.message }

var (
	errNoKeyspace = errors.New("no such keyspace")
	errDatacenter = errors.New("another data centre")
)

// cqlTalk runs the app's first messages.
func cqlTalk(conn io.ReadWriter, v *visit, place cqlPlace) error {
	startup := cqlWords([]byte{0, 1}, "CQL_VERSION", "3.0.0")
	op, _, err := cqlRound(conn, cqlStartup, startup)
	if err == nil && op == cqlAuthenticate {
		token := "\x00" + place.user + "\x00" + place.password
		op, _, err = cqlRound(conn, cqlAuthResponse, append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...))
	}
	switch {
	case err != nil:
		return err
	case op != cqlReady && op != cqlAuthSuccess:
		return errors.New("the answer is not Cassandra's protocol")
	}
	// A name in quotes is taken as it is; a keyspace that is missing cannot be used.
	if _, _, err := cqlRound(conn, cqlQuery, cqlStatement(`USE "`+strings.ReplaceAll(place.keyspace, `"`, `""`)+`"`)); err != nil {
		var refused *cqlRefusal
		if errors.As(err, &refused) && strings.Contains(refused.message, "does not exist") {
			return fmt.Errorf("%w: %w", errNoKeyspace, err)
		}
		return err
	}
	if place.datacenter == "" {
		return nil
	}
	_, body, err := cqlRound(conn, cqlQuery, cqlStatement("SELECT data_center FROM system.local WHERE key='local'"))
	if err == nil && !bytes.HasSuffix(body, append(binary.BigEndian.AppendUint32(nil, uint32(len(place.datacenter))), place.datacenter...)) {
		return errDatacenter
	}
	return err
}

// cqlWords appends short strings.
func cqlWords(out []byte, words ...string) []byte {
	for _, w := range words {
		out = binary.BigEndian.AppendUint16(out, uint16(len(w)))
		out = append(out, w...)
	}
	return out
}

// cqlStatement is a query at consistency one, without values.
func cqlStatement(text string) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	return append(append(out, text...), 0, 1, 0)
}

// cqlRound sends one frame and returns the answer's code and body.
func cqlRound(conn io.ReadWriter, op byte, body []byte) (byte, []byte, error) {
	const version, stream = 4, 1
	out := binary.BigEndian.AppendUint32([]byte{version, 0, 0, stream, op}, uint32(len(body)))
	if _, err := conn.Write(append(out, body...)); err != nil {
		return 0, nil, fmt.Errorf("ask: %w", err)
	}
	var head [9]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	size := binary.BigEndian.Uint32(head[5:])
	if head[0]&0x80 == 0 || size > maxKeyAnswer {
		return 0, nil, errors.New("the answer is not Cassandra's protocol")
	}
	answer := make([]byte, size)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	if head[4] != cqlError {
		return head[4], answer, nil
	}
	if len(answer) < 6 || len(answer) < 6+int(binary.BigEndian.Uint16(answer[4:])) {
		return 0, nil, errors.New("the answer is not Cassandra's protocol")
	}
	return 0, nil, &cqlRefusal{code: binary.BigEndian.Uint32(answer), message: string(answer[6 : 6+int(binary.BigEndian.Uint16(answer[4:]))])}
}

func (v *visit) cqlOutcome(place cqlPlace, at string, err error) outcome {
	var refused *cqlRefusal
	switch {
	case err == nil:
		return outcome{}
	case errors.Is(err, errNoKeyspace):
		return outcome{code: problem.DatabaseMissing, detail: fmt.Sprintf("the account has no keyspace %q", place.keyspace), fix: v.remake(place.keyspace)}
	case errors.Is(err, errDatacenter):
		return outcome{stage: atSettings, code: problem.SettingChanged, fix: v.repair(" --force"),
			detail: fmt.Sprintf("the app asks for the data centre %q; the account is elsewhere (its location is %q)", place.datacenter, v.facts.Text("location"))}
	case !errors.As(err, &refused):
		return v.noAnswer(at, err)
	}
	if m := blockedAddress.FindStringSubmatch(refused.message); m != nil {
		return v.shutOut(m[1], "the service says: "+refused.message)
	}
	if refused.code == cqlBadCredentials || refused.code == cqlUnauthorized {
		return v.keyRefused("the service says: " + refused.message)
	}
	return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: "the service says: " + refused.message}
}
