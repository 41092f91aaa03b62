package emulator_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"evenkeel/internal/await"
)

// TestTheDeviceSDKForPython runs azure-iot-device itself, where EVENKEEL_PYTHON_SDK names a folder to import it from
// and python3 has what it imports (on Debian: python3-paho-mqtt python3-requests python3-requests-unixsocket
// python3-janus python3-socks python3-deprecation).
func TestTheDeviceSDKForPython(t *testing.T) {
	folder := os.Getenv("EVENKEEL_PYTHON_SDK")
	if folder == "" {
		t.Skip("EVENKEEL_PYTHON_SDK is not set to the folder azure-iot-device of azure-iot-sdk-python")
	}
	y := newYard(t)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	check(t, os.WriteFile(ca, y.e.Endpoints().CAPEM, 0o600))
	leaf := issue(t, nil, "py-cert", false)
	key, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	check(t, err)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: leaf.cert.Raw}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		check(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	certificate := `{"primary":{"certificate":"` + leaf.base64() + `"}}`
	y.enroll("py-cert", `"attestation":{"type":"x509","x509":{"clientCertificates":`+certificate+`}}`)
	data, err := url.Parse(y.e.Endpoints().Data)
	check(t, err)
	for name, webSockets := range map[string]bool{"MQTT": false, "MQTT over WebSocket": true} {
		t.Run(name, func(t *testing.T) {
			id := "py-" + strings.ReplaceAll(strings.ToLower(name), " ", "-")
			y.enroll(id, keyed)
			input, err := json.Marshal(map[string]any{
				"data": data.Host, "mqtt": y.e.Endpoints().MQTT, "ca": ca, "scope": y.scope, "websockets": webSockets,
				"id": id, "key": primary, "wrongKey": knownKey[:20] + "BBBB" + knownKey[24:],
				"certID": "py-cert", "cert": filepath.Join(dir, "cert.pem"), "certKey": filepath.Join(dir, "key.pem"),
			})
			check(t, err)
			got := y.python(t, folder, input, id)
			for what, want := range map[string]string{
				"register": `["assigned","initialAssignment",`, "again": `["assigned","initialAssignment",`,
				"x509":     `["assigned","initialAssignment",`,
				"wrongKey": `"ClientError: register request returned a service error status code 401`,
				"twin":     `{"desired":{"$version":1},"reported":{"$version":1}}`,
				"reported": `{"$version":2,"fan":true}`,
				"upload":   `"ClientError: HTTP operation returned: 400`,
			} {
				t.Run(what, func(t *testing.T) {
					if text, _ := json.Marshal(got[what]); !strings.HasPrefix(string(text), want) {
						t.Errorf("%s: got %s, want %s", what, text, want)
					}
				})
			}
			want := map[string]any{
				"message": []any{"hello", "m1", map[string]any{"k": "v w"}},
				"method":  []any{"reboot", map[string]any{"in": 1.0}},
				"desired": map[string]any{"interval": 5.0, "$version": 2.0},
			}
			if diff := gocmp.Diff(any(want), got["got"]); diff != "" {
				t.Errorf("what the device was sent (-want +got):\n%s", diff)
			}
			t.Logf("upload: %v; wrong key: %v", got["upload"], got["wrongKey"])
		})
	}
}

// python runs the script, sends the device what it waits for, and returns what it did.
func (y *yard) python(t *testing.T, folder string, input []byte, id string) (done map[string]any) {
	t.Helper()
	c := exec.CommandContext(await.Context(t), "python3", "testdata/python_device.py")
	c.Env = append(os.Environ(), "PYTHONPATH="+folder, "SSL_CERT_FILE=", "PYTHONWARNINGS=ignore")
	c.Stdin = bytes.NewReader(input)
	var complaints bytes.Buffer
	c.Stderr = &complaints
	stdout, err := c.StdoutPipe()
	check(t, err)
	check(t, c.Start())
	lines := await.NewLines(t, "what the SDK prints", stdout, func() { _ = c.Process.Kill() })
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the script wrote:\n%s", complaints.String())
		}
	})
	hub := strings.TrimSpace(strings.TrimPrefix(lines.Next(), "ready "))
	if status, body := y.hubCall(hub, "PATCH", "/twins/"+id,
		`{"properties":{"desired":{"interval":5}}}`); status != http.StatusOK {
		t.Fatalf("patch the twin: got %d %v", status, body)
	}
	status, body := y.hubCall(hub, "POST", "/twins/"+id+"/methods", pythonMethod)
	if status != http.StatusOK || fmt.Sprint(body["payload"]) != "map[echo:map[in:1]]" {
		t.Fatalf("method: got %d %v", status, body)
	}
	message := fmt.Sprintf(pythonMessage, hub, id)
	if status, body := y.control("POST", "/messages", message); status != http.StatusCreated {
		t.Fatalf("send: got %d %s", status, body)
	}
	last := lines.Next()
	if err := json.Unmarshal([]byte(last), &done); err != nil {
		t.Fatalf("got %q: %v", last, err)
	}
	check(t, c.Wait())
	return done
}
