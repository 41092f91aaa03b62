// Package controlapi is keel's client of the emulator's control port: where hosts can be dialled, reset, and named snapshots.
//
// It shares no types with the emulator, speaks to a loopback address without a proxy, and decides nothing.
package controlapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// ErrNotFound is the cause when what was asked for, a snapshot, is not there.
var ErrNotFound = errors.New("not found")

// maxAnswer bounds what is read of an answer: a snapshot of a large environment.
const maxAnswer = 1 << 30

// Client speaks to one control port.
type Client struct {
	// Control is the port's URL, as http://127.0.0.1:20123.
	Control string
}

// Addresses returns the address of each host that has one of its own, by host name; with names other than loopback there are none.
func (c Client) Addresses(ctx context.Context) (map[string]string, error) {
	var ready struct {
		Addresses map[string]string `json:"addresses"`
	}
	if err := c.call(ctx, http.MethodGet, "/readyz", nil, &ready); err != nil {
		return nil, fmt.Errorf("ask for the addresses of hosts: %w", err)
	}
	return ready.Addresses, nil
}

// Reset makes the emulator forget everything it holds.
func (c Client) Reset(ctx context.Context) error {
	if err := c.call(ctx, http.MethodPost, "/reset", nil, nil); err != nil {
		return fmt.Errorf("reset the emulator: %w", err)
	}
	return nil
}

func (c Client) call(ctx context.Context, method, path string, body []byte, into any) error {
	text, err := c.send(ctx, method, path, body)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return nil
}

func (c Client) send(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.Control, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	// No proxy: the address is on this machine.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: time.Minute}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if response.StatusCode/100 == 2 {
		return text, nil
	}
	return nil, refusal(response, text)
}

// refusal is the error that an answer tells of.
func refusal(response *http.Response, text []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &said) != nil || said.Error == "" {
		said.Error = strings.TrimSpace(string(text[:min(len(text), 200)]))
	}
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w: %s", ErrNotFound, said.Error)
	}
	return fmt.Errorf("%s: %s", response.Status, said.Error)
}
