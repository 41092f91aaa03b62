package registration

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"

	"evenkeel/emulator/internal/state"
)

// individualCertificate lets a device in whose leaf is one of the enrollment's certificates. Possession of the key was proved in TLS.
func (a *API) individualCertificate(c caller, e state.Enrollment) (match, error) {
	leaf := c.certificates[0]
	held := e.Attestation.X509
	if held == nil || !a.presentable(c, leaf) ||
		!bytes.Equal(leaf.Raw, held.ClientPrimary) && !bytes.Equal(leaf.Raw, held.ClientSecondary) {
		return match{}, errBadCertificate
	}
	return match{enrollment: &e, thumbprint: thumbprint(leaf)}, nil
}

// groupCertificate finds the group whose signing certificate is the issuer nearest the leaf. The nearest decides, even if disabled.
//
// Fidelity: the signing certificate ends the chain; that the chain must reach a certificate verified at the service is not checked.
func (a *API) groupCertificate(c caller) (match, error) {
	leaf := c.certificates[0]
	if !a.presentable(c, leaf) {
		return match{}, errBadCertificate
	}
	var nearest *state.EnrollmentGroup
	shortest := 0
	err := a.eachGroup(c.scope, func(g state.EnrollmentGroup) bool {
		if g.Attestation.X509 == nil {
			return true
		}
		length := a.chainLength(c.certificates, g.Attestation.X509.SigningPrimary, g.Attestation.X509.SigningSecondary)
		if length > 0 && (nearest == nil || length < shortest) {
			nearest, shortest = &g, length
		}
		return true
	})
	if err != nil {
		return match{}, err
	}
	if nearest == nil {
		return match{}, errBadCertificate
	}
	return match{group: nearest, thumbprint: thumbprint(leaf)}, nil
}

// presentable reports whether the leaf is valid now and bears the registration id as its common name.
func (a *API) presentable(c caller, leaf *x509.Certificate) bool {
	now := a.st.Now()
	return strings.EqualFold(leaf.Subject.CommonName, c.id) && !now.Before(leaf.NotBefore) && !now.After(leaf.NotAfter)
}

// chainLength is the number of certificates from the leaf to one of the anchors, or 0 when the chain reaches none of them.
func (a *API) chainLength(presented []*x509.Certificate, anchors ...[]byte) int {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, raw := range anchors {
		if anchor, err := x509.ParseCertificate(raw); err == nil {
			roots.AddCert(anchor)
		}
	}
	for _, certificate := range presented[1:] {
		intermediates.AddCert(certificate)
	}
	chains, err := presented[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: a.st.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return 0
	}
	shortest := len(chains[0])
	for _, chain := range chains {
		shortest = min(shortest, len(chain))
	}
	return shortest
}

func thumbprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
