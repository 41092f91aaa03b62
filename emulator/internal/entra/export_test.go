package entra

import "github.com/golang-jwt/jwt/v5"

// Sign signs any claims with the authority's own key.
func (a *Authority) Sign(claims jwt.Claims) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["kid"] = a.keyID
	return t.SignedString(a.key)
}

// Issuer returns the issuer of access tokens.
func (a *Authority) Issuer() string { return a.issuer() }
