package provider

import (
	"strings"

	"evenkeel/internal/azure/enrollment"
)

// attestationPath is the path of the field that says which kind of attestation it is. It stands before the fields of its parts.
const attestationPath = "attestation"

var attestationFields = []field{
	{
		path:     attestationPath,
		replaces: true,
		same:     func(w declared, g held) bool { return kindOf(w.Attestation) == kindOf(g.Attestation) },
		adopt:    func(w *declared, g held) { w.Attestation = g.Attestation },
	}, {
		// A key that is not given is kept, so it always agrees.
		path: "attestation.symmetricKey.primaryKey",
		same: func(w declared, g held) bool { return sameKey(symmetricOf(w.Attestation).PrimaryKey, g.PrimaryKey) },
		adopt: func(w *declared, g held) {
			w.Attestation = &Attestation{SymmetricKey: &SymmetricKey{g.PrimaryKey, symmetricOf(w.Attestation).SecondaryKey}}
		},
	}, {
		path: "attestation.symmetricKey.secondaryKey",
		same: func(w declared, g held) bool {
			return sameKey(symmetricOf(w.Attestation).SecondaryKey, g.SecondaryKey)
		},
		adopt: func(w *declared, g held) {
			w.Attestation = &Attestation{SymmetricKey: &SymmetricKey{symmetricOf(w.Attestation).PrimaryKey, g.SecondaryKey}}
		},
	},
	certificateField("attestation.x509.clientCertificates.primary", clientPair, CertificatePair.primary),
	certificateField("attestation.x509.clientCertificates.secondary", clientPair, CertificatePair.secondary),
	certificateField("attestation.x509.signingCertificates.primary", signingPair, CertificatePair.primary),
	certificateField("attestation.x509.signingCertificates.secondary", signingPair, CertificatePair.secondary),
	{
		path: "attestation.x509.caReferences.primary",
		same: func(w declared, g held) bool {
			return referencesOf(w.Attestation).Primary == referencesOf(g.Attestation).Primary
		},
		adopt: func(w *declared, g held) { adoptX509(w, g) },
	}, {
		path: "attestation.x509.caReferences.secondary",
		same: func(w declared, g held) bool {
			return text(referencesOf(w.Attestation).Secondary) == text(referencesOf(g.Attestation).Secondary)
		},
		adopt: func(w *declared, g held) { adoptX509(w, g) },
	}, {
		path: "attestation.tpm.endorsementKey",
		same: func(w declared, g held) bool {
			return tpmOf(w.Attestation).EndorsementKey == tpmOf(g.Attestation).EndorsementKey
		},
		adopt: func(w *declared, g held) { w.Attestation = g.Attestation },
	}, {
		path: "attestation.tpm.storageRootKey",
		same: func(w declared, g held) bool {
			return text(tpmOf(w.Attestation).StorageRootKey) == text(tpmOf(g.Attestation).StorageRootKey)
		},
		adopt: func(w *declared, g held) { w.Attestation = g.Attestation },
	},
}

func certificateField(path string, pair func(*Attestation) *CertificatePair, certificate func(CertificatePair) string) field {
	identity := func(a *Attestation) string {
		if p := pair(a); p != nil {
			return certificate(*p)
		}
		return ""
	}
	return field{
		path:  path,
		same:  func(w declared, g held) bool { return identity(w.Attestation) == identity(g.Attestation) },
		adopt: func(w *declared, g held) { adoptX509(w, g) },
	}
}

// adoptX509 takes over the certificates, keeping the text of those that are the same: the service tells their thumbprints only.
func adoptX509(w *declared, g held) {
	adopted := &X509Attestation{CAReferences: g.Attestation.X509.CAReferences}
	adopted.ClientCertificates = adoptPair(clientPair(w.Attestation), clientPair(g.Attestation))
	adopted.SigningCertificates = adoptPair(signingPair(w.Attestation), signingPair(g.Attestation))
	w.Attestation = &Attestation{X509: adopted}
}

func adoptPair(want, got *CertificatePair) *CertificatePair {
	if want == nil || got == nil {
		return got
	}
	adopted := *got
	if want.primary() == got.primary() {
		adopted.Primary = want.Primary
	}
	if want.secondary() == got.secondary() {
		adopted.Secondary = want.Secondary
	}
	return &adopted
}

// primary returns the thumbprint of the primary certificate.
func (c CertificatePair) primary() string { return certificateIdentity(c.Primary) }

// secondary returns the thumbprint of the secondary certificate, which is the primary one when left out.
func (c CertificatePair) secondary() string {
	if c.Secondary == nil {
		return c.primary()
	}
	return certificateIdentity(*c.Secondary)
}

// certificateIdentity returns the thumbprint of a certificate in any of its forms, and the text itself when it is none.
func certificateIdentity(text string) string {
	if certificate, err := enrollment.ParseCertificate(text); err == nil {
		return enrollment.ThumbprintMark + enrollment.Thumbprint(certificate)
	}
	return strings.ToLower(text)
}

func clientPair(a *Attestation) *CertificatePair {
	if a == nil || a.X509 == nil {
		return nil
	}
	return a.X509.ClientCertificates
}

func signingPair(a *Attestation) *CertificatePair {
	if a == nil || a.X509 == nil {
		return nil
	}
	return a.X509.SigningCertificates
}

func symmetricOf(a *Attestation) SymmetricKey {
	if a == nil || a.SymmetricKey == nil {
		return SymmetricKey{}
	}
	return *a.SymmetricKey
}

func referencesOf(a *Attestation) CAReferences {
	if a == nil || a.X509 == nil || a.X509.CAReferences == nil {
		return CAReferences{}
	}
	return *a.X509.CAReferences
}

func tpmOf(a *Attestation) TPMAttestation {
	if a == nil || a.TPM == nil {
		return TPMAttestation{}
	}
	return *a.TPM
}

func sameKey(want, got *string) bool { return want == nil || *want == text(got) }
