package topology

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/azure/enrollment"
)

// issuance names the certificate policy of Azure Device Registry by which the service issues certificates to devices
// that ask for one; empty names are left out.
type issuance struct{ namespace, issuer, certificatePolicy string }

// issuance checks the names of a group or a device.
func (r *reader) issuance(key string, set entrySettings) issuance {
	for _, n := range []struct {
		member, name string
		check        func(path, name string) []enrollment.Fault
	}{
		{".namespaceName", set.NamespaceName, enrollment.CheckNamespace},
		{".certificateAuthorityName", set.CertificateAuthorityName, enrollment.CheckIssuingAuthority},
		{".certificatePolicyName", set.CertificatePolicyName, enrollment.CheckCertificatePolicy},
	} {
		if n.name != "" {
			r.faults = append(r.faults, n.check(key+n.member, n.name)...)
		}
	}
	return issuance{set.NamespaceName, set.CertificateAuthorityName, set.CertificatePolicyName}
}

// orNone returns nil for an empty text: a property that is left out.
func orNone(text string) pulumi.StringPtrInput {
	if text == "" {
		return nil
	}
	return pulumi.String(text)
}
