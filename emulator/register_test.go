package emulator_test

import (
	"testing"
)

// TestAChainIsJudgedByWhatARMHolds uploads a CA over ARM and lets devices come with chains of every length.
func TestAChainIsJudgedByWhatARMHolds(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	root := issue(t, nil, "root", true)
	middle := issue(t, root, "middle", true)
	low := issue(t, middle, "low", true)
	y.service("PUT", "/enrollmentGroups/line", `{"enrollmentGroupId":"line","attestation":{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":"`+
		low.base64()+`"}}}}}`)
	upload := func(verified string) {
		path := servicePath + "/certificates/root" + serviceVersion
		y.call("DELETE", path, "")
		y.must("PUT", path, `{"properties":{"certificate":"`+root.base64()+`","isVerified":`+verified+`}}`)
	}
	for name, register := range fronts {
		leaf := issue(t, low, "sn-"+name, false)
		try := func(n int) result {
			return register(y, device{scope: y.scope, id: "sn-" + name, certificate: leaf.presented(n)})
		}
		upload("false")
		if got := try(3); got.status != 401 || got.code() != "401002" || got.body["message"] != "Invalid certificate." {
			t.Errorf("%s, unverified root: got %v, want 401002", name, got)
		}
		upload("true")
		for n, want := range []string{"", "", "assigned", "assigned"} {
			got := try(n)
			if got.state("status") != want || want == "" && got.code() != "401002" {
				t.Errorf("%s, %d certificates above the leaf: got %v, want %q", name, n, got, want)
			}
		}
	}
}
