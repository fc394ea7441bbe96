package probe

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/patchbay/patchbay/internal/connection"
)

// messagingService is where the app's settings for a messaging service are.
type messagingService struct {
	prefix     string // of the settings of most client types
	spring     string // of Spring's own
	principal  string // of Spring's settings of a service principal
	tenant     string // Spring's setting of its tenant
	connection string // Spring's setting of the connection string
}

func messagingServices() map[string]messagingService {
	return map[string]messagingService{
		"eventhub": {prefix: "AZURE_EVENTHUB_", spring: "spring.cloud.azure.eventhubs.", connection: "spring.cloud.azure.eventhubs.connection-string",
			principal: "spring.cloud.azure.eventhubs.credential.", tenant: "spring.cloud.azure.eventhubs.profile.tenant-id"},
		"servicebus": {prefix: "AZURE_SERVICEBUS_", spring: "spring.cloud.azure.servicebus.", connection: "spring.cloud.azure.servicebus.connection-string",
			principal: "spring.cloud.azure.", tenant: "spring.cloud.azure.tenant-id"},
	}
}

// kafkaClient is the client type that speaks Kafka's protocol to an event hub.
const kafkaClient = "kafka-springBoot"

// messagingPrincipal are the settings of a service principal, as principalSettings.
func messagingPrincipal(protocol, client string) (id, secret, tenant string) {
	s := messagingServices()[protocol]
	switch client {
	case kafkaClient:
		const prefix = "spring.kafka.properties.azure."
		return prefix + "credential.client-id", prefix + "credential.client-secret", prefix + "profile.tenant-id"
	case "springBoot":
		return s.principal + "client-id", s.principal + "client-secret", s.tenant
	}
	return s.prefix + "CLIENTID", s.prefix + "CLIENTSECRET", s.prefix + "TENANTID"
}

// busPlace is where the app's settings point.
type busPlace struct {
	host, keyName, key string
	whole              string // the connection string itself
}

// busPlace reads the settings. A host may carry the port of Kafka.
func (v *visit) busPlace() (busPlace, error) {
	if v.bare() {
		return busPlace{host: v.facts.Text(connection.FactHost)}, nil
	}
	s := messagingServices()[v.facts.Text(connection.FactProtocol)]
	var place busPlace
	var err error
	switch {
	case v.byKey() && (v.client() == "springBoot" || v.client() == kafkaClient):
		place, err = parseBus(v.get(s.connection))
	case v.byKey():
		place, err = parseBus(v.get(s.prefix + "CONNECTIONSTRING"))
	case v.client() == kafkaClient:
		place.host = v.get("spring.kafka.bootstrap-servers")
	case v.client() == "springBoot":
		place.host = v.either(s.spring+"namespace", "spring.cloud.azure.eventhub.namespace")
	default:
		place.host = v.get(s.prefix + "FULLYQUALIFIEDNAMESPACE")
	}
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	if host, _, withPort := strings.Cut(place.host, ":"); withPort {
		place.host = host
	}
	if err == nil && place.host == "" {
		err = errors.New("it names no host")
	}
	return place, err
}

// byKey tells whether the app signs in with a key of the target.
func (v *visit) byKey() bool {
	a := v.c.Properties.Auth
	return a != nil && (a.Type == connection.AuthSecret || a.Type == connection.AuthAccessKey)
}

// parseBus takes the connection string of a namespace apart.
func parseBus(text string) (busPlace, error) {
	place := busPlace{whole: text}
	for _, member := range strings.Split(text, ";") {
		name, value, found := strings.Cut(member, "=")
		if !found {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "endpoint":
			u, err := url.Parse(value)
			if err != nil || u.Scheme != "sb" {
				return busPlace{}, errors.New("its Endpoint is no sb:// address")
			}
			place.host = u.Hostname()
		case "sharedaccesskeyname":
			place.keyName = value
		case "sharedaccesskey":
			place.key = value
		}
	}
	if place.host == "" || place.keyName == "" || place.key == "" {
		return busPlace{}, errors.New("it is not a connection string with Endpoint, SharedAccessKeyName and SharedAccessKey")
	}
	return place, nil
}

const amqpTLSPort = "5671"

// amqp opens a connection to a namespace and shows what the app would: a signature
// made with its key, or a service principal's token. For an identity it goes as
// far as an open connection.
func (p *Prober) amqp(ctx context.Context, v *visit) outcome {
	if v.client() == kafkaClient {
		return p.busKafka(ctx, v)
	}
	place, err := v.busPlace()
	if err != nil {
		return v.unsettled(err)
	}
	at := net.JoinHostPort(place.host, amqpTLSPort)
	wire, err := p.dialTLS(ctx, place.host, amqpTLSPort)
	if err != nil {
		return v.noAnswer(at, err)
	}
	defer wire.Close()
	from := local(wire)
	stop := context.AfterFunc(ctx, func() { _ = wire.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	session, err := openAMQP(ctx, wire, place.host)
	if err != nil {
		return v.amqpFailure(at, from, err)
	}
	kind, token := v.busToken(place)
	if token == "" {
		return outcome{unproven: identityUnproven}
	}
	status, said, err := putToken(ctx, session, kind, token, "amqp://"+place.host+"/")
	switch {
	case err != nil:
		return v.amqpFailure(at, from, err)
	case status < 300:
		return outcome{}
	}
	return v.refused(fmt.Sprintf("the namespace answers %d: %s", status, said))
}

// busToken is what the app would show.
func (v *visit) busToken(place busPlace) (kind, token string) {
	switch {
	case place.key != "":
		return "servicebus.windows.net:sastoken", signature("amqp://"+place.host+"/", place.keyName, place.key, time.Now().Add(time.Minute))
	case v.token != "":
		return "jwt", v.token
	}
	return "", ""
}

// signature is a shared access signature for a resource.
func signature(resource, keyName, key string, end time.Time) string {
	signed := url.QueryEscape(resource) + "\n" + strconv.FormatInt(end.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signed))
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%d&skn=%s", url.QueryEscape(resource),
		url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))), end.Unix(), url.QueryEscape(keyName))
}

func openAMQP(ctx context.Context, wire net.Conn, host string) (*amqp.Session, error) {
	conn, err := amqp.NewConn(ctx, wire, &amqp.ConnOptions{HostName: host, SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		return nil, err
	}
	return conn.NewSession(ctx, nil)
}

// putToken asks the namespace to take a token; the connection's end closes the links.
func putToken(ctx context.Context, session *amqp.Session, kind, token, audience string) (status int32, said string, err error) {
	const node, back = "$cbs", "patchbay-probe"
	sender, err := session.NewSender(ctx, node, nil)
	if err != nil {
		return 0, "", err
	}
	receiver, err := session.NewReceiver(ctx, node, &amqp.ReceiverOptions{TargetAddress: back})
	if err != nil {
		return 0, "", err
	}
	id, to := "1", back
	request := &amqp.Message{
		Properties:            &amqp.MessageProperties{MessageID: id, ReplyTo: &to},
		ApplicationProperties: map[string]any{"operation": "put-token", "type": kind, "name": audience},
		Value:                 token,
	}
	if err := sender.Send(ctx, request, nil); err != nil {
		return 0, "", err
	}
	answer, err := receiver.Receive(ctx, nil)
	if err != nil {
		return 0, "", err
	}
	status, ok := answer.ApplicationProperties["status-code"].(int32)
	if !ok {
		return 0, "", errors.New("the answer has no status")
	}
	said, _ = answer.ApplicationProperties["status-description"].(string)
	return status, said, nil
}

// amqpFailure tells a firewall's refusal from a line that is dead.
func (v *visit) amqpFailure(at, from string, err error) outcome {
	var conn *amqp.ConnError
	if errors.As(err, &conn) && conn.RemoteErr != nil && conn.RemoteErr.Condition == amqp.ErrCondUnauthorizedAccess {
		return v.shutOut(from, "the namespace says: "+conn.RemoteErr.Description)
	}
	return v.noAnswer(at, err)
}
