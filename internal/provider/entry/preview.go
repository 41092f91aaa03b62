package entry

import (
	"context"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/dpsservice"
)

// preview returns what can be said before a creation or, with known, an update, and leaves the rest empty: no call is made.
func preview(ctx context.Context, want Declared, known Held) Held {
	h := Held{Declared: want, Record: Record{ServiceHost: known.ServiceHost, CreatedDateTimeUtc: known.CreatedDateTimeUtc}, Life: known.Life}
	if known.ServiceHost == "" { // a creation
		h.ServiceHost, h.Instance = Connect(ctx).Host, new(string)
	}
	switch AttestationType(want.Attestation) {
	case dpsservice.SymmetricKeyAttestation:
		keys, given := FoundKeys(known), SymmetricOf(want.Attestation)
		if given.PrimaryKey != nil {
			keys.PrimaryKey = *given.PrimaryKey
		}
		if given.SecondaryKey != nil {
			keys.SecondaryKey = *given.SecondaryKey
		}
		h.PrimaryKey, h.SecondaryKey = &keys.PrimaryKey, &keys.SecondaryKey
	case dpsservice.X509CertAttestation:
		rolled := slices.ContainsFunc(Changes(want, known), func(f field) bool { return strings.HasPrefix(f.Path, AttestationPath) })
		if h.PrimaryCertificate, h.SecondaryCertificate = known.PrimaryCertificate, known.SecondaryCertificate; rolled && want.Attestation.X509.CAReferences == nil {
			h.PrimaryCertificate, h.SecondaryCertificate = &CertificateInfo{}, &CertificateInfo{}
		}
	}
	return h
}

// wire tells the framework that outputs follow none of its rules: preview leaves empty what is not known, and markUnknown says so.
func wire(f infer.FieldSelector, r *Record, l *Life) {
	for _, output := range []any{
		&r.ServiceHost, &r.Etag, &r.CreatedDateTimeUtc, &r.LastUpdatedDateTimeUtc, &r.PrimaryKey, &r.SecondaryKey,
		&r.PrimaryCertificate, &r.SecondaryCertificate, &l.Instance,
	} {
		f.OutputField(output).AlwaysKnown()
	}
}
