package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/patchbay/patchbay/internal/connection"
)

// kafkaPlace is where the app's settings point, and how it signs in there.
type kafkaPlace struct {
	servers []string // host:port
	how     sasl.Mechanism
}

const hubKafkaPort = "9093"

// busKafka is for apps that speak Kafka's protocol to an event hub.
func (p *Prober) busKafka(ctx context.Context, v *visit) outcome {
	read, err := v.busPlace()
	if err != nil {
		return v.unsettled(err)
	}
	place := kafkaPlace{servers: []string{net.JoinHostPort(read.host, hubKafkaPort)}}
	switch {
	case read.whole != "":
		place.how = plain.Auth{User: "$ConnectionString", Pass: read.whole}.AsMechanism()
	case v.token != "":
		place.how = oauth.Auth{Token: v.token}.AsMechanism()
	}
	return p.brokers(ctx, v, place)
}

// kafka is for brokers that are given by address: those of Confluent Cloud, whose
// schema registry is a connection of its own.
func (p *Prober) kafka(ctx context.Context, v *visit) outcome {
	if strings.EqualFold(v.c.Properties.Target.Type, registryType) {
		return p.schemaRegistry(ctx, v)
	}
	if v.bare() {
		servers, err := serverList(v.facts.Text(connection.FactEndpoint))
		if err != nil {
			return v.unsettled(err)
		}
		return p.brokers(ctx, v, kafkaPlace{servers: servers})
	}
	place, err := v.kafkaPlace()
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	if err != nil {
		return v.unsettled(err)
	}
	return p.brokers(ctx, v, place)
}

// kafkaPlace reads the settings of Confluent Cloud's brokers.
func (v *visit) kafkaPlace() (kafkaPlace, error) {
	const prefix, spring = "CONFLUENTCLOUD_KAFKA_", "spring.kafka.properties."
	servers, line, user, secret := prefix+"BOOTSTRAPSERVER", "", "", ""
	switch v.client() {
	case "springBoot":
		servers, line = spring+"bootstrap.servers", v.get(spring+"sasl.jaas.config")
	case "java":
		line = v.get(prefix + "KAFKASASLCONFIG")
	default:
		user, secret = v.get(prefix+"SASLUSERNAME"), v.get(prefix+"SASLPASSWORD")
	}
	list, err := serverList(v.get(servers))
	if err == nil && line != "" {
		user, secret, err = parseJAAS(line)
	}
	return kafkaPlace{list, plain.Auth{User: user, Pass: secret}.AsMechanism()}, err
}

// serverList reads host:port, several between commas, with or without the name of
// the security protocol in front.
func serverList(text string) ([]string, error) {
	var list []string
	for _, one := range strings.Split(text, ",") {
		if _, rest, found := strings.Cut(one, "://"); found {
			one = rest
		}
		one = strings.TrimRight(strings.TrimSpace(one), "/")
		if host, port, err := net.SplitHostPort(one); err != nil || host == "" || port == "" {
			return nil, errors.New("it is not a list of host:port")
		}
		list = append(list, one)
	}
	return list, nil
}

// parseJAAS reads user name and password out of a line of JAAS configuration.
func parseJAAS(line string) (user, secret string, err error) {
	module, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if !strings.HasSuffix(module, ".PlainLoginModule") {
		return "", "", errors.New("its login module is not PLAIN's")
	}
	control, rest, _ := strings.Cut(strings.TrimLeft(rest, " "), " ") // "required"
	options := map[string]string{}
	for rest = strings.TrimLeft(rest, " "); control != "" && rest != "" && rest != ";"; rest = strings.TrimLeft(rest, " ") {
		name, value, _ := strings.Cut(rest, "=")
		if options[name], rest, err = quoted(value); err != nil {
			return "", "", err
		}
	}
	if options["username"] == "" || options["password"] == "" {
		return "", "", errors.New("it has no username and password")
	}
	return options["username"], options["password"], nil
}

// quoted reads a text in single or double quotes, as java.io.StreamTokenizer does.
func quoted(text string) (value, rest string, err error) {
	if text == "" || text[0] != '\'' && text[0] != '"' {
		return "", "", errors.New("a value of it is not quoted")
	}
	var b strings.Builder
	for n := 1; n < len(text); n++ {
		switch c := text[n]; {
		case c == text[0]:
			return b.String(), text[n+1:], nil
		case c == '\\' && n+1 < len(text):
			n++
			b.WriteByte(unescaped(text[n]))
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a value of it does not end")
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// brokers signs in at the first server that answers and asks for metadata. Without
// anything to sign in with it only opens a connection.
func (p *Prober) brokers(ctx context.Context, v *visit, place kafkaPlace) outcome {
	at := strings.Join(place.servers, ",")
	var mu sync.Mutex
	var from string
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		raw, err := p.options.Dial(ctx, "tcp", net.JoinHostPort(host, port))
		if err != nil {
			return nil, err
		}
		mu.Lock()
		from = local(raw)
		mu.Unlock()
		return p.shake(ctx, raw, host)
	}
	err := knockKafka(ctx, place, dial)
	mu.Lock()
	defer mu.Unlock()
	switch {
	case err == nil && place.how == nil:
		return outcome{unproven: identityUnproven}
	case err == nil:
		return outcome{}
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return v.refused(fmt.Sprintf("the broker says: %v", saslError(err)))
	case v.facts.Text(connection.FactWall) != "" && hungUp(err):
		return v.shutOut(from, at+" closes the connection at once, as its firewall does")
	}
	return v.noAnswer(at, err)
}

// hungUp tells of a service that closes a connection without a word.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// saslError is the broker's own sentence: it stands right around the error's code.
func saslError(err error) error {
	for next := err; next != nil; next = errors.Unwrap(next) {
		if _, bare := next.(*kerr.Error); !bare {
			err = next
		}
	}
	return err
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func knockKafka(ctx context.Context, place kafkaPlace, dial dialer) error {
	if place.how == nil {
		conn, err := dial(ctx, "tcp", place.servers[0])
		if err != nil {
			return err
		}
		return conn.Close()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(place.servers...), kgo.Dialer(dial), kgo.SASL(place.how),
		kgo.RequestRetries(0), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}
