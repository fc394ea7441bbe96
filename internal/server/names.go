package server

import (
	"net/http"
	"net/url"

	"github.com/patchbay/patchbay/internal/api"
)

// listConfigurationNames answers the names of settings; any signed-in caller may read them.
func (x *exchange) listConfigurationNames() error {
	var all []api.ConfigurationNames
	if x.Names != nil {
		all = x.Names()
	}
	query := x.r.URL.Query()
	rows, next, err := api.PageOfNames(x.linkerVersion(), all, query.Get("$filter"), query.Get("$skipToken"))
	if err != nil {
		return err
	}
	page := api.ConfigurationNameResult{Value: rows}
	if next != "" {
		more := url.Values{"api-version": {x.version}, "$skipToken": {next}}
		if filter := query.Get("$filter"); filter != "" {
			more.Set("$filter", filter)
		}
		link := x.publicURL() + "/providers/" + api.Provider + "/configurationNames?" + more.Encode()
		page.NextLink = &link
	}
	return x.json(http.StatusOK, page)
}

func (x *exchange) listDaprConfigurations() error {
	if err := x.need(x.onSource(actionRead)); err != nil {
		return err
	}
	list := api.DaprConfigurationList{Value: []api.DaprConfigurationItem{}}
	if x.Components != nil {
		for _, c := range x.Components() {
			list.Value = append(list.Value, api.DaprConfigurationItem{Properties: c})
		}
	}
	return x.json(http.StatusOK, list)
}
