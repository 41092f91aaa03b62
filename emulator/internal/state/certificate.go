package state

import (
	"encoding/json"
	"fmt"
	"time"
)

// CertificateKind is the Kind of the children that are CA certificates, uploaded to a hub or a provisioning service.
const CertificateKind = "certificates"

// Certificate is what the body of such a child holds.
type Certificate struct {
	// Name is the child's.
	Name string
	DER  []byte
	// Sent is the text that was uploaded where the hub shows that and not the DER: base64 of something else. It holds no
	// private key.
	Sent string `json:",omitempty"`
	// Verified: possession of the key was proved, or the uploader vouched for it. Only then does the certificate let devices in.
	Verified bool
	// Code is the verification code that a proof has to name; empty when none was asked for.
	Code             string
	Created, Updated time.Time
}

// Certificate reads the child's body.
func (c Child) Certificate() (Certificate, error) {
	var out Certificate
	if err := json.Unmarshal(c.Body, &out); err != nil {
		return out, fmt.Errorf("read %s: %w", c.object(), err)
	}
	out.Name = c.Name
	return out, nil
}

// SetCertificate replaces the child's body.
func (c *Child) SetCertificate(certificate Certificate) (err error) {
	c.Body, err = json.Marshal(certificate)
	return err
}

// VerifiedCertificates are the CA certificates by which the hub or service of that host lets devices in, by name.
func (s *State) VerifiedCertificates(host string) ([]Certificate, error) {
	children, err := s.Children(host, CertificateKind)
	if err != nil {
		return nil, err
	}
	var out []Certificate
	for _, child := range children {
		certificate, err := child.Certificate()
		if err != nil {
			return nil, err
		}
		if certificate.Verified {
			out = append(out, certificate)
		}
	}
	return out, nil
}
