// Package probe knocks at a backing service's own protocol with the settings the
// app has, and says in plain words what is wrong and which command mends it.
//
// It promises never to write, to end within seconds, and to keep secrets out of
// what it says. It judges what the app really reads: the settings are taken apart
// by the notation their client type uses. What it cannot prove from where it
// stands it does not call broken: without a token of the app's identity, or when
// only its own address is shut out, it says "not proven".
package probe

import (
	"context"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// DefaultTimeout bounds one knock.
const DefaultTimeout = 5 * time.Second

// DialFunc opens a network connection; host names are not resolved yet.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Options say how targets are reached.
type Options struct {
	Dial    DialFunc       // nil dials plainly
	Roots   *x509.CertPool // nil means the machine's own
	Timeout time.Duration  // of one knock, everything included; 0 means DefaultTimeout
	SignIn  SignInFunc     // nil: service principals are not tried
}

// Prober knocks. It is safe for many goroutines.
type Prober struct {
	options Options
	knocks  map[string]knock
}

// knock tries one protocol.
type knock func(ctx context.Context, v *visit) outcome

// New makes a prober. It does no I/O.
func New(o Options) *Prober {
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	p := &Prober{options: o}
	p.knocks = map[string]knock{"postgres": p.postgres, "mysql": p.mysql, "tds": p.tds, "redis": p.redis, "blob": p.blob, "queue": p.storage, "file": p.storage, "table": p.storage, "cosmos": p.cosmos, "cosmostable": p.cosmosTable,
		"eventhub": p.amqp, "servicebus": p.amqp, "kafka": p.kafka,
		"signalr": p.hub, "webpubsub": p.hub, "openai": p.ai, "aiservices": p.ai, "cognitive": p.ai, "insights": p.insights, "https": p.https, "amqp-plain": p.broker, "vault": p.vault, "appconfig": p.appConfig}
	for protocol, try := range map[string]knock{"mongo": p.mongo, "cql": p.cql, "gremlin": p.gremlin} {
		p.knocks[protocol] = try
	}
	return p
}

// visit is one validation: the connection, what is known, and the app's settings.
type visit struct {
	c        *connection.Connection
	facts    connection.Facts
	settings map[string]string // by folded name, revealed
	missing  []string          // settings that were looked for and are not there
	token    string            // what a service principal's secret was exchanged for
}

// get returns the value of a setting by its documented name.
func (v *visit) get(documented string) string {
	name := v.c.SettingName(v.own(documented))
	text, ok := v.settings[strings.ToLower(name)]
	if !ok {
		v.missing = append(v.missing, name)
	}
	return text
}

// own is the documented name as the target has it: some offers of one protocol have
// settings like another's, with a word of their own in front.
func (v *visit) own(documented string) string {
	if v.facts.Text(connection.FactTarget) == "neon-postgres" {
		if rest, ok := strings.CutPrefix(documented, "AZURE_"); ok {
			return "NEON_" + rest
		}
	}
	return documented
}

// identity tells whether the app signs in with an identity instead of a secret.
func (v *visit) identity() bool {
	a := v.c.Properties.Auth
	return a != nil && !v.byKey()
}

// bare tells whether the app was given no settings to judge.
func (v *visit) bare() bool {
	p := v.c.Properties
	open := v.facts.Text(connection.FactProtocol) == "https" // there are settings without a sign-in
	return p.Auth == nil && !open || (p.Configuration != nil && p.Configuration.Action == "optOut")
}

// network tells whether opening the network is ours.
func (v *visit) network() bool {
	n := v.c.Properties.PublicNetwork
	return n == nil || n.Action != "optOut"
}

// sourceAddress tells whether an address is one the app's traffic comes from. With
// none known every address counts as the app's.
func (v *visit) sourceAddress(address string) bool {
	list := v.facts.Text(connection.FactAddresses)
	return list == "" || address == "" || slices.Contains(strings.Split(list, ","), address)
}

// client is the client type whose settings the app has.
func (v *visit) client() string {
	switch c := v.c.Properties.ClientType; c {
	case "":
		return "none"
	case "dotnet-internal":
		return "dotnet"
	default:
		return c
	}
}

// Probe returns findings from the target's side: existence, network, login. nil
// means there is nothing to knock at. The target exists when this is called:
// facts come from it.
func (p *Prober) Probe(ctx context.Context, c *connection.Connection, facts connection.Facts, settings map[string]connection.Value) []connection.Finding {
	try, ok := p.knocks[facts.Text(connection.FactProtocol)]
	if !ok {
		return nil
	}
	v := &visit{c: c, facts: facts, settings: map[string]string{}}
	for name, value := range settings {
		if value.From == nil {
			v.settings[strings.ToLower(name)] = value.Text
		}
	}
	found := []connection.Finding{{Name: nameExistence, Result: connection.ResultSuccess}}
	if facts.Text(connection.FactStopped) != "" {
		return append(found, v.stopped())
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	o := try(ctx, v)
	if v.bearer() && p.options.SignIn != nil && o == (outcome{unproven: identityUnproven}) {
		if o = p.signIn(ctx, v); o == (outcome{}) {
			o = try(ctx, v)
		}
	}
	return append(found, v.report(o)...)
}

// outcome is how far a knock came. The zero value means that everything works.
type outcome struct {
	stage  stage
	code   problem.Code
	detail string
	fix    string
	// unproven says why the rest could not be tried from here; code is empty then.
	unproven string
}

// stage is where a knock ended.
type stage int

const (
	atLogin    stage = iota // the service was reached
	atSettings              // the settings do not say where to go
	atNetwork               // nothing answers
	atWall                  // something answers and shuts us out
	atRights                // the login works and allows nothing
)

func (o outcome) failed() bool { return o.code != "" }
