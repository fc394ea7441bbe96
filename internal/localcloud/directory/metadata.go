package directory

import (
	"net/http"
)

// metadata describes the cloud in the shape that each api-version has: clients
// ask it before they sign in.
func (d *Directory) metadata(w http.ResponseWriter, r *http.Request) {
	version := r.URL.Query().Get("api-version")
	switch {
	case version == "":
		writeMetadataError(w, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
	case version < "2018":
		writeJSON(w, http.StatusOK, map[string]any{
			"galleryEndpoint": d.opts.URL, "graphEndpoint": d.opts.URL, "portalEndpoint": d.opts.URL,
			"authentication": map[string]any{"loginEndpoint": d.opts.URL + "/adfs", "audiences": []string{d.opts.URL}},
		})
	case version < "2022":
		writeJSON(w, http.StatusOK, []any{d.cloud()})
	default:
		writeJSON(w, http.StatusOK, d.cloud())
	}
}

func writeMetadataError(w http.ResponseWriter, code, message string) {
	writeJSON(w, http.StatusBadRequest, map[string]any{"error": map[string]any{"code": code, "message": message}})
}

func (d *Directory) cloud() map[string]any {
	u := d.opts.URL
	return map[string]any{
		"name":            "PatchbayLocal",
		"portal":          u,
		"resourceManager": u,
		"authentication": map[string]any{
			"loginEndpoint": u, "audiences": []string{u, u + "/"}, "tenant": d.tenant, "identityProvider": "AAD",
		},
		"graph":                                 u,
		"graphAudience":                         u + "/",
		"microsoftGraphResourceId":              u + "/",
		"media":                                 u,
		"batch":                                 u,
		"gallery":                               u,
		"sqlManagement":                         u,
		"vmImageAliasDoc":                       u,
		"activeDirectoryDataLake":               u,
		"logAnalyticsResourceId":                u,
		"appInsightsResourceId":                 u,
		"appInsightsTelemetryChannelResourceId": u,
		"attestationResourceId":                 u,
		"synapseAnalyticsResourceId":            u,
		"ossrDbmsResourceId":                    u + "/ossrdbms",
		"suffixes":                              d.opts.Suffixes,
	}
}
