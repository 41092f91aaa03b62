package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/dpsdevice"
	"evenkeel/internal/azure/sas"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/azurenative"
	"evenkeel/internal/keel/environment"
)

func TestQuotedTextIsOneWordForAShell(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"local": "local", "/a/b.c": "/a/b.c", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'",
		"a;b": "'a;b'", "a=b": "'a=b'",
	} {
		t.Run(text, func(t *testing.T) {
			if got := quote(text); got != want {
				t.Errorf("%q: got %s, want %s", text, got, want)
			}
		})
	}
}

// stackOf returns outputs as `pulumi stack output --json --show-secrets` prints them.
func stackOf(t *testing.T) outputs {
	t.Helper()
	var raw map[string]json.RawMessage
	err := json.Unmarshal([]byte(`{"idScope":"0ne00000001","enrollmentGroup":"devices","allocationPolicy":"Hashed",
 "enrollmentGroupKey":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=","hubs":[
 {"name":"hub-1","hostName":"a.azure-devices.net","weight":3},{"name":"hub-2","hostName":"b.azure-devices.net","weight":1},
 {"name":"hub-3","hostName":"c.azure-devices.net","weight":5,"drain":true}],"expiresAt":"x"}`), &raw)
	if err != nil {
		t.Fatal(err)
	}
	out, err := readOutputs(raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheKeyOfADeviceIsDerivedAndItsNameChecked(t *testing.T) {
	t.Parallel()
	stack := stackOf(t)
	want, err := sas.DeriveDeviceKey(stack.EnrollmentGroupKey, "devices-0001")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := stack.deviceKey("devices-0001"); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := stack.deviceKey("no spaces"); err == nil {
		t.Error("a name with a space got a key")
	}
}

// Valid hub names may contain capitals, and Azure returns them in lower case (pulumi/pulumi-azure-native issues 4007
// and 2910).
func TestAHubIsFoundWhateverTheLetterCaseOfItsName(t *testing.T) {
	t.Parallel()
	hubs := []hubOut{{Name: "hub-1", HostName: "Press-Hub-X1.azure-devices.net", Weight: 1},
		{Name: "hub-2", HostName: "b.azure-devices.net", Weight: 1}}
	c := &cohort{group: "devices", rule: rule{policy: "Hashed"}, hubs: map[string]int{}}
	f := &fleet{
		stack: outputs{Hubs: hubs}, cohorts: []*cohort{c}, substatus: map[string]int{},
		before: map[string]string{"devices-0001": "press-hub-x1.azure-devices.net",
			"devices-0002": "b.azure-devices.net"},
	}
	for _, id := range []string{"Devices-0001", "Devices-0002", "Devices-0003"} {
		f.count(c, id, dpsdevice.Registration{Hub: "press-hub-x1.azure-devices.net"})
	}
	if f.assigned != 1 || f.kept != 1 || f.moved != 1 {
		t.Errorf("got %d new, %d kept, %d moved, want one each", f.assigned, f.kept, f.moved)
	}
	if got := f.compare().hubs; len(got) != 2 || got[0].Devices != 3 || got[0].High == 0 {
		t.Errorf("got %+v, want all three on hub-1", got)
	}
	var s shown
	s.count(hubs, []deviceState{{Device: "a", Hub: "press-hub-x1.azure-devices.net"},
		{Device: "b", Hub: "B.azure-devices.net"}, {Device: "c"}})
	if s.Devices != 2 || s.HubList[0].Devices != 1 || s.HubList[1].Devices != 1 {
		t.Errorf("got %+v, want one device on each hub", s)
	}
}

func TestTheReportCountsByHubAndNamesFailures(t *testing.T) {
	t.Parallel()
	f := &fleet{
		stack: stackOf(t), cohorts: []*cohort{{group: "devices", rule: rule{policy: "Hashed"}, hubs: map[string]int{
			"a.azure-devices.net": 30, "b.azure-devices.net": 10, "z.azure-devices.net": 2}}},
		assigned: 40, kept: 1, moved: 1, failed: 7, failures: []failure{{"devices-0007", "refused with status 401"}},
		registerTimes: []time.Duration{4 * time.Millisecond, 20 * time.Millisecond},
	}
	var stdout, stderr bytes.Buffer
	a := &app{stdout: &stdout, stderr: &stderr}
	if err := a.report(f, f.result(f.compare(), 2*time.Second, false)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"42 devices of group devices, policy Hashed, in 2.0 s: 40 new, 1 kept their hub, 1 moved", "hub-1", "hub-2",
		"hub-3", "z.azure-devices.net", hashNote, "71.4 %   expected 75.0 %, 95 % band 26 to 37",
		"chi-square 0.10, 1 degree of freedom, p = 0.758",
		"21.0 registrations a second; p50/p95/p99 4.0/20/20 ms to register, 0.0/0.0/0.0 ms to connect",
	} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("got\n%swant %q in it", stdout.String(), want)
			}
		})
	}
	if got := stderr.String(); !strings.Contains(got, "devices-0007: refused") || !strings.Contains(got, "and 6 more") {
		t.Errorf("got %q, want the failure named and the rest counted", got)
	}
	stdout.Reset()
	a.json = true
	if err := a.report(f, f.result(f.compare(), time.Second, false)); err != nil {
		t.Fatal(err)
	}
	var got provisionResult
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Devices != 42 || got.Failed != 7 || len(got.Hubs) != 4 || got.Hubs[0].Weight != 3 ||
		got.Hubs[2].Weight != 0 || got.Hubs[0].High < 30 || got.Rate != 42 || got.Proof == nil ||
		got.Proof.Degrees != 1 || got.Milliseconds.Register.P50 != 4 || got.Check != nil {
		t.Errorf("got %+v, want the same figures, and no weight for the drained hub", got)
	}
}

func TestTheErrorForATakenPortNamesItsHolder(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, err = net.Listen("tcp", listener.Addr().String())
	err = portTaken(fmt.Errorf("start: %w", err))
	if runtime.GOOS != "linux" {
		t.Skip("only Linux reports the holder")
	}
	if !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) ||
		!strings.Contains(hint.Of(err), "--new-ports") {
		t.Errorf("got %v, hint %q", err, hint.Of(err))
	}
	other := errors.New("no such thing")
	if got := portTaken(other); !errors.Is(got, other) || hint.Of(got) != "" {
		t.Errorf("got %v, want it untouched", got)
	}
}

func TestUnknownResourcesAreDeletedOnlyWithConsent(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, "yes": true, "\n": false, "n\n": false,
		"yesterday\n": false} {
		t.Run(answer, func(t *testing.T) {
			var stderr bytes.Buffer
			a := &app{stdin: strings.NewReader(answer), stderr: &stderr, interactive: true, terminal: true,
				stack: "mine"}
			got, err := a.consent()([]string{"/x/one", "/x/two"})
			if err != nil || got != want || !strings.Contains(stderr.String(), "/x/two") ||
				!strings.Contains(stderr.String(), "[y/N]") {
				t.Errorf("%q: got %v, %v, want %v, and what it is about:\n%s", answer, got, err, want, stderr.String())
			}
		})
	}
	silent := &app{stdin: strings.NewReader(""), stderr: &bytes.Buffer{}, interactive: true, terminal: true}
	if _, err := silent.consent()([]string{"/x"}); err == nil {
		t.Error("no answer: got no error")
	}
	if (&app{interactive: true}).consent() != nil || (&app{terminal: true}).consent() != nil {
		t.Error("without a terminal: got a prompt")
	}
	if agreed, err := (&app{yes: true}).consent()(nil); err != nil || !agreed {
		t.Errorf("--yes: got %v, %v", agreed, err)
	}
}

// TestHubsAreReadInBothForms: keyed by name, and as the list of older programs.
func TestHubsAreReadInBothForms(t *testing.T) {
	t.Parallel()
	want := []string{"hub-1", "hub-2", "hub-10"}
	for form, text := range map[string]string{
		"by name": `{"hub-10":{"hostName":"c","weight":1},"hub-2":{"hostName":"b","weight":3,"drain":true},"hub-1":{"hostName":"a","weight":1}}`,
		"a list":  `[{"name":"hub-1","hostName":"a","weight":1},{"name":"hub-2","hostName":"b","weight":3,"drain":true},{"name":"hub-10","hostName":"c","weight":1}]`,
	} {
		t.Run(form, func(t *testing.T) {
			out, err := readOutputs(map[string]json.RawMessage{"hubs": json.RawMessage(text)})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, hub := range out.Hubs {
				names = append(names, hub.Name)
			}
			if !slices.Equal(names, want) || out.Hubs[1] != (hubOut{Name: "hub-2", HostName: "b", Weight: 3,
				Drain: true}) {
				t.Errorf("%s: got %+v, want %v", form, out.Hubs, want)
			}
		})
	}
	if _, err := readOutputs(map[string]json.RawMessage{"hubs": json.RawMessage(`"none"`)}); err == nil {
		t.Error("a text: got no error, want one")
	}
}

// TestKeelAddsAdviceToTheRefusalOfItsPlugin: keel recognizes the plugin's message and adds advice.
func TestKeelAddsAdviceToTheRefusalOfItsPlugin(t *testing.T) {
	t.Parallel()
	if !strings.Contains(azurenative.RefusesSecret, environment.SecretRefusal) {
		t.Errorf("keel looks for %q, which is not in %q", environment.SecretRefusal, azurenative.RefusesSecret)
	}
}

// TestSharedUserNamesIdentifyNoOwner: containers and build machines run the programs of many people under these
// names.
func TestSharedUserNamesIdentifyNoOwner(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"root": true, "runner": true, "vscode": true, "Administrator": true, `BUILD-7\ContainerAdministrator`: true,
		"user-1001": true,
		"maria":     false, `CORP\maria`: false, "user-maria": false, "rooted": false, "user-": false, "": false,
	} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			if got := isSharedName(name); got != want {
				t.Errorf("%q: got %v, want %v", name, got, want)
			}
		})
	}
}

// TestDevicesRetryAfterTransientErrors: after a connection that another client took over and after an unknown
// operation, but never after a refusal.
func TestDevicesRetryAfterTransientErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"a lost connection": {fmt.Errorf("connect: subscribe: %w",
			fmt.Errorf("%w: connection lost before Subscribe completed", dpsdevice.ErrLost)), true},
		"a lost operation":     {fmt.Errorf("register: %w", &dpsdevice.Error{Status: 404, Code: 404203}), true},
		"no such registration": {&dpsdevice.Error{Status: 404, Code: 404202}, false},
		"a wrong key":          {&dpsdevice.Error{Status: 401}, false},
		"an end":               {context.Canceled, false},
		"something else":       {errors.New("no route to host"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := isWorthRetrying(tc.err); got != tc.want {
				t.Errorf("%s: got %v, want %v", name, got, tc.want)
			}
		})
	}
}

// TestResetRepeatsUntilNothingIsLeft: the next round removes the devices that registered between the removal of the
// records and of the devices. Those that keep registering are reported.
func TestResetRepeatsUntilNothingIsLeft(t *testing.T) {
	t.Parallel()
	left := [][2]int{{158, 172}, {14, 3}, {0, 1}, {0, 0}, {9, 9}}
	registrations, devices, err := repeatUntilEmpty(func() (int, int, error) {
		now := left[0]
		left = left[1:]
		return now[0], now[1], nil
	})
	if err != nil || registrations != 172 || devices != 176 || len(left) != 1 {
		t.Errorf("got %d and %d, %v with %d rounds left, want 172, 176 and the last round not begun", registrations,
			devices, err, len(left))
	}
	if _, _, err := repeatUntilEmpty(func() (int, int, error) { return 1, 1, nil }); err == nil || hint.Of(err) == "" {
		t.Errorf("got %v for devices that never stop, want an error that says what to do", err)
	}
	failure := errors.New("refused")
	if _, _, err := repeatUntilEmpty(func() (int, int, error) { return 1, 0, failure }); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
}
