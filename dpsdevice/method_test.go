package dpsdevice_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

// invoke calls a direct method as a back end does, and returns the status and body of the hub's answer.
func (f *field) invoke(t *testing.T, device, body string) (int, string) {
	t.Helper()
	request := must(http.NewRequestWithContext(await.Context(t), http.MethodPost, f.ends.Data+"/twins/"+device+
		"/methods?api-version=2021-04-12", bytes.NewReader([]byte(body))))(t)
	request.Host = f.hub
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", must(sas.New(f.hub, "iothubowner", f.hubKey, time.Now().Add(time.Hour)))(t))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: f.tls()}}
	defer client.CloseIdleConnections()
	response := must(client.Do(request))(t)
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode, string(must(io.ReadAll(response.Body))(t))
}

func TestADeviceAnswersDirectMethods(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.enroll("worker", &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation,
		SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: key, SecondaryKey: key}})
	credential := dpsdevice.SymmetricKey(key)
	registration := must(dpsdevice.Register(t.Context(), f.options("worker", credential, dpsdevice.MQTT)))(t)
	hub := must(dpsdevice.Connect(t.Context(), dpsdevice.HubOptions{Host: registration.Hub, DeviceID: "worker",
		Credential: credential, Network: f.network()}))(t)
	defer hub.Close()
	requests := make(chan dpsdevice.ReprovisionRequest, 1)
	err := hub.HandleMethods(t.Context(), func(call dpsdevice.Call) {
		request, err := call.ReprovisionRequest()
		if err != nil {
			_ = call.Answer(t.Context(), 404, map[string]any{"method": call.Method, "payload": call.Payload})
			return
		}
		requests <- request
		_ = call.Answer(t.Context(), 202, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, body, want string }{
		{"the request to register again", `{"methodName":"reprovision","payload":{"run":"r1","later":true}}`,
			`{"status":202,"payload":null}`},
		{"a method with a strange name", `{"methodName":"re boot&x","payload":[1]}`,
			`{"status":404,"payload":{"method":"re boot&x","payload":[1]}}`},
		{"a call without a payload", `{"methodName":"boot"}`,
			`{"status":404,"payload":{"method":"boot","payload":null}}`},
		{"a payload that is no request", `{"methodName":"reprovision","payload":[]}`,
			`{"status":404,"payload":{"method":"reprovision","payload":[]}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, got := f.invoke(t, "worker", tc.body)
			var have, want any
			if err := json.Unmarshal([]byte(got), &have); err != nil {
				t.Errorf("%s: got %s: %v", tc.name, got, err)
			}
			_ = json.Unmarshal([]byte(tc.want), &want)
			if a, b := must(json.Marshal(have))(t), must(json.Marshal(want))(t); status != 200 || !bytes.Equal(a, b) {
				t.Errorf("%s: got %d %s, want 200 %s", tc.name, status, a, b)
			}
		})
	}
	if got := await.Next(t, requests, "the request to register again"); got.Run != "r1" {
		t.Errorf("got %+v, want the run r1", got)
	}
}
