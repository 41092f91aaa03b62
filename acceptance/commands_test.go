//go:build acceptance

package acceptance_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"context"

	"github.com/rogpeppe/go-internal/testscript"

	own "evenkeel/acceptance/checkout"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

// killEmulator implements `kill9`, which ends the emulator as a power cut would.
func killEmulator(ts *testscript.TestScript, neg bool, args []string) {
	s, err := own.EmulatorStatus(checkout)
	ts.Check(err)
	if neg || len(args) > 0 || !s.Running {
		ts.Fatalf("usage: kill9, with an emulator running")
	}
	ts.Check(syscall.Kill(s.PID, syscall.SIGKILL))
	deadline := time.Now().Add(await.Limit)
	for syscall.Kill(s.PID, 0) == nil {
		if time.Now().After(deadline) {
			ts.Fatalf("the emulator, process %d, is still running", s.PID)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// emulated implements `emulated KIND N`, which checks that the emulated cloud contains N hubs, services, groups,
// enrollments or devices.
func checkCount(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: emulated KIND N")
	}
	s, err := own.EmulatorStatus(checkout)
	ts.Check(err)
	counts := map[string]int{}
	ts.Check(getJSON(s.Endpoints.Control+"/counts", &counts))
	got, known := counts[args[0]]
	if !known {
		ts.Fatalf("unknown count %q in %v", args[0], counts)
	}
	if same := fmt.Sprint(got) == args[1]; same == neg {
		ts.Fatalf("got %d %s, want %s (negated: %v); all: %v", got, args[0], args[1], neg, counts)
	}
}

// atControl sends a request to the control port of the checkout's emulator, with its token.
func atControl(request *http.Request) (*http.Response, error) { return atControlOf(checkout, request) }

// atControlOf is atControl for the emulator of another checkout.
func atControlOf(folder string, request *http.Request) (*http.Response, error) {
	token, err := os.ReadFile(filepath.Join(folder, ".evenkeel", "emulator", "control-token"))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return await.Client.Do(request)
}

func getJSON(address string, into any) error { return getJSONOf(checkout, address, into) }

// getJSONOf is getJSON for the emulator of another checkout.
func getJSONOf(folder, address string, into any) error {
	request, err := http.NewRequest(http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	response, err := atControlOf(folder, request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", address, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// editEnrollment implements `enrollment ID FIELD VALUE`, which sets a field (JSON value) of an individual enrollment
// through the service API, and `enrollment ID FIELD`, which prints the field.
func editEnrollment(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: enrollment ID FIELD [VALUE]")
	}
	service, err := dial(checkout)
	ts.Check(err)
	path := "/enrollments/" + args[0]
	entry := map[string]json.RawMessage{}
	ts.Check(service.call(http.MethodGet, path, nil, "", &entry))
	if len(args) == 2 {
		fmt.Fprintln(ts.Stdout(), string(entry[args[1]]))
		return
	}
	// GET leaves the keys out, and a PUT without keys would create new ones.
	var attestation map[string]json.RawMessage
	ts.Check(service.call(http.MethodPost, path+"/attestationmechanism", nil, "", &attestation))
	whole, err := json.Marshal(attestation)
	ts.Check(err)
	entry["attestation"], entry[args[1]] = whole, json.RawMessage(args[2])
	delete(entry, "registrationState")
	body, err := json.Marshal(entry)
	ts.Check(err)
	ts.Check(service.call(http.MethodPut, path, body, "*", nil))
}

// service calls the service API of the deployed provisioning service without this project's own client.
type service struct {
	host, policy, key string
	client            *http.Client
}

// emulatorAddresses are the addresses of the emulator for devices and for the service API, and its certificate.
type emulatorAddresses struct {
	data, mqtt string
	tls        *tls.Config
}

func findEmulator(folder string) (emulatorAddresses, error) {
	s, err := own.EmulatorStatus(folder)
	if err != nil {
		return emulatorAddresses{}, err
	}
	address, err := url.Parse(s.Endpoints.Data)
	if err != nil {
		return emulatorAddresses{}, err
	}
	pem, err := os.ReadFile(s.Endpoints.CAFile)
	if err != nil {
		return emulatorAddresses{}, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return emulatorAddresses{}, errors.New("the emulator's CA file contains no certificate")
	}
	return emulatorAddresses{address.Host, s.Endpoints.MQTT, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		nil
}

func dial(folder string) (service, error) { return dialStack(folder, own.Stack) }

func dialStack(folder, stack string) (service, error) {
	at, err := findEmulator(folder)
	if err != nil {
		return service{}, err
	}
	out, err := own.Keel(folder, "exec", "-s", stack, "--", "pulumi", "stack", "output", "serviceConnectionString",
		"--show-secrets")
	if err != nil {
		return service{}, err
	}
	parts := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimSpace(string(out)), ";") {
		name, value, _ := strings.Cut(pair, "=")
		parts[name] = value
	}
	transport := &http.Transport{
		TLSClientConfig: at.tls,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, at.data)
		},
	}
	return service{
		host: parts["HostName"], policy: parts["SharedAccessKeyName"], key: parts["SharedAccessKey"],
		client: &http.Client{Transport: transport, Timeout: await.Limit},
	}, nil
}

func (s service) call(method, path string, body []byte, ifMatch string, into any) error {
	token, err := sas.New(s.host, s.policy, s.key, time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, "https://"+s.host+path+"?api-version=2021-10-01", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", token)
	request.Header.Set("Content-Type", "application/json")
	if ifMatch != "" {
		request.Header.Set("If-Match", ifMatch)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
