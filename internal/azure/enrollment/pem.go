package enrollment

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const pemBegin = "-----BEGIN "

var (
	errNotCertificate = errors.New("the certificate is neither PEM text nor base64 of a DER certificate")
	errPrivateKey     = errors.New("contains a private key: remove it, and give the certificate only")
	errStray          = errors.New("the PEM text has part of a block outside any block: a BEGIN or END line is damaged")
)

// strayPart is found between the blocks of a PEM text where a line that begins or ends one is damaged.
var strayPart = regexp.MustCompile(
	`(?im)-{2,}\s*(begin|end)\b|\b(begin|end) [a-z0-9 ]*certificate\s*-{2,}|^\s*[A-Za-z0-9+/]{48,}=*\s*$`,
)

// containers are the types of PEM blocks with a certificate in a form that the service does not accept, and what to do
// about them.
var containers = []struct{ part, message string }{
	{"PKCS7", "it is a PKCS #7 container: take the certificate out with `openssl pkcs7 -print_certs -in FILE`"},
	{"CMS", "it is a CMS container: take the certificate out with `openssl pkcs7 -print_certs -in FILE`"},
	{"CERTIFICATE REQUEST", "it is a certificate signing request, not a certificate: have it signed"},
	{"TRUSTED CERTIFICATE", "it is a certificate in OpenSSL's own form: convert it with `openssl x509 -in FILE`"},
}

// CleanCertificate removes from a certificate's text what editors add: byte order marks, and blanks around its lines.
func CleanCertificate(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, byteOrderMark, ""), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// firstOfPEM returns the first certificate of a PEM text. Every certificate of it must be readable: a reader that skips
// one trusts the next one instead, which may be a public root.
func firstOfPEM(text string) (*x509.Certificate, error) {
	var first *x509.Certificate
	other := ""
	for count := 1; ; count++ {
		outside, rest, found := strings.Cut(text, pemBegin)
		if strayPart.MatchString(outside) {
			return nil, errStray
		}
		if !found {
			break
		}
		next := strings.Index(rest, pemBegin)
		if next < 0 {
			next = len(rest)
		}
		label, _, _ := strings.Cut(rest[:next], "-----")
		block, after := pem.Decode([]byte(pemBegin + rest[:next]))
		if block == nil {
			return nil, fmt.Errorf(
				"block %d of the PEM text, %s, cannot be decoded: %s",
				count,
				Quote(label),
				damage(rest[:next]),
			)
		}
		text = string(after) + rest[next:]
		if block.Type != "CERTIFICATE" {
			if message := containerOf(block.Type); message != "" {
				return nil, errors.New(message)
			}
			other = block.Type
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf(
				"block %d of the PEM text is labeled as a certificate, but its content is not one",
				count,
			)
		}
		if first == nil {
			first = certificate
		}
	}
	if first == nil {
		return nil, fmt.Errorf("the PEM text contains %s and no certificate", Quote(other))
	}
	return first, nil
}

func containerOf(kind string) string {
	for _, c := range containers {
		if strings.Contains(kind, c.part) {
			return c.message
		}
	}
	return ""
}

// damage describes why a PEM block cannot be decoded.
func damage(block string) string {
	switch {
	case strings.Contains(block, `\n`):
		return `its line breaks are written as \n: put real line breaks there`
	case !strings.Contains(strings.TrimSpace(block), "\n"):
		return "its line breaks are missing or became blanks: put each of its lines on a line"
	case !strings.Contains(block, "-----END "):
		return "it has no END line"
	}
	return "it is damaged"
}

var (
	thumbprintForm = regexp.MustCompile(`^([0-9A-Fa-f]{2}[: ]?){19,31}[0-9A-Fa-f]{2}$`)
	fileNameForm   = regexp.MustCompile(`(?i)^\S[^\n]{0,250}\.(pem|crt|cer|cert|der|p7b|p7c|pfx|p12|key|csr)$`)
)

// fromBase64 reads the base64 of a DER certificate.
func fromBase64(text string) (*x509.Certificate, error) {
	switch {
	case thumbprintForm.MatchString(text):
		return nil, errors.New("got a thumbprint, want a certificate: give the text of the certificate")
	case fileNameForm.MatchString(text):
		return nil, fmt.Errorf("%s is the name of a file: give the text of the certificate", Quote(text))
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || len(der) == 0 {
		return nil, errNotCertificate
	}
	if strings.Contains(string(der), pemBegin) {
		return nil, errors.New("it is the base64 of a PEM text: give the PEM text itself")
	}
	return fromDER(der)
}

func fromDER(der []byte) (*x509.Certificate, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, notCertificate(der)
	}
	return certificate, nil
}

// signedData is the content type of a PKCS #7 container (RFC 5652).
var signedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// notCertificate describes DER bytes that are not a certificate.
func notCertificate(der []byte) error {
	if isPrivateKey(der) {
		return errPrivateKey
	}
	var first struct{ Content asn1.RawValue }
	if rest, err := asn1.Unmarshal(der, &first.Content); err != nil || len(rest) > 0 ||
		first.Content.Tag != asn1.TagSequence {
		return errNotCertificate
	}
	var kind asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(first.Content.Bytes, &kind); err == nil && kind.Equal(signedData) {
		return errors.New(containerOf("PKCS7"))
	}
	var version int
	if _, err := asn1.Unmarshal(first.Content.Bytes, &version); err == nil && version == 3 {
		return errors.New(
			"it is a PKCS #12 container, which holds a private key too: take the certificate out with `openssl " +
				"pkcs12 -nokeys -in FILE`",
		)
	}
	if _, err := x509.ParseCertificateRequest(der); err == nil {
		return errors.New(containerOf("CERTIFICATE REQUEST"))
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return errors.New("got a public key, want a certificate")
	}
	return errNotCertificate
}

func isPrivateKey(der []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	_, err := x509.ParseECPrivateKey(der)
	return err == nil
}
