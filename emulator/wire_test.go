package emulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator"
)

// Plain requests, for what typed clients hide: error shapes, headers, letter case.

const (
	groupPath   = "/subscriptions/" + emulator.SubscriptionID + "/resourceGroups/" + testGroup
	hubPath     = groupPath + "/providers/Microsoft.Devices/IotHubs/hub-1"
	servicePath = groupPath + "/providers/Microsoft.Devices/provisioningServices/dps-1"

	groupVersion   = "?api-version=2022-09-01"
	hubVersion     = "?api-version=2022-04-30-preview"
	serviceVersion = "?api-version=2022-12-12"

	groupJSON   = `{"location":"westeurope"}`
	hubJSON     = `{"location":"westeurope","sku":{"name":"S1","capacity":1}}`
	serviceJSON = `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{}}`
)

// wire is a plain client of one emulator, with a token.
type wire struct {
	t     *testing.T
	e     *emulator.Emulator
	http  *http.Client
	token string
}

func plain(t *testing.T, e *emulator.Emulator) *wire {
	t.Helper()
	w := &wire{t: t, e: e, http: client(t, e)}
	ends := e.Endpoints()
	_, body := w.form(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {ends.ClientID}, "client_secret": {ends.ClientSecret},
		"scope": {ends.ARM + "/.default"},
	})
	w.token, _ = body["access_token"].(string)
	if w.token == "" {
		t.Fatalf("got no token: %v", body)
	}
	return w
}

func (w *wire) form(form url.Values) (int, map[string]any) {
	w.t.Helper()
	ends := w.e.Endpoints()
	response, err := w.http.PostForm(ends.ARM+"/"+ends.TenantID+"/oauth2/v2.0/token", form)
	check(w.t, err)
	return answer(w.t, response)
}

func answer(t *testing.T, response *http.Response) (int, map[string]any) {
	t.Helper()
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	check(t, err)
	var body map[string]any
	if len(data) > 0 {
		if err := json.Unmarshal(data, &body); err != nil {
			t.Fatalf("got status %d and %q, want JSON", response.StatusCode, data)
		}
	}
	return response.StatusCode, body
}

func (w *wire) do(ctx context.Context, method, path, body string, header ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.e.Endpoints().ARM+path, strings.NewReader(body))
	check(w.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return w.http.Do(r)
}

func (w *wire) call(method, path, body string, header ...string) (int, map[string]any) {
	w.t.Helper()
	response, err := w.do(w.t.Context(), method, path, body, header...)
	check(w.t, err)
	return answer(w.t, response)
}

// must is call for what has to succeed.
func (w *wire) must(method, path, body string) map[string]any {
	w.t.Helper()
	status, answer := w.call(method, path, body)
	if status >= http.StatusBadRequest {
		w.t.Fatalf("%s %s: got %d %v", method, path, status, answer)
	}
	return answer
}

// armErrors are requests that ARM refuses, when hub-1 and dps-1 are in the first of two groups.
var armErrors = map[string]struct {
	method, path, body string
	status             int
	// code is of ARM's own shape, or number of the provider's flat one.
	code   string
	number float64
}{
	"no api-version":        {"GET", groupPath, "", 400, "MissingApiVersionParameter", 0},
	"malformed api-version": {"GET", groupPath + "?api-version=latest", "", 400, "InvalidApiVersionParameter", 0},
	"unknown api-version":   {"GET", hubPath + "?api-version=2099-01-01", "", 404, "InvalidResourceType", 0},
	"a service's version":   {"GET", hubPath + serviceVersion, "", 404, "InvalidResourceType", 0},
	"unknown version of a PUT": {"PUT", hubPath + "?api-version=2099-01-01", hubJSON, 400, "NoRegisteredProviderFound",
		0},
	"malformed subscription": {"GET", "/subscriptions/x/resourceGroups" + groupVersion, "", 400,
		"InvalidSubscriptionId", 0},
	"another subscription": {"GET", "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups" +
		groupVersion, "", 404, "SubscriptionNotFound", 0},
	"unknown type": {"GET", groupPath + "/providers/Microsoft.Storage/storageAccounts/a" + groupVersion,
		"", 404, "InvalidResourceType", 0},
	"group without location": {"PUT", groupPath + groupVersion, `{}`, 400, "LocationRequired", 0},
	"group with a bad name":  {"PUT", groupPath + "." + groupVersion, groupJSON, 400, "InvalidResourceGroupName", 0},
	"body that is not JSON":  {"PUT", groupPath + groupVersion, `{`, 400, "InvalidRequestContent", 0},
	"member of another type": {"PUT", hubPath + hubVersion, `{"location":1}`, 400, "InvalidRequestContent", 0},
	"missing group": {"PUT", strings.Replace(hubPath, testGroup, "rg-9", 1) + hubVersion, hubJSON, 404,
		"ResourceGroupNotFound", 0},
	"missing hub":     {"GET", hubPath + "9" + hubVersion, "", 404, "ResourceNotFound", 0},
	"missing service": {"GET", servicePath + "9" + serviceVersion, "", 404, "ResourceNotFound", 0},
	"hub in another location": {"PUT", hubPath + hubVersion, strings.Replace(hubJSON, "westeurope", "eastus", 1), 409,
		"InvalidResourceLocation", 0},
	"hub name of another group": {"PUT", inSecondGroup(hubPath) + hubVersion, hubJSON, 409, "", 409001},
	"service name of another":   {"PUT", inSecondGroup(servicePath) + serviceVersion, serviceJSON, 409, "", 409001},
	"bad hub name":              {"PUT", hubPath + "-" + hubVersion, hubJSON, 400, "", 400004},
	"hub without sku":           {"PUT", hubPath + hubVersion, groupJSON, 400, "", 400004},
	"hub nowhere": {"PUT", hubPath + "9" + hubVersion, strings.Replace(hubJSON, "westeurope", "moon", 1),
		400, "LocationNotAvailableForResourceType", 0},
	"service nowhere": {"PUT", servicePath + "9" + serviceVersion, strings.Replace(serviceJSON, "westeurope",
		"moon", 1), 400, "LocationNotAvailableForResourceType", 0},
	"group nowhere": {"PUT", groupPath + "-2" + groupVersion, strings.Replace(groupJSON, "westeurope",
		"moon", 1), 400, "LocationNotAvailableForResourceGroup", 0},
	"hub without units": {"PUT", hubPath + hubVersion, strings.Replace(hubJSON, ":1}", ":0}", 1), 400, "",
		400004},
	"service without units": {"PUT", servicePath + serviceVersion, strings.Replace(serviceJSON, ":1}", ":-1}", 1),
		400, "", 400004},
	"unknown sku": {"PUT", hubPath + hubVersion, strings.Replace(hubJSON, "S1", "S9", 1), 400, "",
		400004},
	"too many units": {"PUT", hubPath + hubVersion, strings.Replace(hubJSON, `:1}`, `:201}`, 1), 400, "",
		400004},
	"another tier": {"PUT", hubPath + hubVersion, strings.Replace(hubJSON, "S1", "F1", 1), 400, "",
		400004},
	"other partition count": {"PUT", hubPath + hubVersion,
		`{"location":"westeurope","sku":{"name":"S1"},"properties":{"eventHubEndpoints":{"events":{"partitionCount":8}}}}`, 400, "", 400004},
	"unknown right": {"PUT", hubPath + hubVersion,
		`{"location":"westeurope","sku":{"name":"S1"},"properties":{"authorizationPolicies":[{"keyName":"a","rights":"All"}]}}`, 400, "", 400004},
	"key that is not base64": {"PUT", hubPath + hubVersion,
		`{"location":"westeurope","sku":{"name":"S1"},"properties":{"authorizationPolicies":[{"keyName":"a","rights":"DeviceConnect","primaryKey":"?"}]}}`, 400, "", 400004},
	"service without properties": {"PUT", servicePath + serviceVersion, hubJSON, 400, "", 400004},
	"service of another sku": {"PUT", servicePath + serviceVersion, strings.Replace(serviceJSON, "S1", "S2", 1),
		400, "", 400004},
	"unknown allocation policy": {"PUT", servicePath + serviceVersion,
		`{"location":"westeurope","sku":{"name":"S1"},"properties":{"allocationPolicy":"custom"}}`, 400, "", 400004},
	"stale etag of a service": {"PUT", servicePath + serviceVersion,
		strings.Replace(serviceJSON, "{", `{"etag":"AAAAAAAAAAA=",`, 1), 412, "", 412001},
	"link to no hub": {"PUT", servicePath + serviceVersion,
		linkedJSON(linkJSON("hub-9.azure-devices.net", "a2V5")), 404, "", 404002},
	"link without a key": {"PUT", servicePath + serviceVersion,
		linkedJSON(`{"connectionString":"HostName=hub-1.azure-devices.net","location":"westeurope"}`), 400, "", 400004},
	"masked link never sent": {"PUT", servicePath + serviceVersion,
		linkedJSON(linkJSON("hub-1.azure-devices.net", "****")), 400, "", 400004},
	"hub linked twice": {"PUT", servicePath + serviceVersion,
		linkedJSON(linkJSON("hub-1.azure-devices.net", "a2V5") + "," + linkJSON("HUB-1.azure-devices.net", "a2V5")),
		400, "", 400303},
	"weight of 0": {"PUT", servicePath + serviceVersion,
		linkedJSON(strings.Replace(linkJSON("hub-1.azure-devices.net", "a2V5"), "{", `{"allocationWeight":0,`, 1)), 400,
		"", 400004},
	"weight of 1001": {"PUT", servicePath + serviceVersion,
		linkedJSON(strings.Replace(linkJSON("hub-1.azure-devices.net", "a2V5"), "{", `{"allocationWeight":1001,`, 1)),
		400, "", 400004},
	"missing key": {"POST", servicePath + "/keys/none/listkeys" + serviceVersion, "", 404, "", 404000},
	"missing operation": {"GET", "/subscriptions/" + emulator.SubscriptionID + "/operationresults/x" + groupVersion, "",
		404, "OperationNotFound", 0},
}

func inSecondGroup(path string) string { return strings.Replace(path, testGroup, testGroup+"2", 1) }

func linkJSON(host, key string) string {
	return `{"connectionString":"HostName=` + host + `;SharedAccessKeyName=p;SharedAccessKey=` + key +
		`","location":"westeurope"}`
}

func linkedJSON(links string) string {
	return `{"location":"westeurope","sku":{"name":"S1"},"properties":{"iotHubs":[` + links + `]}}`
}

func TestARMErrors(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	w.must("PUT", groupPath+groupVersion, groupJSON)
	w.must("PUT", groupPath+"2"+groupVersion, groupJSON)
	w.must("PUT", hubPath+hubVersion, hubJSON)
	w.must("PUT", servicePath+serviceVersion, serviceJSON)
	for name, test := range armErrors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &wire{t: t, e: w.e, http: w.http, token: w.token}
			status, body := w.call(test.method, test.path, test.body)
			if status != test.status {
				t.Fatalf("got %d %v, want %d", status, body, test.status)
			}
			if test.code != "" {
				inner, _ := body["error"].(map[string]any)
				if inner["code"] != test.code || inner["message"] == "" || len(body) != 1 {
					t.Errorf("got %v, want the code %s in ARM's shape", body, test.code)
				}
				return
			}
			message, _ := body["message"].(string)
			if body["code"] != test.number || body["httpStatusCode"] == "" ||
				!strings.Contains(message, "errorcode: IH") {
				t.Errorf("got %v, want the number %v in the provider's flat shape", body, test.number)
			}
		})
	}
}

func TestARMNeedsAToken(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	w := plain(t, e)
	ends := e.Endpoints()
	_, forDPS := w.form(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {ends.ClientID}, "client_secret": {ends.ClientSecret},
		"scope": {"https://azure-devices-provisioning.net/.default"},
	})
	for name, test := range map[string]struct{ header, code string }{
		"none":             {"", "AuthenticationFailed"},
		"another scheme":   {"SharedAccessSignature sr=x", "AuthenticationFailed"},
		"not a token":      {"Bearer x", "InvalidAuthenticationToken"},
		"changed token":    {"Bearer " + w.token[:len(w.token)-6] + "AAAAAA", "InvalidAuthenticationToken"},
		"another audience": {"Bearer " + forDPS["access_token"].(string), "InvalidAuthenticationTokenAudience"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &wire{t: t, e: e, http: w.http}
			response, err := w.do(t.Context(), "GET", groupPath+groupVersion, "", "Authorization", test.header)
			check(t, err)
			challenge := response.Header.Get("WWW-Authenticate")
			status, body := answer(t, response)
			inner, _ := body["error"].(map[string]any)
			if status != http.StatusUnauthorized || inner["code"] != test.code ||
				!strings.Contains(challenge, ends.TenantID) {
				t.Errorf("got %d %v, %q, want 401 %s and a challenge that names the tenant", status, body, challenge,
					test.code)
			}
		})
	}
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	now := time.Now()
	e := emulator.RunT(t, emulator.Options{Now: func() time.Time { return now }})
	w := plain(t, e)
	now = now.Add(2 * time.Hour) // no request is under way
	status, body := w.call("GET", groupPath+groupVersion, "")
	inner, _ := body["error"].(map[string]any)
	if status != http.StatusUnauthorized || inner["code"] != "ExpiredAuthenticationToken" {
		t.Errorf("got %d %v, want 401 ExpiredAuthenticationToken", status, body)
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	w := plain(t, e)
	ends := e.Endpoints()
	for name, test := range map[string]struct {
		change string
		value  string
		status int
		code   string
	}{
		"a wrong secret":  {"client_secret", "x", 401, "invalid_client"},
		"another client":  {"client_id", "x", 401, "invalid_client"},
		"another grant":   {"grant_type", "password", 400, "unsupported_grant_type"},
		"another service": {"scope", "https://vault.azure.net/.default", 400, "invalid_resource"},
		"no service":      {"scope", "User.Read", 400, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &wire{t: t, e: e, http: w.http}
			form := url.Values{
				"grant_type": {"client_credentials"}, "client_id": {ends.ClientID},
				"client_secret": {ends.ClientSecret}, "scope": {ends.ARM + "/.default"},
			}
			form.Set(test.change, test.value)
			status, body := w.form(form)
			if status != test.status || body["error"] != test.code {
				t.Errorf("got %d %v, want %d %s", status, body, test.status, test.code)
			}
			codes, _ := body["error_codes"].([]any)
			if description, _ := body["error_description"].(string); len(codes) != 1 ||
				!strings.HasPrefix(description, fmt.Sprintf("AADSTS%.0f:", codes[0])) {
				t.Errorf("got the codes %v in %v", codes, body)
			}
		})
	}
}

func TestPathsAndNamesAreCaseInsensitive(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	w.must("PUT", groupPath+groupVersion, groupJSON)
	w.must("PUT", hubPath+hubVersion, hubJSON)
	body := w.must("GET", strings.ToUpper(hubPath)+hubVersion, "")
	if body["id"] != hubPath || body["name"] != "hub-1" {
		t.Errorf("got id %v, want the spelling of the creation, %s", body["id"], hubPath)
	}
	for _, path := range []string{"/listkeys", "/ListKeys", "/IotHubKeys/iothubowner/listkeys",
		"/iothubkeys/IOTHUBOWNER/listkeys"} {
		w.must("POST", hubPath+path+hubVersion, "")
	}
}

func TestAnswersOfPutAndDelete(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	w.must("PUT", groupPath+groupVersion, groupJSON)
	for name, test := range map[string]struct{ path, version, body, operation string }{
		"hub": {hubPath, hubVersion, hubJSON,
			"/providers/Microsoft.Devices/locations/westeurope/operationResults/"},
		"service": {servicePath, serviceVersion, serviceJSON,
			"/providers/Microsoft.Devices/locations/westeurope/provisioningServiceOperationResults/"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, under := range []string{"Activating", "Transitioning"} {
				response, err := w.do(t.Context(), "PUT", test.path+test.version, test.body)
				check(t, err)
				operation, location := response.Header.Get("Azure-AsyncOperation"), response.Header.Get("Location")
				status, body := answer(t, response)
				properties, _ := body["properties"].(map[string]any)
				if status != http.StatusCreated || properties["provisioningState"] != "Accepted" ||
					properties["state"] != under {
					t.Errorf("got %d, %v %v, want 201, Accepted and %s", status, properties["provisioningState"],
						properties["state"], under)
				}
				if !strings.Contains(operation, test.operation) || !strings.HasSuffix(operation, "&asyncinfo") ||
					location != "" {
					t.Errorf("%s: got operation %q and location %q, want …%s…&asyncinfo and none", name, operation,
						location, test.operation)
				}
				if body := w.must("GET", strings.TrimPrefix(operation, w.e.Endpoints().ARM),
					""); body["status"] != "Succeeded" {
					t.Errorf("%s: got %v of the operation, want Succeeded", name, body)
				}
			}
			response, err := w.do(t.Context(), "DELETE", test.path+test.version, "")
			check(t, err)
			data, err := io.ReadAll(response.Body)
			check(t, err)
			response.Body.Close()
			if response.StatusCode != http.StatusAccepted || strings.TrimSpace(string(data)) != "null" ||
				response.Header.Get("Azure-AsyncOperation") == "" || response.Header.Get("Location") == "" {
				t.Errorf("%s: got %d %q to DELETE, want 202, null and both headers", name, response.StatusCode, data)
			}
			if status, _ := w.call("DELETE", test.path+test.version, ""); status != http.StatusNoContent {
				t.Errorf("%s: got %d to a second DELETE, want 204", name, status)
			}
		})
	}
}
