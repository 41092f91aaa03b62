package emulator_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	gocmp "github.com/google/go-cmp/cmp"

	"evenkeel/emulator"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

// lived is a yard with something in every corner, and the questions whose answers tell all of it.
type lived struct {
	*yard
	questions []question
}

type question struct{ host, method, path, body, authorization string }

const certificatesPath = "/certificates/root"

func newLived(t *testing.T, options ...emulator.Options) *lived {
	t.Helper()
	y := newYard(t, options...)
	_, leaf := newChain(t, "device-x")
	root := `{"properties":{"certificate":"` + base64.StdEncoding.EncodeToString(
		leaf.Certificate[len(leaf.Certificate)-1]) + `","isVerified":true}}`
	y.must("PUT", hubPath+certificatesPath+hubVersion, root)
	y.must("PUT", servicePath+certificatesPath+serviceVersion, root)
	y.must("PUT", hubPath+"/eventHubEndpoints/events/ConsumerGroups/readers"+hubVersion,
		`{"properties":{"name":"readers"}}`)
	y.must("PATCH", servicePath+serviceVersion, `{"tags":{"owner":"me"}}`)
	y.service("PUT", "/enrollmentGroups/group-1", `{"enrollmentGroupId":"group-1",`+keyed+`}`)
	for _, id := range []string{"device-1", "device-2", "device-3"} {
		y.enroll(id, keyed+
			`,"initialTwin":{"tags":{"floor":"2"},"properties":{"desired":{"rate":1.50}}},"optionalDeviceInformation":{"b":1,"a":"<&>"}`)
		if got := y.overHTTPS(y.holding(id, primary)); got.state("status") != "assigned" {
			t.Fatalf("register %s: got %+v, want it assigned", id, got)
		}
	}
	member, err := sas.DeriveDeviceKey(primary, "member-1")
	check(t, err)
	y.overMQTT(y.holding("member-1", member))

	l := &lived{yard: y}
	bearer := "Bearer " + y.token
	for _, path := range []string{
		groupPath + groupVersion, groupPath + "/resources" + groupVersion, groupPath +
			"/providers/Microsoft.Devices/IotHubs" + hubVersion,
		hubPath + hubVersion, hubPath + "/certificates" + hubVersion, hubPath +
			"/eventHubEndpoints/events/ConsumerGroups" + hubVersion,
		servicePath + serviceVersion, servicePath + "/certificates" + serviceVersion,
	} {
		l.ask("", "GET", path, "", bearer)
	}
	l.ask("", "POST", hubPath+"/listkeys"+hubVersion, "", bearer)
	l.ask("", "POST", servicePath+"/listkeys"+serviceVersion, "", bearer)
	const serviceAPI, hubAPI, all = "?api-version=2021-10-01", "?api-version=2021-04-12",
		`{"query":"SELECT * FROM devices"}`
	for _, path := range []string{"/enrollments/device-1", "/enrollments/device-2", "/enrollmentGroups/group-1",
		"/registrations/device-1", "/registrations/member-1"} {
		l.ask(serviceHost, "GET", path+serviceAPI, "", y.owner)
	}
	for _, path := range []string{"/enrollments/query", "/enrollmentGroups/query", "/registrations/group-1/query"} {
		l.ask(serviceHost, "POST", path+serviceAPI, `{"query":"SELECT * FROM x"}`, y.owner)
	}
	l.ask(serviceHost, "POST", "/enrollments/device-1/attestationmechanism"+serviceAPI, "", y.owner)
	l.ask(globalHost, "POST", "/"+y.scope+"/registrations/device-1"+serviceAPI, `{"registrationId":"device-1"}`,
		y.holding("device-1", primary).token)
	for _, host := range []string{hub1, hub2} {
		name, _, _ := strings.Cut(host, ".")
		key := y.firstKey(groupPath+"/providers/Microsoft.Devices/IotHubs/"+name+"/IotHubKeys/iothubowner", hubVersion)
		owner := token(t, host, "iothubowner", key)
		l.ask(host, "GET", "/devices"+hubAPI, "", owner)
		l.ask(host, "GET", "/statistics/devices"+hubAPI, "", owner)
		l.ask(host, "POST", "/devices/query"+hubAPI, all, owner)
		ids, err := y.e.Devices(host)
		check(t, err)
		for _, id := range ids {
			check(t, y.e.Send(host, id, emulator.CloudMessage{Body: []byte("hello " + id)}))
			l.ask(host, "GET", "/devices/"+id+hubAPI, "", owner)
			l.ask(host, "GET", "/twins/"+id+hubAPI, "", owner)
		}
	}
	return l
}

func (l *lived) ask(host, method, path, body, authorization string) {
	l.questions = append(l.questions, question{host, method, path, body, authorization})
}

// answers are status, etag and body of every question.
func (l *lived) answers() map[string]string {
	l.t.Helper()
	all := map[string]string{}
	for _, q := range l.questions {
		base := l.e.Endpoints().Data
		if q.host == "" {
			base = l.e.Endpoints().ARM
		}
		r, err := http.NewRequestWithContext(l.t.Context(), q.method, base+q.path, strings.NewReader(q.body))
		check(l.t, err)
		r.Host = q.host
		r.Header.Set("Authorization", q.authorization)
		r.Header.Set("Content-Type", "application/json")
		response, err := l.http.Do(r)
		check(l.t, err)
		body, err := io.ReadAll(response.Body)
		check(l.t, err)
		response.Body.Close()
		all[q.method+" "+q.host+q.path] = fmt.Sprint(response.StatusCode, " ", response.Header.Get("ETag"), " ",
			string(body))
	}
	return all
}

func (l *lived) succeeded(answers map[string]string) {
	l.t.Helper()
	for asked, got := range answers {
		if !strings.HasPrefix(got, "200 ") {
			l.t.Errorf("%s: got %s, want 200", asked, got)
		}
	}
}

func TestASnapshotRestoresToTheSameAnswers(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	want := l.answers()
	l.succeeded(want)
	if len(want) < 30 {
		t.Fatalf("got %d answers, want many", len(want))
	}
	if status, body := l.control("PUT", "/snapshots/before", ""); status != http.StatusNoContent {
		t.Fatalf("save: got %d %s", status, body)
	}

	// Everything changes, and much of it goes.
	l.e.MoveClock(30 * time.Minute) // tokens last an hour
	l.must("PATCH", hubPath+hubVersion, `{"tags":{"a":"b"}}`)
	l.enroll("device-1", keyed+`,"provisioningStatus":"disabled"`)
	l.enroll("another", keyed)
	l.service("DELETE", "/enrollments/device-2", "")
	l.must("DELETE", groupPath+"/providers/Microsoft.Devices/IotHubs/hub-2"+hubVersion, "")
	if got := l.answers(); len(gocmp.Diff(want, got)) == 0 {
		t.Fatal("the changes changed no answer")
	}
	if status, body := l.control("POST", "/snapshots/before/restore", ""); status != http.StatusNoContent {
		t.Fatalf("restore: got %d %s", status, body)
	}
	l.control("DELETE", "/clock", "")
	if diff := gocmp.Diff(want, l.answers()); diff != "" {
		t.Errorf("answers after the restore (-want +got):\n%s", diff)
	}
	if got := l.overHTTPS(l.holding("device-2", primary)); got.state("status") != "assigned" {
		t.Errorf("got %+v of a registration after the restore, want it assigned", got)
	}
}

func TestASnapshotSeedsAnotherEmulator(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	want := l.answers()
	check(t, l.e.SaveSnapshot("all"))
	status, document := l.control("GET", "/snapshots/all", "")
	if status != http.StatusOK || !json.Valid([]byte(document)) {
		t.Fatalf("got %d and %d bytes, want the document", status, len(document))
	}
	file := filepath.Join(t.TempDir(), "seed.json")
	check(t, os.WriteFile(file, []byte(document), 0o600))
	byFile := emulator.RunT(t, emulator.Options{Seed: file})
	byPort := emulator.RunT(t)
	other := lived{yard: &yard{wire: plain(t, byPort)}}
	if status, body := other.control("POST", "/seed", document); status != http.StatusNoContent {
		t.Fatalf("seed: got %d %s", status, body)
	}
	for name, e := range map[string]*emulator.Emulator{"by the option": byFile, "by the control port": byPort} {
		t.Run(name, func(t *testing.T) {
			there := lived{yard: &yard{wire: plain(t, e)}, questions: append([]question{}, l.questions...)}
			for i := range there.questions {
				if there.questions[i].host == "" {
					there.questions[i].authorization = "Bearer " + there.token
				}
			}
			if diff := gocmp.Diff(want, there.answers()); diff != "" {
				t.Errorf("answers of an emulator seeded %s (-want +got):\n%s", name, diff)
			}
		})
	}
}

func TestASeedIsForAnEmptyState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := filepath.Join(dir, "seed.json")
	check(t, os.WriteFile(seed, []byte(`{"format":1}`), 0o600))
	e, err := emulator.New(emulator.Options{Dir: dir, Seed: seed})
	check(t, err)
	check(t, emulator.StartOnFreePorts(e))
	plain(t, e).must("PUT", groupPath+groupVersion, groupJSON)
	check(t, e.Close())
	again := emulator.RunT(t, emulator.Options{Dir: dir, Seed: seed})
	if counts, err := again.Counts(); err != nil || counts.Groups != 1 {
		t.Errorf("got %+v, %v after a restart with the seed, want what was there", counts, err)
	}
	check(t, os.WriteFile(seed, []byte(`{"format":1,"hubs":{}`), 0o600))
	if e, err := emulator.New(emulator.Options{Seed: seed}); err == nil || !strings.Contains(err.Error(), "seed.json") {
		t.Errorf("got %v, want an error that names the file", err)
		_ = e.Close()
	}
}

func TestSnapshotsOverTheControlPort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := plain(t, emulator.RunT(t, emulator.Options{Dir: dir}))
	w.must("PUT", groupPath+groupVersion, groupJSON)
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/snapshots", "", 200, "[]"},
		{"PUT", "/snapshots/one", "", 204, ""},
		{"GET", "/snapshots", "", 200, `"name":"one"`},
		{"GET", "/snapshots/one", "", 200, `"resourceGroups"`},
		{"PUT", "/snapshots/" + strings.Repeat("a", 65), "", 400, "64 letters"},
		{"PUT", "/snapshots/..%2Fone", "", 400, "64 letters"},
		{"GET", "/snapshots/two", "", 404, "nothing is saved under that name"},
		{"POST", "/snapshots/two/restore", "", 404, "two"},
		{"DELETE", "/snapshots/two", "", 404, "nothing is saved under that name"},
		{"POST", "/seed", `{"format":1,"hubz":{}}`, 400, "hubz"},
		{"POST", "/seed", ``, 400, "JSON document"},
		{"DELETE", "/snapshots/one", "", 204, ""},
		{"GET", "/snapshots", "", 200, "[]"},
	} {
		t.Run(tc.method+" "+tc.path+" "+tc.body, func(t *testing.T) {
			if status, answer := w.control(tc.method, tc.path, tc.body); status != tc.status ||
				!strings.Contains(answer, tc.want) {
				t.Errorf("got %d %s, want %d %s", status, answer, tc.status, tc.want)
			}
			if tc.method == "PUT" && tc.status == 204 {
				if info, err := os.Stat(filepath.Join(dir, "snapshots", "one.json")); err != nil ||
					info.Mode().Perm() != 0o600 {
					t.Errorf("got %v, %v, want a file for its owner alone", info, err)
				}
			}
		})
	}
	if counts, err := w.e.Counts(); err != nil || counts.Groups != 1 {
		t.Errorf("got %+v, %v after refused seeds, want what was there", counts, err)
	}
}

func TestTheClockOverTheControlPort(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t, emulator.Options{LRODelay: time.Hour}))
	for _, tc := range []struct {
		method, body string
		status       int
		want         string
	}{
		{"GET", "", 200, `"offset":"0s"`},
		{"PUT", `{"now":"2031-02-03T04:05:06Z"}`, 200, `"now":"2031-02-03T04:05:`},
		{"PUT", `{"advance":"24h"}`, 200, `"now":"2031-02-04T04:05:`},
		{"PUT", `{"advance":"a day"}`, 400, "a day"},
		{"PUT", `{"advance":"2540400h"}`, 400, "leaves the years"},
		{"PUT", `{"now":"9999-01-01T00:00:00Z"}`, 400, "year"},
		{"PUT", `{}`, 400, "either now or advance"},
		{"PUT", `{"later":"1h"}`, 400, "later"},
		{"GET", "", 200, `"now":"2031-02-04T04:05:`},
		{"DELETE", "", 200, `"offset":"0s"`},
	} {
		t.Run(tc.method+" "+tc.body, func(t *testing.T) {
			if status, answer := w.control(tc.method, "/clock", tc.body); status != tc.status ||
				!strings.Contains(answer, tc.want) {
				t.Errorf("%s /clock %s: got %d %s, want %d %s", tc.method, tc.body, status, answer, tc.status, tc.want)
			}
		})
	}

	// What is under way ends, and tokens expire.
	w.must("PUT", groupPath+groupVersion, groupJSON)
	w.must("PUT", hubPath+hubVersion, hubJSON)
	if got := w.must("GET", hubPath+hubVersion, "")["properties"].(map[string]any)["state"]; got != "Activating" {
		t.Errorf("got a hub that is %v, want Activating", got)
	}
	w.e.MoveClock(2 * time.Hour)
	if status, _ := w.call("GET", hubPath+hubVersion, ""); status != http.StatusUnauthorized {
		t.Errorf("got %d with a token of two hours before, want 401", status)
	}
	later := plain(t, w.e)
	if got := later.must("GET", hubPath+hubVersion, "")["properties"].(map[string]any)["state"]; got != "Active" {
		t.Errorf("got a hub that is %v two hours later, want Active", got)
	}
}

func TestAConnectionEndsWithItsTokenWhenTheClockIsMoved(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	hub := l.overHTTPS(l.holding("device-1", primary)).state("assignedHub")
	device := l.connect(hub, "device-1", token(t, hub+"/devices/device-1", "", primary))
	l.e.MoveClock(366 * 24 * time.Hour)
	await.Until(t, "the end of the connection", func() error {
		if device.IsConnectionOpen() {
			return fmt.Errorf("the device is connected with a token that has expired")
		}
		return nil
	})
}

func TestListeningOffLoopbackIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e, err := emulator.New(emulator.Options{Host: "0.0.0.0", AllowRemote: true,
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	check(t, err)
	check(t, e.Start())
	check(t, e.Close())
	if got := log.String(); !strings.Contains(got, "WARN") || !strings.Contains(got, "0.0.0.0") ||
		!strings.Contains(got, "plain HTTP") {
		t.Errorf("got the log %q, want a warning that names the address", got)
	}
}

// connect connects a device to its hub over MQTT.
func (y *yard) connect(hub, id, password string) mqtt.Client {
	y.t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tls://" + y.e.Endpoints().MQTT).SetClientID(id).
		SetUsername(hub + "/" + id + "/?api-version=2021-04-12").SetPassword(password).SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectTimeout(await.Limit).SetTLSConfig(y.tls(device{})))
	y.wait(c.Connect())
	y.t.Cleanup(func() { c.Disconnect(0) })
	return c
}
