package cosmos

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// listConnectionStrings answers one string per key, in the notation of the account's API.
func (p *Provider) listConnectionStrings(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, notFound(r.ID.String())
	}
	f, secret, list := featureOf(doc), p.cloud.Store().Private(r.ID.String()), []any{}
	for _, k := range keyNames {
		list = append(list, map[string]any{
			"connectionString": connectionString(doc, f, secret[k.name]),
			"description":      k.description + " " + f.label + " Connection String", "keyKind": strings.ToUpper(k.name[:1]) + k.name[1:], "type": f.label,
		})
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"connectionStrings": list}}, nil
}

func connectionString(doc provider.Document, f feature, key string) string {
	name, endpoint := provider.Text(doc, "name"), provider.Text(doc, "properties", f.endpoint)
	host := endpoint
	if u, err := url.Parse(endpoint); err == nil {
		host = u.Hostname()
	}
	switch f.api {
	case MongoDB:
		return "mongodb://" + name + ":" + url.QueryEscape(key) + "@" + net.JoinHostPort(host, f.port) +
			"/?ssl=true&replicaSet=globaldb&retrywrites=false&maxIdleTimeMS=120000&appName=@" + name + "@"
	case Cassandra:
		return "HostName=" + host + ";Username=" + name + ";Password=" + key + ";Port=" + f.port
	case Gremlin:
		return "AccountEndpoint=" + provider.Text(doc, "properties", "documentEndpoint") + ";AccountKey=" + key + ";ApiKind=Gremlin;"
	case Table:
		return "DefaultEndpointsProtocol=https;AccountName=" + name + ";AccountKey=" + key + ";TableEndpoint=" + endpoint + ";"
	}
	return "AccountEndpoint=" + endpoint + ";AccountKey=" + key + ";"
}
