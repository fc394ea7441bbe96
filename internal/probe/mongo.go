package probe

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// targetAtlas is the target whose settings have names of their own.
const targetAtlas = "mongodb-atlas"

// mongoURL is the connection string the app reads.
func (v *visit) mongoURL() (string, error) {
	name := "AZURE_COSMOS_CONNECTIONSTRING"
	switch {
	case v.facts.Text(connection.FactTarget) == targetAtlas:
		name = "MONGODBATLAS_CLUSTER_CONNECTIONSTRING"
	case v.client() == "springBoot":
		name = "spring.data.mongodb.uri"
		if v.get("spring.data.mongodb.database") == "" {
			return "", errors.New("it names no database")
		}
	}
	text := strings.TrimPrefix(v.get(name), "jdbc:") // the driver's own URL stands behind it
	if len(v.missing) > 0 {
		return "", errors.New("settings are missing")
	}
	return text, nil
}

// mongo signs in as the app does, with the driver's own reading of the URL. An app with
// an identity asks ARM for that URL; without its token the host is only knocked at.
func (p *Prober) mongo(ctx context.Context, v *visit) outcome {
	switch {
	case v.bare():
		return p.door(ctx, v, "10255")
	case v.identity():
		return p.keyHolder(ctx, v, "AZURE_COSMOS_LISTCONNECTIONSTRINGURL", "10255", func(answer map[string]any) outcome {
			return p.mongoLogin(ctx, v, connectionStringIn(answer))
		})
	}
	text, err := v.mongoURL()
	if err != nil {
		return v.unsettled(err)
	}
	return p.mongoLogin(ctx, v, text)
}

// connectionStringIn is the first connection string of ARM's answer: that of the primary key.
func connectionStringIn(answer map[string]any) string {
	list, _ := answer["connectionStrings"].([]any)
	if len(list) == 0 {
		return ""
	}
	one, _ := list[0].(map[string]any)
	text, _ := one["connectionString"].(string)
	return text
}

func (p *Prober) mongoLogin(ctx context.Context, v *visit, text string) outcome {
	o := options.Client().ApplyURI(text)
	if err := o.Validate(); err != nil {
		var unknown *net.DNSError
		if errors.As(err, &unknown) {
			return v.noAnswer(unknown.Name, err)
		}
		return v.unsettled(errors.New("it is not a MongoDB URL that drivers take")) // the driver's own words may hold the password
	}
	if o.Auth == nil || o.Auth.Username == "" {
		return v.unsettled(errors.New("it names no user"))
	}
	at := o.Hosts[0]
	if _, _, err := net.SplitHostPort(at); err != nil {
		at = net.JoinHostPort(strings.Trim(at, "[]"), "27017") // what the driver takes
	}
	if o.TLSConfig != nil {
		cfg := p.tlsConfig("")
		cfg.ServerName = "" // the driver fills in the host it dials
		o.SetTLSConfig(cfg)
	}
	o.SetDialer(mongoDialer(p.options.Dial)).SetServerSelectionTimeout(p.options.Timeout).SetMaxPoolSize(1)
	if conn, err := p.options.Dial(ctx, "tcp", at); err != nil {
		return v.noAnswer(at, err)
	} else if err := conn.Close(); err != nil {
		return v.noAnswer(at, err)
	}
	client, err := mongo.Connect(o)
	if err != nil {
		return v.unsettled(errors.New("it is not a MongoDB URL that drivers take"))
	}
	defer client.Disconnect(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was left open that matters
	return v.mongoOutcome(at, client.Database("admin").RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err())
}

// mongoDialer is the driver's view of a DialFunc.
type mongoDialer DialFunc

// DialContext implements options.ContextDialer.
func (d mongoDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d(ctx, network, address)
}

// Codes of MongoDB's errors.
const (
	mongoUnauthorized = 13
	mongoWrongSecret  = 18
	atlasWrongSecret  = 8000
)

// blockedAddress is how Cosmos DB's protocols name an address that its firewall shuts out.
var blockedAddress = regexp.MustCompile(`[Rr]equest originated from (?:client )?IP ([0-9a-fA-F.:]*[0-9a-fA-F])`)

func (v *visit) mongoOutcome(at string, err error) outcome {
	var said mongo.ServerError
	switch {
	case err == nil:
		return outcome{}
	case !errors.As(err, &said):
		return v.noAnswer(at, err)
	}
	text := innermost(err).Error()
	if m := blockedAddress.FindStringSubmatch(text); m != nil {
		return v.shutOut(m[1], "the service says: "+text)
	}
	if said.HasErrorCode(mongoWrongSecret) || said.HasErrorCode(mongoUnauthorized) || said.HasErrorCode(atlasWrongSecret) {
		o := v.keyRefused("the service says: " + text)
		if v.facts.Text(connection.FactTarget) == targetAtlas {
			o.fix = "patchbay webapp connection update " + targetAtlas + " --id " + v.c.ID + " --secret secret=@FILE"
		}
		return o
	}
	return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: "the service says: " + text}
}
