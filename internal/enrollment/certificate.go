package enrollment

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"time"
)

// Use says what a certificate of an enrollment is for.
type Use int

// The uses of certificates.
const (
	// Client is a device's own certificate.
	Client Use = iota
	// Signing is a certificate authority that signs device certificates.
	Signing
)

// ThumbprintMark begins a text that stands for a certificate of which only the SHA-256 thumbprint is known.
const ThumbprintMark = "sha256:"

var errNotCertificate = errors.New("the certificate is neither PEM text nor base64 of a DER certificate")

// ParseCertificate reads a certificate as the service takes it: PEM text (the first certificate of it) or base64 of its DER form.
func ParseCertificate(text string) (*x509.Certificate, error) {
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			return parseDER(block.Bytes)
		}
	}
	if strings.HasPrefix(text, ThumbprintMark) {
		return nil, errors.New("a thumbprint stands where a certificate should: the service never returns certificates, so the text has to be put here")
	}
	if strings.Contains(text, "PRIVATE KEY") {
		return nil, errors.New("a private key stands where a certificate should")
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || len(der) == 0 {
		return nil, errNotCertificate
	}
	return parseDER(der)
}

func parseDER(der []byte) (*x509.Certificate, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errNotCertificate
	}
	return certificate, nil
}

// Thumbprint returns the SHA-256 thumbprint of a certificate in lower-case hexadecimal digits.
func Thumbprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// CheckCertificate checks a certificate: that it can be read, is not expired at now, and is a certificate authority when it is
// for signing.
func CheckCertificate(path, text string, use Use, now time.Time) []Fault {
	certificate, err := ParseCertificate(text)
	if err != nil {
		return fault(path, "%v", err)
	}
	var faults []Fault
	if now.After(certificate.NotAfter) {
		faults = append(faults, fault(path, "the certificate of %q expired on %s", certificate.Subject.CommonName, certificate.NotAfter.UTC().Format(time.DateOnly))...)
	}
	if use == Signing && !certificate.IsCA {
		faults = append(faults, fault(path, "the certificate of %q is not a certificate authority", certificate.Subject.CommonName)...)
	}
	return faults
}

// CheckClientName checks that a device's certificate is made out to the registration id: the service refuses any other. A
// certificate that cannot be read is CheckCertificate's to report.
func CheckClientName(path, text, registrationID string) []Fault {
	certificate, err := ParseCertificate(text)
	if err != nil || strings.EqualFold(certificate.Subject.CommonName, registrationID) {
		return nil
	}
	return fault(path, "the certificate's common name is %q, but the device registers as %q: they have to agree", certificate.Subject.CommonName, registrationID)
}
