package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
)

// isLocation tells whether an id is a location of our provider: what local connections
// are listed by.
func isLocation(id string) bool {
	return strings.EqualFold(connection.TypeOf(id), Provider+"/locations")
}

// GenerateConfigurations renders the settings of a connection, for another client type
// and with other configurationInfo where they are given, and writes nothing.
func (c *Client) GenerateConfigurations(ctx context.Context, id, clientType string, body map[string]any) ([]map[string]any, error) {
	query := c.linkerQuery()
	if clientType != "" {
		query.Set(ClientParam, clientType)
	}
	var answer struct {
		Configurations []map[string]any `json:"configurations"`
	}
	err := c.call(ctx, http.MethodPost, id+"/generateConfigurations", query, body, &answer)
	return answer.Configurations, err
}

// ConfigurationNames lists the names of settings that a filter lets through, all pages.
func (c *Client) ConfigurationNames(ctx context.Context, filter string) ([]map[string]any, error) {
	query := url.Values{"api-version": {string(c.options.APIVersion)}}
	if filter != "" {
		query.Set("$filter", filter)
	}
	return c.list(ctx, "/providers/"+Provider+"/configurationNames", query)
}
