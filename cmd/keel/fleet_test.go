//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/emulator"
	"evenkeel/internal/await"
	"evenkeel/internal/keel/environment"
)

// ground is an emulator in this process with a deployed stack.
type ground struct {
	*emulator.Emulator
	stack  outputs
	e      *environment.Environment
	stdout bytes.Buffer
	stderr bytes.Buffer
	app    *app
}

func newGround(t *testing.T, hubs ...hubOut) *ground {
	t.Helper()
	g := &ground{Emulator: emulator.RunT(t)}
	at, folder := g.Endpoints(), t.TempDir()
	ends := environment.Endpoints{
		ARM: at.ARM, Data: at.Data, MQTT: at.MQTT, TenantID: at.TenantID, ClientID: at.ClientID,
		SubscriptionID: at.SubscriptionID,
		CAFile:         filepath.Join(folder, "ca.pem"), SecretFile: filepath.Join(folder, "secret"),
	}
	for file, text := range map[string]string{ends.CAFile: string(at.CAPEM), ends.SecretFile: at.ClientSecret} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), await.Limit)
	defer cancel()
	var err error
	if len(hubs) == 0 {
		g.stack, err = deploy(ctx, ends)
	} else {
		g.stack, err = deployHubs(ctx, ends, hubs...)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.e = &environment.Environment{Folder: environment.Folder{Root: folder}, Stack: "local", Endpoints: ends}
	g.app = &app{stdout: &g.stdout, stderr: &g.stderr, stack: "local", fallbackStack: "local"}
	return g
}

// logIn gives the stack the login of its environment.
func (g *ground) logIn(t *testing.T) {
	t.Helper()
	var err error
	if g.stack.credential, err = g.e.Credential(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// service is a client of the service API that ends with the test.
func (g *ground) service(t *testing.T) *dpsservice.Client {
	t.Helper()
	client, err := g.stack.service(g.e.Endpoints)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// group puts an enrollment group into the service.
func (g *ground) group(t *testing.T, id, policy string, reprovision *dpsservice.ReprovisionPolicy, hubs ...string) {
	t.Helper()
	sum := sha256.Sum256([]byte(id)) // groups with one key could not be told apart
	key := base64.StdEncoding.EncodeToString(sum[:])
	entry := dpsservice.Enrollment{
		ID: id, AllocationPolicy: &policy, IotHubs: hubs, ReprovisionPolicy: reprovision,
		Attestation: &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation,
			SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: key, SecondaryKey: key}},
	}
	if policy == policyCustom {
		entry.CustomAllocationDefinition = &dpsservice.CustomAllocationDefinition{
			WebhookURL: "https://127.0.0.1:1/none", APIVersion: "2019-03-31"}
	}
	if _, err := g.service(t).Groups().Put(t.Context(), id, entry, ""); err != nil {
		t.Fatal(err)
	}
}

// register registers devices as `devices provision` does and returns its result.
func (g *ground) register(t *testing.T, count int, groups ...string) provisionResult {
	t.Helper()
	f, err := newFleet(t.Context(), g.stack, g.e, provisionOptions{groups: groups, transport: dpsdevice.HTTPS})
	if err != nil {
		t.Fatal(err)
	}
	took := f.registerAll(t.Context(), 8, f.ids(count), func() {})
	return f.result(f.compare(), took, true)
}

// A fleet with weights, a drained hub and several groups is compared group by group, and what an even split says
// nothing about is left out, with the reason.
func TestAFleetIsComparedWithTheRuleOfEachGroup(t *testing.T) {
	t.Parallel()
	g := newGround(t, hubOut{Name: "hub-1", Weight: 1}, hubOut{Name: "hub-2", Weight: 3},
		hubOut{Name: "hub-3", Weight: 2, Drain: true})
	host := func(i int) string { return g.stack.Hubs[i].HostName }
	g.group(t, "first-two", policyHashed, nil, host(0), host(1))
	g.group(t, "pinned", policyStatic, nil, host(2))
	g.group(t, "near", policyGeo, nil)
	g.group(t, "stays", policyHashed, &dpsservice.ReprovisionPolicy{})
	r := g.register(t, 40, "devices", "first-two", "pinned", "near", "stays")
	if r.Devices != 200 || r.Failed != 0 || !r.Check.Passed {
		t.Fatalf("got %+v, check %+v, want 200 devices and no problem", r, r.Check)
	}
	judged := map[string]string{}
	for _, c := range r.Groups {
		judged[c.Group] = c.Reason
		if c.Judged != (c.Reason == "") || c.Devices != 40 {
			t.Errorf("got %+v, want 40 devices, judged or with a reason", c)
		}
	}
	for group, reason := range map[string]string{
		"devices": "", "first-two": "", "stays": "", "pinned": "pins every device", "near": "lowest latency",
	} {
		t.Run(group, func(t *testing.T) {
			if got := judged[group]; (got == "") != (reason == "") || !strings.Contains(got, reason) {
				t.Errorf("group %s: got the reason %q, want %q", group, got, reason)
			}
		})
	}
	if got := r.Hubs[0]; got.Expected != 0.25 || r.Proof.Judged != 120 || r.Proof.Degrees != 1 {
		t.Errorf("got %+v, %+v, want a quarter of 120 judged devices on hub-1", got, r.Proof)
	}
	if got := r.Hubs[2]; got.Devices != 0 || got.High != 0 {
		t.Errorf("got %+v, want nothing on the drained hub, whose devices are pinned", got)
	}
	// Again: the devices of the group whose policy is never have kept their hubs.
	again := g.register(t, 40, "stays", "devices")
	if reason := again.Groups[0].Reason; !strings.Contains(reason, "never, and 40 devices kept") ||
		again.Proof.Judged != 40 {
		t.Errorf("got %q, %+v, want the group that keeps its hubs left out", reason, again.Proof)
	}
	var out bytes.Buffer
	if err := again.printSplit(&out); err != nil || !strings.Contains(out.String(),
		"40 devices of group stays are not compared with an even split: its reprovisioning policy is never") {
		t.Errorf("got %v and\n%s\nwant the reason", err, out.String())
	}
}

func TestAGroupWithAWebhookOrAnUnknownHubIsNotCompared(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.group(t, "asks", policyCustom, nil)
	g.group(t, "elsewhere", policyHashed, nil, g.stack.Hubs[0].HostName, g.stack.Hubs[1].HostName)
	known := g.stack
	g.stack.Hubs = known.Hubs[:1]
	r := g.register(t, 8, "elsewhere", "asks")
	for i, want := range []string{"it names the hub seeded-hub-2", "lets a webhook choose"} {
		t.Run(want, func(t *testing.T) {
			if got := r.Groups[i]; got.Judged || !strings.Contains(got.Reason, want) {
				t.Errorf("got %+v, want the reason %q", got, want)
			}
		})
	}
	if r.Proof != nil {
		t.Errorf("got %+v, want no comparison", r.Proof)
	}
	if r.Failed != 8 || r.Check.Passed || len(r.Check.Problems) != 1 {
		t.Fatalf("got %+v, want the devices of the webhook failed", r.Check)
	}
	problem := r.Check.Problems[0]
	if !strings.Contains(problem.Problem, "8 devices are not assigned and connected: code 400207") ||
		len(problem.Devices) != maxFailures+1 || problem.Devices[maxFailures] != "and 3 more" ||
		!strings.Contains(problem.Explanations[0].Cause, "webhook") || problem.Explanations[0].Remedy == "" {
		t.Errorf("got %+v, want what doctor says", problem)
	}
}

// A device on a drained hub and one on a hub that the stack does not have are problems; the settings at the service
// differ from the stack's outputs.
func TestTheCheckFindsDevicesWhereNoneShouldBe(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.stack.Hubs[0].Drain = true
	r := g.register(t, 30)
	if r.Check.Passed || !strings.Contains(r.Check.Problems[0].Problem, "on hub-1, which should get none") ||
		!strings.Contains(r.Check.Problems[0].Explanations[0].Cause, "drained") {
		t.Errorf("got %+v, want devices on the drained hub", r.Check)
	}
	g.stack.Hubs = g.stack.Hubs[1:]
	r = g.register(t, 30)
	if r.Check.Passed || !strings.Contains(r.Check.Problems[0].Problem, "on seeded-hub-1.azure-devices.net") ||
		!strings.Contains(r.Check.Problems[0].Explanations[0].Cause, "not in the stack") {
		t.Errorf("got %+v, want devices on a hub that the stack does not have", r.Check)
	}
	var out bytes.Buffer
	if err := r.Check.print(&out); err != nil || !strings.Contains(out.String(), "\n  remedy:  ") ||
		r.Check.err() == nil {
		t.Errorf("got %v and\n%s\nwant the explanation and an error", err, out.String())
	}
}

func TestTheCheckFindsAnUnevenSplit(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.stack.Hubs[0].Weight = 30 // the service has 1
	r := g.register(t, 60)
	if r.Check.Passed || len(r.Check.Problems) != 2 ||
		!strings.Contains(r.Check.Problems[0].Problem, "all but one of a million fair splits give it") {
		t.Errorf("got %+v, want both hubs outside the band", r.Check)
	}
}

// found returns how many registrations the service has, and how many devices the hubs have.
func (g *ground) found(t *testing.T) (registrations, devices int) {
	t.Helper()
	for _, group := range []string{"devices"} {
		records, err := g.Registrations(g.stack.IDScope, group)
		if err != nil {
			t.Fatal(err)
		}
		registrations += len(records)
	}
	for _, h := range g.stack.Hubs {
		ids, err := g.Devices(h.HostName)
		if err != nil {
			t.Fatal(err)
		}
		devices += len(ids)
	}
	return registrations, devices
}

// wantOnly fails unless the service and the hubs have that many devices, and no check is remembered.
func (g *ground) wantOnly(t *testing.T, want int) {
	t.Helper()
	if registrations, devices := g.found(t); registrations != want || devices != want {
		t.Errorf("got %d registrations and %d devices, want %d of each", registrations, devices, want)
	}
	if _, err := os.Stat(g.e.Folder.Check(g.e.Stack)); err == nil {
		t.Error("got a remembered check, want none after it has cleaned up")
	}
}

func TestTheCheckOfUpLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.register(t, 5)
	r, err := g.app.checkStack(t.Context(), g.stack, g.e, 130)
	if err != nil || !r.Check.Passed || r.Devices != 130 || r.New != 130 {
		t.Fatalf("got %+v, %v, want a passed check of 130 devices", r, err)
	}
	g.wantOnly(t, 5)
}

// Half of the devices are refused by their hub: they have a registration and an identity nevertheless.
func TestTheCheckOfUpCleansUpAfterAFailure(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	remove, err := g.Inject(emulator.Fault{Match: emulator.Match{Surface: "mqtt-hub", Method: "CONNECT"}, Status: 401,
		Probability: 0.5, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	r, err := g.app.checkStack(t.Context(), g.stack, g.e, 20)
	if err != nil || r.Check.Passed || r.Failed == 0 || r.Failed == 20 {
		t.Fatalf("got %+v, %v, want a check that failed for some devices", r, err)
	}
	if got := r.Check.Problems[0]; !strings.Contains(got.Problem, "not assigned and connected") ||
		len(got.Explanations) == 0 {
		t.Errorf("got %+v, want an explanation", got)
	}
	g.wantOnly(t, 0)
}

// An interruption while devices register: those that have begun end, the others do not begin, and all are removed.
func TestTheCheckOfUpCleansUpAfterAnInterruption(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	calls := 0
	g.app.clock = func() time.Time { // read once at the start, and then after each device
		if calls++; calls == 5 {
			interrupt()
		}
		return time.Now()
	}
	done := make(chan error, 1)
	go func() {
		_, err := g.app.checkStack(ctx, g.stack, g.e, 200)
		done <- err
	}()
	waiting, cancel := context.WithTimeout(t.Context(), await.Limit)
	defer cancel()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "canceled") {
			t.Errorf("got %v, want the interruption", err)
		}
		if calls < 5 || calls > 5+checkParallel {
			t.Errorf("got %d devices, want those that had begun", calls-1)
		}
	case <-waiting.Done():
		t.Fatal("the check did not end after the interruption")
	}
	g.wantOnly(t, 0)
}

// A device of a check that has begun ends its registration, so that no late one comes after the removal.
func TestADeviceOfACheckEndsItsRegistration(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	f, err := newFleet(t.Context(), g.stack, g.e, provisionOptions{transport: dpsdevice.HTTPS, isFirst: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	f.provision(ctx, f.cohorts[0], "devices-0001")
	f.finishes = true
	f.provision(ctx, f.cohorts[0], "devices-0002")
	if f.failed != 1 || f.assigned != 1 || !slices.Equal(f.uncertain(), []string{"devices-0001"}) {
		t.Errorf("got %d failed (%v) and %d assigned, want the second device assigned", f.failed, f.uncertain(),
			f.assigned)
	}
}

// A check that was killed is known by its file: the next up removes its devices, and no others.
func TestTheNextUpRemovesWhatAKilledCheckLeft(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.register(t, 3)
	left := newThrowaways(g.stack.IDScope, 6)
	f, err := newFleet(t.Context(), g.stack, g.e, provisionOptions{transport: dpsdevice.HTTPS})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range left.ids()[:4] { // it was killed in the middle
		f.provision(t.Context(), f.cohorts[0], id)
	}
	file := g.e.Folder.Check(g.e.Stack)
	if err := writeThrowaways(file, left); err != nil {
		t.Fatal(err)
	}
	if registrations, devices := g.found(t); registrations != 7 || devices != 7 {
		t.Fatalf("got %d and %d, want what the check left beside three devices", registrations, devices)
	}
	if err := g.app.removeLeftoversOf(t.Context(), g.stack, g.e); err != nil {
		t.Fatal(err)
	}
	g.wantOnly(t, 3)
	// Those of another provisioning service are gone with it: only the file is removed.
	if err := writeThrowaways(file, throwaways{"0neOTHER", "keel-check-0", 2}); err != nil {
		t.Fatal(err)
	}
	if err := g.app.removeLeftoversOf(t.Context(), g.stack, g.e); err != nil {
		t.Fatal(err)
	}
	g.wantOnly(t, 3)
	if err := os.WriteFile(file, []byte(`{"prefix":"devices","count":3}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.app.removeLeftoversOf(t.Context(), g.stack, g.e); err == nil {
		t.Error("got no error for a file that names other devices than a check's")
	}
	if registrations, _ := g.found(t); registrations != 3 {
		t.Errorf("got %d registrations, want all three kept", registrations)
	}
}

// The stack has no key of its service: keel logs in with Microsoft Entra ID.
func TestAStackWithoutAKeyIsComparedByALogin(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.stack.ServiceConnectionString, g.stack.HubConnectionStrings = "", nil
	g.logIn(t)
	r, err := g.app.checkStack(t.Context(), g.stack, g.e, 20)
	if err != nil || !r.Check.Passed || r.Proof == nil || r.Proof.Judged != 20 {
		t.Fatalf("got %+v, %v, want a check of 20 devices", r, err)
	}
	g.wantOnly(t, 0)
}

// A login that cannot read the enrollments does not keep devices from registering; nothing is compared then.
func TestAGroupThatCannotBeReadIsNotCompared(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.stack.ServiceConnectionString = ""
	g.stack.noCredential = errors.New("no account is logged in")
	r := g.register(t, 4)
	if r.Devices != 4 || r.Proof != nil || !r.Check.Passed ||
		!strings.HasSuffix(r.Groups[0].Reason, "with Microsoft Entra ID: no account is logged in") {
		t.Errorf("got %+v, want four devices, not compared", r)
	}
	f, err := newFleet(t.Context(), g.stack, g.e, provisionOptions{groups: []string{"others"}})
	if err == nil {
		t.Errorf("got %+v, want an error for a group whose key cannot be read", f)
	}
}

func TestThePictureIsWrittenWithTheReport(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	r := g.register(t, 20)
	file := filepath.Join(t.TempDir(), "split.svg")
	if err := r.writePicture(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "20 devices of group devices, policy Hashed") ||
		!strings.Contains(string(text), fmt.Sprintf(">%d · ", r.Hubs[0].Devices)) {
		t.Errorf("got %v and\n%s\nwant the split", err, text)
	}
	r.Groups = append(r.Groups, cohortResult{Group: "near", AllocationPolicy: policyGeo, Reason: "x"})
	if err := r.writePicture(file); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(file); err != nil || !strings.Contains(string(text), ">20 devices of group devices, p") {
		t.Errorf("got %v and\n%s\nwant only the groups that are compared", err, text)
	}
	if err := r.writePicture(filepath.Join(file, "no", "folder")); err == nil {
		t.Error("got no error for a file that cannot be written")
	}
}

func TestQuantilesAreMeasuredDurations(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)*time.Millisecond)
	}
	for _, tc := range []struct {
		durations []time.Duration
		want      quantiles
	}{
		{nil, quantiles{}},
		{[]time.Duration{1500 * time.Microsecond}, quantiles{1.5, 1.5, 1.5}},
		{hundred, quantiles{50, 95, 99}},
	} {
		t.Run(fmt.Sprint(len(tc.durations), " durations"), func(t *testing.T) {
			if got := quantilesOf(tc.durations); got != tc.want {
				t.Errorf("got %+v of %d durations, want %+v", got, len(tc.durations), tc.want)
			}
		})
	}
}

func TestTheResultOfTheCheckIsListedInJSON(t *testing.T) {
	t.Parallel()
	f := &fleet{stack: stackOf(t), cohorts: []*cohort{{group: "devices", rule: rule{policy: "Hashed"},
		hubs: map[string]int{}}}}
	text, err := json.Marshal(f.result(f.compare(), 0, true).Check)
	if err != nil || string(text) != `{"passed":true,"problems":[]}` {
		t.Errorf("got %s, %v", text, err)
	}
	if got := list([]string{"a", "b", "c"}); got != "a, b and c" || list(nil) != "" {
		t.Errorf("got %q", got)
	}
	if !slices.Equal(firstOf([]string{"b", "a"}), []string{"a", "b"}) {
		t.Error("got names out of order")
	}
}
