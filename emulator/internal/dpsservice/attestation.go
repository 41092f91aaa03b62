package dpsservice

import (
	"encoding/base64"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

// symmetricKey is the type of that attestation mechanism.
const symmetricKey = "symmetricKey"

// wireAttestation is AttestationMechanism.
type wireAttestation struct {
	Type         string            `json:"type"`
	TPM          *wireTPM          `json:"tpm,omitempty"`
	X509         *wireX509         `json:"x509,omitempty"`
	SymmetricKey *wireSymmetricKey `json:"symmetricKey,omitempty"`
}

type wireTPM struct {
	EndorsementKey string  `json:"endorsementKey"`
	StorageRootKey *string `json:"storageRootKey,omitempty"`
}

type wireSymmetricKey struct {
	PrimaryKey   *string `json:"primaryKey"`
	SecondaryKey *string `json:"secondaryKey"`
}

type wireX509 struct {
	ClientCertificates  *wireCertificates `json:"clientCertificates,omitempty"`
	SigningCertificates *wireCertificates `json:"signingCertificates,omitempty"`
	CAReferences        *wireReferences   `json:"caReferences,omitempty"`
}

type wireCertificates struct {
	Primary   *wireCertificate `json:"primary,omitempty"`
	Secondary *wireCertificate `json:"secondary,omitempty"`
}

type wireReferences struct {
	Primary   *string `json:"primary,omitempty"`
	Secondary *string `json:"secondary,omitempty"`
}

// attestationOf checks an attestation mechanism. stored is the entry that it replaces, or nil.
func (k kind) attestationOf(w wireAttestation, stored *state.Entry) (state.Attestation, error) {
	switch {
	case strings.EqualFold(w.Type, symmetricKey):
		var held *state.SymmetricKey
		if stored != nil {
			held = stored.Attestation.SymmetricKey
		}
		key, err := w.SymmetricKey.keys(held)
		return state.Attestation{SymmetricKey: &key}, err
	case strings.EqualFold(w.Type, "x509"):
		var held *state.X509Attestation
		if stored != nil {
			held = stored.Attestation.X509
		}
		x509, err := k.x509Of(w.X509, held)
		return state.Attestation{X509: x509}, err
	case strings.EqualFold(w.Type, "tpm"):
		return k.tpmOf(w.TPM)
	}
	return state.Attestation{}, dpswire.Invalid("attestation.type must be symmetricKey, x509 or tpm.")
}

// keys returns the keys of a request. A request without any, like the service's replies, keeps the stored ones:
// clients send back what GET returns with something else changed, and devices register as before
// (azure-iot-sdk-csharp, ReprovisioningE2ETests). The state generates empty keys.
//
// Fidelity: that empty keys are generated and not kept is unsure for an entry that has keys.
func (w *wireSymmetricKey) keys(held *state.SymmetricKey) (state.SymmetricKey, error) {
	if w == nil {
		if held != nil {
			return *held, nil
		}
		return state.SymmetricKey{}, nil
	}
	key := state.SymmetricKey{Primary: text(w.PrimaryKey), Secondary: text(w.SecondaryKey)}
	for member, value := range map[string]string{"primaryKey": key.Primary, "secondaryKey": key.Secondary} {
		if value == "" {
			continue
		}
		if _, err := sas.DecodeKey(value); err != nil {
			return state.SymmetricKey{}, dpswire.Invalid("attestation.symmetricKey.%s: %s.", member, err)
		}
	}
	return key, nil
}

func (k kind) tpmOf(w *wireTPM) (state.Attestation, error) {
	if !k.individual() {
		return state.Attestation{}, dpswire.Invalid("An enrollment group cannot use TPM attestation.")
	}
	if w == nil || w.EndorsementKey == "" {
		return state.Attestation{}, dpswire.Invalid("attestation.tpm.endorsementKey is required.")
	}
	if _, err := base64.StdEncoding.DecodeString(w.EndorsementKey); err != nil {
		return state.Attestation{}, dpswire.Invalid("attestation.tpm.endorsementKey is not valid base64.")
	}
	return state.Attestation{TPM: &state.TPMAttestation{
		EndorsementKey: w.EndorsementKey, StorageRootKey: text(w.StorageRootKey),
	}}, nil
}

// x509Of reads client certificates of an individual enrollment, signing certificates of a group, or references to
// uploaded CA certificates of either: exactly one of them.
//
// Fidelity: whether a referenced certificate exists is not checked.
func (k kind) x509Of(w *wireX509, held *state.X509Attestation) (*state.X509Attestation, error) {
	if w == nil {
		return nil, dpswire.Invalid("attestation.x509 is required.")
	}
	given := 0
	for _, present := range []bool{w.ClientCertificates != nil, w.SigningCertificates != nil, w.CAReferences != nil} {
		if present {
			given++
		}
	}
	if given != 1 {
		return nil, dpswire.Invalid(
			"attestation.x509 needs exactly one of clientCertificates, signingCertificates and caReferences.")
	}
	if held == nil {
		held = &state.X509Attestation{}
	}
	var out state.X509Attestation
	var err error
	switch {
	case w.CAReferences != nil:
		out.CAPrimary, out.CASecondary = text(w.CAReferences.Primary), text(w.CAReferences.Secondary)
		if out.CAPrimary == "" && out.CASecondary == "" {
			return nil, dpswire.Invalid("attestation.x509.caReferences needs primary, secondary or both.")
		}
	case w.ClientCertificates != nil:
		if !k.individual() {
			return nil, dpswire.Invalid(
				"An enrollment group takes signingCertificates or caReferences, not clientCertificates.")
		}
		out.ClientPrimary, out.ClientSecondary, err = w.ClientCertificates.pair("clientCertificates",
			held.ClientPrimary, held.ClientSecondary)
	default:
		if k.individual() {
			return nil, dpswire.Invalid(
				"An individual enrollment takes clientCertificates or caReferences, not signingCertificates.")
		}
		out.SigningPrimary, out.SigningSecondary, err = w.SigningCertificates.pair("signingCertificates",
			held.SigningPrimary, held.SigningSecondary)
	}
	return &out, err
}

// pair reads both certificates. If only the primary is given, it is also the secondary, as on Azure (recorded). If
// only the secondary is given, there is no primary: Azure's command line removes a primary in this way
// (azure-iot-cli-extension, test_dps_enrollment_x509_lifecycle).
func (w wireCertificates) pair(member string, heldPrimary, heldSecondary []byte) (primary, secondary []byte,
	err error) {
	if w.Primary == nil && w.Secondary == nil {
		return nil, nil, dpswire.Invalid("attestation.x509.%s needs primary, secondary or both.", member)
	}
	if w.Primary != nil {
		if primary, err = w.Primary.der(member+".primary", heldPrimary, heldSecondary); err != nil {
			return nil, nil, err
		}
	}
	if w.Secondary == nil {
		return primary, primary, nil
	}
	secondary, err = w.Secondary.der(member+".secondary", heldPrimary, heldSecondary)
	return primary, secondary, err
}

// attestationReply returns an attestation for a reply. Only PUT and attestationmechanism return symmetric keys.
func attestationReply(a state.Attestation, showKeys bool) *wireAttestation {
	switch {
	case a.SymmetricKey != nil:
		w := &wireAttestation{Type: symmetricKey}
		if showKeys {
			w.SymmetricKey = &wireSymmetricKey{PrimaryKey: &a.SymmetricKey.Primary,
				SecondaryKey: &a.SymmetricKey.Secondary}
		}
		return w
	case a.TPM != nil:
		return &wireAttestation{Type: "tpm", TPM: &wireTPM{
			EndorsementKey: a.TPM.EndorsementKey, StorageRootKey: optional(a.TPM.StorageRootKey),
		}}
	case a.X509 != nil:
		return &wireAttestation{Type: "x509", X509: x509Reply(*a.X509)}
	}
	return &wireAttestation{Type: "none"}
}

func x509Reply(a state.X509Attestation) *wireX509 {
	w := &wireX509{
		ClientCertificates:  certificatesReply(a.ClientPrimary, a.ClientSecondary),
		SigningCertificates: certificatesReply(a.SigningPrimary, a.SigningSecondary),
	}
	if a.CAPrimary != "" || a.CASecondary != "" {
		w.CAReferences = &wireReferences{Primary: optional(a.CAPrimary), Secondary: optional(a.CASecondary)}
	}
	return w
}

func certificatesReply(primary, secondary []byte) *wireCertificates {
	if len(primary) == 0 && len(secondary) == 0 {
		return nil
	}
	return &wireCertificates{Primary: certificateReply(primary), Secondary: certificateReply(secondary)}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
