package entry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
)

// Issuance names the certificate policy by which the service issues certificates to devices that ask for one.
//
// Only IssuanceVersion of the service API has these names, and clouds may lag behind. So the provider uses it only for
// an entry whose declaration or state has one of them, and for imports. See ADR 37.
type Issuance struct {
	NamespaceName            *string `pulumi:"namespaceName,optional"`
	CertificateAuthorityName *string `pulumi:"certificateAuthorityName,optional"`
	CertificatePolicyName    *string `pulumi:"certificatePolicyName,optional"`
}

// The descriptions of the names, of single entries, of items of a set and of its defaults.
const (
	NamespaceText = "Name of the Azure Device Registry namespace that holds the certificate authority and policy " +
		"with which the service issues certificates to devices that ask for one. Needs the service API 2026-11-01."
	AuthorityText = "Name of the certificate authority of that namespace."
	PolicyText    = "Name of the certificate policy of that authority."
)

// Annotate describes the properties in the schema.
func (i *Issuance) Annotate(an infer.Annotator) {
	an.Describe(&i.NamespaceName, NamespaceText)
	an.Describe(&i.CertificateAuthorityName, AuthorityText)
	an.Describe(&i.CertificatePolicyName, PolicyText)
}

// IsNamed reports whether there is any name.
func (i Issuance) IsNamed() bool { return i != Issuance{} }

// faults returns the errors in the names.
func (i Issuance) faults() []enrollment.Fault {
	var faults []enrollment.Fault
	for _, n := range []struct {
		path  string
		name  *string
		check func(path, name string) []enrollment.Fault
	}{
		{"namespaceName", i.NamespaceName, enrollment.CheckNamespace},
		{"certificateAuthorityName", i.CertificateAuthorityName, enrollment.CheckIssuingAuthority},
		{"certificatePolicyName", i.CertificatePolicyName, enrollment.CheckCertificatePolicy},
	} {
		if n.name != nil {
			faults = append(faults, n.check(n.path, *n.name)...)
		}
	}
	return faults
}

// issuanceField is the field of one of the names. Azure compares names of resources without regard to letter case.
func issuanceField(path string, name func(*Issuance) **string) field {
	return field{
		Path: path,
		same: func(w Declared, g Held) bool {
			return strings.EqualFold(Text(*name(&w.Issuance)), Text(*name(&g.Issuance)))
		},
		adopt: func(w *Declared, g Held) { *name(&w.Issuance) = *name(&g.Issuance) },
	}
}

var issuanceFields = []field{
	issuanceField("namespaceName", func(i *Issuance) **string { return &i.NamespaceName }),
	issuanceField("certificateAuthorityName", func(i *Issuance) **string { return &i.CertificateAuthorityName }),
	issuanceField("certificatePolicyName", func(i *Issuance) **string { return &i.CertificatePolicyName }),
}

// For returns the lifecycle of an entry with these settings, declared or held: it uses the version of the service API
// that they need.
func (l Lifecycle) For(all ...Settings) Lifecycle {
	if slices.ContainsFunc(all, func(s Settings) bool { return s.IsNamed() }) {
		l.Entries = l.Entries.WithIssuance()
	}
	return l
}

// get reads an entry, without its keys. An unknown one, for an import or a function, is read with the newest version of
// the service API that the service supports.
func (l Lifecycle) get(ctx context.Context, id string, known Held) (dpsservice.Enrollment, error) {
	if known.Etag != "" {
		return l.Entries.Get(ctx, id)
	}
	entry, err := l.Entries.WithIssuance().Get(ctx, id)
	if IsUnsupported(err) {
		return l.Entries.Get(ctx, id)
	}
	return entry, err
}

// IsUnsupported reports whether the service may not support the version of the service API in a request that reads.
func IsUnsupported(err error) bool {
	refusal := (*dpsservice.Error)(nil)
	return errors.As(err, &refusal) && refusal.Status == http.StatusBadRequest
}

// unsupportedAdvice returns what to do when a service does not support the version that the names need, or "".
func unsupportedAdvice(err error) string {
	refusal := (*dpsservice.Error)(nil)
	if !errors.As(err, &refusal) || refusal.Status != http.StatusBadRequest ||
		!strings.Contains(refusal.Message, dpsservice.IssuanceVersion) {
		return ""
	}
	return "; the provisioning service does not support certificate policies, which need the service API " +
		dpsservice.IssuanceVersion + ": remove namespaceName, certificateAuthorityName and certificatePolicyName"
}
