package registration

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"time"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
)

// presented are the certificates of a device whose leaf is valid and has its registration id as the common name. TLS
// proved possession of the key.
//
// The rules are those of "X.509 certificate attestation" and "How to use raw HTTPS with X.509 certificates": the
// presented certificates must form a chain from the leaf to a certificate that is verified at the provisioning
// service. Only the leaf of an individual enrollment is accepted without a chain, if it is self-signed or the only
// presented certificate. The enrollment's certificate must be in the chain.
//
// Fidelity: the verified certificate at the end of the chain need not be presented; the documentation does not say.
type presented struct {
	leaf  *x509.Certificate
	known *serviceCredentials
	// chains are the chains from the leaf to a verified certificate. Empty means that the leaf is not trusted.
	chains [][]*x509.Certificate
	// alone reports that only the leaf was presented.
	alone bool
	// valid is the time span in which the chains do not change.
	valid span
}

// present refuses a leaf that cannot authenticate any device.
func present(c caller, known *serviceCredentials, now time.Time) (presented, error) {
	p := presented{
		leaf: c.certificates[0], alone: len(c.certificates) == 1, known: known,
		valid: span{since: now.Add(-time.Hour), till: now.Add(time.Hour)},
	}
	if !strings.EqualFold(p.leaf.Subject.CommonName, c.id) || now.Before(p.leaf.NotBefore) ||
		now.After(p.leaf.NotAfter) {
		return p, dpswire.ErrBadCertificate
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	p.valid.narrow(p.leaf, now)
	for _, root := range known.roots {
		options.Roots.AddCert(root)
		// A verified intermediate can also be part of a chain to a verified root.
		options.Intermediates.AddCert(root)
		p.valid.narrow(root, now)
	}
	for _, certificate := range c.certificates[1:] {
		options.Intermediates.AddCert(certificate)
		p.valid.narrow(certificate, now)
	}
	p.chains, _ = p.leaf.Verify(options) // empty on any error: then the leaf is not trusted
	return p, nil
}

// match returns the match for an enrollment that the leaf's chain contains.
func (p presented) match() match {
	return match{leaf: p.leaf, thumbprint: thumbprint(p.leaf), valid: p.valid}
}

// individual accepts a device whose leaf is one of the enrollment's certificates, or was issued under one that the
// enrollment refers to. According to issues 239 of azure-iot-sdk-java and 547 of azure-iot-sdk-node, Azure accepts
// such a leaf without its chain, whatever its issuer, and refuses the same leaf with a chain that does not end at a
// verified certificate.
func (p presented) individual(e state.Enrollment) (match, error) {
	held := e.Attestation.X509
	switch {
	case held == nil:
		return match{}, dpswire.ErrBadCertificate
	case refers(held):
		if p.distance(held) == 0 {
			return match{}, dpswire.ErrBadCertificate
		}
	case !bytes.Equal(p.leaf.Raw, held.ClientPrimary) && !bytes.Equal(p.leaf.Raw, held.ClientSecondary),
		len(p.chains) == 0 && !p.alone && !selfSigned(p.leaf):
		return match{}, dpswire.ErrBadCertificate
	}
	m := p.match()
	m.enrollment = &e
	return m, nil
}

// group finds the group whose certificate is the issuer nearest to the leaf. The nearest one decides, even if it is
// disabled.
func (p presented) group() (match, error) {
	var nearest *state.EnrollmentGroup
	shortest := 0
	for i := range p.known.groups {
		g := &p.known.groups[i]
		if g.Attestation.X509 == nil {
			continue
		}
		if distance := p.distance(g.Attestation.X509); distance > 0 && (nearest == nil || distance < shortest) {
			nearest, shortest = g, distance
		}
	}
	if nearest == nil {
		return match{}, dpswire.ErrBadCertificate
	}
	m := p.match()
	m.group = nearest
	return m, nil
}

// distance returns the number of steps from the leaf up to a certificate of the attestation, or 0 when no trusted chain
// contains one.
func (p presented) distance(held *state.X509Attestation) int {
	wanted := [][]byte{held.SigningPrimary, held.SigningSecondary}
	if refers(held) {
		wanted = [][]byte{p.known.verified[strings.ToLower(held.CAPrimary)],
			p.known.verified[strings.ToLower(held.CASecondary)]}
	}
	shortest := 0
	for _, chain := range p.chains {
		for i, certificate := range chain[1:] {
			for _, raw := range wanted {
				if len(raw) > 0 && bytes.Equal(raw, certificate.Raw) && (shortest == 0 || i+1 < shortest) {
					shortest = i + 1
				}
			}
		}
	}
	return shortest
}

// refers reports whether the attestation names certificates that are uploaded to the service instead of containing
// them.
func refers(held *state.X509Attestation) bool { return held.CAPrimary != "" || held.CASecondary != "" }

// selfSigned reports whether the certificate is signed with its own key. CheckSignatureFrom would require a CA.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate,
		c.Signature) == nil
}

func thumbprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
