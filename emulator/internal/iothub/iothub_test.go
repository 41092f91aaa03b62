package iothub_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"evenkeel/emulator/internal/iothub"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

const (
	host    = "hub-1.azure-devices.net"
	version = "?api-version=2021-04-12"
)

// clock is the clock of the emulated cloud; tests set it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is two hubs in memory, each with a policy per right.
type fixture struct {
	*testing.T
	state *state.State
	hubs  *iothub.Hubs
	log   *requestlog.Log
	clock *clock
	keys  map[string]string // by policy name
}

// policies of the hubs: name to rights.
var policies = map[string][]string{
	"read": {"RegistryRead"}, "write": {"RegistryWrite"}, "service": {"ServiceConnect"}, "device": {"DeviceConnect"},
	"owner": {"RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect"},
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, clock: &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC)},
		keys: map[string]string{}, log: requestlog.New(1000)}
	st, err := state.Open(state.Options{Now: f.clock.Now,
		HubSettings: func(properties []byte) (settings state.HubSettings, err error) {
			if properties != nil {
				err = json.Unmarshal(properties, &settings)
			}
			return settings, err
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	f.state = st
	if _, _, err := st.PutGroup(state.Group{Subscription: "s", Name: "g", Location: "westeurope"}); err != nil {
		t.Fatal(err)
	}
	var all []state.Policy
	for name, rights := range policies {
		f.keys[name] = newKey(t)
		all = append(all, state.Policy{Name: name, Rights: rights, PrimaryKey: f.keys[name], SecondaryKey: newKey(t)})
	}
	for _, name := range []string{"hub-1", "hub-2"} {
		hub := state.Hub{Resource: state.Resource{
			ID: state.ResourceID{Subscription: "s", Group: "g", Name: name}, Location: "westeurope",
			SKU: state.SKU{Name: "S1", Capacity: 1}, Policies: all,
		}}
		if _, _, err := st.PutHub(hub, state.Unconditional, 0); err != nil {
			t.Fatal(err)
		}
	}
	f.hubs = iothub.New(iothub.Options{State: st, Recorder: f.log})
	t.Cleanup(f.hubs.Close)
	return f
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := sas.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// token returns a SAS of a policy, valid for an hour of the emulated clock.
func (f *fixture) token(resource, policy, key string) string {
	f.Helper()
	text, err := sas.New(resource, policy, key, f.clock.Now().Add(time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	return text
}

func (f *fixture) policy(name string) string { return f.token(host, name, f.keys[name]) }

// device creates a device with a known key, and returns the key.
func (f *fixture) device(id string) string {
	f.Helper()
	key := newKey(f.T)
	if _, err := f.state.PutDevice(host, state.Device{ID: id, Auth: state.AuthSAS, Key: state.SymmetricKey{Primary: key,
		Secondary: newKey(f.T)}}, "", true); err != nil {
		f.Fatal(err)
	}
	return key
}

// answer is the answer to a call.
type answer struct {
	status int
	header http.Header
	body   string
}

type call struct {
	method, path, body, token string
	host                      string // hub-1 when empty
	header                    map[string]string
}

func (f *fixture) do(c call) answer {
	f.Helper()
	r := httptest.NewRequest(c.method, "https://"+host+c.path, strings.NewReader(c.body))
	if c.host != "" {
		r.Host = c.host
	}
	if c.token != "" {
		r.Header.Set("Authorization", c.token)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.hubs.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	header := http.Header{} // a client's header: some names have another letter case than net/http's
	for name, values := range w.Header() {
		header[http.CanonicalHeaderKey(name)] = values
	}
	return answer{w.Code, header, string(body)}
}

// owner makes a call with every right.
func (f *fixture) owner(method, path, body string, header ...string) answer {
	f.Helper()
	c := call{method: method, path: path + version, body: body, token: f.policy("owner"), header: map[string]string{}}
	for i := 0; i < len(header); i += 2 {
		c.header[header[i]] = header[i+1]
	}
	return f.do(c)
}

func (a answer) want(t *testing.T, what string, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s: got %d %s, want %d", what, a.status, a.body, status)
	}
	return a
}

// field returns a value in the JSON of the answer: "a.b" is member b of a.
func (a answer) field(t *testing.T, path string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("no %s in %s", path, a.body)
		}
		v = m[name]
	}
	return v
}

func (a answer) wantField(t *testing.T, path string, want any) {
	t.Helper()
	if got := a.field(t, path); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v, in %s", path, got, want, a.body)
	}
}
