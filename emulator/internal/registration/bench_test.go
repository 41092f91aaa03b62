package registration_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

// BenchmarkRegister measures a registration without TLS and disk: PUT, one poll, a state in memory.
func BenchmarkRegister(b *testing.B) {
	st, err := state.Open(state.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	if _, _, err := st.PutGroup(state.Group{Subscription: "s", Name: "g", Location: "l"}); err != nil {
		b.Fatal(err)
	}
	resource := func(name string) state.Resource {
		return state.Resource{
			ID: state.ResourceID{Subscription: "s", Group: "g", Name: name}, Location: "l",
			SKU: state.SKU{Name: "S1", Capacity: 1},
			Policies: []state.Policy{{Name: "link", Rights: []string{"RegistryWrite", "ServiceConnect"},
				PrimaryKey: key1, SecondaryKey: key2}},
		}
	}
	if _, _, err := st.PutHub(state.Hub{Resource: resource("hub-1")}, "", 0); err != nil {
		b.Fatal(err)
	}
	links := []state.Link{{HubHost: hub1, KeyName: "link", Key: key1, Location: "l"}}
	service, _, err := st.PutService(state.Service{Resource: resource("dps-1"), Allocation: state.Hashed, Links: links},
		"", 0)
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := st.PutEnrollmentGroup(service.IDScope, state.EnrollmentGroup{ID: "devices",
		Settings: keys(key1, key2)}, ""); err != nil {
		b.Fatal(err)
	}
	api := registration.New(st, registration.Options{})
	expiry, n := time.Now().Add(time.Hour), 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		id := fmt.Sprintf("device-%d", n)
		key, _ := sas.DeriveDeviceKey(key1, id)
		token, _ := sas.New(service.IDScope+"/registrations/"+id, sas.Policy, key, expiry)
		do := func(method, path string) string {
			r := httptest.NewRequest(method, "/"+service.IDScope+"/registrations/"+id+path+"?api-version=2021-10-01",
				nil)
			r.Header.Set("Authorization", token)
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			return w.Body.String()
		}
		started := do(http.MethodPut, "/register")
		operation, _, _ := strings.Cut(strings.TrimPrefix(started, `{"operationId":"`), `"`)
		if done := do(http.MethodGet, "/operations/"+operation); !strings.Contains(done, `"status":"assigned"`) {
			b.Fatalf("got %s, then %s", started, done)
		}
	}
}
