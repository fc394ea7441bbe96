package probe

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"regexp"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// stranger stands where a token would: a server that lets the address in answers that it
// knows nobody of that name, and a guessed password would look like an attack.
const stranger = "no token: only the app has its identity's"

// Numbers of errors that tell what is wrong.
const (
	tdsNoDatabase    = 4060
	tdsLoginFailed   = 18456
	tdsFirewall      = 40615
	tdsNoPublic      = 47073
	tdsLoginDisabled = 18470
)

// tds signs in as the app would. An identity's app would use a token; without one the
// server is asked far enough to see whether it lets the address in.
func (p *Prober) tds(ctx context.Context, v *visit) outcome {
	place := tdsPlace{host: v.facts.Text(connection.FactHost), port: 1433}
	if !v.bare() {
		var err error
		if place, err = v.tdsPlace(); err != nil {
			return v.unsettled(err)
		}
	}
	if place.host == "" { // a database of Fabric, and no settings that name it
		return outcome{unproven: "not proven: nothing here says where the database answers"}
	}
	token, withLogin := stranger, false
	switch {
	case v.bare():
	case !v.identity():
		token, withLogin = "", true
	case v.bearer() && p.options.SignIn != nil:
		var o outcome
		if token, o = p.tdsToken(ctx, v, place); token == "" {
			return o
		}
		withLogin = true
	}
	return v.tdsOutcome(place, withLogin, p.tdsPing(ctx, place, token))
}

// tdsToken gets the token the app would get as its service principal; "" with the outcome
// that says why there is none.
func (p *Prober) tdsToken(ctx context.Context, v *visit, place tdsPlace) (string, outcome) {
	who := Principal{TenantID: v.facts.Text("tenantId"), ClientID: place.user, Secret: place.password}
	if v.certified() {
		who.Secret, who.Certificate = "", place.password
	}
	o := p.signInAs(ctx, v, who)
	return v.token, o
}

// tdsDialer adapts a dial function to the driver. With a host name of its own it is
// handed names, which the driver would look up itself otherwise.
type tdsDialer DialFunc

// HostName implements mssql.HostDialer.
func (tdsDialer) HostName() string { return "" }

func (d tdsDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d(ctx, network, address)
}

func (p *Prober) tdsPing(ctx context.Context, place tdsPlace, token string) error {
	cfg := msdsn.Config{
		Host: place.host, Port: place.port, Database: place.database, AppName: "patchbay", Protocols: []string{"tcp"}, DisableRetry: true,
		Encryption: msdsn.EncryptionRequired, TLSConfig: p.tlsConfig(place.host), DialTimeout: p.options.Timeout, ConnTimeout: p.options.Timeout,
	}
	var connector *mssql.Connector
	if token == "" {
		cfg.User, cfg.Password = place.user, place.password
		connector = mssql.NewConnectorConfig(cfg)
	} else {
		var err error
		if connector, err = mssql.NewSecurityTokenConnector(cfg, func(context.Context) (string, error) { return token, nil }); err != nil {
			return err
		}
	}
	connector.Dialer = tdsDialer(p.options.Dial)
	db := sql.OpenDB(connector)
	defer db.Close()
	return db.PingContext(ctx)
}

var shutOutClient = regexp.MustCompile(`IP address '([^']*)' is not allowed`)

func (v *visit) tdsOutcome(place tdsPlace, withLogin bool, err error) outcome {
	address := net.JoinHostPort(place.host, fmt.Sprint(place.port))
	var refused mssql.Error
	switch {
	case err == nil && withLogin:
		return outcome{}
	case err == nil:
		return outcome{unproven: identityUnproven}
	case !errors.As(err, &refused):
		return v.noAnswer(address, err)
	}
	number, message := refused.Number, refused.Message
	if len(refused.All) > 0 { // the others follow from the first
		number, message = refused.All[0].Number, refused.All[0].Message
	}
	said := fmt.Sprintf("the server says: %s (error %d)", message, number)
	if m := shutOutClient.FindStringSubmatch(message); number == tdsFirewall && m != nil {
		return v.shutOut(m[1], said)
	}
	switch number {
	case tdsNoPublic:
		return v.noAnswer(address, errors.New("it denies public network access"))
	case tdsNoDatabase, tdsLoginFailed, tdsLoginDisabled:
		return v.tdsRefused(place, number, withLogin, said)
	}
	return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: said}
}

func (v *visit) tdsRefused(place tdsPlace, number int32, withLogin bool, said string) outcome {
	switch {
	case !withLogin:
		return outcome{unproven: identityUnproven}
	case number == tdsNoDatabase:
		return outcome{code: problem.DatabaseMissing, detail: fmt.Sprintf("the server has no database %q", place.database), fix: v.newTDSDatabase()}
	case v.identity(): // its token is good: what it lacks is a user
		return outcome{code: problem.DBUserMissing, detail: said, fix: v.repair("")}
	}
	return v.refused(said)
}

// newTDSDatabase is the command that makes the target's database again.
func (v *visit) newTDSDatabase() string {
	return "patchbay rest PUT " + v.c.Properties.Target.ID + "?api-version=" + v.facts.Text(connection.FactVersion) +
		fmt.Sprintf(` -b '{"location":%q}' --wait`, v.facts.Text("location"))
}
