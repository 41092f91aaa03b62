package topology_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/topology"
)

func TestEnrollmentsNameTheirCertificatePolicy(t *testing.T) {
	t.Parallel()
	const names = `"namespaceName":"ns-1","certificateAuthorityName":"Issuing","certificatePolicyName":"leaves"`
	got, err := topology.Parse(local(stack{"enrollmentGroup": `{"id":"fleet",` + names + `}`,
		"devices": `["bare",{"id":"named",` + names + `}]`}), "local")
	if err != nil {
		t.Fatal(err)
	}
	group, bare, named := got.Fleet.Args(nil), got.Devices[0].Args(nil), got.Devices[1].Args(nil)
	for name, value := range map[string][]pulumi.StringPtrInput{
		"ns-1":    {group.NamespaceName, named.NamespaceName},
		"Issuing": {group.CertificateAuthorityName, named.CertificateAuthorityName},
		"leaves":  {group.CertificatePolicyName, named.CertificatePolicyName},
	} {
		t.Run(name, func(t *testing.T) {
			if !slices.Equal(value, []pulumi.StringPtrInput{pulumi.String(name), pulumi.String(name)}) {
				t.Errorf("got %v, want %s for the group and the device", value, name)
			}
		})
	}
	if bare.NamespaceName != nil || bare.CertificateAuthorityName != nil || bare.CertificatePolicyName != nil {
		t.Errorf("got %v for a device without names, want none", bare)
	}
}

func TestNamesOfCertificatePoliciesAreChecked(t *testing.T) {
	t.Parallel()
	for member, text := range map[string]string{"namespaceName": "Ns-1", "certificateAuthorityName": "-ca",
		"certificatePolicyName": "30"} {
		t.Run(member, func(t *testing.T) {
			for key, at := range map[string]string{"enrollmentGroup": "enrollmentGroup", "devices": "devices[0]"} {
				t.Run(key, func(t *testing.T) {
					value := fmt.Sprintf(`{"id":"a",%q:%q}`, member, text)
					if key == "devices" {
						value = "[" + value + "]"
					}
					faults := faultsOf(t, stack{key: value})
					if len(faults) != 1 || !strings.HasPrefix(faults[0], at+"."+member+": ") ||
						!strings.Contains(faults[0], text) {
						t.Errorf("got %q, want the error of %s", faults, member)
					}
				})
			}
		})
	}
}
