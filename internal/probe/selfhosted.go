package probe

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/Azure/go-amqp"
)

// broker signs in to an AMQP broker of somebody's own with user and password, as its
// address says, and opens a session.
func (p *Prober) broker(ctx context.Context, v *visit) outcome {
	at, err := v.brokerPlace()
	if err != nil {
		return v.unsettled(err)
	}
	host, port := at.Hostname(), orElse(at.Port(), amqpTLSPort)
	wire, err := p.dialTLS(ctx, host, port)
	if err != nil {
		return v.noAnswer(net.JoinHostPort(host, port), err)
	}
	defer wire.Close()
	options := &amqp.ConnOptions{HostName: host, SASLType: amqp.SASLTypeAnonymous()}
	if !v.bare() {
		password, _ := at.User.Password()
		options.SASLType = amqp.SASLTypePlain(at.User.Username(), password)
	}
	conn, err := amqp.NewConn(ctx, wire, options)
	switch {
	case v.bare():
		return outcome{}
	case err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "SASL"):
		return v.refused("the broker does not take user and password")
	case err != nil:
		return v.noAnswer(net.JoinHostPort(host, port), err)
	}
	defer conn.Close()
	if _, err := conn.NewSession(ctx, nil); err != nil {
		return v.noAnswer(net.JoinHostPort(host, port), err)
	}
	return outcome{}
}

// brokerPlace is the address that the app's setting holds, with user and password.
func (v *visit) brokerPlace() (*url.URL, error) {
	text := v.facts.Text("endpoint")
	if !v.bare() {
		if text = v.get("AZURE_SERVICEBUS_CONNECTIONSTRING"); len(v.missing) > 0 {
			return nil, errors.New("settings are missing")
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "amqps" || u.Hostname() == "" || !v.bare() && u.User == nil {
		return nil, errors.New("it is no address of a broker")
	}
	return u, nil
}
