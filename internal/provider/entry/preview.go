package entry

import (
	"context"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/dpsservice"
)

// preview returns what is known before a creation or, with known, an update, and leaves the rest empty. It makes no
// call.
func preview(ctx context.Context, want Declared, known Held) Held {
	h := Held{Declared: want, Record: Record{ServiceHost: known.ServiceHost,
		CreatedDateTimeUtc: known.CreatedDateTimeUtc}, Life: known.Life}
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
		rolled := slices.ContainsFunc(Changes(want, known),
			func(f field) bool { return strings.HasPrefix(f.Path, AttestationPath) })
		if h.PrimaryCertificate, h.SecondaryCertificate = known.PrimaryCertificate,
			known.SecondaryCertificate; rolled && want.Attestation.X509.CAReferences == nil {
			h.PrimaryCertificate, h.SecondaryCertificate = &CertificateInfo{}, &CertificateInfo{}
		}
	}
	return h
}

// wire turns off the framework's rules for outputs: preview leaves unknown ones empty, and markUnknown marks them.
func wire(f infer.FieldSelector, r *Record, l *Life) {
	for _, output := range []any{
		&r.ServiceHost, &r.Etag, &r.CreatedDateTimeUtc, &r.LastUpdatedDateTimeUtc, &r.PrimaryKey, &r.SecondaryKey,
		&r.PrimaryCertificate, &r.SecondaryCertificate, &l.Instance,
	} {
		f.OutputField(output).AlwaysKnown()
	}
}
