package provider_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/emulator"
)

const dpsScope = "https://azure-devices-provisioning.net/.default"

// withEntra creates a provisioning service and returns the configuration that logs in to it with the emulator's client
// secret.
func withEntra(t *testing.T, options ...emulator.Options) (*azure, object) {
	t.Helper()
	cloud := newAzure(t, options...)
	_, err := cloud.putService(t.Context(), newKey(t), newKey(t), "")
	must(t, err)
	ends := cloud.Endpoints()
	return cloud, object{
		"host": emulatedHost, "endpoint": ends.Data, "caFile": ends.CAFile, "rateLimit": 0,
		"tenantId": ends.TenantID, "clientId": ends.ClientID, "clientSecret": ends.ClientSecret,
		"authorityHost": ends.ARM,
	}
}

// edited returns the configuration with changes; nil removes a property.
func (o object) edited(changes object) object {
	edited := object{}
	for name, value := range o {
		edited[name] = value
	}
	for name, value := range changes {
		if edited[name] = value; value == nil {
			delete(edited, name)
		}
	}
	return edited
}

// live creates, changes, refreshes and deletes an enrollment with the configuration.
func live(t *testing.T, config object) {
	t.Helper()
	m := manage(t, startProvider(t, config), "IndividualEnrollment", "x")
	m.up(object{"registrationId": "device-1"})
	m.up(object{"registrationId": "device-1", "provisioningStatus": "disabled"})
	if drift := m.refresh(); drift != nil {
		t.Errorf("refresh: got %v, want none", drift)
	}
	m.delete()
}

func TestALoginWithASecretNeedsNoPolicy(t *testing.T) {
	t.Parallel()
	_, config := withEntra(t)
	live(t, config)
}

func TestLoginsAndTokensAreRefused(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64 // how far the cloud's clock is ahead, in hours
	cloud, config := withEntra(
		t, emulator.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * time.Hour) }})
	other := newAuthorityHost(t, cloud, func(url.Values) error { return nil })
	other.scope = "https://management.azure.com/.default"
	forger := newAuthorityHost(t, cloud, func(url.Values) error { return nil })
	forger.forge = true
	for name, test := range map[string]struct {
		changes object
		want    string
	}{
		"a wrong secret":       {object{"clientSecret": "not-the-secret"}, "AADSTS7000215"},
		"another tenant":       {object{"tenantId": "00000000-0000-0000-0000-0000000000ff"}, "AADSTS90002"},
		"another audience":     {object{"authorityHost": other.URL, "caFile": other.caFile}, "Data Contributor"},
		"another signature":    {object{"authorityHost": forger.URL, "caFile": forger.caFile}, "Data Contributor"},
		"an unknown authority": {object{"authorityHost": other.URL}, "certificate"},
		"no readable file": {object{"clientSecret": nil, "clientCertificatePath": "/nowhere.pem"},
			"/nowhere.pem"},
		"a file without a key": {object{"clientSecret": nil, "clientCertificatePath": config["caFile"]},
			"clientCertificatePath"},
		"no readable OIDC token": {object{"clientSecret": nil, "useOidc": true, "oidcTokenFilePath": "/nowhere.jwt"},
			"/nowhere.jwt"},
	} {
		t.Run(name, func(t *testing.T) {
			m := manage(t, startProvider(t, config.edited(test.changes)), "IndividualEnrollment", "x")
			_, err := m.tryUp(object{"registrationId": "device-1"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q in it", err, test.want)
			}
			if strings.Contains(err.Error(), "not-the-secret") ||
				strings.Contains(err.Error(), config["clientSecret"].(string)) {
				t.Errorf("the error contains a secret: %v", err)
			}
		})
	}
	m := manage(t, startProvider(t, config), "IndividualEnrollment", "x")
	m.up(object{"registrationId": "device-1"})
	described := config.edited(object{"authorityHost": nil, "metadataHost": strings.TrimPrefix(cloud.Endpoints().ARM,
		"https://")})
	link := manage(t, startProvider(t, described), "LinkedHub", "x")
	link.id, link.inputs = servicePath+"/linkedHubs/"+emulatedHub, good(t)["LinkedHub"].properties()
	link.state = link.inputs
	if _, err := link.server.Read(readOf(link)); err != nil {
		t.Errorf("a link: got %v", err)
	}
	ahead.Store(2)
	_, err := m.tryUp(object{"registrationId": "device-1", "provisioningStatus": "disabled"})
	if err == nil || !strings.Contains(err.Error(), "Data Contributor") {
		t.Errorf("an expired token: got %v, want a refusal that names the role", err)
	}
	if _, err := m.server.Read(readOf(m)); err == nil {
		t.Error("a refresh with an expired token: got no error, want one that keeps the state")
	}
	if _, err := link.server.Read(readOf(link)); err == nil || !strings.Contains(err.Error(), "Contributor") {
		t.Errorf("a link read with an expired token: got %v, want a refusal that names a role", err)
	}
}

// authorityHost is an authority that checks what the emulator cannot check, and then gets its tokens from the emulator.
type authorityHost struct {
	*httptest.Server
	caFile string
	// scope, if set, is requested instead of the client's.
	scope string
	// forge signs tokens with another key.
	forge bool
}

func newAuthorityHost(t *testing.T, cloud *azure, check func(url.Values) error) *authorityHost {
	t.Helper()
	ends := cloud.Endpoints()
	a := &authorityHost{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		base := a.URL + "/" + r.PathValue("tenant")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": base + "/v2.0", "token_endpoint": base + "/oauth2/v2.0/token", "authorization_endpoint": base +
				"/oauth2/v2.0/authorize",
		})
	})
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || check(r.PostForm) != nil {
			http.Error(w, `{"error":"invalid_client","error_description":"AADSTS700027: the assertion is refused"}`,
				http.StatusUnauthorized)
			return
		}
		scope := r.PostForm.Get("scope")
		if a.scope != "" {
			scope = a.scope
		}
		token := exchange(t, cloud, scope)
		if a.forge {
			token = forged(t, token)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": token})
	})
	root := newAuthority(t, "authority root")
	a.Server = httptest.NewUnstartedServer(mux)
	a.TLS = &tls.Config{Certificates: []tls.Certificate{root.server(t, "localhost")}}
	a.StartTLS()
	t.Cleanup(a.Close)
	a.URL = strings.Replace(a.URL, "127.0.0.1", "localhost", 1)
	a.caFile = filepath.Join(t.TempDir(), "both.pem")
	must(t, os.WriteFile(a.caFile, append([]byte(root.PEM), ends.CAPEM...), 0o600))
	return a
}

// exchange gets a token from the emulator with its client secret.
func exchange(t *testing.T, cloud *azure, scope string) string {
	t.Helper()
	ends := cloud.Endpoints()
	response, err := cloud.devices.PostForm(ends.ARM+"/"+ends.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {ends.ClientID}, "client_secret": {ends.ClientSecret},
		"scope": {scope},
	})
	if err != nil {
		t.Error(err)
		return ""
	}
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		t.Errorf("exchange a token for %s: %s, %v", scope, response.Status, err)
	}
	return answer.AccessToken
}

// forged returns a token with the same claims and another signature.
func forged(t *testing.T, token string) string {
	claims := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(token, claims)
	if err != nil {
		t.Error(err)
		return ""
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Error(err)
		return ""
	}
	again := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	again.Header["kid"] = parsed.Header["kid"]
	text, err := again.SignedString(key)
	if err != nil {
		t.Error(err)
	}
	return text
}

func TestALoginWithACertificate(t *testing.T) {
	t.Parallel()
	cloud, config := withEntra(t, emulator.Options{Dir: t.TempDir()})
	live(t, config.edited(object{"clientSecret": nil,
		"clientCertificatePath": cloud.Endpoints().ClientCertificateFile}))
}

func TestALoginWithAnotherIssuersToken(t *testing.T) {
	t.Parallel()
	cloud, config := withEntra(t)
	ends := cloud.Endpoints()
	ask := func(audience string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ends.ARM+"/oidc/token?audience="+audience,
			nil)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+ends.ClientSecret)
		response, err := cloud.devices.Do(r)
		must(t, err)
		defer response.Body.Close()
		var answer struct{ Value string }
		must(t, json.NewDecoder(response.Body).Decode(&answer))
		return answer.Value
	}
	federated := ask("api://AzureADTokenExchange")
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte(federated+"\n"), 0o600))
	// The issuer belongs to the cloud of metadataHost, so that caFile applies to it.
	base := config.edited(object{"clientSecret": nil, "useOidc": true, "authorityHost": nil,
		"metadataHost": strings.TrimPrefix(ends.ARM, "https://")})
	for name, changes := range map[string]object{
		"given":     {"oidcToken": federated},
		"in a file": {"oidcTokenFilePath": file},
		"asked for": {"oidcRequestUrl": ends.ARM + "/oidc/token", "oidcRequestToken": ends.ClientSecret},
	} {
		t.Run(name, func(t *testing.T) { live(t, base.edited(changes)) })
	}
	for name, changes := range map[string]object{
		"for another audience":   {"oidcToken": ask("api://else")},
		"with another signature": {"oidcToken": federated[:len(federated)-6] + "AAAAAA"},
		"refused by the service": {"oidcRequestUrl": ends.ARM + "/oidc/token", "oidcRequestToken": "not-the-token"},
	} {
		t.Run(name, func(t *testing.T) {
			m := manage(t, startProvider(t, base.edited(changes)), "IndividualEnrollment", "x")
			if _, err := m.tryUp(object{"registrationId": "device-1"}); err == nil ||
				!strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "not-the-token") {
				t.Errorf("a token %s: got %v, want the refusal and no token", name, err)
			}
		})
	}
}

// TestVariablesCompleteTheLogin: the configuration contains no login, and no value of the variables is stored in it.
func TestVariablesCompleteTheLogin(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	variables := map[string]string{"ARM_METADATA_HOSTNAME": s.config["metadataHost"].(string)}
	for name, property := range map[string]string{"ARM_TENANT_ID": "tenantId", "ARM_CLIENT_ID": "clientId",
		"ARM_CLIENT_SECRET": "clientSecret"} {
		variables[name] = s.config[property].(string)
	}
	config := object{"host": emulatedHost, "endpoint": s.Endpoints().Data, "caFile": s.Endpoints().CAFile}
	server := startProviderWith(t, config, func(name string) string { return variables[name] })
	device := manage(t, server, "IndividualEnrollment", "x")
	device.up(object{"registrationId": "device-1"})
	link := manage(t, server, "LinkedHub", "hub-2")
	link.up(s.link("hub-2", nil))
	s.linked("hub-1", "hub-2")
	checked, err := server.CheckConfig(p.CheckRequest{Urn: providerURN, Inputs: config.properties()})
	must(t, err)
	if text := fmt.Sprint(checked.Inputs); strings.Contains(text, variables["ARM_CLIENT_SECRET"]) ||
		strings.Contains(text, variables["ARM_CLIENT_ID"]) {
		t.Error("the configuration holds what variables say")
	}
}

// Not parallel: environment variables locate the managed identities (in App Service's format).
func TestALoginWithAManagedIdentity(t *testing.T) {
	cloud, config := withEntra(t)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if query := r.URL.Query(); r.Header.Get("X-IDENTITY-HEADER") != "header" || query.Get("resource")+
			"/.default" != dpsScope || query.Get("client_id") != "identity-1" {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": exchange(t, cloud, dpsScope), "expires_on": fmt.Sprint(time.Now().Add(time.Hour).Unix()),
			"resource": "https://azure-devices-provisioning.net", "token_type": "Bearer",
		})
	}))
	t.Cleanup(service.Close)
	t.Setenv("IDENTITY_ENDPOINT", service.URL)
	t.Setenv("IDENTITY_HEADER", "header")
	live(t, config.edited(object{"clientSecret": nil, "authorityHost": nil, "tenantId": nil, "clientId": "identity-1",
		"useMsi": true}))
}

// Not parallel: the login finds the Azure CLI on PATH.
func TestALoginAsTheAzureCLI(t *testing.T) {
	cloud, config := withEntra(t)
	folder := t.TempDir()
	answer, err := json.Marshal(map[string]any{"accessToken": exchange(t, cloud, dpsScope),
		"expires_on": time.Now().Add(time.Hour).Unix()})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(folder, "answer.json"), answer, 0o600))
	script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *%s*) cat %s/answer.json;; *) echo \"unexpected: $*\" >&2; exit "+
		"1;; esac\n", "azure-devices-provisioning.net", folder)
	must(t, os.WriteFile(filepath.Join(folder, "az"), []byte(script), 0o700))
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	live(t, config.edited(object{"clientSecret": nil, "clientId": nil, "tenantId": nil, "authorityHost": nil,
		"useAzureCli": true}))
}
