package registration

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
)

// csrVersion is the first api-version with certificate signing requests. Earlier ones ignore the member, as they ignore
// every other unknown one.
const csrVersion = "2025-07-01-preview"

// maxCSR is the largest request in base64, in bytes: the limit of a renewal at the hub. Fidelity: that of a
// registration is not documented.
const maxCSR = 8 << 10

// Certificates configures the certificates that registrations issue.
type Certificates struct {
	// Issue signs a certificate for a device's public key under its id at the hub, and returns the chain in DER, leaf
	// first. If nil, requests for certificates are refused.
	Issue func(key crypto.PublicKey, deviceID string) ([][]byte, error)
	// AcceptRSA also accepts requests with RSA keys of at least 2,048 bits. Azure's documentation says that they are
	// not supported.
	AcceptRSA bool
}

// minRSA is the shortest RSA key in bits that is accepted.
const minRSA = 2048

// hasCSR reports whether the body has a request for a certificate that the caller's api-version knows.
func (c caller) hasCSR(body registerBody) bool {
	return c.apiVersion >= csrVersion && len(body.CSR) > 0 && !bytes.Equal(bytes.TrimSpace(body.CSR), []byte("null"))
}

// issue returns the function that issues the certificate that a registration requests, or nil if it requests none.
//
// Fidelity: Azure's refusals are not documented. Every fault is refused at once with 400004, and so is a request under
// an entry that does not name a certificate policy completely.
func (a *API) issue(c caller, m match, body registerBody) (func(deviceID string) ([][]byte, error), error) {
	if !c.hasCSR(body) {
		return nil, nil
	}
	key, err := c.requestedKey(body.CSR, a.opts.Certificates.AcceptRSA)
	if err != nil {
		return nil, dpswire.Invalid("csr %v.", err)
	}
	if m.disabled() {
		return nil, nil // the registration answers that, and issues nothing
	}
	if !m.settings().Issuance.IsComplete() || a.opts.Certificates.Issue == nil {
		return nil, dpswire.Invalid("csr asks for a certificate, but the enrollment does not name all of " +
			"namespaceName, certificateAuthorityName and certificatePolicyName.")
	}
	return func(deviceID string) ([][]byte, error) { return a.opts.Certificates.Issue(key, deviceID) }, nil
}

// settings are those of the entry that authenticated the device.
func (m match) settings() state.Settings {
	if m.enrollment != nil {
		return m.enrollment.Settings
	}
	return m.group.Settings
}

// requestedKey checks a certificate signing request and returns its key. The error continues "csr …".
func (c caller) requestedKey(raw json.RawMessage, acceptRSA bool) (crypto.PublicKey, error) {
	var text string
	switch {
	case json.Unmarshal(raw, &text) != nil:
		return nil, errors.New("must be a string")
	case len(text) > maxCSR:
		return nil, fmt.Errorf("is longer than %d characters", maxCSR)
	case strings.Contains(text, "-----"):
		return nil, errors.New("must be base64 of DER, without the lines that begin and end a PEM block")
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("is not valid base64")
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, errors.New("is not a PKCS #10 certificate signing request in DER")
	}
	if request.CheckSignature() != nil {
		return nil, errors.New("has an invalid signature: sign it with the key that it contains")
	}
	if names := commonNames(request); len(names) != 1 || names[0] != c.id {
		return nil, fmt.Errorf("must have the registration id %q as its only common name", c.id)
	}
	return request.PublicKey, checkKey(request.PublicKey, acceptRSA)
}

var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

func commonNames(request *x509.CertificateRequest) []string {
	var names []string
	for _, attribute := range request.Subject.Names {
		if attribute.Type.Equal(commonName) {
			names = append(names, fmt.Sprint(attribute.Value))
		}
	}
	return names
}

// checkKey refuses keys that no certificate is issued for. Source: "Device certificate issuance", which names P-384
// alone; P-256 requests of SDK samples were seen to be signed.
func checkKey(key crypto.PublicKey, acceptRSA bool) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() || key.Curve == elliptic.P384() {
			return nil
		}
	case *rsa.PublicKey:
		if acceptRSA && key.N.BitLen() >= minRSA {
			return nil
		}
	}
	if acceptRSA {
		return fmt.Errorf("must have an EC key on P-384 or P-256, or an RSA key of at least %d bits", minRSA)
	}
	return errors.New("must have an EC key on P-384 or P-256")
}

// chainOf is an issued chain as devices receive it.
func chainOf(chain [][]byte) []string {
	var texts []string
	for _, der := range chain {
		texts = append(texts, base64.StdEncoding.EncodeToString(der))
	}
	return texts
}
