package dpsservice

import (
	"crypto/sha1" // names the certificate on the wire; protects nothing
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"evenkeel/emulator/internal/dpswire"
)

// wireCertificate is X509CertificateWithInfo: requests contain the certificate, replies only its description.
type wireCertificate struct {
	Certificate *string          `json:"certificate,omitempty"`
	Info        *certificateInfo `json:"info,omitempty"`
}

// certificateInfo is X509CertificateInfo.
type certificateInfo struct {
	SubjectName      string `json:"subjectName"`
	SHA1Thumbprint   string `json:"sha1Thumbprint"`
	SHA256Thumbprint string `json:"sha256Thumbprint"`
	IssuerName       string `json:"issuerName"`
	NotBefore        string `json:"notBeforeUtc"`
	NotAfter         string `json:"notAfterUtc"`
	SerialNumber     string `json:"serialNumber"`
	Version          int    `json:"version"`
}

// der returns the certificate of a request. If the request contains only the info of a stored certificate, it means
// that certificate: Azure's command line sends entries back as it got them to change something else.
func (w wireCertificate) der(member string, held ...[]byte) ([]byte, error) {
	if value := text(w.Certificate); value != "" {
		raw := decodeCertificate(value)
		if _, err := x509.ParseCertificate(raw); err != nil {
			return nil, dpswire.Invalid(
				"attestation.x509.%s.certificate is neither a PEM certificate nor the base64 of a DER one.",
				member,
			)
		}
		return raw, nil
	}
	if w.Info != nil {
		for _, raw := range held {
			if len(raw) > 0 && strings.EqualFold(w.Info.SHA256Thumbprint, sha256Thumbprint(raw)) {
				return raw, nil
			}
		}
	}
	return nil, dpswire.Invalid("attestation.x509.%s.certificate is required.", member)
}

// decodeCertificate decodes PEM text, base64 of DER, or base64 of PEM text, and returns what should be DER, or nil
// for anything else.
//
// Fidelity: that text around a certificate, other PEM blocks and a byte order mark are ignored is unsure.
func decodeCertificate(value string) []byte {
	value = strings.TrimPrefix(value, "\ufeff")
	if strings.Contains(value, pemBegin) {
		return fromPEM(value)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
	if err != nil {
		return nil
	}
	if strings.Contains(string(raw), pemBegin) {
		return fromPEM(string(raw))
	}
	return raw
}

const pemBegin = "-----BEGIN "

// fromPEM returns the first certificate in a text, or nil if it or a block before it cannot be decoded. pem.Decode
// alone would skip the damaged block and return the next one, which may be a CA that issues certificates for others.
func fromPEM(text string) []byte {
	for {
		_, rest, found := strings.Cut(text, pemBegin)
		if !found {
			return nil
		}
		end := strings.Index(rest, pemBegin)
		if end < 0 {
			end = len(rest)
		}
		block, _ := pem.Decode([]byte(pemBegin + rest[:end]))
		if block == nil {
			return nil
		}
		if block.Type == "CERTIFICATE" {
			return block.Bytes
		}
		text = rest[end:]
	}
}

// certificateReply returns the description of a certificate in DER, or nil for an absent one.
func certificateReply(raw []byte) *wireCertificate {
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		// Every stored certificate was parsed before, unless it is absent.
		return nil
	}
	sum := sha1.Sum(raw)
	return &wireCertificate{Info: &certificateInfo{
		SubjectName:      distinguishedName(certificate.RawSubject),
		SHA1Thumbprint:   upperHex(sum[:]),
		SHA256Thumbprint: sha256Thumbprint(raw),
		IssuerName:       distinguishedName(certificate.RawIssuer),
		NotBefore:        certificate.NotBefore.UTC().Format(time.RFC3339),
		NotAfter:         certificate.NotAfter.UTC().Format(time.RFC3339),
		SerialNumber:     upperHex(certificate.SerialNumber.Bytes()),
		Version:          certificate.Version,
	}}
}

func sha256Thumbprint(raw []byte) string {
	sum := sha256.Sum256(raw)
	return upperHex(sum[:])
}

func upperHex(raw []byte) string { return strings.ToUpper(hex.EncodeToString(raw)) }

// attributeNames are the short names that .NET, which Azure runs on, writes in distinguished names.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "S", "2.5.4.9": "STREET",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "T", "2.5.4.42": "G", "2.5.4.4": "SN",
	"1.2.840.113549.1.9.1": "E", "0.9.2342.19200300.100.1.25": "DC",
}

// distinguishedName formats a name as .NET does: the most specific part first, separated by a comma and a space.
func distinguishedName(raw []byte) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return ""
	}
	parts := []string{}
	for _, set := range slices.Backward(name) {
		for _, attribute := range set {
			short := attributeNames[attribute.Type.String()]
			if short == "" {
				short = "OID." + attribute.Type.String()
			}
			value := fmt.Sprint(attribute.Value)
			if strings.ContainsAny(value, `,+"\<>;`) {
				value = `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
			}
			parts = append(parts, short+"="+value)
		}
	}
	return strings.Join(parts, ", ")
}
