package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/sas"
)

const (
	fakeHost   = "dps-1.azure-devices-provisioning.net"
	policyName = "enrollments"
)

// fakeService implements what the facts say about the service API 2021-10-01: entries are raw JSON objects, have etags,
// return their keys only to PUT and attestationmechanism and their certificates only as info, and are replaced
// completely by PUT.
type fakeService struct {
	URL    string
	CAFile string
	Key    string

	mu      sync.Mutex
	entries map[string]map[string]any // by lower-case path, as the service stores them
	version int
	log     []string
	// Before, if set, answers a request itself if it returns true; it is called without the lock.
	before func(w http.ResponseWriter, r *http.Request) bool
	// After, if set, is called after a request was carried out and before it is answered; true drops the connection.
	after func(r *http.Request) bool
	// versions, when set, reports whether an api-version is served. Otherwise 2021-10-01 alone is.
	versions func(version string) bool
}

func runFake(t *testing.T) *fakeService {
	t.Helper()
	key, err := sas.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ca := newAuthority(t, "fake root")
	f := &fakeService{entries: map[string]map[string]any{}, Key: key}
	server := httptest.NewUnstartedServer(f)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.server(t, fakeHost,
		"dps-2.azure-devices-provisioning.net")}}
	server.StartTLS()
	t.Cleanup(server.Close)
	f.URL = server.URL
	f.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(f.CAFile, []byte(ca.PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fakeService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.log = append(f.log, r.Method+" "+r.URL.Path)
	before, after, serves := f.before, f.after, f.versions
	f.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	version := r.URL.Query().Get("api-version")
	if serves == nil {
		serves = func(version string) bool { return version == "2021-10-01" }
	}
	token, err := sas.Parse(r.Header.Get("Authorization"))
	host, _, _ := strings.Cut(r.Host, ":")
	switch {
	case err != nil || token.KeyName != policyName || !token.Covers(host) || token.Verify(time.Now(), f.Key) != nil:
		refuse(w, 401002, "Unauthorized")
	case !serves(version):
		refuse(w, 400004, "Unsupported API version "+version+".")
	default:
		status, answer := f.handle(r)
		if after != nil && after(r) {
			panic(http.ErrAbortHandler)
		}
		if code, refused := answer.(int); refused {
			refuse(w, code, http.StatusText(status))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if answer != nil {
			_ = json.NewEncoder(w).Encode(answer)
		}
	}
}

func refuse(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code / 1000)
	fmt.Fprintf(w, `{"errorCode":%d,"trackingId":"fake","message":%q,"timestampUtc":"2026-01-01T00:00:00Z"}`, code,
		message)
}

// handle answers with a status and an object, or with an error code.
func (f *fakeService) handle(r *http.Request) (int, any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.ToLower(r.URL.Path)
	path, mechanism := strings.CutSuffix(path, "/attestationmechanism")
	entry, exists := f.entries[path]
	if ifMatch := r.Header.Get("If-Match"); exists && ifMatch != "" && ifMatch != "*" && ifMatch != entry["etag"] {
		return 412, 412001
	}
	switch {
	case r.Method == http.MethodPut:
		var sent map[string]any
		if json.NewDecoder(r.Body).Decode(&sent) != nil {
			return 400, 400004
		}
		withoutNewer(r, sent)
		return 200, f.store(path, sent)
	case !exists:
		return 404, 404201
	case mechanism:
		return 200, entry["attestation"]
	case r.Method == http.MethodGet:
		seen := maps.Clone(entry)
		if attestation := entry["attestation"].(map[string]any); attestation["type"] == "symmetricKey" {
			seen["attestation"] = map[string]any{"type": "symmetricKey"}
		}
		withoutNewer(r, seen)
		return 200, seen
	default:
		delete(f.entries, path)
		return 204, nil
	}
}

// withoutNewer removes the members that 2021-10-01 does not have.
func withoutNewer(r *http.Request, entry map[string]any) {
	if r.URL.Query().Get("api-version") == "2021-10-01" {
		for name := range policyNames {
			delete(entry, name)
		}
	}
}

// store stores an entry as the service does. Callers hold the lock.
func (f *fakeService) store(path string, entry map[string]any) map[string]any {
	f.version++
	now := time.Date(2026, 1, 1, 0, 0, f.version, 0, time.UTC).Format("2006-01-02T15:04:05.0000000Z")
	entry["createdDateTimeUtc"] = now
	if old, exists := f.entries[path]; exists {
		entry["createdDateTimeUtc"] = old["createdDateTimeUtc"]
	}
	entry["lastUpdatedDateTimeUtc"] = now
	entry["etag"] = base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `"%08x-0000"`, f.version))
	if entry["capabilities"] == nil {
		entry["capabilities"] = map[string]any{"iotEdge": false}
	}
	if c, ok := entry["customAllocationDefinition"].(map[string]any); ok {
		if address, _, found := strings.Cut(c["webhookUrl"].(string), "?"); found {
			c["webhookUrl"] = address + "?****"
		}
	}
	attestation := entry["attestation"].(map[string]any)
	if keys, ok := attestation["symmetricKey"].(map[string]any); ok {
		for _, name := range []string{"primaryKey", "secondaryKey"} {
			if keys[name] == nil {
				keys[name], _ = sas.NewKey(nil)
			}
		}
	}
	if x, ok := attestation["x509"].(map[string]any); ok {
		for _, name := range []string{"clientCertificates", "signingCertificates"} {
			if pair, ok := x[name].(map[string]any); ok {
				x[name] = certificateInfos(pair)
			}
		}
	}
	f.entries[path] = entry
	return entry
}

func certificateInfos(pair map[string]any) map[string]any {
	infos := map[string]any{}
	for _, name := range []string{"primary", "secondary"} {
		source, ok := pair[name].(map[string]any)
		if !ok {
			source = pair["primary"].(map[string]any)
		}
		certificate, err := enrollment.ParseCertificate(source["certificate"].(string))
		if err != nil {
			panic(err)
		}
		sum1, sum256 := sha1.Sum(certificate.Raw), sha256.Sum256(certificate.Raw)
		infos[name] = map[string]any{"info": map[string]any{
			"subjectName": certificate.Subject.String(), "issuerName": certificate.Issuer.String(),
			"sha1Thumbprint":   strings.ToUpper(hex.EncodeToString(sum1[:])),
			"sha256Thumbprint": strings.ToUpper(hex.EncodeToString(sum256[:])),
			"serialNumber":     certificate.SerialNumber.Text(16), "version": 3,
			"notBeforeUtc": certificate.NotBefore.UTC().Format(time.RFC3339),
			"notAfterUtc":  certificate.NotAfter.UTC().Format(time.RFC3339),
		}}
	}
	return infos
}

// edit changes an entry without the provider.
func (f *fakeService) edit(t *testing.T, path string, change func(entry map[string]any)) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	entry, exists := f.entries[strings.ToLower(path)]
	if !exists {
		t.Fatalf("edit %s: no such entry", path)
	}
	raw, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	var edited map[string]any
	if err := json.Unmarshal(raw, &edited); err != nil {
		t.Fatal(err)
	}
	change(edited)
	f.version++
	edited["etag"] = fmt.Sprintf("edited-%d", f.version)
	f.entries[strings.ToLower(path)] = edited
}

// entry returns the entry at the service, or nil.
func (f *fakeService) entry(path string) map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entries[strings.ToLower(path)]
}

// takeLog returns the requests since the last call.
func (f *fakeService) takeLog() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

func (f *fakeService) intercept(before func(http.ResponseWriter, *http.Request) bool, after func(*http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

// authority is a certificate authority for tests.
type authority struct {
	PEM  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	cert, text, key := issue(t, name, template, nil, time.Hour)
	return authority{PEM: text, cert: cert, key: key}
}

func (a authority) server(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	cert, _, key := issue(t, names[0], &x509.Certificate{DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, &a, time.Hour)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// leaf returns the certificate of a device with that common name as PEM.
func (a authority) leaf(t *testing.T, name string, life time.Duration) string {
	t.Helper()
	_, text, _ := issue(t, name, &x509.Certificate{}, &a, life)
	return text
}

func issue(t *testing.T, name string, template *x509.Certificate, issuer *authority,
	life time.Duration) (*x509.Certificate, string, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.Subject = pkix.Name{CommonName: name}
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	template.NotBefore, template.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(life)
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), key
}
