package provider_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

func TestAnInterruptedSetKeepsItsProgress(t *testing.T) {
	t.Parallel()
	cloud, config, server := setOn(t)
	inputs := object{"items": numbered(100, 0)}
	set := manage(t, server, "EnrollmentSet", "devices")
	checked := set.check(inputs)
	hold := cloud.Hold(emulator.Match{Surface: "dps-service", Method: "POST",
		Path: regexp.MustCompile(`^/enrollments$`), Nth: 10})
	type result struct {
		created p.CreateResponse
		err     error
	}
	done := make(chan result, 1)
	go func() {
		created, err := server.Create(p.CreateRequest{Urn: set.urn, Properties: checked})
		done <- result{created, err}
	}()
	must(t, hold.Held(t.Context()))
	must(t, server.Cancel())
	select {
	case r := <-done:
		if r.created.PartialState == nil || !strings.Contains(strings.Join(r.created.PartialState.Reasons, " "),
			"interrupted") {
			t.Fatalf("interrupted: got %v, want a part", r.err)
		}
		set.id, set.inputs, set.state = r.created.ID, checked, r.created.Properties
	case <-time.After(long):
		t.Fatal("the creation still runs after it was cancelled")
	}
	// The ten of each unfinished operation may have been created or not, and the state reports that.
	if got := len(unansweredOf(set)); got == 0 || got%10 != 0 {
		t.Errorf("devices with an unknown outcome: got %d, want some tens", got)
	}
	hold.Release() // the service carries out the held request although no client waits for it
	must(t, hold.Done(t.Context()))
	set.server = startProvider(t, config)
	set.up(inputs)
	if got := set.refresh(); got != nil || len(devicesOf(set)) != 100 {
		t.Errorf("the next up: got drift %v in %d devices, want none in 100", got, len(devicesOf(set)))
	}
}

// unansweredOf returns the devices for which the outcome of the creation is unknown.
func unansweredOf(set *managed) []string {
	var ids []string
	for id, record := range set.state.Get("devices").AsMap().All {
		if strings.HasPrefix(record.AsString(), "? ") {
			ids = append(ids, id)
		}
	}
	return ids
}

// tryCreate creates a set that does not exist yet, and keeps the resulting state.
func (m *managed) tryCreate(inputs object) p.CreateResponse {
	m.t.Helper()
	checked := m.check(inputs)
	created, _ := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: checked})
	m.id, m.inputs, m.state = created.ID, checked, created.Properties
	return created
}

// mixed are rows with every kind of attestation.
func mixed(t *testing.T) object {
	root := newAuthority(t, "root")
	return object{"items": items(
		object{"registrationId": "made"}, object{"registrationId": "given", "primaryKey": newKey(t)},
		object{"registrationId": "by-tpm", "endorsementKey": endorsementKey},
		object{"registrationId": "by-x509", "certificate": root.leaf(t, "by-x509", time.Hour)},
		object{"registrationId": "by-ca", "caReference": "ca-1", "tags": object{"a": "b"}},
	)}
}

func TestALostAnswerToABulkOperationIsRecognised(t *testing.T) {
	t.Parallel()
	service, direct := openService(t)
	var lost atomic.Int32
	config := service.through(t, unreliable{lose: func(r *http.Request) bool { return isBulk(r) && lost.Add(1) == 1 }})
	set := manage(t, startProvider(t, config), "EnrollmentSet", "devices")
	inputs := mixed(t)
	set.up(inputs)
	if got := devicesOf(set); lost.Load() < 2 || len(got) != 5 || len(unansweredOf(set)) != 0 {
		t.Errorf("after %d bulk operations: got %v, want all five, none of them in doubt", lost.Load(), got)
	}
	set.server = direct
	if got := set.refresh(); got != nil {
		t.Errorf("refresh: got %v, want none", got)
	}
	// An entry that existed before belongs to another owner, although it is equal and an answer was lost.
	other := manage(t, startProvider(t, config), "EnrollmentSet", "others")
	if created := other.tryCreate(inputs); created.PartialState != nil || created.ID != "" {
		t.Errorf("the same once more: got %v, want a refusal of all", created.PartialState)
	}
}

// TestOneInvalidEntryOfABulkFailsAlone: a service that refuses a bulk operation as a whole does not say which device is
// the cause.
func TestOneInvalidEntryOfABulkFailsAlone(t *testing.T) {
	t.Parallel()
	service, direct := openService(t)
	config := service.through(t, unreliable{refuse: func(w http.ResponseWriter, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		spoiled := err == nil && isBulk(r) && bytes.Contains(body, []byte("device-00003"))
		if spoiled {
			refuse(w, 400004, "no enrollment")
		}
		return spoiled
	}})
	set := manage(t, startProvider(t, config), "EnrollmentSet", "devices")
	created := set.tryCreate(object{"items": numbered(20, 0)})
	if created.PartialState == nil {
		t.Fatal("got no part, want all but one")
	}
	reasons := strings.Join(created.PartialState.Reasons, "\n")
	if len(created.PartialState.Reasons) != 2 || !strings.Contains(reasons, "19 of 20 added") ||
		!strings.Contains(reasons, `"device-00003"`) || len(devicesOf(set)) != 19 {
		t.Errorf("got %q with %d devices, want device-00003 refused alone", reasons, len(devicesOf(set)))
	}
	set.server = direct
	if got := set.up(object{"items": numbered(20, 0)}); !slices.Equal(got, []string{"items[3]"}) {
		t.Errorf("the next up: got %v, want items[3]", got)
	}
}

// TestLongEntriesAreSentInSmallerBulks: ten of them exceed the limit of a request, and each one alone does not.
func TestLongEntriesAreSentInSmallerBulks(t *testing.T) {
	t.Parallel()
	_, server := openService(t)
	list := objectsOf(numbered(10, 0))
	for _, item := range list {
		item["optionalDeviceInformation"] = object{"text": strings.Repeat("x", 120_000)}
	}
	set := manage(t, server, "EnrollmentSet", "devices")
	set.up(object{"items": items(list...)})
	if got := devicesOf(set); len(got) != 10 {
		t.Errorf("got %v, want all ten", got)
	}
}

func TestUnansweredCreationsAreSettledByTheNextOperation(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(t *testing.T, set *managed, inputs object){
		"up": func(t *testing.T, set *managed, inputs object) {
			_, err := set.tryUp(inputs)
			if err == nil || !strings.Contains(err.Error(), `"foreign"`) || strings.Contains(err.Error(), "by-") ||
				len(unansweredOf(set)) != 0 {
				t.Errorf("up: got %v, want the foreign enrollment refused alone", err)
			}
		},
		"refresh": func(t *testing.T, set *managed, _ object) {
			if got := set.refresh(); !slices.Equal(got, []string{"items[5]"}) || len(devicesOf(set)) != 5 {
				t.Errorf("refresh: got %v with %v, want all but the foreign one", got, devicesOf(set))
			}
		},
		"destroy": func(t *testing.T, set *managed, _ object) { set.delete() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, direct := openService(t)
			foreign := manage(t, direct, "IndividualEnrollment", "foreign")
			foreign.up(object{"registrationId": "foreign", "deviceId": "another"})
			inputs := mixed(t)
			inputs["items"] = items(append(objectsOf(inputs["items"]), object{"registrationId": "foreign"})...)
			set := manage(t, startProvider(t, service.through(t, unreliable{lose: isBulk})), "EnrollmentSet", "devices")
			direct = nextRun(t, direct)
			if created := set.tryCreate(inputs); created.PartialState == nil || len(unansweredOf(set)) != 6 {
				t.Fatalf("no answer: got %v, want six unconfirmed devices", created.PartialState)
			}
			set.server = direct
			next(t, set, inputs)
			if got := foreign.refresh(); got != nil {
				t.Errorf("another owner's enrollment: got %v, want it untouched", got)
			}
			if name != "destroy" {
				set.delete()
			}
			for _, id := range []string{"made", "given", "by-tpm", "by-x509", "by-ca"} {
				t.Run(id, func(t *testing.T) {
					if _, err := tryInvoke(t, direct, "getIndividualEnrollment",
						object{"registrationId": id}); err == nil {
						t.Errorf("%s survived its set", id)
					}
				})
			}
		})
	}
}

func TestALostAnswerToAChangeIsRecognised(t *testing.T) {
	t.Parallel()
	service, direct := openService(t)
	var lost sync.Map // the first answer about each enrollment
	lossy := startProvider(t, service.through(t, unreliable{lose: func(r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		_, again := lost.LoadOrStore(r.URL.Path, true)
		return !again
	}}))
	set := manage(t, direct, "EnrollmentSet", "devices")
	set.up(mixed(t))
	set.server = lossy
	inputs := mixed(t)
	inputs["defaults"] = object{"provisioningStatus": "disabled"}
	set.up(inputs)
	set.server = direct
	if got := set.refresh(); got != nil {
		t.Errorf("refresh: got %v, want none", got)
	}
}

func TestAThrottledSetWaitsAndFinishes(t *testing.T) {
	t.Parallel()
	service, _ := openService(t)
	var calls atomic.Int32
	throttling := startProvider(t, service.through(t,
		unreliable{refuse: func(w http.ResponseWriter, r *http.Request) bool {
			n := calls.Add(1)
			if n%2 == 0 {
				return false
			}
			w.Header().Set("retry-after-ms", "2")
			refuse(w, map[bool]int{true: 429002, false: 503001}[n%4 == 1], "wait")
			return true
		}}))
	set := manage(t, throttling, "EnrollmentSet", "devices")
	set.up(object{"items": numbered(120, 0)})
	set.up(object{"items": numbered(120, 20)})
	if got := set.refresh(); got != nil || len(devicesOf(set)) != 120 {
		t.Errorf("after all: got drift %v in %d devices, want none in 120", got, len(devicesOf(set)))
	}
	set.delete()
}

func TestASetThatWaitsIsInterruptedAtOnce(t *testing.T) {
	t.Parallel()
	service, direct := openService(t)
	var bulks atomic.Int32
	waiting := make(chan struct{})
	server := startProvider(t, service.through(t, unreliable{refuse: func(w http.ResponseWriter, r *http.Request) bool {
		switch n := bulks.Add(1); {
		case n <= 3:
			return false
		case n == 3+16: // as many as run at once
			close(waiting)
		}
		w.Header().Set("Retry-After", "60")
		refuse(w, 429002, "wait")
		return true
	}}))
	set := manage(t, server, "EnrollmentSet", "devices")
	inputs := object{"items": numbered(200, 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		set.tryCreate(inputs)
	}()
	await.Closed(t, waiting, "the first pause")
	must(t, server.Cancel())
	select {
	case <-done:
	case <-time.After(long):
		t.Fatal("the creation still waits after it was cancelled")
	}
	if got := len(devicesOf(set)) - len(unansweredOf(set)); got != 30 {
		t.Errorf("devices: got %d, want 30 and those in doubt", got)
	}
	set.server = direct
	if got := set.refresh(); len(devicesOf(set)) != 30 || len(got) != 170 {
		t.Errorf("refresh: got %d devices and %d paths, want 30 and 170", len(devicesOf(set)), len(got))
	}
	set.up(inputs)
	if got := len(devicesOf(set)); got != 200 {
		t.Errorf("the next up: got %d devices, want 200", got)
	}
}

// TestAnErrorNeverEmptiesASet: only the service itself can report that an enrollment does not exist.
func TestAnErrorNeverEmptiesASet(t *testing.T) {
	t.Parallel()
	service, direct := openService(t)
	set := manage(t, direct, "EnrollmentSet", "devices")
	set.up(object{"items": numbered(60, 0)})
	otherRoots := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(otherRoots, []byte(newAuthority(t, "another").PEM), 0o600))
	answering := func(status int, body string) object {
		return service.through(t, unreliable{refuse: func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}})
	}
	for name, test := range map[string]struct {
		config object
		want   string
	}{
		"another key": {service.cloud.config(newKey(t)), "policyName and key"},
		"no connection": {service.cloud.config(service.key).edited(object{"endpoint": "https://127.0.0.1:1"}),
			"the provider's endpoint"},
		"no authority": {service.cloud.config(service.key).edited(object{"caFile": otherRoots}),
			"the provider's caFile"},
		"a proxy's page": {answering(404, "<html>not here</html>"), "404"},
		"no right":       {answering(403, `{"errorCode":403001,"message":"no"}`), "403"},
		"answers that are lost": {service.through(t, unreliable{lose: func(*http.Request) bool { return true }}),
			"EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := *set
			one.server = startProvider(t, test.config)
			if _, err := one.server.Read(readOf(&one)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("refresh: got %v, want a failure with %q that keeps the state", err, test.want)
			}
			if err := one.server.Delete(p.DeleteRequest{ID: one.id, Urn: one.urn, Properties: one.state}); err == nil {
				t.Error("deletion: got no failure")
			}
		})
	}
}
