package state

import (
	"encoding/json"
	"fmt"
	"time"
)

// CertificateKind is the Kind of children that are CA certificates, uploaded to a hub or a provisioning service.
const CertificateKind = "certificates"

// Certificate is the content of such a child's body.
type Certificate struct {
	// Name is the name of the child.
	Name string
	DER  []byte
	// Sent is the uploaded text, where the hub returns that instead of the DER: base64 of something else. It holds no
	// private key.
	Sent string `json:",omitempty"`
	// Verified: possession of the key was proved, or the uploader vouched for it. Only verified certificates
	// authenticate devices.
	Verified bool
	// Code is the verification code that a proof must contain; empty if none was requested.
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

// VerifiedCertificates returns the CA certificates by which the hub or service with that host name authenticates
// devices, sorted by name.
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
