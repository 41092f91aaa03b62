package enrollment_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"evenkeel/internal/azure/enrollment"
)

const mark = "\ufeff"

// material is two certificates and the private key of the first in every format.
type material struct {
	leaf, root, key, keyDER string
	der                     []byte
}

func newMaterial(t *testing.T) material {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string) []byte {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(
				1,
			), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
			BasicConstraintsValid: true,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := issue("Intermediate")
	return material{
		leaf: text("CERTIFICATE", leaf), root: text("CERTIFICATE", issue("Root")), der: leaf,
		key: text("PRIVATE KEY", der), keyDER: base64.StdEncoding.EncodeToString(der),
	}
}

func TestTheFirstCertificateOfATextCounts(t *testing.T) {
	t.Parallel()
	p := newMaterial(t)
	for name, text := range map[string]string{
		"alone":                   p.leaf,
		"byte order mark":         mark + p.leaf,
		"byte order mark, chain":  mark + p.leaf + p.root,
		"byte order mark in each": mark + p.leaf + mark + p.root,
		"CRLF":                    strings.ReplaceAll(p.leaf+p.root, "\n", "\r\n"),
		"indented":                "  " + strings.ReplaceAll(p.leaf, "\n", "\n  ") + p.root,
		"text before": "Bag Attributes\n    friendlyName: x\nsubject=CN = Intermediate\n" +
			p.leaf + p.root,
		"parameters before": "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC " +
			"PARAMETERS-----\n" + p.leaf,
		"no line break at the end":          strings.TrimSpace(p.leaf),
		"one line of base64":                base64.StdEncoding.EncodeToString(p.der),
		"one line of base64 after a mark":   mark + base64.StdEncoding.EncodeToString(p.der) + "\r\n",
		"lines of dashes in text around it": "-----------\n" + p.leaf + "\n-----\n" + p.root,
	} {
		t.Run(name, func(t *testing.T) {
			certificate, err := enrollment.ParseCertificate(text)
			if err != nil || certificate.Subject.CommonName != "Intermediate" {
				t.Errorf("%s: got %v, %v; want CN=Intermediate", name, certificate, err)
			}
		})
	}
}

func TestADamagedCertificateIsNeverSkipped(t *testing.T) {
	t.Parallel()
	p := newMaterial(t)
	body := strings.Split(p.leaf, "\n")[1]
	for name, damaged := range map[string]struct{ text, want string }{
		"character":         {strings.Replace(p.leaf, body, "!"+body[1:], 1), "cannot be decoded: it is damaged"},
		"missing line":      {strings.Replace(p.leaf, body+"\n", "", 1), "its content is not one"},
		"no END":            {strings.Split(p.leaf, "-----END")[0], "no END line"},
		"BEGIN of 4 dashes": {p.leaf[1:], "a BEGIN or END line is damaged"},
		"BEGIN ends in 4":   {strings.Replace(p.leaf, "CERTIFICATE-----", "CERTIFICATE----", 1), "cannot be decoded"},
		"no BEGIN":          {p.leaf[strings.Index(p.leaf, "\n")+1:], "a BEGIN or END line is damaged"},
		"lower case": {strings.Replace(p.leaf, "-----BEGIN CERTIFICATE", "-----begin certificate", 1),
			"a BEGIN or END line is damaged"},
		"neither line":       {body + "\n" + body + "\n", "a BEGIN or END line is damaged"},
		"literal line feeds": {strings.ReplaceAll(p.leaf, "\n", `\n`) + "\n", `written as \n`},
		"blanks":             {strings.ReplaceAll(p.leaf, "\n", " ") + "\n", "became blanks"},
		"no breaks":          {strings.ReplaceAll(p.leaf, "\n", "") + "\n", "became blanks"},
		"PKCS #7":            {"-----BEGIN PKCS7-----\nAA==\n-----END PKCS7-----\n", "PKCS #7"},
		"trusted":            {strings.ReplaceAll(p.leaf, "CERTIFICATE", "TRUSTED CERTIFICATE"), "OpenSSL's own form"},
		"request":            {strings.ReplaceAll(p.leaf, "CERTIFICATE", "CERTIFICATE REQUEST"), "signing request"},
		"wrong content":      {strings.ReplaceAll(p.key, "PRIVATE KEY", "CERTIFICATE"), "its content is not one"},
	} {
		t.Run(name, func(t *testing.T) {
			for around, text := range map[string]string{
				"first of two": damaged.text + p.root, "second of two": p.root + damaged.text, "after a mark": mark +
					damaged.text + p.root,
			} {
				t.Run(around, func(t *testing.T) {
					certificate, err := enrollment.ParseCertificate(text)
					if err == nil {
						t.Errorf("%s, %s: got CN=%s, want an error", name, around, certificate.Subject.CommonName)
					} else if around == "first of two" && !strings.Contains(err.Error(), damaged.want) {
						t.Errorf("%s: got %q, want %q", name, err, damaged.want)
					}
				})
			}
		})
	}
}

func TestTextsThatAreNotCertificatesAreDescribed(t *testing.T) {
	t.Parallel()
	p := newMaterial(t)
	encode := base64.StdEncoding.EncodeToString
	signed, _ := asn1.Marshal(struct{ Kind asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}})
	store, _ := asn1.Marshal(struct{ Version, Content int }{3, 1})
	for name, test := range map[string]struct{ text, want string }{
		"private key":               {p.key, "contains a private key"},
		"private key beside":        {p.leaf + p.key, "contains a private key"},
		"private key before":        {p.key + p.leaf, "contains a private key"},
		"private key, one line":     {p.leaf + strings.ReplaceAll(p.key, "\n", `\n`), "contains a private key"},
		"key of PuTTY":              {"PuTTY-User-Key-File-3: ssh-rsa\n" + p.leaf, "contains a private key"},
		"base64 of a PEM key":       {encode([]byte(p.leaf + p.key)), "contains a private key"},
		"base64 of a DER key":       {p.keyDER, "contains a private key"},
		"base64 of a DER key after": {p.leaf + p.keyDER, "a BEGIN or END line is damaged"},
		"base64 of PEM":             {encode([]byte(p.leaf)), "base64 of a PEM text"},
		"PKCS #7":                   {encode(signed), "PKCS #7"},
		"PKCS #12":                  {encode(store), "PKCS #12"},
		"public key": {strings.ReplaceAll(p.leaf, "CERTIFICATE", "PUBLIC KEY"),
			`contains "PUBLIC KEY" and no certificate`},
		"thumbprint":             {strings.Repeat("A1", 20), "got a thumbprint"},
		"thumbprint with colons": {strings.Repeat("a1:", 31) + "a1", "got a thumbprint"},
		"name of a file":         {"certs/press-1.pem", "is the name of a file"},
		"nothing":                {"", "neither PEM text nor base64"},
		"DER and more":           {encode(append([]byte{}, append(p.der, 0)...)), "neither PEM text nor base64"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := enrollment.ParseCertificate(test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want %q", name, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), p.keyDER[:40]) {
				t.Errorf("%s: the message holds the key", name)
			}
		})
	}
}

func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	p := newMaterial(t)
	for name, content := range map[string][]byte{
		"PEM": []byte(p.leaf + p.root), "DER": p.der, "UTF-16": utf16Of(mark + p.leaf),
		"base64":     []byte(base64.StdEncoding.EncodeToString(p.der)),
		"key beside": []byte(p.key + p.leaf),
	} {
		t.Run(name, func(t *testing.T) {
			certificate, err := enrollment.ParseCertificateFile(content)
			if err != nil || certificate.Subject.CommonName != "Intermediate" {
				t.Errorf("%s: got %v, %v; want CN=Intermediate", name, certificate, err)
			}
		})
	}
	for name, content := range map[string][]byte{
		"DER of a key": mustDecode(t, p.keyDER), "key alone": []byte(p.key), "half": p.der[:len(p.der)/2],
		"nothing": nil, "a digit": []byte("0"),
	} {
		t.Run(name, func(t *testing.T) {
			if certificate, err := enrollment.ParseCertificateFile(content); err == nil {
				t.Errorf("%s: got %v, want an error", name, certificate)
			}
		})
	}
}

func TestDecodeText(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content     []byte
		want, fault string
	}{
		"UTF-8":               {[]byte("Köln\n"), "Köln\n", ""},
		"mark":                {[]byte(mark + "Köln"), "Köln", ""},
		"UTF-16":              {utf16Of(mark + "Köln\r\nb"), "Köln\r\nb", ""},
		"UTF-16, big end":     {[]byte{0xfe, 0xff, 0, 'a'}, "a", ""},
		"UTF-16 without mark": {utf16Of("a\nKoln"), "", "line 1"},
		"UTF-16, half":        {[]byte{0xff, 0xfe, 'a'}, "", "UTF-16"},
		"UTF-16, lone half":   {[]byte{0xff, 0xfe, '\n', 0, 0x00, 0xd8}, "", "line 2 is not UTF-16"},
		"UTF-32":              {[]byte{0xff, 0xfe, 0, 0, 'a', 0, 0, 0}, "", "UTF-32"},
		"Windows-1252":        {[]byte("a\nK\xf6ln\n"), "", "line 2 is not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := enrollment.DecodeText(test.content)
			if got != test.want || (err == nil) != (test.fault == "") ||
				err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("%s: got %q, %v; want %q, %q", name, got, err, test.want, test.fault)
			}
		})
	}
}

func TestQuotedValuesHideKeys(t *testing.T) {
	t.Parallel()
	p := newMaterial(t)
	for _, faults := range [][]enrollment.Fault{
		enrollment.CheckRegistrationID("id", p.key), enrollment.CheckDeviceID("id", p.key),
		enrollment.CheckHost("host", p.key),
		enrollment.CheckHubs("hubs", "", []string{p.key, p.key}), enrollment.CheckPolicy("policy", p.key),
		enrollment.CheckStatus("status", p.key),
		enrollment.CheckWebhook("webhook", p.key), enrollment.CheckWebhookVersion("version", p.key),
		enrollment.CheckKey("key", p.key),
		enrollment.CheckTPMKey("key", p.key), enrollment.CheckServiceID("id", p.key),
		enrollment.CheckIDPrefix("prefix", p.key),
		enrollment.CheckPolicyName("name", p.key+"="), enrollment.CheckCertificate("certificate", p.key,
			enrollment.Client, time.Now()),
	} {
		if len(faults) == 0 {
			t.Error("a private key was taken for something else")
		}
		for _, f := range faults {
			if strings.Contains(f.Error(), p.keyDER[:20]) {
				t.Errorf("the message holds the key: %s", f.Error())
			}
		}
	}
}

func TestPrivateKeysInBase64AreFoundWhereverTheyBegin(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"", "-", "--", "---", "Bag Attributes\n"} {
		t.Run(fmt.Sprintf("%q", before), func(t *testing.T) {
			text := base64.StdEncoding.EncodeToString([]byte(before + "-----BEGIN EC PRIVATE KEY-----\nAA==\n"))
			if !enrollment.HoldsPrivateKey(text[:20] + "\n" + text[20:]) {
				t.Errorf("the key after %q was not found", before)
			}
		})
	}
	if enrollment.HoldsPrivateKey(newMaterial(t).leaf) {
		t.Error("a certificate was taken for a private key")
	}
}

func TestKeysLoseTheirLineBreaks(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString(make([]byte, 64))
	for name, text := range map[string]string{
		"none": key, "of openssl": key[:64] + "\n" + key[64:] + "\n", "of Windows": key[:64] + "\r\n" + key[64:],
		"blanks": " " + key + "\t",
	} {
		t.Run(name, func(t *testing.T) {
			if got := enrollment.CleanKey(text); got != key {
				t.Errorf("got %q of %q", got, text)
			}
		})
	}
	if got := enrollment.CleanKey("AA AA"); got != "AA AA" {
		t.Errorf("got %q: a blank inside says that something was lost", got)
	}
}

func utf16Of(text string) (out []byte) {
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

func mustDecode(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
