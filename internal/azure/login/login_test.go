package login_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/golang-jwt/jwt/v5"

	"evenkeel/emulator"
	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/login"
)

const (
	issuerURL = "https://issuer.example"
	subject   = "repo:evenkeel/evenkeel"
	audience  = "api://AzureADTokenExchange"
)

// rsaKey is the key of every client and issuer in these tests, because generating one is slow.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clientCertificate writes a certificate with its key to a file.
func clientCertificate(t *testing.T) (*x509.Certificate, string) {
	t.Helper()
	key, err := rsaKey()
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	file := filepath.Join(t.TempDir(), "client.pem")
	content := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	must(t, os.WriteFile(file, content, 0o600))
	return certificate, file
}

// world is an emulated cloud that trusts a certificate and another issuer.
type world struct {
	emulator.Endpoints
	roots       *x509.CertPool
	certificate string // a file
	base        login.Settings
}

func newWorld(t *testing.T) *world {
	t.Helper()
	certificate, file := clientCertificate(t)
	key, err := rsaKey()
	must(t, err)
	e := emulator.RunT(t, emulator.Options{
		ClientCertificates: []*x509.Certificate{certificate},
		Federations: []emulator.Federation{{Issuer: issuerURL, Subject: subject,
			Keys: map[string]crypto.PublicKey{"k": key.Public()}}},
	})
	w := &world{Endpoints: e.Endpoints(), roots: x509.NewCertPool(), certificate: file}
	w.roots.AppendCertsFromPEM(w.CAPEM)
	w.base = login.Settings{MetadataHost: strings.TrimPrefix(w.ARM, "https://"), TenantID: w.TenantID,
		ClientID: w.ClientID}
	return w
}

// federated returns a token of the other issuer.
func federated(t *testing.T, changes jwt.MapClaims) string {
	t.Helper()
	key, err := rsaKey()
	must(t, err)
	claims := jwt.MapClaims{"iss": issuerURL, "sub": subject, "aud": audience,
		"exp": time.Now().Add(time.Minute).Unix()}
	for name, value := range changes {
		claims[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = "k"
	text, err := token.SignedString(key)
	must(t, err)
	return text
}

// visit logs in and reads the subscription from Resource Manager.
func (w *world) visit(t *testing.T, s login.Settings) error {
	t.Helper()
	account, err := login.New(s, w.roots)
	if err != nil {
		return err
	}
	at, err := account.Cloud(t.Context())
	if err != nil {
		return err
	}
	manager := at.Services[cloud.ResourceManager]
	client, err := arm.New(arm.Options{
		Endpoint: manager.Endpoint, Audience: manager.Audience, AuthorityHost: at.ActiveDirectoryAuthorityHost,
		Credential: account,
		Transport:  account.Transport(), Retry: policy.RetryOptions{MaxRetries: -1}, Name: "test", Version: "0",
	})
	if err != nil {
		return err
	}
	var found map[string]any
	return client.Get(t.Context(), arm.Target{ID: "/subscriptions/" + w.SubscriptionID, APIVersion: "2022-12-01"},
		&found)
}

func TestEveryWayToLogInReachesResourceManager(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("\n "+federated(t, nil)+" \n"), 0o600))
	pipeline := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer request-token" || r.URL.Query().Get("job") != "1" {
			http.Error(rw, "no", http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(rw).Encode(map[string]string{"value": federated(t,
			jwt.MapClaims{"aud": r.URL.Query().Get("audience")})})
	}))
	t.Cleanup(pipeline.Close)
	for name, set := range map[string]func(*login.Settings){
		"a secret":             func(s *login.Settings) { s.ClientSecret = w.ClientSecret },
		"a certificate":        func(s *login.Settings) { s.ClientCertificatePath = w.certificate },
		"a given OIDC token":   func(s *login.Settings) { s.UseOIDC, s.OIDCToken = true, federated(t, nil) },
		"an OIDC token's file": func(s *login.Settings) { s.UseOIDC, s.OIDCTokenFilePath = true, file },
		"a pipeline's service": func(s *login.Settings) {
			s.UseOIDC, s.OIDCRequestURL, s.OIDCRequestToken = true, pipeline.URL+"/token?job=1", "request-token"
		},
		"the emulator's own issuer": func(s *login.Settings) {
			s.UseOIDC, s.OIDCRequestURL, s.OIDCRequestToken = true, w.ARM+"/oidc/token", w.ClientSecret
		},
		"an authority by its address": func(s *login.Settings) {
			s.ClientSecret, s.AuthorityHost = w.ClientSecret, w.ARM
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := w.base
			set(&s)
			if err := w.visit(t, s); err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The authorities of caFile apply to the described cloud, not to every issuer.
func TestAnIssuerOutsideTheCloudNeedsTheSystemsAuthorities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pipeline := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter,
		*http.Request) {
		t.Error("got a request")
	}))
	t.Cleanup(pipeline.Close)
	pipeline.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.roots.AddCert(pipeline.Certificate())
	s := w.base
	s.UseOIDC, s.OIDCRequestURL, s.OIDCRequestToken = true, pipeline.URL, "request-token"
	if err := w.visit(t, s); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, want a certificate that is not trusted", err)
	}
}

func TestLoginsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, unknown := clientCertificate(t)
	garbage := filepath.Join(t.TempDir(), "garbage")
	must(t, os.WriteFile(garbage, []byte("nothing"), 0o600))
	const secret = "not-the-secret"
	for name, test := range map[string]struct {
		set  func(*login.Settings)
		want string
	}{
		"another secret": {func(s *login.Settings) { s.ClientSecret = secret }, "AADSTS7000215"},
		"another tenant": {func(s *login.Settings) {
			s.ClientSecret, s.TenantID = secret, "00000000-0000-0000-0000-0000000000ff"
		}, "AADSTS90002"},
		"another client": {func(s *login.Settings) { s.ClientSecret, s.ClientID = secret, "another" },
			"AADSTS700016"},
		"an unknown certificate": {func(s *login.Settings) { s.ClientCertificatePath = unknown }, "AADSTS700027"},
		"a file of no certificate": {func(s *login.Settings) { s.ClientCertificatePath = garbage },
			"clientCertificatePath"},
		"a file that is not there": {func(s *login.Settings) { s.ClientCertificatePath = "/nowhere.pem" },
			"/nowhere.pem"},
		"an OIDC token's audience": {func(s *login.Settings) {
			s.UseOIDC, s.OIDCToken = true, federated(t, jwt.MapClaims{"aud": "x"})
		}, "AADSTS70021"},
		"an OIDC token's subject": {func(s *login.Settings) {
			s.UseOIDC, s.OIDCToken = true, federated(t, jwt.MapClaims{"sub": "x"})
		}, "AADSTS70021"},
		"an OIDC token's life": {func(s *login.Settings) {
			s.UseOIDC, s.OIDCToken = true, federated(t, jwt.MapClaims{"exp": 1})
		}, "AADSTS700024"},
		"an OIDC token's signature": {func(s *login.Settings) {
			s.UseOIDC, s.OIDCToken = true, federated(t, nil)+"AAAA"
		}, "AADSTS700027"},
		"no OIDC token": {func(s *login.Settings) { s.UseOIDC = true }, "oidcToken"},
		"a service that refuses": {func(s *login.Settings) {
			s.UseOIDC, s.OIDCRequestURL, s.OIDCRequestToken = true, w.ARM+"/oidc/token", secret
		}, "401"},
		"a service asked for another audience": {func(s *login.Settings) {
			s.UseOIDC, s.OIDCRequestURL, s.OIDCRequestToken, s.OIDCAudience = true, w.ARM+"/oidc/token", w.ClientSecret,
				"x"
		}, "AADSTS70021"},
		"no tenant": {func(s *login.Settings) { s.ClientSecret, s.TenantID = secret, "" },
			"ARM_TENANT_ID"},
		"an unknown cloud": {func(s *login.Settings) { s.MetadataHost, s.Environment = "", "moon" },
			"moon"},
		"a host that describes nothing": {func(s *login.Settings) {
			s.MetadataHost = strings.TrimPrefix(w.Data, "https://")
		}, "read the cloud metadata of"},
		"a host that is not there": {func(s *login.Settings) { s.MetadataHost = "127.0.0.1:1" },
			"read the cloud metadata of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := w.base
			test.set(&s)
			err := w.visit(t, s)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error contains a secret: %v", err)
			}
		})
	}
}

// A token for an auxiliary tenant is requested from that tenant, which this cloud does not know; any other tenant gets
// no request.
func TestTokensOfAuxiliaryTenantsAreRequested(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const other = "00000000-0000-0000-0000-0000000000ff"
	for name, set := range map[string]func(*login.Settings){
		"a secret":      func(s *login.Settings) { s.ClientSecret = w.ClientSecret },
		"a certificate": func(s *login.Settings) { s.ClientCertificatePath = w.certificate },
		"OIDC":          func(s *login.Settings) { s.UseOIDC, s.OIDCToken = true, federated(t, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			for tenant, want := range map[string]string{other: "AADSTS90002", "": "AdditionallyAllowedTenants"} {
				t.Run(fmt.Sprintf("%q", tenant), func(t *testing.T) {
					s := w.base
					if set(&s); tenant != "" {
						s.AuxiliaryTenantIDs = []string{tenant}
					}
					account, err := login.New(s, w.roots)
					must(t, err)
					_, err = account.GetToken(t.Context(),
						policy.TokenRequestOptions{Scopes: []string{w.ARM + "/.default"}, TenantID: other})
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%s with the auxiliary tenants %v: got %v, want %q in it", name, s.AuxiliaryTenantIDs,
							err, want)
					}
				})
			}
		})
	}
}

// Not parallel: environment variables locate the managed identities (in App Service's format).
func TestALoginWithAManagedIdentity(t *testing.T) {
	w := newWorld(t)
	service := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if query := r.URL.Query(); r.Header.Get("X-IDENTITY-HEADER") != "header" ||
			query.Get("client_id") != "identity-1" {
			http.Error(rw, "{}", http.StatusBadRequest)
			return
		}
		account, err := login.New(login.Settings{MetadataHost: w.base.MetadataHost, TenantID: w.TenantID,
			ClientID: w.ClientID, ClientSecret: w.ClientSecret}, w.roots)
		if err != nil {
			t.Error(err)
			return
		}
		token, err := account.GetToken(r.Context(),
			policy.TokenRequestOptions{Scopes: []string{r.URL.Query().Get("resource") + "/.default"}})
		if err != nil {
			t.Error(err)
		}
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{"access_token": token.Token,
			"expires_on": fmt.Sprint(token.ExpiresOn.Unix()), "resource": r.URL.Query().Get("resource"),
			"token_type": "Bearer"})
	}))
	t.Cleanup(service.Close)
	t.Setenv("IDENTITY_ENDPOINT", service.URL)
	t.Setenv("IDENTITY_HEADER", "header")
	s := login.Settings{MetadataHost: w.base.MetadataHost, ClientID: "identity-1", UseMSI: true}
	if err := w.visit(t, s); err != nil {
		t.Errorf("got %v", err)
	}
	s.ClientID = "identity-2"
	if err := w.visit(t, s); err == nil {
		t.Error("another identity: got no error")
	}
}

// Not parallel: the login finds the Azure CLI on PATH.
func TestTheAzureCLIIsTheDefaultLogin(t *testing.T) {
	w := newWorld(t)
	account, err := login.New(login.Settings{MetadataHost: w.base.MetadataHost, TenantID: w.TenantID,
		ClientID: w.ClientID, ClientSecret: w.ClientSecret}, w.roots)
	must(t, err)
	token, err := account.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{w.ARM + "/.default"}})
	must(t, err)
	folder := t.TempDir()
	answer, err := json.Marshal(map[string]any{"accessToken": token.Token, "expires_on": token.ExpiresOn.Unix()})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(folder, "answer.json"), answer, 0o600))
	script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *tenant*subscription*|*subscription*tenant*) exit 1;; "+
		"*get-access-token*%s*|*get-access-token*tenant*) cat %s/answer.json;; *) echo \"unexpected: $*\" >&2; exit "+
		"1;; esac\n", `subscription*sub-1`, folder)
	must(t, os.WriteFile(filepath.Join(folder, "az"), []byte(script), 0o700))
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := w.visit(t, login.Settings{MetadataHost: w.base.MetadataHost, SubscriptionID: "sub-1"}); err != nil {
		t.Errorf("got %v", err)
	}
	if err := w.visit(t, login.Settings{MetadataHost: w.base.MetadataHost, TenantID: w.TenantID,
		SubscriptionID: "sub-1"}); err != nil {
		t.Errorf("a tenant and a subscription, of which az takes one: got %v", err)
	}
	if err := w.visit(t, login.Settings{MetadataHost: w.base.MetadataHost, SubscriptionID: "sub-2"}); err == nil ||
		!strings.Contains(err.Error(), "the Azure CLI") {
		t.Errorf("a subscription that az does not know: got %v, want az named", err)
	}
}

// Not parallel: the default chain of the Azure SDK reads the environment.
func TestALoginByTheDefaultChain(t *testing.T) {
	w := newWorld(t)
	for name, value := range map[string]string{"AZURE_TENANT_ID": w.TenantID, "AZURE_CLIENT_ID": w.ClientID,
		"AZURE_CLIENT_SECRET": w.ClientSecret, "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"} {
		t.Setenv(name, value)
	}
	if err := w.visit(t, login.Settings{MetadataHost: w.base.MetadataHost, UseDefault: true}); err != nil {
		t.Errorf("got %v", err)
	}
}
