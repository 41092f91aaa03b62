package entry

import (
	"strings"

	"evenkeel/internal/azure/enrollment"
)

// AttestationPath is the path of the field for the kind of attestation. It precedes the fields of its parts.
const AttestationPath = "attestation"

var attestationFields = []field{
	{
		Path:     AttestationPath,
		replaces: true,
		same: func(w Declared, g Held) bool {
			return AttestationType(w.Attestation) == AttestationType(g.Attestation)
		},
		adopt: func(w *Declared, g Held) { w.Attestation = g.Attestation },
	}, {
		// A key that is not given is kept, so it always agrees.
		Path: "attestation.symmetricKey.primaryKey",
		same: func(w Declared, g Held) bool { return sameKey(SymmetricOf(w.Attestation).PrimaryKey, g.PrimaryKey) },
		adopt: func(w *Declared, g Held) {
			w.Attestation = &Attestation{SymmetricKey: &SymmetricKey{g.PrimaryKey,
				SymmetricOf(w.Attestation).SecondaryKey}}
		},
	}, {
		Path: "attestation.symmetricKey.secondaryKey",
		same: func(w Declared, g Held) bool {
			return sameKey(SymmetricOf(w.Attestation).SecondaryKey, g.SecondaryKey)
		},
		adopt: func(w *Declared, g Held) {
			w.Attestation = &Attestation{SymmetricKey: &SymmetricKey{SymmetricOf(w.Attestation).PrimaryKey,
				g.SecondaryKey}}
		},
	},
	certificateField("attestation.x509.clientCertificates.primary", ClientPair, CertificatePair.PrimaryThumbprint),
	certificateField("attestation.x509.clientCertificates.secondary", ClientPair, CertificatePair.SecondaryThumbprint),
	certificateField("attestation.x509.signingCertificates.primary", SigningPair, CertificatePair.PrimaryThumbprint),
	certificateField("attestation.x509.signingCertificates.secondary", SigningPair,
		CertificatePair.SecondaryThumbprint),
	{
		Path: "attestation.x509.caReferences.primary",
		same: func(w Declared, g Held) bool {
			return ReferencesOf(w.Attestation).Primary == ReferencesOf(g.Attestation).Primary
		},
		adopt: func(w *Declared, g Held) { adoptX509(w, g) },
	}, {
		Path: "attestation.x509.caReferences.secondary",
		same: func(w Declared, g Held) bool {
			return Text(ReferencesOf(w.Attestation).Secondary) == Text(ReferencesOf(g.Attestation).Secondary)
		},
		adopt: func(w *Declared, g Held) { adoptX509(w, g) },
	}, {
		Path: "attestation.tpm.endorsementKey",
		same: func(w Declared, g Held) bool {
			return TPMOf(w.Attestation).EndorsementKey == TPMOf(g.Attestation).EndorsementKey
		},
		adopt: func(w *Declared, g Held) { w.Attestation = g.Attestation },
	}, {
		Path: "attestation.tpm.storageRootKey",
		same: func(w Declared, g Held) bool {
			return Text(TPMOf(w.Attestation).StorageRootKey) == Text(TPMOf(g.Attestation).StorageRootKey)
		},
		adopt: func(w *Declared, g Held) { w.Attestation = g.Attestation },
	},
}

func certificateField(path string, pair func(*Attestation) *CertificatePair,
	certificate func(CertificatePair) string) field {
	identity := func(a *Attestation) string {
		if p := pair(a); p != nil {
			return certificate(*p)
		}
		return ""
	}
	return field{
		Path:  path,
		same:  func(w Declared, g Held) bool { return identity(w.Attestation) == identity(g.Attestation) },
		adopt: func(w *Declared, g Held) { adoptX509(w, g) },
	}
}

// adoptX509 takes over the certificates, keeping the text of those that are the same: the service returns their
// thumbprints only.
func adoptX509(w *Declared, g Held) {
	adopted := &X509Attestation{CAReferences: g.Attestation.X509.CAReferences}
	adopted.ClientCertificates = adoptPair(ClientPair(w.Attestation), ClientPair(g.Attestation))
	adopted.SigningCertificates = adoptPair(SigningPair(w.Attestation), SigningPair(g.Attestation))
	w.Attestation = &Attestation{X509: adopted}
}

func adoptPair(want, got *CertificatePair) *CertificatePair {
	if want == nil || got == nil {
		return got
	}
	adopted := *got
	if want.PrimaryThumbprint() == got.PrimaryThumbprint() {
		adopted.Primary = want.Primary
	}
	if want.SecondaryThumbprint() == got.SecondaryThumbprint() {
		adopted.Secondary = want.Secondary
	}
	return &adopted
}

// PrimaryThumbprint returns the thumbprint of the primary certificate.
func (c CertificatePair) PrimaryThumbprint() string { return certificateIdentity(c.Primary) }

// SecondaryThumbprint returns the thumbprint of the secondary certificate, which is the primary one when left out.
func (c CertificatePair) SecondaryThumbprint() string {
	if c.Secondary == nil {
		return c.PrimaryThumbprint()
	}
	return certificateIdentity(*c.Secondary)
}

// certificateIdentity returns the thumbprint of a certificate in any of its forms, and the text itself when it is not a
// certificate.
func certificateIdentity(text string) string {
	if certificate, err := enrollment.ParseCertificate(text); err == nil {
		return enrollment.ThumbprintMark + enrollment.Thumbprint(certificate)
	}
	return strings.ToLower(text)
}

// ClientPair returns the device's own certificates; nil for an attestation without them.
func ClientPair(a *Attestation) *CertificatePair {
	if a == nil || a.X509 == nil {
		return nil
	}
	return a.X509.ClientCertificates
}

// SigningPair returns the certificates that sign those of devices; nil for an attestation without them.
func SigningPair(a *Attestation) *CertificatePair {
	if a == nil || a.X509 == nil {
		return nil
	}
	return a.X509.SigningCertificates
}

// SymmetricOf returns the keys of an attestation, or zero.
func SymmetricOf(a *Attestation) SymmetricKey {
	if a == nil || a.SymmetricKey == nil {
		return SymmetricKey{}
	}
	return *a.SymmetricKey
}

// ReferencesOf returns the certificate authorities that an attestation names, or zero.
func ReferencesOf(a *Attestation) CAReferences {
	if a == nil || a.X509 == nil || a.X509.CAReferences == nil {
		return CAReferences{}
	}
	return *a.X509.CAReferences
}

// TPMOf returns the keys of a TPM; zero for other kinds of attestation.
func TPMOf(a *Attestation) TPMAttestation {
	if a == nil || a.TPM == nil {
		return TPMAttestation{}
	}
	return *a.TPM
}

func sameKey(want, got *string) bool { return want == nil || *want == Text(got) }
