package entra_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"evenkeel/emulator/internal/domain"
	"evenkeel/emulator/internal/entra"
	"evenkeel/internal/durable"
)

const base = "https://127.0.0.1:1"

func newAuthority(t *testing.T, now func() time.Time) *entra.Authority {
	t.Helper()
	a, err := entra.New(now)
	if err != nil {
		t.Fatal(err)
	}
	a.SetBase(base + "/")
	return a
}

func call(t *testing.T, a *entra.Authority, method, target string, form url.Values, into any) int {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("%s %s: got %d %q, want JSON", method, target, w.Code, w.Body)
	}
	return w.Code
}

func token(t *testing.T, a *entra.Authority, scope string) string {
	t.Helper()
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	status := call(t, a, "POST", "/"+entra.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {entra.ClientID}, "client_secret": {a.Secret()},
		"scope": {scope},
	}, &answer)
	if status != http.StatusOK || answer.ExpiresIn < 60 {
		t.Fatalf("got %d, expiry in %d s, want a token", status, answer.ExpiresIn)
	}
	return answer.AccessToken
}

// TestTokensVerifyByThePublishedKey does what every relying party does: it reads the configuration, the keys and the
// token.
func TestTokensVerifyByThePublishedKey(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, time.Now)
	var configuration struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
		Token   string `json:"token_endpoint"`
	}
	call(t, a, "GET", "/"+entra.TenantID+"/v2.0/.well-known/openid-configuration", nil, &configuration)
	if configuration.Token != base+"/"+entra.TenantID+"/oauth2/v2.0/token" {
		t.Errorf("got token endpoint %q", configuration.Token)
	}
	var keys struct {
		Keys []struct{ Kid, N, E string }
	}
	call(t, a, "GET", strings.TrimPrefix(configuration.JWKSURI, base), nil, &keys)
	number := func(text string) *big.Int {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(raw)
	}
	public := &rsa.PublicKey{N: number(keys.Keys[0].N), E: int(number(keys.Keys[0].E).Int64())}
	parsed, err := jwt.Parse(token(t, a, base+"/.default openid"), func(token *jwt.Token) (any, error) {
		if token.Header["kid"] != keys.Keys[0].Kid {
			t.Errorf("got key id %v, want %s", token.Header["kid"], keys.Keys[0].Kid)
		}
		return public, nil
	}, jwt.WithIssuer(configuration.Issuer), jwt.WithAudience(base), jwt.WithExpirationRequired())
	if err != nil || !parsed.Valid {
		t.Fatalf("got %v, want a token that verifies", err)
	}
	if audience := parsed.Claims.(jwt.MapClaims)["aud"]; audience != base {
		t.Errorf("got the audience %#v, want the text %s", audience, base)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newAuthority(t, func() time.Time { return now })
	management, dps := token(t, a, domain.ManagementAudience+"//.default"), token(t, a, domain.ServiceAudience+
		"/.default")
	other := newAuthority(t, time.Now)
	other.SetBase("https://127.0.0.1:2")
	// A forged token that names the algorithm "none".
	unsigned, err := jwt.New(jwt.SigningMethodNone).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		header string
		want   error
	}{
		"good":              {"Bearer " + management, nil},
		"scheme in capital": {"BEARER " + management, nil},
		"older audience":    {"Bearer " + token(t, a, domain.CoreAudience+"//.default"), nil},
		"nothing":           {"", entra.ErrNoToken},
		"scheme alone":      {"Bearer ", entra.ErrNoToken},
		"another scheme":    {"Basic " + management, entra.ErrNoToken},
		"another audience":  {"Bearer " + dps, entra.ErrAudience},
		"another issuer":    {"Bearer " + token(t, other, domain.ManagementAudience+"/.default"), entra.ErrInvalid},
		"unsigned":          {"Bearer " + unsigned, entra.ErrInvalid},
		"text":              {"Bearer x.y.z", entra.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if err := a.Check(test.header, a.ARMAudiences()...); !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", name, err, test.want)
			}
		})
	}
	now = now.Add(time.Hour)
	if err := a.Check("Bearer "+management, a.ARMAudiences()...); !errors.Is(err, entra.ErrExpired) {
		t.Errorf("after an hour: got %v, want %v", err, entra.ErrExpired)
	}
}

func TestSecretFilesAreReadableByTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := entra.Load(durable.OS, dir, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first.SetBase(base)
	second, err := entra.Load(durable.OS, dir, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	second.SetBase(base)
	if first.Secret() != second.Secret() {
		t.Error("got another secret at the second start, want the same")
	}
	if err := second.Check("Bearer "+token(t, first, base+"/.default"), base); err != nil {
		t.Errorf("got %v for a token of before the restart, want that it holds", err)
	}
	for _, name := range []string{entra.SecretFile, entra.KeyFile} {
		t.Run(name, func(t *testing.T) {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != 0o600 {
				t.Errorf("got mode %o of %s, want 600", got, name)
			}
		})
	}
}

func TestMetadataHasTheFormOfItsVersion(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, time.Now)
	type cloud struct {
		ResourceManager string `json:"resourceManager"`
		Authentication  struct {
			LoginEndpoint string `json:"loginEndpoint"`
		} `json:"authentication"`
	}
	var single cloud
	call(t, a, "GET", "/metadata/endpoints?api-version=2022-09-01", nil, &single)
	var several []cloud
	call(t, a, "GET", "/metadata/endpoints?api-version=2020-06-01", nil, &several)
	if single.ResourceManager != base || single.Authentication.LoginEndpoint != base || len(several) != 1 ||
		several[0] != single {
		t.Errorf("got %+v and %+v, want the same cloud alone and in a list", single, several)
	}
}

func TestSecretsDoNotLookLikeFlags(t *testing.T) {
	t.Parallel()
	for range 2000 { // one of 64 would begin with a dash
		a, err := entra.New(time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(a.Secret(), "-") {
			t.Fatal("got a secret that begins with a hyphen")
		}
	}
}

// TestMetadataOfOlderVersions: the members that `az cloud register` and azurerm's check of locations read.
func TestMetadataOfOlderVersions(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, time.Now)
	a.SetLocations([]string{"westeurope", "eastus"})
	type old struct {
		GalleryEndpoint string `json:"galleryEndpoint"`
		GraphEndpoint   string `json:"graphEndpoint"`
		PortalEndpoint  string `json:"portalEndpoint"`
		Authentication  struct {
			LoginEndpoint string   `json:"loginEndpoint"`
			Audiences     []string `json:"audiences"`
		} `json:"authentication"`
		CloudEndpoint map[string]struct {
			Endpoint  string   `json:"endpoint"`
			Locations []string `json:"locations"`
		} `json:"cloudEndpoint"`
	}
	for target, clouds := range map[string]int{
		"/metadata/endpoints?api-version=2015-01-01":  0,
		"//metadata/endpoints?api-version=2018-01-01": 1,
	} {
		t.Run(target, func(t *testing.T) {
			var got old
			if status := call(t, a, "GET", base+target, nil, &got); status != http.StatusOK {
				t.Fatalf("%s: got %d, want 200", target, status)
			}
			for _, address := range []string{got.GalleryEndpoint, got.GraphEndpoint, got.PortalEndpoint,
				got.Authentication.LoginEndpoint} {
				if address != base {
					t.Errorf("%s: got the address %q, want %q", target, address, base)
				}
			}
			if len(got.Authentication.Audiences) == 0 || len(got.CloudEndpoint) != clouds {
				t.Errorf("%s: got %+v, want audiences and %d clouds", target, got, clouds)
			}
			for _, cloud := range got.CloudEndpoint {
				if cloud.Endpoint != strings.TrimPrefix(base, "https://") ||
					strings.Join(cloud.Locations, " ") != "westeurope eastus" {
					t.Errorf("%s: got %+v, want the emulator's own endpoint and locations", target, cloud)
				}
			}
		})
	}
	if !entra.Owns("//metadata/endpoints") || entra.Owns("/metadata/endpoints/x") {
		t.Error("got another answer for what belongs to this surface, want the path as Resource Manager cleans it")
	}
}

func TestAnotherTenantIsRefused(t *testing.T) {
	t.Parallel()
	var answer struct{ Error string }
	status := call(t, newAuthority(t, time.Now), "GET",
		"/11111111-1111-1111-1111-111111111111/v2.0/.well-known/openid-configuration", nil, &answer)
	if status != http.StatusBadRequest || answer.Error != "invalid_tenant" {
		t.Errorf("got %d %q, want 400 invalid_tenant", status, answer.Error)
	}
}
