package directory

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// assertionType is the only form of client assertion there is.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// privateCertificate is where a principal's certificate is kept, in PEM.
const privateCertificate = "certificate"

// AddCertificate lets a service principal sign in with a certificate's key as well as with
// its secret. The text is PEM; a private key in it is not looked at.
func (d *Directory) AddCertificate(objectID, text string) error {
	p, ok := d.Lookup(objectID)
	if !ok || p.Kind != ServicePrincipal {
		return d.missing(objectID)
	}
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("read certificate: %w", err)
		}
		kept := d.opts.Store.Private(principalID(objectID))
		if kept == nil {
			kept = map[string]string{}
		}
		kept[privateCertificate] = string(pem.EncodeToMemory(block))
		d.opts.Store.SetPrivate(principalID(objectID), kept)
		return nil
	}
	return errors.New("there is no certificate in the text")
}

// assert checks a signed statement of who signs in: by the certificate's key, for this
// directory, by and about the client itself, and not too old.
func (d *Directory) assert(r *http.Request) (provider.Principal, *oauthError) {
	refuse := func(number int, text string) (provider.Principal, *oauthError) {
		return provider.Principal{}, &oauthError{http.StatusUnauthorized, "invalid_client", number, text}
	}
	if r.PostForm.Get("client_assertion_type") != assertionType {
		return refuse(50027, "JWT token is invalid or malformed: the type of the assertion is not supported.")
	}
	clientID := r.PostForm.Get("client_id")
	p, ok := d.Find(func(p provider.Principal) bool {
		return p.Kind == ServicePrincipal && strings.EqualFold(p.ClientID, clientID)
	})
	if !ok {
		return provider.Principal{}, &oauthError{http.StatusBadRequest, "unauthorized_client", 700016,
			"Application with identifier '" + clientID + "' was not found in the directory '" + d.tenant + "'."}
	}
	block, _ := pem.Decode([]byte(d.opts.Store.Private(principalID(p.ObjectID))[privateCertificate]))
	if block == nil {
		return refuse(700027, "The certificate with identifier used to sign the client assertion is not registered on application.")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return refuse(700027, "The registered certificate cannot be read.")
	}
	claims := jwt.RegisteredClaims{}
	_, err = jwt.ParseWithClaims(r.PostForm.Get("client_assertion"), &claims, func(*jwt.Token) (any, error) { return certificate.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256", "PS256"}), jwt.WithIssuer(clientID), jwt.WithSubject(clientID), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(d.opts.Now))
	if err != nil {
		return refuse(700027, "Client assertion failed signature validation or has expired.")
	}
	if len(claims.Audience) != 1 || !strings.HasPrefix(claims.Audience[0], d.opts.URL+"/") {
		return refuse(700023, "Client assertion audience claim does not match Realm issuer.")
	}
	return p, nil
}
