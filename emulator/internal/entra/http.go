package entra

import (
	"encoding/json"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/domain"
	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/traffic"
)

// maxForm limits a token request.
const maxForm = 64 << 10

// Handler serves the metadata of the cloud, the OpenID configuration, the keys and the token endpoint.
func (a *Authority) Handler() http.Handler { return handler{a.routes(), a} }

// handler is what Handler returns.
type handler struct {
	*routes.Mux
	authority *Authority
}

// Refuse implements traffic.Refuser: errors have the form of RFC 6749.
func (h handler) Refuse(w http.ResponseWriter, r *traffic.Refusal) {
	code := "invalid_request"
	if r.Status == http.StatusTooManyRequests || r.Status >= http.StatusInternalServerError {
		code = "temporarily_unavailable"
	}
	h.authority.writeError(w, r.Status, code, r.Name+": "+r.Message)
}

// Routes returns what Handler serves, for example "GET /metadata/endpoints".
func Routes() []string { return (&Authority{}).routes().Patterns() }

func (a *Authority) routes() *routes.Mux {
	mux := &routes.Mux{}
	mux.HandleFunc("GET /metadata/endpoints", a.serveMetadata)
	mux.HandleFunc("GET /common/discovery/instance", a.serveInstance)
	mux.HandleFunc("GET "+issuerPath+"/.well-known/openid-configuration", a.serveIssuer)
	mux.HandleFunc("GET "+issuerPath+"/token", a.serveAssertion)
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", a.inTenant(a.serveOpenID))
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", a.inTenant(a.serveKeys))
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", a.inTenant(a.serveToken))
	return mux
}

// ServeHTTP accepts paths with empty segments as Resource Manager does: azurerm requests //metadata/endpoints.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if clean := path.Clean("/" + r.URL.Path); clean != r.URL.Path {
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = clean, ""
	}
	h.Mux.ServeHTTP(w, r)
}

// Owns reports whether a path belongs to Handler. The other paths on the same listener are ARM's.
func Owns(asked string) bool {
	clean := path.Clean("/" + asked)
	return strings.HasPrefix(clean, issuerPath+"/") || owned.Has(clean)
}

// owned has the paths of Handler, and serves nothing.
var owned = (&Authority{}).routes()

// tenantNames are the accepted names of the tenant. Clients that do not know it send "organizations" or "common".
var tenantNames = []string{TenantID, "organizations", "common"}

func (a *Authority) inTenant(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(tenantNames, strings.ToLower(r.PathValue("tenant"))) {
			a.writeError(w, http.StatusBadRequest, "invalid_tenant", "AADSTS90002: Tenant '"+r.PathValue("tenant")+
				"' not found: the emulator's only tenant is "+TenantID)
			return
		}
		next(w, r)
	}
}

func (a *Authority) serveInstance(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": a.base + "/" + TenantID + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1", "metadata": []any{},
	})
}

func (a *Authority) serveOpenID(w http.ResponseWriter, _ *http.Request) {
	tenant := a.base + "/" + TenantID
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                 a.issuer(),
		"authorization_endpoint": tenant + "/oauth2/v2.0/authorize",
		"token_endpoint":         tenant + "/oauth2/v2.0/token",
		"jwks_uri":               tenant + "/discovery/v2.0/keys",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt",
			"client_secret_basic"},
		"grant_types_supported":                 []string{"client_credentials"},
		"response_types_supported":              []string{"token"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (a *Authority) serveKeys(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"keys": []any{a.jwk()}})
}

// serveToken is the client credentials grant (RFC 6749, 4.4) with Entra's scopes and error codes.
func (a *Authority) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		a.writeError(w, http.StatusBadRequest, "invalid_request", "AADSTS900144: the request body is not a form")
		return
	}
	if grant := r.PostForm.Get("grant_type"); grant != "client_credentials" {
		a.writeError(w, http.StatusBadRequest, "unsupported_grant_type",
			"AADSTS70003: the emulator grants client_credentials only")
		return
	}
	if refused := a.authenticate(r); refused != nil {
		a.writeError(w, refused.status, refused.code, refused.description)
		return
	}
	scope := r.PostForm.Get("scope")
	audience, ok := a.audience(scope)
	if !ok {
		known := a.base + "/.default, " + domain.ManagementAudience + "/.default, " + domain.ServiceAudience +
			"/.default or " + domain.HubAudience + "/.default"
		if strings.Contains(scope, "/.default") {
			a.writeError(w, http.StatusBadRequest, "invalid_resource",
				"AADSTS500011: the resource was not found in the tenant; use one of "+known)
		} else {
			a.writeError(w, http.StatusBadRequest, "invalid_scope", "AADSTS1002012: the scope must be "+known)
		}
		return
	}
	token, err := a.token(audience)
	if err != nil {
		a.writeError(w, http.StatusInternalServerError, "server_error", "AADSTS90033: the token could not be created")
		return
	}
	seconds := int(tokenLife.Seconds())
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
	})
}

// audience returns the resource in a scope such as "https://…/.default". MSAL sends openid scopes too.
func (a *Authority) audience(scope string) (string, bool) {
	for word := range strings.FieldsSeq(scope) {
		resource, ok := strings.CutSuffix(word, "/.default")
		resource = strings.TrimRight(resource, "/")
		if ok && slices.Contains(append(a.ARMAudiences(), domain.ServiceAudience, domain.HubAudience), resource) {
			return resource, true
		}
	}
	return "", false
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// The status is sent: an error here means that the client has disconnected.
	_ = json.NewEncoder(w).Encode(body)
}

// errorNumber matches the number that Entra's descriptions begin with and error_codes repeats.
var errorNumber = regexp.MustCompile(`^AADSTS(\d+):`)

func (a *Authority) writeError(w http.ResponseWriter, status int, code, description string) {
	body := map[string]any{
		"error": code, "error_description": description, "trace_id": uuid.NewString(),
		"correlation_id": uuid.NewString(),
		"timestamp":      a.now().UTC().Format("2006-01-02 15:04:05Z"),
	}
	if found := errorNumber.FindStringSubmatch(description); found != nil {
		body["error_codes"] = []json.Number{json.Number(found[1])}
	}
	writeJSON(w, status, body)
}
