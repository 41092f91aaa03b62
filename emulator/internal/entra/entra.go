// Package entra is the emulator's stand-in for Microsoft Entra ID and for the cloud's metadata endpoint. It issues
// access tokens to one client for its secret, for an assertion that its certificate signed or for another issuer's
// token, publishes the signing key, and checks the tokens for the other surfaces.
//
// It has one tenant and one client, no users, no roles and no grant other than client credentials.
package entra

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"evenkeel/emulator/internal/domain"
)

// The only tenant and the only client. The ids are not real.
const (
	TenantID = "00000000-0000-0000-0000-00000000007e"
	ClientID = "00000000-0000-0000-0000-0000000000c1"
	objectID = "00000000-0000-0000-0000-0000000000b0"
)

// Names of files in the data folder. Only their owner can read them, as with CertificateFile.
const (
	SecretFile = "client-secret"
	KeyFile    = "token-key.pem"
)

const (
	tokenLife = 3599 * time.Second // as for Entra's tokens
	keyBits   = 2048
	// secretBytes is the number of random bytes in a secret.
	secretBytes = 30
)

// Authority signs and checks tokens.
type Authority struct {
	key    *rsa.PrivateKey
	keyID  string
	secret string
	now    func() time.Time
	// certificates are the client's, by their thumbprints as used in assertions; federations are the trusted issuers.
	certificates map[string]*x509.Certificate
	federations  []Federation
	// base is the address of the ARM surface, without a trailing slash. SetBase sets it before the first request.
	base string
	// locations are the names of the regions that the metadata lists.
	locations []string
}

// memoryKey is the key of all authorities in memory: generating one would be the most expensive part of a test. Even
// so, one emulator refuses the tokens of another, whose address is not their issuer.
var memoryKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, keyBits) })

// New returns an authority in memory.
func New(now func() time.Time) (*Authority, error) {
	key, err := memoryKey()
	if err != nil {
		return nil, fmt.Errorf("generate token key: %w", err)
	}
	secret, err := newSecret()
	if err != nil {
		return nil, err
	}
	return fromParts(key, secret, now), nil
}

// newSecret generates a client secret. It does not begin with a hyphen, which `az login -p SECRET` would parse as a
// flag.
func newSecret() (string, error) {
	raw := make([]byte, secretBytes)
	for {
		if _, err := rand.Read(raw); err != nil {
			return "", fmt.Errorf("generate client secret: %w", err)
		}
		if secret := base64.RawURLEncoding.EncodeToString(raw); secret[0] != '-' {
			return secret, nil
		}
	}
}

func fromParts(key *rsa.PrivateKey, secret string, now func() time.Time) *Authority {
	sum := sha256.Sum256(key.N.Bytes())
	return &Authority{key: key, keyID: base64.RawURLEncoding.EncodeToString(sum[:15]), secret: secret, now: now,
		certificates: map[string]*x509.Certificate{}}
}

// SetBase sets the address of the ARM surface, from which issuers and endpoints are derived. It must not be called
// while requests are served.
func (a *Authority) SetBase(url string) { a.base = strings.TrimSuffix(url, "/") }

// Secret returns the client's secret.
func (a *Authority) Secret() string { return a.secret }

func (a *Authority) issuer() string { return a.base + "/" + TenantID + "/v2.0" }

func (a *Authority) checkSecret(secret string) bool {
	got, want := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(a.secret))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// registered are the claims of any token with one audience, which Entra and GitHub write as a string and the library
// as a list.
type registered struct {
	jwt.RegisteredClaims
	Audience string `json:"aud"`
}

// claims are the claims of an Entra access token that clients or surfaces read.
type claims struct {
	registered
	Tenant   string `json:"tid"`
	ObjectID string `json:"oid"`
	AppID    string `json:"appid"`
	IDType   string `json:"idtyp"`
	Version  string `json:"ver"`
}

// token issues an access token for audience.
func (a *Authority) token(audience string) (string, error) {
	now := a.now()
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims{
		registered: registered{jwt.RegisteredClaims{
			Issuer: a.issuer(), Subject: objectID, ID: uuid.NewString(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
		}, audience},
		Tenant: TenantID, ObjectID: objectID, AppID: ClientID, IDType: "app", Version: "1.0",
	})
	t.Header["kid"] = a.keyID
	signed, err := t.SignedString(a.key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// Reasons for which a token is refused.
var (
	ErrNoToken  = errors.New("the Authorization header holds no bearer token")
	ErrExpired  = errors.New("the access token has expired")
	ErrAudience = errors.New("the access token is for another audience")
	ErrInvalid  = errors.New("the access token is invalid")
)

// ARMAudiences are the audiences that the ARM surface accepts.
func (a *Authority) ARMAudiences() []string {
	return []string{a.base, domain.ManagementAudience, domain.CoreAudience}
}

// Check verifies an Authorization header: signature, issuer, tenant, validity period, and that the token is for one
// of the audiences (a trailing slash is ignored). It returns one of the errors above.
func (a *Authority) Check(header string, audiences ...string) error {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(text) == "" {
		return ErrNoToken
	}
	var c claims
	_, err := jwt.ParseWithClaims(strings.TrimSpace(text), &c, func(*jwt.Token) (any, error) {
		return a.key.Public(), nil
	},
		jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}), jwt.WithTimeFunc(a.now),
		jwt.WithExpirationRequired(),
		jwt.WithIssuer(a.issuer()))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrExpired
	case err != nil || c.Tenant != TenantID:
		return ErrInvalid
	}
	if !names(jwt.ClaimStrings{c.Audience}, audiences...) {
		return ErrAudience
	}
	return nil
}

// jwk is the public key in the form of RFC 7517.
func (a *Authority) jwk() map[string]any {
	public := a.key.PublicKey
	return map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": a.keyID, "issuer": a.issuer(),
		"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
	}
}
