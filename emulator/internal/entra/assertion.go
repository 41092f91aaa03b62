package entra

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Federation is trust in another issuer's tokens ("Workload identity federation"): a token with this subject and the
// federated audience authenticates the client.
type Federation struct {
	Issuer, Subject string
	// Keys are the issuer's public keys by key id, *rsa.PublicKey or *ecdsa.PublicKey.
	Keys map[string]crypto.PublicKey
}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// FederatedAudience is the audience that Entra requires in other issuers' tokens.
	FederatedAudience = "api://AzureADTokenExchange"
)

// urlBase64 converts any base64 to the URL alphabet: some of Microsoft's clients send the standard one (MSAL for Go
// does).
var urlBase64 = strings.NewReplacer("+", "-", "/", "_", "=", "")

// TrustCertificate registers a certificate of the client. It must not be called while requests are served.
func (a *Authority) TrustCertificate(certificate *x509.Certificate) {
	short, long := sha1.Sum(certificate.Raw), sha256.Sum256(certificate.Raw)
	for _, sum := range [][]byte{short[:], long[:]} {
		a.certificates[base64.RawURLEncoding.EncodeToString(sum)] = certificate
	}
}

// Trust registers another issuer. It must not be called while requests are served.
func (a *Authority) Trust(f Federation) { a.federations = append(a.federations, f) }

// refusal is an error of the token endpoint, with Entra's numbers ("Microsoft Entra authentication and authorization
// error codes").
type refusal struct {
	status      int
	code        string
	description string
}

func invalidClient(format string, values ...any) *refusal {
	return &refusal{http.StatusUnauthorized, "invalid_client", fmt.Sprintf(format, values...)}
}

// authenticate authenticates the client by its secret, by a token that its certificate signed (RFC 7523, 2.2), or by
// another issuer's token.
func (a *Authority) authenticate(r *http.Request) *refusal {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		id, secret = user, password
	}
	if !strings.EqualFold(id, ClientID) {
		return invalidClient("AADSTS700016: Application with identifier '%s' was not found in the directory: the "+
			"emulator's only client is %s.", id, ClientID)
	}
	assertion := r.PostForm.Get("client_assertion")
	switch {
	case assertion == "" && a.checkSecret(secret):
		return nil
	case assertion == "":
		return invalidClient("AADSTS7000215: Invalid client secret provided.")
	case r.PostForm.Get("client_assertion_type") != assertionType:
		return &refusal{http.StatusBadRequest, "invalid_request", "AADSTS50027: client_assertion_type must be " +
			assertionType + "."}
	}
	return a.checkAssertion(assertion, r.PathValue("tenant"))
}

// checkAssertion distinguishes the two kinds of assertions by the header: one that the client signed contains the
// thumbprint of its certificate.
func (a *Authority) checkAssertion(assertion, tenant string) *refusal {
	unverified, _, err := jwt.NewParser().ParseUnverified(assertion, &jwt.RegisteredClaims{})
	if err != nil {
		return &refusal{http.StatusBadRequest, "invalid_request", "AADSTS50027: JWT token is invalid or malformed."}
	}
	for _, name := range []string{"x5t#S256", "x5t"} {
		if thumbprint, ok := unverified.Header[name].(string); ok {
			return a.checkOwnAssertion(assertion, tenant, urlBase64.Replace(thumbprint))
		}
	}
	// hashicorp/go-azure-sdk names the certificate in "kid" (sdk/auth/client_credentials.go), as other issuers name
	// their key.
	keyID, _ := unverified.Header["kid"].(string)
	thumbprint := urlBase64.Replace(keyID)
	if own := strings.EqualFold(unverified.Claims.(*jwt.RegisteredClaims).Issuer, ClientID); own ||
		a.certificates[thumbprint] != nil {
		return a.checkOwnAssertion(assertion, tenant, thumbprint)
	}
	return a.checkFederated(assertion, unverified)
}

// checkOwnAssertion checks a token that the client signed: issuer and subject are the client, the audience is the
// token endpoint.
func (a *Authority) checkOwnAssertion(assertion, tenant, thumbprint string) *refusal {
	certificate := a.certificates[thumbprint]
	if certificate == nil {
		return invalidClient("AADSTS700027: The certificate with identifier used to sign the client assertion is not " +
			"registered on application.")
	}
	if now := a.now(); now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return invalidClient("AADSTS700027: The certificate used to sign the client assertion has expired.")
	}
	claims, refused := a.verify(assertion, certificate.PublicKey)
	if refused != nil {
		return refused
	}
	audiences := []string{
		a.base + "/" + TenantID + "/oauth2/v2.0/token", a.base + "/" + tenant + "/oauth2/v2.0/token", a.issuer(),
		a.base + "/" + tenant + "/v2.0",
	}
	switch {
	case !names(claims.Audience, audiences...):
		return invalidClient("AADSTS700023: Client assertion audience claim does not match Realm issuer: want the " +
			"token endpoint.")
	case !strings.EqualFold(claims.Issuer, ClientID) || !strings.EqualFold(claims.Subject, ClientID):
		return invalidClient("AADSTS700021: Client assertion application identifier doesn't match 'client_id' " +
			"parameter.")
	}
	return nil
}

// checkFederated checks a token of a trusted issuer.
func (a *Authority) checkFederated(assertion string, unverified *jwt.Token) *refusal {
	said := unverified.Claims.(*jwt.RegisteredClaims)
	keyID, _ := unverified.Header["kid"].(string)
	for _, f := range slices.Concat(a.federations, []Federation{a.ownFederation()}) {
		if f.Issuer != said.Issuer {
			continue
		}
		key := f.Keys[keyID]
		if key == nil {
			return invalidClient(
				"AADSTS700027: Client assertion failed signature validation: the issuer has no key '%s'.", keyID)
		}
		claims, refused := a.verify(assertion, key)
		if refused != nil {
			return refused
		}
		if claims.Subject == f.Subject && names(claims.Audience, FederatedAudience) {
			return nil
		}
	}
	return invalidClient("AADSTS70021: No matching federated identity record found for presented assertion. "+
		"Assertion Issuer: '%s'. Assertion Subject: '%s'. Assertion Audience: '%s'.",
		said.Issuer, said.Subject, strings.Join(said.Audience, " "))
}

// maxAhead is how early an assertion may be used before its stated beginning: clocks differ, and MSAL for Node rounds
// the second up. Fidelity: five minutes are the default of Microsoft's libraries that check tokens; Entra's own limit
// is unsure.
const maxAhead = 5 * time.Minute

// verify checks an assertion's signature and validity period.
func (a *Authority) verify(assertion string, key crypto.PublicKey) (*jwt.RegisteredClaims, *refusal) {
	claims := &jwt.RegisteredClaims{}
	_, err := jwt.ParseWithClaims(assertion, claims, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"RS256", "PS256", "ES256"}), jwt.WithTimeFunc(a.now), jwt.WithLeeway(maxAhead),
		jwt.WithExpirationRequired())
	if err == nil && !a.now().Before(claims.ExpiresAt.Time) {
		err = jwt.ErrTokenExpired // the leeway applies only to the beginning
	}
	switch {
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet),
		errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return nil, invalidClient("AADSTS700024: Client assertion is not within its valid time range.")
	case err != nil:
		return nil, invalidClient("AADSTS700027: Client assertion failed signature validation.")
	}
	return claims, nil
}

// names reports whether an audience is one of the expected ones. A trailing slash is ignored.
func names(audience jwt.ClaimStrings, wanted ...string) bool {
	for _, got := range audience {
		for _, want := range wanted {
			if strings.TrimRight(got, "/") == strings.TrimRight(want, "/") {
				return true
			}
		}
	}
	return false
}
