package entra_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"evenkeel/emulator/internal/domain"
	"evenkeel/emulator/internal/entra"
)

const (
	tokenURL  = base + "/" + entra.TenantID + "/oauth2/v2.0/token"
	anyIssuer = "https://issuer.example"
)

// signer is a key with a certificate, as a client or another issuer has it. Microsoft's clients need only RSA; ECDSA is
// fast to generate.
type signer struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newSigner(t *testing.T, until time.Time) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "c"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, certificate}
}

func (s signer) sign(t *testing.T, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// present exchanges an assertion for a token and returns the status and the error in the answer.
func present(t *testing.T, a *entra.Authority, tenant, assertion string) (int, string) {
	t.Helper()
	var answer struct {
		Token       string `json:"access_token"`
		Description string `json:"error_description"`
	}
	status := call(t, a, "POST", "/"+tenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {entra.ClientID}, "scope": {base + "/.default"},
		"client_assertion":      {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}, &answer)
	if (status == http.StatusOK) != (answer.Token != "") {
		t.Errorf("got %d and token %t", status, answer.Token != "")
	}
	return status, answer.Description
}

// edited returns claims with one of them changed; nil removes it.
func edited(claims jwt.MapClaims, name string, value any) jwt.MapClaims {
	changed := jwt.MapClaims{}
	for n, v := range claims {
		changed[n] = v
	}
	if changed[name] = value; value == nil {
		delete(changed, name)
	}
	return changed
}

func sumOf(s signer) []byte {
	sum := sha1.Sum(s.certificate.Raw)
	return sum[:]
}

func longSumOf(s signer) string {
	sum := sha256.Sum256(s.certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestAssertionsOfTheClientsCertificate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, time.Now)
	own, unknown, expired := newSigner(t, time.Now().Add(time.Hour)), newSigner(t, time.Now().Add(time.Hour)),
		newSigner(t, time.Now().Add(-time.Hour))
	plain := func(s signer) string { return base64.StdEncoding.EncodeToString(sumOf(s)) }
	marked := own
	for !strings.ContainsAny(plain(marked), "+/") { // until the two base64 alphabets differ
		marked = newSigner(t, time.Now().Add(time.Hour))
	}
	a.TrustCertificate(marked.certificate)
	a.TrustCertificate(own.certificate)
	a.TrustCertificate(expired.certificate)
	header := func(s signer) map[string]any {
		return map[string]any{"x5t": base64.URLEncoding.EncodeToString(sumOf(s))}
	}
	good := jwt.MapClaims{"iss": entra.ClientID, "sub": entra.ClientID, "aud": tokenURL,
		"exp": time.Now().Add(time.Minute).Unix(), "nbf": time.Now().Add(-time.Minute).Unix()}
	for name, test := range map[string]struct {
		assertion string
		tenant    string
		want      string
	}{
		"good":         {assertion: own.sign(t, header(own), good)},
		"plain base64": {assertion: marked.sign(t, map[string]any{"x5t": plain(marked)}, good)},
		"kid alone": {assertion: own.sign(t,
			map[string]any{"kid": base64.URLEncoding.EncodeToString(sumOf(own))}, good)},
		"kid of SHA-256": {assertion: own.sign(t, map[string]any{"kid": longSumOf(own)}, good)},
		"kid unknown": {assertion: unknown.sign(t, map[string]any{"kid": longSumOf(unknown)}, good),
			want: "AADSTS700027"},
		"kid, another signature": {assertion: unknown.sign(t, map[string]any{"kid": longSumOf(own)}, good),
			want: "AADSTS700027"},
		"kid, another issuer": {assertion: own.sign(t, map[string]any{"kid": longSumOf(own)},
			edited(good, "iss", anyIssuer)), want: "AADSTS700021"},
		"another audience": {assertion: own.sign(t, header(own), edited(good, "aud", "https://else.example")),
			want: "AADSTS700023"},
		"another tenant": {assertion: own.sign(t, header(own), good),
			tenant: "11111111-1111-1111-1111-111111111111", want: "AADSTS90002"},
		"another tenant's address": {assertion: own.sign(t, header(own),
			edited(good, "aud", strings.Replace(tokenURL, entra.TenantID, "11111111-1111-1111-1111-111111111111", 1))),
			want: "AADSTS700023"},
		"another signature": {assertion: unknown.sign(t, header(own), good), want: "AADSTS700027"},
		"expiry": {assertion: own.sign(t, header(own),
			edited(good, "exp", time.Now().Add(-time.Minute).Unix())), want: "AADSTS700024"},
		"no expiry": {assertion: own.sign(t, header(own), edited(good, "exp", nil)),
			want: "AADSTS700024"},
		"by a clock that is ahead": {assertion: own.sign(t, header(own),
			edited(good, "nbf", time.Now().Add(5*time.Second).Unix()))},
		"not valid yet": {assertion: own.sign(t, header(own),
			edited(good, "nbf", time.Now().Add(time.Hour).Unix())), want: "AADSTS700024"},
		"another client": {assertion: own.sign(t, header(own), edited(good, "sub", "another")),
			want: "AADSTS700021"},
		"unknown certificate": {assertion: unknown.sign(t, header(unknown), good), want: "AADSTS700027"},
		"expired certificate": {assertion: expired.sign(t, header(expired), good), want: "AADSTS700027"},
		"no token":            {assertion: "x.y", want: "AADSTS50027"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.tenant == "" {
				test.tenant = entra.TenantID
			}
			status, description := present(t, a, test.tenant, test.assertion)
			if (status == http.StatusOK) != (test.want == "") || !strings.HasPrefix(description, test.want) {
				t.Errorf("got %d %q, want %q", status, description, test.want)
			}
		})
	}
}

func TestTokensOfAnotherIssuerAreExchanged(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, time.Now)
	issuer, unknown := newSigner(t, time.Now().Add(time.Hour)), newSigner(t, time.Now().Add(time.Hour))
	a.Trust(entra.Federation{Issuer: anyIssuer, Subject: "repo:a/b",
		Keys: map[string]crypto.PublicKey{"k1": issuer.key.Public()}})
	header := map[string]any{"kid": "k1"}
	good := jwt.MapClaims{"iss": anyIssuer, "sub": "repo:a/b", "aud": entra.FederatedAudience,
		"exp": time.Now().Add(time.Minute).Unix()}
	for name, test := range map[string]struct{ assertion, want string }{
		"good":              {issuer.sign(t, header, good), ""},
		"another audience":  {issuer.sign(t, header, edited(good, "aud", "https://github.com/a")), "AADSTS70021"},
		"another issuer":    {issuer.sign(t, header, edited(good, "iss", "https://else.example")), "AADSTS70021"},
		"another subject":   {issuer.sign(t, header, edited(good, "sub", "repo:a/c")), "AADSTS70021"},
		"another signature": {unknown.sign(t, header, good), "AADSTS700027"},
		"an unknown key":    {issuer.sign(t, map[string]any{"kid": "k2"}, good), "AADSTS700027"},
		"expiry": {issuer.sign(t, header, edited(good, "exp", time.Now().Add(-time.Minute).Unix())),
			"AADSTS700024"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, description := present(t, a, entra.TenantID, test.assertion)
			if (status == http.StatusOK) != (test.want == "") || !strings.HasPrefix(description, test.want) {
				t.Errorf("got %d %q, want %q", status, description, test.want)
			}
		})
	}
}

func TestIssuerTokenNeedsTheFederatedAudience(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, time.Now)
	ask := func(secret, audience string) (int, string) {
		t.Helper()
		r := httptest.NewRequest("GET", "/oidc/token?audience="+url.QueryEscape(audience), nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		var answer struct{ Value string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		return w.Code, answer.Value
	}
	_, token := ask(a.Secret(), entra.FederatedAudience)
	if status, description := present(t, a, entra.TenantID, token); status != http.StatusOK {
		t.Errorf("got %d %s, want a token", status, description)
	}
	_, token = ask(a.Secret(), "api://something-else")
	if status, _ := present(t, a, entra.TenantID, token); status != http.StatusUnauthorized {
		t.Errorf("another audience: got %d, want 401", status)
	}
	if status, token := ask("guess", entra.FederatedAudience); status != http.StatusUnauthorized || token != "" {
		t.Errorf("another request token: got %d %q, want 401", status, token)
	}
}

// TestAccessTokensAreChecked signs with the authority's own key, so that only the claim is wrong.
func TestAccessTokensAreChecked(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, time.Now)
	good := jwt.MapClaims{
		"iss": a.Issuer(), "tid": entra.TenantID, "aud": domain.ManagementAudience,
		"exp": time.Now().Add(time.Minute).Unix(),
	}
	for name, test := range map[string]struct {
		claims jwt.MapClaims
		want   error
	}{
		"good":             {good, nil},
		"another audience": {edited(good, "aud", "https://graph.microsoft.com"), entra.ErrAudience},
		"another tenant":   {edited(good, "tid", "11111111-1111-1111-1111-111111111111"), entra.ErrInvalid},
		"another issuer":   {edited(good, "iss", "https://sts.windows.net/x/"), entra.ErrInvalid},
		"expiry":           {edited(good, "exp", time.Now().Add(-time.Minute).Unix()), entra.ErrExpired},
		"no expiry":        {edited(good, "exp", nil), entra.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := a.Sign(test.claims)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Check("Bearer "+text, a.ARMAudiences()...); got != test.want {
				t.Errorf("%s: got %v, want %v", name, got, test.want)
			}
		})
	}
}
