//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/rogpeppe/go-internal/testscript"

	"evenkeel/acceptance/pages"
	"evenkeel/internal/keel/environment"
)

// blocks: `blocks FILE PAGE [WORD...]` writes the shell commands of a page such as docs/how-to/plain-mqtt.md to a file:
// only the blocks that need nothing but the given words.
func blocks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: blocks FILE PAGE [WORD...]")
	}
	text, err := os.ReadFile(filepath.Join(howTo, args[1]))
	ts.Check(err)
	var script strings.Builder
	script.WriteString("set -eu\n")
	all, err := pages.Blocks(string(text))
	ts.Check(err)
	for _, block := range all {
		if block.Language != "sh" || block.NotRun != "" {
			continue
		}
		needs := strings.Fields(block.Needs)
		if slices.ContainsFunc(needs, func(w string) bool { return !slices.Contains(args[2:], w) }) {
			continue
		}
		if slices.Contains(args[2:], "x509") && !slices.Contains(needs, "x509") {
			continue // those blocks are of another environment
		}
		script.WriteString(block.Text)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(script.String()), 0o600))
}

// howTo is the folder of the how-to pages.
const howTo = "../../docs/how-to"

// onControl calls the control port of the checkout's emulator.
func onControl(ctx context.Context, ts *testscript.TestScript, method, path, body string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, running(ts).Control+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	token, err := os.ReadFile(running(ts).ControlTokenFile)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: got %s", method, path, response.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// running returns the endpoints of the checkout's emulator.
func running(ts *testscript.TestScript) environment.Endpoints {
	record, err := process(ts.Getenv("CHECKOUT")).Find()
	ts.Check(err)
	ends, err := decode(record)
	ts.Check(err)
	return ends
}

// plain: `plain FILE TOPIC BODY` publishes with an MQTT library that has no code for Azure, with the values in FILE,
// which is output of `keel devices token --json`.
func plain(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] plain FILE TOPIC BODY")
	}
	ends := running(ts)
	var with deviceToken
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &with))
	roots, err := ends.Roots()
	ts.Check(err)
	const limit = time.Minute
	o := mqtt.NewClientOptions().AddBroker("tls://" +
		ends.MQTT).SetClientID(with.Device).SetUsername(with.Username).SetPassword(with.Token).
		SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(limit).
		SetTLSConfig(&tls.Config{RootCAs: roots, ServerName: with.Host, MinVersion: tls.VersionTLS12})
	c := mqtt.NewClient(o)
	err = finished(c.Connect(), limit)
	if err == nil {
		defer c.Disconnect(0)
		err = finished(c.Publish(args[1], 1, false, args[2]), limit)
	}
	if (err != nil) != neg {
		ts.Fatalf("publish to %s as %s: got %v, want an error: %v", args[1], with.Username, err, neg)
	}
}

func finished(token mqtt.Token, limit time.Duration) error {
	if !token.WaitTimeout(limit) {
		return fmt.Errorf("no answer after %s", limit)
	}
	return token.Error()
}

// message: `message DEVICE BODY` sends a message to a device. `received DEVICE BODY` fails unless a hub has received
// one from it.
func message(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: message DEVICE BODY")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, hub := range []string{"seeded-hub-1", "seeded-hub-2"} {
		body := fmt.Sprintf(`{"hub":%q,"device":%q,"body":%q}`, hub+".azure-devices.net", args[0], args[1])
		if err := onControl(ctx, ts, "POST", "/messages", body, nil); err == nil {
			return
		}
	}
	ts.Fatalf("no hub has the device %s", args[0])
}

func received(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: received DEVICE BODY")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var list []struct {
		Body []byte `json:"body"`
	}
	ts.Check(onControl(ctx, ts, "GET", "/messages?device="+url.QueryEscape(args[0]), "", &list))
	var bodies []string
	for _, m := range list {
		bodies = append(bodies, string(m.Body))
	}
	if !slices.Contains(bodies, args[1]) {
		ts.Fatalf("got %q from %s, want %s among them", bodies, args[0], args[1])
	}
}
