//go:build node

package node_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"evenkeel/emulator"
)

func TestAzuresProvisioningServiceSDKForNode(t *testing.T) {
	newCloud(t, emulator.RunT(t)).runDPS("dps-service.test.js")
}

func TestAzuresProvisioningDeviceSDKForNode(t *testing.T) {
	newCloud(t, emulator.RunT(t)).runDPS("dps-device.test.js")
}

// runDPS runs a file of tests with the provisioning service's policies, the address of ARM, and certificates of devices
// in its environment.
func (c *cloud) runDPS(file string, more ...string) {
	c.Helper()
	keys := map[string]string{}
	for name, rights := range map[string]string{
		"owner": "ServiceConfig, EnrollmentRead, EnrollmentWrite, DeviceConnect, RegistrationStatusRead, " +
			"RegistrationStatusWrite",
		"reader": "EnrollmentRead", "statusreader": "RegistrationStatusRead", "devices": "DeviceConnect",
	} {
		keys[name] = newKey(c.T)
		c.morePolicies += fmt.Sprintf(`,{"keyName":%q,"primaryKey":%q,"secondaryKey":%q,"rights":%q}`, name, keys[name],
			newKey(c.T), rights)
	}
	text, err := json.Marshal(keys)
	if err != nil {
		c.Fatal(err)
	}
	certificates := newCertificates(c.T)
	c.afterBuild = func() { c.upload(filepath.Join(certificates, "root.pem")) }
	c.run(file, append(more,
		"EVENKEEL_DPS_HOST="+service+".azure-devices-provisioning.net", "EVENKEEL_DPS_POLICIES="+string(text),
		"EVENKEEL_CERTIFICATES="+certificates,
		"EVENKEEL_ARM="+c.at.ARM, "EVENKEEL_ARM_TOKEN="+c.token, "EVENKEEL_ARM_DEVICES="+devices,
		"EVENKEEL_DPS_TOKEN="+c.tokenFor("https://azure-devices-provisioning.net/.default"))...)
}

// upload uploads a certificate to the provisioning service as verified.
func (c *cloud) upload(file string) {
	c.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		c.Fatal(err)
	}
	c.arm(http.MethodPut, devices+"/provisioningServices/"+service+"/certificates/node-root", "2022-12-12",
		fmt.Sprintf(`{"properties":{"certificate":%q,"isVerified":true}}`, base64.StdEncoding.EncodeToString(text)))
}

// tokenFor returns an access token for a service, obtained with the client secret.
func (c *cloud) tokenFor(scope string) string {
	c.Helper()
	answer, err := c.client.PostForm(c.at.ARM+"/"+c.at.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.at.ClientID}, "client_secret": {c.at.ClientSecret},
		"scope": {scope},
	})
	if err != nil {
		c.Fatal(err)
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	c.decode(answer, &token)
	return token.AccessToken
}

// certified is a certificate and its key.
type certified struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// newCertificates writes the certificates of the tests, each as {name}.pem with its chain and {name}.key: the authority
// "root" and, signed by it, "signing"; "stranger", an unknown authority; and leaf certificates, named by their common
// names.
func newCertificates(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	root := issue(t, nil, "root", true)
	signing := issue(t, &root, "signing", true)
	stranger := issue(t, nil, "stranger", true)
	write(t, dir, "root", root)
	write(t, dir, "signing", signing)
	for _, name := range []string{"x509-Http", "x509-Mqtt", "x509-MqttWs", "x509-group", "x509-disabled"} {
		write(t, dir, name, issue(t, &signing, name, false), signing, root)
	}
	for _, name := range []string{"x509-self", "x509-other"} {
		write(t, dir, name, issue(t, nil, name, false))
	}
	write(t, dir, "x509-stranger", issue(t, &stranger, "x509-stranger", false), stranger)
	return dir
}

// issue creates a certificate signed by by, or a self-signed one if by is nil.
func issue(t *testing.T, by *certified, name string, ca bool) certified {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		BasicConstraintsValid: true, IsCA: ca,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certified{key, cert}
}

func write(t *testing.T, dir, name string, leaf certified, above ...certified) {
	t.Helper()
	var chain []byte
	for _, c := range append([]certified{leaf}, above...) {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string][]byte{".pem": chain,
		".key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(filepath.Join(dir, name+file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
