package arm

import (
	"context"
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/patchbay/patchbay/internal/problem"
)

// CredentialOptions say who signs in, and where.
type CredentialOptions struct {
	Cloud        Cloud
	TenantID     string
	ClientID     string
	ClientSecret string             // with ClientID: that principal; without: azidentity's default chain
	Certificate  string             // PEM with its key, in place of the secret
	HTTP         policy.Transporter // nil: HTTPClient(nil)
}

// Credential makes the credential for a client. It does no I/O; tokens are
// fetched, kept in memory and renewed as calls need them.
func Credential(o CredentialOptions) (azcore.TokenCredential, error) {
	if o.HTTP == nil {
		o.HTTP = HTTPClient(nil)
	}
	options := azcore.ClientOptions{
		Transport: o.HTTP,
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: o.Cloud.Login},
	}
	_, builtIn := CloudNamed(o.Cloud.Name)
	if builtIn {
		named, _ := CloudNamed(o.Cloud.Name)
		builtIn = named.Login == o.Cloud.Login // a cloud may call itself AzureCloud and sign in elsewhere
	}
	var credential azcore.TokenCredential
	var err error
	if o.ClientID != "" && o.Certificate != "" {
		credential, err = o.byCertificate(options, !builtIn)
	} else if o.ClientID != "" && o.ClientSecret != "" {
		credential, err = azidentity.NewClientSecretCredential(o.TenantID, o.ClientID, o.ClientSecret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions:            options,
			DisableInstanceDiscovery: !builtIn,
		})
	} else {
		credential, err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions:            options,
			DisableInstanceDiscovery: !builtIn,
			TenantID:                 o.TenantID,
		})
	}
	if err != nil {
		return nil, &problem.Error{Code: problem.SignInFailed, Attempt: "prepare sign-in", Detail: firstLine(err.Error())}
	}
	return credential, nil
}

// byCertificate is the credential of a service principal with a certificate. Its errors
// quote nothing of the text.
func (o CredentialOptions) byCertificate(options azcore.ClientOptions, custom bool) (azcore.TokenCredential, error) {
	certificates, key, err := azidentity.ParseCertificates([]byte(o.Certificate), nil)
	if err != nil {
		return nil, errors.New("the certificate cannot be read: it must be PEM, with its private key")
	}
	return azidentity.NewClientCertificateCredential(o.TenantID, o.ClientID, certificates, key, &azidentity.ClientCertificateCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: custom,
	})
}

// Token asks a credential for a token of one audience, for services that take a
// token outside ARM, such as a database password.
func Token(ctx context.Context, c azcore.TokenCredential, audience string) (string, error) {
	token, err := c.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{strings.TrimRight(audience, "/") + "/.default"}})
	switch {
	case err == nil:
		return token.Token, nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	}
	detail := firstLine(err.Error())
	var answered *azidentity.AuthenticationFailedError
	if errors.As(err, &answered) && answered.RawResponse != nil {
		detail = "the sign-in endpoint answered " + answered.RawResponse.Status
	}
	return "", &problem.Error{Code: problem.SignInFailed, Attempt: "get a token for " + audience, Detail: detail}
}
