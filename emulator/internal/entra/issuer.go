package entra

import (
	"crypto"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// The emulator is also a stand-in for another issuer: a CI service that issues tokens to be exchanged, as GitHub
// Actions documents it ("OpenID Connect reference"). It requires the client's secret where a CI job would send its
// own token.
const (
	issuerPath = "/oidc"
	// IssuerSubject is the subject of that issuer's tokens.
	IssuerSubject = "evenkeel:pipeline"
	assertionLife = 5 * time.Minute
)

// ownFederation is the trust in that issuer.
func (a *Authority) ownFederation() Federation {
	return Federation{Issuer: a.base + issuerPath, Subject: IssuerSubject,
		Keys: map[string]crypto.PublicKey{a.keyID: a.key.Public()}}
}

func (a *Authority) serveIssuer(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": a.base + issuerPath, "jwks_uri": a.base + "/" + TenantID + "/discovery/v2.0/keys",
		"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

// serveAssertion issues a token for the requested audience. A token without one is not accepted here.
func (a *Authority) serveAssertion(w http.ResponseWriter, r *http.Request) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || !a.checkSecret(strings.TrimSpace(secret)) {
		a.writeError(w, http.StatusUnauthorized, "invalid_token", "the request token is not the client's secret")
		return
	}
	now := a.now()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, registered{jwt.RegisteredClaims{
		Issuer: a.base + issuerPath, Subject: IssuerSubject, ID: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(assertionLife)),
	}, r.URL.Query().Get("audience")})
	token.Header["kid"] = a.keyID
	signed, err := token.SignedString(a.key)
	if err != nil {
		a.writeError(w, http.StatusInternalServerError, "server_error", "the token could not be created")
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, map[string]any{"value": signed})
}
