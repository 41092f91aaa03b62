package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// relink replaces the service's links and its policy; more are further members of each hub's link.
func (y *yard) relink(policy string, more map[string]string) {
	y.t.Helper()
	var links []string
	for hub, members := range more {
		name, _, _ := strings.Cut(hub, ".")
		key := y.firstKey(groupPath+"/providers/Microsoft.Devices/IotHubs/"+name+"/IotHubKeys/iothubowner", hubVersion)
		links = append(links, strings.TrimSuffix(ownerLinkJSON(hub, key), "}")+members+"}")
	}
	y.must("PUT", servicePath+serviceVersion,
		strings.Replace(linkedJSON(strings.Join(links, ",")), `"properties":{`, `"properties":{"allocationPolicy":"`+
			policy+`",`, 1))
}

// spread enrolls and registers n devices and counts them by hub.
func (y *yard) spread(prefix string, n int, more string) map[string]int {
	y.t.Helper()
	counts := map[string]int{}
	for i := range n {
		id := fmt.Sprintf("%s-%d", prefix, i)
		y.enroll(id, keyed+more)
		counts[y.overHTTPS(y.holding(id, primary)).state("assignedHub")]++
	}
	return counts
}

// TestAllocationFollowsTheServiceAndTheEnrollment: weights and parts taken count at once, and the entry's own words
// come first.
func TestAllocationFollowsTheServiceAndTheEnrollment(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	// Rendezvous hashing of fixed names: the same counts in every run. 3 : 1 of 80 is 60 : 20.
	y.relink("Hashed", map[string]string{hub1: `,"allocationWeight":300`, hub2: `,"allocationWeight":100`})
	if got := y.spread("weighted", 80, ""); got[hub1] < 50 || got[hub1] > 70 || got[hub1]+got[hub2] != 80 {
		t.Errorf("3 : 1: got %v", got)
	}
	y.relink("Hashed", map[string]string{hub1: `,"allocationWeight":1`, hub2: `,"allocationWeight":1000`})
	if got := y.spread("changed", 30, ""); got[hub2] < 28 {
		t.Errorf("1 : 1000: got %v", got)
	}
	y.relink("Hashed", map[string]string{hub1: "", hub2: `,"applyAllocationPolicy":false`})
	if got := y.spread("apart", 20, ""); got[hub1] != 20 {
		t.Errorf("one hub takes no part: got %v", got)
	}
	if got := y.spread("named", 3, `,"allocationPolicy":"hashed","iotHubs":["`+hub2+`"]`); got[hub2] != 3 {
		t.Errorf("a hub that takes no part, named by the enrollment: got %v", got)
	}
	y.relink("Static", map[string]string{hub1: "", hub2: ""})
	if got := y.spread("static", 3, `,"iotHubHostName":"`+hub2+`"`); got[hub2] != 3 {
		t.Errorf("static by iotHubHostName: got %v", got)
	}
	if got := y.spread("static-list", 3, `,"allocationPolicy":"static","iotHubs":["`+hub1+`"]`); got[hub1] != 3 {
		t.Errorf("static by iotHubs: got %v", got)
	}
	if got := y.spread("hashed", 20, `,"allocationPolicy":"hashed"`); got[hub1] == 0 || got[hub2] == 0 || got[hub1]+
		got[hub2] != 20 {
		t.Errorf("the enrollment's own policy: got %v", got)
	}
	if got := y.spread("nowhere", 1, ""); got[""] != 1 {
		t.Errorf("static without a hub: got %v", got)
	}

	// A hub that is not linked any more cannot be named, and devices that were sent there go to one that is.
	y.enroll("moved", keyed)
	y.relink("Hashed", map[string]string{hub1: ""})
	status, body := y.on(serviceHost, "PUT", "/enrollments/x?api-version=2021-10-01", `{"registrationId":"x",`+keyed+
		`,"allocationPolicy":"hashed","iotHubs":["`+hub2+`"]}`, y.owner)
	if status != http.StatusBadRequest {
		t.Errorf("got %d %v, want 400 for a hub that is not linked", status, body)
	}
	if got := y.overHTTPS(y.holding("moved", primary)); got.state("assignedHub") != hub1 {
		t.Errorf("got %v, want the device on the hub that is left", got)
	}
	if got := y.overHTTPS(y.holding("named-0", primary)); got.state("status") != "failed" || got.code() != "400208" {
		t.Errorf("an entry that names the unlinked hub: got %v, want a failed registration", got)
	}
}
