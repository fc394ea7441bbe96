package localcloud

import (
	"context"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/front"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// levers are the actions of POST /_local/advance that reach behind the front door:
//
//	{"action":"expireTokens"}
//	{"action":"roleDelay","seconds":S | "milliseconds":MS}
//	{"action":"rerunDeployment","id":DEPLOYMENT}
//	{"action":"reset"}
//
// The front door adds asyncDelay, throttle and rotateKey.
func (c *Cloud) levers() map[string]front.Lever {
	return map[string]front.Lever{
		"expiretokens": func(context.Context, map[string]any) (any, error) {
			c.directory.ExpireTokens()
			return nil, nil
		},
		"roledelay": func(_ context.Context, args map[string]any) (any, error) {
			c.rights.SetDelay(front.Milliseconds(args))
			return nil, nil
		},
		"rerundeployment": func(ctx context.Context, args map[string]any) (any, error) {
			at, _ := args["id"].(string)
			return c.templates.Rerun(ctx, at)
		},
		"reset": func(ctx context.Context, _ map[string]any) (any, error) { return nil, c.Reset(ctx) },
	}
}

// localPaths are further paths under /_local:
//
//	POST /_local/principals {"displayName"}     a new service principal with its secret
//	POST /_local/principals/{objectId}/certificates {"certificate"}
//	                                            lets it sign in with that certificate (PEM)
//	DELETE /_local/principals/{objectId}        removes a principal from the directory
//	POST /_local/subscriptions {"displayName"}  a new, empty subscription; nobody has rights
//	                                            in it but "owner", an object id, if given
//	GET /_local/sites/{name}[/{slot}]           where a site answers and what it runs
func (c *Cloud) localPaths() map[string]front.LocalHandler {
	return map[string]front.LocalHandler{"principals": c.servePrincipals, "subscriptions": c.serveSubscriptions, "sites": c.serveSites}
}

func badCall(message string) *provider.Fault {
	return &provider.Fault{Status: http.StatusBadRequest, Code: "BadRequest", Message: message}
}

func (c *Cloud) servePrincipals(_ context.Context, method, rest string, body map[string]any) (int, any, error) {
	name, _ := body["displayName"].(string)
	switch {
	case method == http.MethodPost && rest == "" && name != "":
		p, _ := c.directory.NewServicePrincipal(name)
		return http.StatusCreated, c.credentials(p), nil
	case method == http.MethodPost && strings.HasSuffix(rest, "/certificates"):
		text, _ := body["certificate"].(string)
		if err := c.directory.AddCertificate(strings.TrimSuffix(rest, "/certificates"), text); err != nil {
			return 0, nil, badCall(err.Error())
		}
		return http.StatusCreated, nil, nil
	case method == http.MethodDelete && rest != "":
		c.directory.Remove(rest)
		return http.StatusOK, nil, nil
	}
	return 0, nil, badCall("Use POST with a displayName, or DELETE with an object id.")
}

func (c *Cloud) serveSubscriptions(_ context.Context, method, _ string, body map[string]any) (int, any, error) {
	name, _ := body["displayName"].(string)
	if method != http.MethodPost || name == "" {
		return 0, nil, badCall("Use POST with a displayName.")
	}
	sub := c.AddSubscription(name)
	if owner, _ := body["owner"].(string); owner != "" {
		if err := c.Assign("Owner", owner, "/subscriptions/"+sub); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusCreated, map[string]any{"id": "/subscriptions/" + sub, "subscriptionId": sub, "displayName": name}, nil
}

func (c *Cloud) serveSites(_ context.Context, method, rest string, _ map[string]any) (int, any, error) {
	status, ok := c.sites.Status(strings.Trim(rest, "/"))
	if method != http.MethodGet || !ok {
		return 0, nil, &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "There is no site '" + id.Fold(rest) + "'."}
	}
	return http.StatusOK, status, nil
}
