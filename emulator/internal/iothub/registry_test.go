package iothub_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/azure/sas"
)

// The shape is the one recorded with the Azure SDK for .NET: PUT /devices/{id}, api-version 2020-03-13.
func TestADeviceWithOnlyAnIDGetsKeysAndDefaults(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.owner("PUT", "/devices/d1", `{"deviceId":"d1"}`).want(t, "create", http.StatusOK)
	form := regexp.MustCompile(
		`^\{"deviceId":"d1","generationId":"\d{18}","etag":"([A-Za-z0-9+/=]+)","connectionState":"Disconnected","status":"enabled",` +
			`"statusReason":null,"connectionStateUpdatedTime":"0001-01-01T00:00:00","statusUpdatedTime":"0001-01-01T00:00:00",` +
			`"lastActivityTime":"0001-01-01T00:00:00","cloudToDeviceMessageCount":0,"authentication":\{"symmetricKey":\{"primaryKey":"([^"]+)",` +
			`"secondaryKey":"([^"]+)"\},"x509Thumbprint":\{"primaryThumbprint":null,"secondaryThumbprint":null\},"type":"sas"\},` +
			`"capabilities":\{"iotEdge":false\},"parentScopes":\[\]\}$`)
	found := form.FindStringSubmatch(a.body)
	if found == nil {
		t.Fatalf("got %s", a.body)
	}
	if got, want := a.header.Get("ETag"), `"`+found[1]+`"`; got != want {
		t.Errorf("got ETag %s, want %s", got, want)
	}
	for _, key := range found[2:] {
		if _, err := sas.DecodeKey(key); err != nil {
			t.Errorf("key: %v", err)
		}
	}
	got := f.owner("GET", "/devices/d1", "").want(t, "get", http.StatusOK)
	got.wantField(t, "lastActivityTime", "0001-01-01T00:00:00Z")
	got.wantField(t, "authentication.symmetricKey.primaryKey", found[2])
}

// Recorded: DevicesClient_UpdateDevice_EtagDoesNotMatch, 2020-03-13.
func TestUpdatesNeedTheRightETag(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.owner("PUT", "/devices/d1", `{"deviceId":"d1"}`, "If-Match", `""`).want(t, "create with an empty etag",
		http.StatusOK)
	etag := f.owner("GET", "/devices/d1", "").header.Get("ETag")
	updated := f.owner("PUT", "/devices/d1", `{"deviceId":"d1","status":"disabled","statusReason":"lost"}`, "If-Match",
		etag).want(t, "update", http.StatusOK)
	updated.wantField(t, "status", "disabled")
	updated.wantField(t, "statusReason", "lost")
	updated.wantField(t, "statusUpdatedTime", "2026-03-04T05:06:07.89Z")
	if updated.header.Get("ETag") == etag {
		t.Error("the etag stays the same")
	}
	stale := f.owner("PUT", "/devices/d1", `{"deviceId":"d1"}`, "If-Match", etag).want(t, "stale",
		http.StatusPreconditionFailed)
	if got, want := stale.header.Get("iothub-errorcode"), "PreconditionFailed"; got != want {
		t.Errorf("got iothub-errorcode %q, want %q", got, want)
	}
	form := regexp.MustCompile(
		`^\{"Message":"ErrorCode:PreconditionFailed;PreconditionFailed","ExceptionMessage":"Tracking ID:[0-9a-f]{32}-G:\d+-TimeStamp:03/04/2026 05:06:07"\}$`)
	if !form.MatchString(stale.body) {
		t.Errorf("got %s", stale.body)
	}
	for _, any := range []string{"*", `"*"`} {
		f.owner("PUT", "/devices/d1", `{"deviceId":"d1","status":"enabled"}`, "If-Match", any).want(t, "update with "+
			any, http.StatusOK)
	}
	f.owner("PUT", "/devices/d1", `{"deviceId":"d1"}`).want(t, "create again", http.StatusConflict).wantField(t,
		"Message",
		"ErrorCode:DeviceAlreadyExists;A device with the same id is already registered")
	f.owner("PUT", "/devices/d2", `{"deviceId":"d2"}`, "If-Match", "*").want(t, "update of an absent device",
		http.StatusNotFound)
	f.owner("DELETE", "/devices/d1", "", "If-Match", `"b3RoZXI="`).want(t, "delete with a stale etag",
		http.StatusPreconditionFailed)
	f.owner("DELETE", "/devices/d1", "").want(t, "delete", http.StatusNoContent)
	gone := f.owner("GET", "/devices/d1", "").want(t, "get", http.StatusNotFound)
	if got := gone.field(t, "Message").(string); !strings.HasPrefix(got, "ErrorCode:DeviceNotFound;") {
		t.Errorf("got %q", got)
	}
}

func TestBadDevicesAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, tc := range map[string]struct{ path, body string }{
		"other id in the body": {"/devices/d1", `{"deviceId":"d2"}`},
		"character in the id":  {"/devices/d%2F1", `{}`},
		"long id":              {"/devices/" + strings.Repeat("d", 129), `{}`},
		"status":               {"/devices/d1", `{"status":"on"}`},
		"one key": {
			"/devices/d1", `{"authentication":{"symmetricKey":{"primaryKey":"MDEyMzQ1Njc4OWFiY2RlZg=="}}}`},
		"bad key": {
			"/devices/d1", `{"authentication":{"symmetricKey":{"primaryKey":"no","secondaryKey":"no"}}}`},
		"thumbprint": {
			"/devices/d1", `{"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"ABC"}}}`},
		"no thumbprint": {"/devices/d1", `{"authentication":{"type":"selfSigned"}}`},
		"type":          {"/devices/d1", `{"authentication":{"type":"password"}}`},
		"no JSON":       {"/devices/d1", `{`},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.owner("PUT", tc.path, tc.body)
			if got := a.header.Get("iothub-errorcode"); a.status != http.StatusBadRequest || got != "ArgumentInvalid" {
				t.Errorf("%s: got %d %s", name, a.status, a.body)
			}
		})
	}
	if n, _ := f.state.Statistics(host); n.Total != 0 {
		t.Errorf("got %d devices, want none", n.Total)
	}
}

func TestCredentialsAreKeptAsGiven(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	print1 := strings.Repeat("ab", 20)
	a := f.owner("PUT", "/devices/d1", `{"deviceId":"d1","authentication":{"x509Thumbprint":{"primaryThumbprint":"`+
		print1+`"}}}`).want(t, "create", http.StatusOK)
	a.wantField(t, "authentication.type", "selfSigned")
	a.wantField(t, "authentication.x509Thumbprint.primaryThumbprint", strings.ToUpper(print1))
	a.wantField(t, "authentication.symmetricKey.primaryKey", nil)
	one, two := newKey(t), newKey(t)
	a = f.owner("PUT", "/devices/d2", `{"deviceId":"d2","authentication":{"symmetricKey":{"primaryKey":"`+one+
		`","secondaryKey":"`+two+`"}}}`).want(t, "create", http.StatusOK)
	a.wantField(t, "authentication.symmetricKey.secondaryKey", two)
	a = f.owner("PUT", "/devices/d2", `{"deviceId":"d2","status":"disabled"}`, "If-Match", "*").want(t, "update",
		http.StatusOK)
	a.wantField(t, "authentication.symmetricKey.primaryKey", one)
}

func TestCaseOfWordsAndIDs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const path = "/devices/a-.+%25_%23*%3F!(),:;=@$'9"
	f.owner("PUT", path, `{"status":"Disabled","authentication":{"type":"CertificateAuthority"}}`).want(t, "create",
		http.StatusOK)
	a := f.owner("GET", path, "").want(t, "get", http.StatusOK)
	a.wantField(t, "deviceId", "a-.+%_#*?!(),:;=@$'9")
	a.wantField(t, "status", "disabled")
	a.wantField(t, "authentication.type", "certificateAuthority")
}

func TestEveryCallNeedsItsRight(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.device("d1")
	for _, tc := range []struct {
		method, path, body, right string
		status                    int
	}{
		{"GET", "/devices", "", "read", 200},
		{"GET", "/Devices/", "", "read", 200},
		{"GET", "/devices/d1", "", "read", 200},
		{"PUT", "/devices/d2", `{}`, "write", 200},
		{"DELETE", "/devices/d2", "", "write", 204},
		{"POST", "/devices", `[{"id":"d3","importMode":"create"}]`, "write", 200},
		{"POST", "/devices/query", `{"query":"select * from devices"}`, "service", 200},
		{"GET", "/twins/d1", "", "service", 200},
		{"PATCH", "/twins/d1", `{}`, "service", 200},
		{"PUT", "/twins/d1", `{}`, "service", 200},
		{"GET", "/statistics/devices", "", "read", 200},
		{"GET", "/statistics/service", "", "service", 200},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			for _, policy := range []string{"read", "write", "service", "device"} {
				t.Run(policy, func(t *testing.T) {
					if tc.path == "/statistics/service" && (policy == "read" || policy == "write") {
						return // which of the two rights it takes is unsure: both
					}
					want := http.StatusUnauthorized
					if policy == tc.right || policy == "write" && tc.right == "read" { // writing implies reading
						want = tc.status
					}
					a := f.do(call{method: tc.method, path: tc.path + version, body: tc.body, token: f.policy(policy)})
					if a.status != want {
						t.Errorf("got %d %s, want %d", a.status, a.body, want)
					}
				})
			}
		})
	}
}

func TestSignaturesAreReallyChecked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.device("d1")
	expired, _ := sas.New(host, "owner", f.keys["owner"], f.clock.Now())
	for name, tc := range map[string]struct {
		token string
		want  int
	}{
		"right":           {f.policy("owner"), 200},
		"narrower":        {f.token(host+"/devices", "owner", f.keys["owner"]), 200},
		"for the device":  {f.token(host+"/devices/d1", "owner", f.keys["owner"]), 200},
		"none":            {"", 401},
		"bearer":          {"Bearer x", 401},
		"wrong key":       {f.token(host, "owner", newKey(t)), 401},
		"another's key":   {f.token(host, "owner", f.keys["read"]), 401},
		"no policy":       {f.token(host, "", f.keys["owner"]), 401},
		"unknown policy":  {f.token(host, "nobody", f.keys["owner"]), 401},
		"expired":         {expired, 401},
		"another hub":     {f.token("hub-2.azure-devices.net", "owner", f.keys["owner"]), 401},
		"another path":    {f.token(host+"/twins", "owner", f.keys["owner"]), 401},
		"prefix in chars": {f.token(host+"/dev", "owner", f.keys["owner"]), 401},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.do(call{method: "GET", path: "/devices/d1" + version, token: tc.token})
			if a.status != tc.want {
				t.Errorf("%s: got %d %s, want %d", name, a.status, a.body, tc.want)
			}
			if tc.want == 401 && a.field(t, "Message") != "ErrorCode:IotHubUnauthorizedAccess;Unauthorized" {
				t.Errorf("%s: got %s", name, a.body)
			}
		})
	}
}

func TestListsStatisticsAndQueries(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"a", "b", "c"} {
		f.device(id)
	}
	f.owner("PUT", "/devices/c", `{"status":"disabled"}`, "If-Match", "*").want(t, "disable", http.StatusOK)
	for path, want := range map[string]int{"/devices": 3, "/devices/": 3} {
		t.Run(path, func(t *testing.T) {
			if got := strings.Count(f.owner("GET", path, "").want(t, path, 200).body, `"deviceId"`); got != want {
				t.Errorf("%s: got %d devices, want %d", path, got, want)
			}
		})
	}
	top := f.do(call{method: "GET", path: "/devices" + version + "&top=2", token: f.policy("read")})
	if got := strings.Count(top.body, `"deviceId"`); got != 2 {
		t.Errorf("top=2: got %d devices", got)
	}
	if got, want := f.owner("GET", "/statistics/devices", "").body,
		`{"totalDeviceCount":3,"enabledDeviceCount":2,"disabledDeviceCount":1}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := f.owner("GET", "/statistics/service", "").body, `{"connectedDeviceCount":0}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var seen []string
	next := ""
	for range 5 {
		a := f.owner("POST", "/devices/query", `{"query":" SELECT *  FROM devices "}`, "x-ms-max-item-count", "2",
			"x-ms-continuation", next).want(t, "query", 200)
		if got := a.header.Get("x-ms-item-type"); got != "Twin" {
			t.Errorf("got item type %q", got)
		}
		for _, found := range regexp.MustCompile(`"deviceId":"(.)"`).FindAllStringSubmatch(a.body, -1) {
			seen = append(seen, found[1])
		}
		if next = a.header.Get("x-ms-continuation"); next == "" {
			break
		}
	}
	if got := strings.Join(seen, ""); got != "abc" {
		t.Errorf("got %q by pages, want abc", got)
	}
	f.owner("POST", "/devices/query", `{"query":"SELECT * FROM devices"}`, "x-ms-max-item-count", "many").want(t,
		"many", http.StatusBadRequest)
	f.do(call{method: "GET", path: "/devices" + version + "&top=many", token: f.policy("read")}).want(t, "top=many",
		http.StatusBadRequest)
	for _, count := range []string{"0", "-1", "1001", "99999999999999999999"} {
		t.Run(count, func(t *testing.T) {
			a := f.owner("POST", "/devices/query", `{"query":"SELECT * FROM devices"}`, "x-ms-max-item-count",
				count).want(t, count, http.StatusOK)
			if got := strings.Count(a.body, `"deviceEtag"`); got != 3 {
				t.Errorf("%s: got %d twins, want all 3", count, got)
			}
		})
	}
	f.owner("POST", "/devices/query", `{"query":"select * from jobs"}`).want(t, "another source", http.StatusBadRequest)
}

func TestBulkOperationsAnswerForEachDevice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.owner("POST", "/devices",
		`[{"id":"a","importMode":"create","status":"enabled","properties":{"desired":{"user":"x"}}},{"id":"b","importMode":"Create"}]`)
	if want := `{"isSuccessful":true,"errors":[],"warnings":[]}`; a.status != 200 || a.body != want {
		t.Errorf("create: got %d %s, want %s", a.status, a.body, want)
	}
	f.owner("GET", "/twins/a", "").wantField(t, "properties.desired.user", "x")
	a = f.owner("POST", "/devices",
		`[{"id":"a","importMode":"create"},{"id":"c","importMode":"create"},{"id":"b","importMode":"update","status":"disabled"},
		{"id":"d","importMode":"create"},{"id":"z","importMode":"delete"}]`).want(t, "mixed", http.StatusBadRequest)
	a.wantField(t, "isSuccessful", false)
	a.body += f.owner("POST", "/devices",
		`[{"id":"b","importMode":"updateTwin","tags":{"floor":1}},{"id":"d","importMode":"updateIfMatchETag","eTag":"b3RoZXI="}]`).want(t, "twins too", http.StatusBadRequest).body
	for _, want := range []string{`{"deviceId":"a","errorCode":"DeviceAlreadyExists"`,
		`{"deviceId":"z","errorCode":"DeviceNotFound"`, `{"deviceId":"d","errorCode":"PreconditionFailed"`} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(a.body, want) {
				t.Errorf("got %s, want %s in it", a.body, want)
			}
		})
	}
	for _, mode := range []string{"updateIfMatchETag", "updateTwinIfMatchETag", "deleteIfMatchETag"} {
		t.Run(mode, func(t *testing.T) {
			a := f.owner("POST", "/devices", `[{"id":"b","importMode":"`+mode+`"}]`).want(t, mode+" without an etag",
				http.StatusBadRequest)
			if !strings.Contains(a.body, "PreconditionFailed") {
				t.Errorf("%s: got %s", mode, a.body)
			}
		})
	}
	f.owner("GET", "/devices/c", "").want(t, "the one that worked", 200)
	b := f.owner("GET", "/twins/b", "")
	b.wantField(t, "status", "disabled")
	b.wantField(t, "tags.floor", 1)
	f.owner("POST", "/devices", "["+strings.Repeat(`{"id":"a","importMode":"delete"},`, 100)+
		`{"id":"a","importMode":"delete"}]`).want(t, "101", http.StatusBadRequest)
}

func TestTheHostPicksTheHub(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.device("d1")
	const second = "hub-2.azure-devices.net"
	elsewhere := call{method: "GET", host: second, path: "/devices/d1" + version,
		token: f.token(second, "owner", f.keys["owner"])}
	f.do(elsewhere).want(t, "the same device at another hub", http.StatusNotFound)
	elsewhere.host = "HUB-1.azure-devices.net:8443"
	elsewhere.token = f.policy("owner")
	f.do(elsewhere).want(t, "another spelling of the host", http.StatusOK)
	elsewhere.host = "hub-3.azure-devices.net"
	f.do(elsewhere).want(t, "no hub", http.StatusUnauthorized).wantField(t, "Message",
		"ErrorCode:IotHubNotFound;Unauthorized")
	f.owner("GET", "/nothing/here", "").want(t, "unknown path", http.StatusNotFound)
	for path, code := range map[string]string{"/devices/d1": "ArgumentInvalid",
		"/devices/d1?api-version=latest": "InvalidProtocolVersion"} {
		t.Run(path, func(t *testing.T) {
			a := f.do(call{method: "GET", path: path, token: f.policy("owner")}).want(t, path, http.StatusBadRequest)
			if got := a.header.Get("iothub-errorcode"); got != code {
				t.Errorf("%s: got %s, want %s", path, got, code)
			}
		})
	}
	f.clock.advance(2 * time.Hour)
	f.owner("GET", "/devices/d1", "").want(t, "a new token later", 200)
}
