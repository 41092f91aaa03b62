//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/internal/await"
	"evenkeel/internal/hint"
)

// enroll puts an individual enrollment with the seeded key into the service.
func (g *ground) enroll(t *testing.T, id string, change func(*dpsservice.Enrollment)) {
	t.Helper()
	entry := dpsservice.Enrollment{ID: id, Attestation: &dpsservice.Attestation{
		Type:         dpsservice.SymmetricKeyAttestation,
		SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: groupKey, SecondaryKey: groupKey}}}
	if change != nil {
		change(&entry)
	}
	if _, err := g.service(t).Individuals().Put(t.Context(), id, entry, ""); err != nil {
		t.Fatal(err)
	}
}

// device registers a device with an individual enrollment, and returns the error of the registration.
func (g *ground) device(t *testing.T, id string) error {
	t.Helper()
	f, err := newFleet(t.Context(), g.stack, g.e, provisionOptions{transport: dpsdevice.HTTPS, isFirst: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.run(t.Context(), id, dpsdevice.SymmetricKey(groupKey))
	return err
}

func TestADeviceIsFoundWithItsGroupHubTwinAndConnection(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.register(t, 3)
	name := "press"
	g.enroll(t, "device-2", func(e *dpsservice.Enrollment) { e.DeviceID = &name })
	if err := g.device(t, "device-2"); err != nil {
		t.Fatal(err)
	}
	f, err := newFleet(t.Context(), g.stack, g.e, provisionOptions{isFirst: true})
	if err != nil {
		t.Fatal(err)
	}
	credential, err := f.credential("devices-0001")
	if err != nil {
		t.Fatal(err)
	}
	record, err := g.Registration(g.stack.IDScope, "devices-0001")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), await.Limit)
	defer cancel()
	connection, err := dpsdevice.Connect(ctx, dpsdevice.HubOptions{Host: record.Hub, DeviceID: "devices-0001",
		Credential: credential, Network: f.network})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := connection.Report(ctx, map[string]int{"x": 1}); err != nil {
		t.Fatal(err)
	}
	result, err := g.stack.find(ctx, g.e.Endpoints, []string{"devices-0001", "device-2", "Devices-0001", "absent",
		"device-1"})
	if err != nil || len(result.Devices) != 4 {
		t.Fatalf("got %+v, %v, want four devices", result, err)
	}
	first, second, absent, third := result.Devices[0], result.Devices[1], result.Devices[2], result.Devices[3]
	if !first.Found || first.Enrollment != "devices" || first.Status != "assigned" || len(first.Identities) != 1 ||
		!first.Identities[0].Connected || first.Identities[0].TwinVersion < 2 || first.Identities[0].LastSeen == "" ||
		first.Identities[0].Hub != g.stack.hubName(record.Hub) {
		t.Errorf("got %+v, want a connected device of the group", first)
	}
	if !second.Found || second.Enrollment != individual || second.DeviceID != "press" || len(second.Identities) != 1 ||
		second.Identities[0].Connected {
		t.Errorf("got %+v, want a device that has another id at its hub", second)
	}
	if absent.Found || absent.Status != unregistered {
		t.Errorf("got %+v, want no device", absent)
	}
	if !third.Found || third.Status != unregistered || len(third.Identities) != 0 {
		t.Errorf("got %+v, want an enrollment that was not used", third)
	}
	// Two requests to the service for each, and one for the groups; two devices are on their hubs, and the others are
	// looked for on both.
	if want := (calls{9, 6}); result.Calls != want {
		t.Errorf("got %+v, want %+v", result.Calls, want)
	}
	if err := g.app.printFound(result); err == nil || !strings.Contains(hint.Of(err), "keel devices list") {
		t.Errorf("got %v, want an error for the unknown device", err)
	}
	for _, want := range []string{"enrollment   devices\n", "connected    yes\n", "last seen    20",
		"device id    press\n", "device  absent: unknown\n", "identity    on no hub"} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(g.stdout.String(), want) {
				t.Errorf("got\n%swant %q in it", g.stdout.String(), want)
			}
		})
	}
	if want := "15 requests: 9 to the provisioning service, 6 to hubs\n"; !strings.Contains(g.stderr.String(), want) {
		t.Errorf("got %q, want %q", g.stderr.String(), want)
	}
}

func TestTheGroupOfADeviceIsFoundAmongSeveral(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.group(t, "line-2", policyHashed, nil)
	g.register(t, 2, "devices", "line-2")
	result, err := g.stack.find(t.Context(), g.e.Endpoints, []string{"line-2-0001", "devices-0002"})
	if err != nil || result.Devices[0].Enrollment != "line-2" || result.Devices[1].Enrollment != "devices" {
		t.Errorf("got %+v, %v, want the group of each", result, err)
	}
	if want := (calls{7, 2}); result.Calls != want { // the list of groups, and the registrations of both
		t.Errorf("got %+v, want %+v", result.Calls, want)
	}
}

// A device whose registration was deleted is still at its hub, and one whose registration failed says why.
func TestADeviceWithoutARegistrationIsFoundAtItsHub(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.register(t, 1)
	if err := g.service(t).DeleteRegistration(t.Context(), "devices-0001", ""); err != nil {
		t.Fatal(err)
	}
	policy := policyStatic
	g.enroll(t, "lost", func(e *dpsservice.Enrollment) { e.AllocationPolicy = &policy })
	if err := g.device(t, "lost"); err == nil {
		t.Fatal("got a registration without a hub")
	}
	result, err := g.stack.find(t.Context(), g.e.Endpoints, []string{"devices-0001", "lost"})
	if err != nil {
		t.Fatal(err)
	}
	if d := result.Devices[0]; !d.Found || d.Status != unregistered || len(d.Identities) != 1 {
		t.Errorf("got %+v, want the device at its hub", d)
	}
	if d := result.Devices[1]; d.ErrorCode != 400208 || len(d.Explanations) != 1 || d.Explanations[0].Remedy == "" {
		t.Errorf("got %+v, want the error explained", d)
	}
	var out bytes.Buffer
	if err := result.Devices[1].print(&out); err != nil || !strings.Contains(out.String(), "error       400208 ") ||
		!strings.Contains(out.String(), "\n  remedy") {
		t.Errorf("got %v and\n%s\nwant the error explained", err, out.String())
	}
}

// ids returns the ids of a page.
func (r listResult) ids() []string {
	var ids []string
	for _, d := range r.Devices {
		ids = append(ids, d.Device)
	}
	return ids
}

func TestDevicesAreListedPageByPageWithoutGapsOrRepeats(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.group(t, "line-2", policyHashed, nil)
	for _, id := range []string{"a", "b", "c"} {
		g.enroll(t, id, nil)
	}
	g.register(t, 7, "devices", "line-2")
	whole, err := g.stack.list(t.Context(), g.e.Endpoints, listOptions{limit: 100})
	if err != nil || len(whole.Devices) != 18 || whole.Continue != "" {
		t.Fatalf("got %v, %v, want 4 individual enrollments and 14 devices of two groups", whole.ids(), err)
	}
	// The groups, a page of enrollments, the registration of each, and a page for each group.
	if want := (calls{1 + 1 + 4 + 2, 0}); whole.Calls != want {
		t.Errorf("got %+v, want %+v", whole.Calls, want)
	}
	for limit := 1; limit <= 5; limit++ {
		var ids []string
		for from, pages := "", 0; ; pages++ {
			page, err := g.stack.list(t.Context(), g.e.Endpoints, listOptions{limit: limit, from: from})
			if err != nil || len(page.Devices) > limit || pages > 18 {
				t.Fatalf("limit %d: got %v, %v after %d pages", limit, page.ids(), err, pages)
			}
			ids = append(ids, page.ids()...)
			if from = page.Continue; from == "" {
				break
			}
		}
		if !slices.Equal(ids, whole.ids()) {
			t.Errorf("limit %d: got %v, want %v", limit, ids, whole.ids())
		}
	}
}

func TestDevicesAreListedByHubGroupAndStatus(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	policy := policyStatic
	for _, id := range []string{"lost-1", "lost-2"} {
		t.Run(id, func(t *testing.T) {
			g.enroll(t, id, func(e *dpsservice.Enrollment) { e.AllocationPolicy = &policy })
			if err := g.device(t, id); err == nil {
				t.Fatal("got a registration without a hub")
			}
		})
	}
	r := g.register(t, 12)
	on := func(hub string) int {
		i := slices.IndexFunc(g.stack.Hubs, func(h hubOut) bool { return h.Name == hub })
		return r.Hubs[i].Devices
	}
	for name, tc := range map[string]struct {
		o    listOptions
		want int
	}{
		"a status":         {listOptions{status: "Failed"}, 2},
		"unregistered":     {listOptions{status: "unregistered"}, 1},
		"a hub":            {listOptions{hub: "hub-1"}, on("hub-1")},
		"a host":           {listOptions{hub: "SEEDED-hub-2.azure-devices.net"}, on("hub-2")},
		"a group":          {listOptions{group: "devices"}, 12},
		"all three":        {listOptions{group: "devices", hub: "hub-1", status: "assigned"}, on("hub-1")},
		"nothing":          {listOptions{group: "devices", status: "failed"}, 0},
		"an unknown group": {listOptions{group: "others"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.limit = 100
			got, err := g.stack.list(t.Context(), g.e.Endpoints, tc.o)
			if err != nil || len(got.Devices) != tc.want {
				t.Errorf("got %v, %v, want %d devices", got.ids(), err, tc.want)
			}
		})
	}
	for name, o := range map[string]listOptions{
		"hub": {hub: "hub-9"}, "status": {status: "lost"}, "continuation": {from: "%"},
		"continuation of another group": {group: "devices", from: position{Group: "others"}.String()},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := g.stack.list(t.Context(), g.e.Endpoints, o); !errors.Is(err, errUsage) {
				t.Errorf("%s: got %v, want an error of the command line", name, err)
			}
		})
	}
	o := listOptions{limit: 100, from: position{Group: "gone"}.String()}
	if _, err := g.stack.list(t.Context(), g.e.Endpoints, o); err == nil || hint.Of(err) == "" {
		t.Errorf("got %v, want an error for a group that is gone", err)
	}
}

func TestAPageIsPrintedWithTheCommandForTheNext(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	a := &app{stdout: &stdout, stderr: &stderr, stack: "mine", fallbackStack: "local"}
	failed := deviceState{Device: "a", Enrollment: "devices", Status: "failed", ErrorCode: 401002}
	result := listResult{Devices: []deviceState{failed}, Continue: "abc", Calls: calls{3, 0}}
	o := listOptions{hub: "hub-1", group: "it's", status: "failed", limit: 1, rateLimit: 0}
	if err := a.printList(result, o); err != nil {
		t.Fatal(err)
	}
	if got := stdout.String(); !strings.Contains(got, "a       devices     failed") ||
		!strings.Contains(got, "401002") {
		t.Errorf("got\n%s", got)
	}
	want := "3 requests: 3 to the provisioning service, 0 to hubs\nnext page: keel devices list -s mine --hub hub-1 " +
		"--group 'it'\\''s' --status failed --limit 1 --rate-limit 0 --continue abc\n"
	if got := stderr.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := fmt.Sprint(calls{1, 0}); !strings.HasPrefix(got, "1 request:") {
		t.Errorf("got %q", got)
	}
}

// The limit of requests applies to the client of the service and to those of the hubs.
func TestRequestsAreLimited(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.register(t, 1)
	g.stack.rateLimit = 10 // one at once, and the next after six seconds
	ctx, cancel := context.WithTimeout(t.Context(), await.Limit)
	defer cancel()
	s, err := g.stack.newSearch(g.e.Endpoints)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	registry, err := s.hub(g.stack.Hubs[0].HostName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.groups(ctx); err != nil {
		t.Fatal(err)
	}
	_, _ = registry.Twin(ctx, "absent")
	short, end := context.WithTimeout(ctx, 2*time.Second) // a wait would be longer
	defer end()
	if _, err := s.groups(short); err == nil || s.service.Requests() != 1 {
		t.Errorf("got %v after %d requests to the service, want one", err, s.service.Requests())
	}
	if _, err := registry.Twin(short, "absent"); err == nil || registry.Requests() != 1 {
		t.Errorf("got %v after %d requests to the hub, want one", err, registry.Requests())
	}
}

// Without keys, the service and the hubs are asked with a login.
func TestDevicesAreFoundByALogin(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.register(t, 1)
	g.stack.ServiceConnectionString, g.stack.HubConnectionStrings = "", nil
	g.logIn(t)
	result, err := g.stack.find(t.Context(), g.e.Endpoints, []string{"devices-0001"})
	if err != nil || len(result.Devices[0].Identities) != 1 {
		t.Errorf("got %+v, %v, want the device at its hub", result, err)
	}
	page, err := g.stack.list(t.Context(), g.e.Endpoints, listOptions{limit: 5, group: "devices"})
	if err != nil || len(page.Devices) != 1 {
		t.Errorf("got %+v, %v, want one device", page, err)
	}
}
