package adopt_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/authority"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

// service is a provisioning service that other tools fill: literal JSON over HTTP, and of our own code only the
// signature.
type service struct {
	*emulator.Emulator
	connection, host, policy, key string
	caFile                        string
	client                        *http.Client
}

func newService(t *testing.T, options ...emulator.Options) *service {
	t.Helper()
	s := &service{Emulator: emulator.RunT(t, options...)}
	deployed, err := s.Deploy(t.Context(), emulator.Deployment{Service: "plant", Hubs: []string{"hub-1", "hub-2"}})
	must(t, err)
	s.connection = deployed.Service
	for field := range strings.SplitSeq(deployed.Service, ";") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "HostName":
			s.host = value
		case "SharedAccessKeyName":
			s.policy = value
		case "SharedAccessKey":
			s.key = value
		}
	}
	s.caFile = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(s.caFile, s.Endpoints().CAPEM, 0o600))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.Endpoints().CAPEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport, Timeout: await.Limit}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// send sends a request and decodes its answer into a value.
func (s *service) send(t *testing.T, method, path, body string, into any) {
	t.Helper()
	if !strings.Contains(path, "?") {
		path += "?api-version=2021-10-01"
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.Endpoints().Data+path, strings.NewReader(body))
	must(t, err)
	token, err := sas.New(s.host, s.policy, s.key, time.Now().Add(time.Hour))
	must(t, err)
	request.Host = s.host
	request.Header.Set("Authorization", token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.client.Do(request)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode >= 300 {
		t.Fatalf("%s %s: %s: %s", method, path, answer.Status, content)
	}
	if into != nil {
		must(t, json.NewDecoder(bytes.NewReader(content)).Decode(into))
	}
}

func (s *service) put(t *testing.T, path, body string) {
	t.Helper()
	s.send(t, http.MethodPut, path, body, nil)
}

// fill creates n enrollments with symmetric keys by bulk operations.
func (s *service) fill(t *testing.T, n int) {
	t.Helper()
	for first := 0; first < n; first += 10 {
		var entries []string
		for i := first; i < min(first+10, n); i++ {
			entries = append(entries, fmt.Sprintf(`{"registrationId":"press-%05d","attestation":{"type":"symmetricKey"},`+
				`"initialTwin":{"tags":{"line":%d}}}`, i, i%7))
		}
		s.send(t, http.MethodPost, "/enrollments", `{"mode":"create","enrollments":[`+strings.Join(entries, ",")+`]}`,
			nil)
	}
}

// etags returns the version of every entry by its path.
func (s *service) etags(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, collection := range []string{"enrollments", "enrollmentGroups"} {
		var entries []map[string]any
		s.send(t, http.MethodPost, "/"+collection+"/query", `{"query":"SELECT *"}`, &entries)
		for _, entry := range entries {
			id, is := entry["registrationId"].(string)
			if !is {
				id = entry["enrollmentGroupId"].(string)
			}
			versions[collection+"/"+id] = entry["etag"].(string)
		}
	}
	return versions
}

// certificate is a root certificate as PEM text, as base64 on one line, and by its SHA-256 thumbprint.
type certificate struct{ pem, line, thumbprint string }

func newAuthority(t *testing.T) certificate {
	t.Helper()
	root, err := authority.NewRoot(x509.Certificate{Subject: pkix.Name{CommonName: "plant root"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)})
	must(t, err)
	sum := sha256.Sum256(root.Certificate.Raw)
	return certificate{string(root.PEM()), base64.StdEncoding.EncodeToString(root.Certificate.Raw),
		hex.EncodeToString(sum[:])}
}

func decodeBase64(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	must(t, err)
	return raw
}
