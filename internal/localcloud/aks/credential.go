package aks

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

// What is kept beside a cluster.
const (
	kubeconfigKey = "kubeconfig"
	issuerKey     = "issuer"
)

// userCredential hands out what a user of the cluster needs. A cluster that signs in with
// Entra names the program that fetches a token instead of a key.
func (p *Provider) userCredential(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.credential(r, "clusterUser")
}

// adminCredential hands out the local administrator's, unless local accounts are disabled.
func (p *Provider) adminCredential(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.credential(r, "clusterAdmin")
}

func (p *Provider) credential(r *provider.Request, name string) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, service.NotFound(r.ID.String())
	}
	entra := on(doc, "properties", "aadProfile", "managed")
	if on(doc, "properties", "disableLocalAccounts") && (name == "clusterAdmin" || !entra) {
		return nil, provider.BadRequest("BadRequest", "Getting static credential is not allowed because this cluster is set to disable local accounts.")
	}
	config := p.cloud.Store().Private(r.ID.String())[kubeconfigKey]
	if config == "" || provider.Text(doc, "properties", "powerState", "code") == "Stopped" {
		config = nowhere(provider.Text(doc, "properties", "fqdn"), provider.Text(doc, "name"))
	}
	if entra && name == "clusterUser" {
		config = withProgram(config)
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"kubeconfigs": []any{
		map[string]any{"name": name, "value": base64.StdEncoding.EncodeToString([]byte(config))}}}}, nil
}

type object = map[string]any

// nowhere is a kubeconfig whose address nothing answers at. JSON is YAML.
func nowhere(host, name string) string {
	raw, _ := json.Marshal(object{ // texts encode
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []any{object{"name": name, "cluster": object{"server": "https://" + host + ":443"}}},
		"users":    []any{object{"name": "clusterUser", "user": object{"token": "none"}}},
		"contexts": []any{object{"name": name, "context": object{"cluster": name, "user": "clusterUser"}}},
	})
	return string(raw)
}

// withProgram replaces a kubeconfig's users by one who fetches a token with kubelogin.
func withProgram(config string) string {
	var c object
	if json.Unmarshal([]byte(config), &c) != nil {
		return config
	}
	contexts, _ := c["contexts"].([]any)
	for _, one := range contexts {
		if m, ok := one.(object); ok {
			provider.At(m, "context").(object)["user"] = "clusterUser"
		}
	}
	c["users"] = []any{object{"name": "clusterUser", "user": object{"exec": object{
		"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin", "args": []any{"get-token"}, "provideClusterInfo": false}}}}
	raw, _ := json.Marshal(c)
	return string(raw)
}

// Lever is PUT /_local/clusters/{name} {"kubeconfig", "issuer"}: the clusters of that name
// lead to the API server that the kubeconfig (a JSON object, or text) names, and their
// tokens come from that issuer.
func (p *Provider) Lever() (string, func(ctx context.Context, method, rest string, body map[string]any) (int, any, error)) {
	return "clusters", p.lead
}

func (p *Provider) lead(_ context.Context, method, rest string, body map[string]any) (int, any, error) {
	config, _ := body["kubeconfig"].(string)
	if o, ok := body["kubeconfig"].(object); ok {
		raw, _ := json.Marshal(o)
		config = string(raw)
	}
	if method != http.MethodPut || config == "" {
		return 0, nil, provider.BadRequest("BadRequest", "Use PUT with a kubeconfig.")
	}
	found := false
	for _, doc := range p.cloud.Store().Under("", clusterType) {
		if !strings.EqualFold(provider.Text(doc, "name"), strings.Trim(rest, "/")) {
			continue
		}
		found = true
		at := provider.Text(doc, "id")
		private := p.cloud.Store().Private(at)
		if private == nil {
			private = map[string]string{}
		}
		private[kubeconfigKey] = config
		if issuer, _ := body["issuer"].(string); issuer != "" {
			private[issuerKey] = issuer
			if profile, ok := provider.At(doc, "properties", "oidcIssuerProfile").(object); ok && on(profile, "enabled") {
				profile["issuerURL"] = issuer
				p.cloud.Store().Put(at, doc)
			}
		}
		p.cloud.Store().SetPrivate(at, private)
	}
	if !found {
		return 0, nil, &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "There is no cluster '" + rest + "'."}
	}
	return http.StatusOK, nil, nil
}
