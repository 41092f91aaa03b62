package enrollment

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

// Use is the purpose of a certificate of an enrollment.
type Use int

// The uses of certificates.
const (
	// Client is a device's own certificate.
	Client Use = iota
	// Signing is a certificate authority that signs device certificates.
	Signing
)

// ThumbprintMark begins a text that represents a certificate of which only the SHA-256 thumbprint is known.
const ThumbprintMark = "sha256:"

// ParseCertificate reads a certificate as the service accepts it: PEM text, of which the first certificate counts, or
// base64 of its DER form. A text with a private key is refused, because it would be stored as plain text.
func ParseCertificate(text string) (*x509.Certificate, error) {
	text = strings.TrimSpace(CleanCertificate(text))
	switch {
	case HoldsPrivateKey(text):
		return nil, errPrivateKey
	case strings.HasPrefix(text, ThumbprintMark):
		return nil, errors.New(
			"got a thumbprint, want a certificate: the service never returns certificates, so give the certificate's " +
				"text",
		)
	case strings.Contains(text, pemBegin):
		return firstOfPEM(text)
	}
	return fromBase64(text)
}

// ParseCertificateFile reads a certificate from the content of a file: a text, as ParseCertificate does, or DER. Only
// the first certificate of a file is used, so the file may also contain a private key.
func ParseCertificateFile(content []byte) (*x509.Certificate, error) {
	if len(content) > 1 && content[0] == derSequence && content[1] >= derLongLength {
		return fromDER(content)
	}
	text, err := DecodeText(content)
	if err != nil {
		return nil, err
	}
	if text = strings.TrimSpace(CleanCertificate(text)); strings.Contains(text, pemBegin) {
		return firstOfPEM(text)
	}
	return ParseCertificate(text)
}

// derSequence and derLongLength are the first bytes of DER data of a certificate's length; no text begins with them.
const derSequence, derLongLength = 0x30, 0x80

// Thumbprint returns the SHA-256 thumbprint of a certificate in lower-case hexadecimal digits.
func Thumbprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// CheckCertificate checks a certificate: that it can be read, is not expired at now, and is a certificate authority
// when it is for signing.
func CheckCertificate(path, text string, use Use, now time.Time) []Fault {
	certificate, err := ParseCertificate(text)
	if err != nil {
		return fault(path, "%v", err)
	}
	if use == Signing {
		return CheckAuthority(path, certificate, now)
	}
	return checkLife(path, certificate, now)
}

// CheckAuthority checks that a certificate is a certificate authority's, and not expired at now.
func CheckAuthority(path string, certificate *x509.Certificate, now time.Time) []Fault {
	faults := checkLife(path, certificate, now)
	if !certificate.IsCA {
		faults = append(
			faults,
			fault(path, "the certificate of %q is not a certificate authority", certificate.Subject.CommonName)...)
	}
	return faults
}

func checkLife(path string, certificate *x509.Certificate, now time.Time) []Fault {
	if !now.After(certificate.NotAfter) {
		return nil
	}
	return fault(
		path,
		"the certificate of %q expired on %s",
		certificate.Subject.CommonName,
		certificate.NotAfter.UTC().Format(time.DateOnly),
	)
}

// CheckClientName checks that a device's certificate names the registration id: the service refuses any other.
// CheckCertificate reports a certificate that cannot be read.
func CheckClientName(path, text, registrationID string) []Fault {
	certificate, err := ParseCertificate(text)
	if err != nil || strings.EqualFold(certificate.Subject.CommonName, registrationID) {
		return nil
	}
	return fault(
		path,
		"the certificate's common name is %q, but the device registers as %q: they have to agree",
		certificate.Subject.CommonName,
		registrationID,
	)
}

// CheckAuthorityName checks the name of a certificate that was uploaded to the provisioning service. A certificate
// instead of a name is refused, or the service would search for it as a name.
func CheckAuthorityName(path, name string) []Fault {
	switch {
	case name == "":
		return fault(path, "the name of the certificate authority is empty")
	case HoldsPrivateKey(name) || strings.Contains(name, pemBegin):
		return fault(path, "it is the name of a certificate at the provisioning service, not a certificate or a key")
	}
	return nil
}
