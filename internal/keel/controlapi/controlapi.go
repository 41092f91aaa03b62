// Package controlapi is keel's client of the emulator's control port: the addresses of hosts, reset, and named
// snapshots.
//
// It shares no types with the emulator, and connects to a loopback address without a proxy.
package controlapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"evenkeel/internal/hint"
)

// ErrNotFound is the cause if a snapshot does not exist.
var ErrNotFound = errors.New("not found")

// maxAnswer bounds the size of a response: a snapshot of a large environment.
const maxAnswer = 1 << 30

// patience is how long a response may take to begin. The emulator writes a snapshot of a million enrollments before
// that.
const patience = 5 * time.Minute

// Client is a client of one control port.
type Client struct {
	// Control is the port's URL, as http://127.0.0.1:20123.
	Control string
	// TokenFile holds the token that the port asks for. An emulator of an earlier version has no such file, and asks
	// for none.
	TokenFile string
}

// Addresses returns the addresses of hosts, by host name; none unless the emulator has the names loopback.
func (c Client) Addresses(ctx context.Context) (map[string]string, error) {
	var ready struct {
		Addresses map[string]string `json:"addresses"`
	}
	if err := c.call(ctx, http.MethodGet, "/readyz", &ready); err != nil {
		return nil, fmt.Errorf("read the addresses of hosts: %w", err)
	}
	return ready.Addresses, nil
}

// Reset deletes all state of the emulator.
func (c Client) Reset(ctx context.Context) error {
	if err := c.call(ctx, http.MethodPost, "/reset", nil); err != nil {
		return fmt.Errorf("reset the emulator: %w", err)
	}
	return nil
}

// HubDevices returns how many devices each hub has, by host name in lower case.
func (c Client) HubDevices(ctx context.Context) (map[string]int, error) {
	var devices map[string]int
	if err := c.call(ctx, http.MethodGet, "/hubs", &devices); err != nil {
		return nil, fmt.Errorf("count the devices of hubs: %w", err)
	}
	return devices, nil
}

// Devices returns the ids of the devices of a hub.
func (c Client) Devices(ctx context.Context, hubHost string) ([]string, error) {
	var ids []string
	if err := c.call(ctx, http.MethodGet, "/hubs/"+url.PathEscape(hubHost)+"/devices", &ids); err != nil {
		return nil, fmt.Errorf("list the devices of %s: %w", hubHost, err)
	}
	return ids, nil
}

// Snapshot is one of the emulator's named snapshots.
type Snapshot struct {
	Name  string    `json:"name"`
	Bytes int64     `json:"bytes"`
	Saved time.Time `json:"saved"`
}

// Snapshots lists the snapshots.
func (c Client) Snapshots(ctx context.Context) ([]Snapshot, error) {
	list := []Snapshot{} // [] rather than null
	if err := c.call(ctx, http.MethodGet, "/snapshots", &list); err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	return list, nil
}

// SaveSnapshot saves the emulator's state under a name; an existing snapshot of that name is replaced.
func (c Client) SaveSnapshot(ctx context.Context, name string) error {
	if err := c.call(ctx, http.MethodPut, "/snapshots/"+url.PathEscape(name), nil); err != nil {
		return fmt.Errorf("save snapshot %q: %w", name, err)
	}
	return nil
}

// RestoreSnapshot replaces the emulator's state with a snapshot.
func (c Client) RestoreSnapshot(ctx context.Context, name string) error {
	if err := c.call(ctx, http.MethodPost, "/snapshots/"+url.PathEscape(name)+"/restore", nil); err != nil {
		return fmt.Errorf("restore snapshot %q: %w", name, err)
	}
	return nil
}

// Snapshot returns the JSON document of a snapshot, which contains keys.
func (c Client) Snapshot(ctx context.Context, name string) ([]byte, error) {
	text, err := c.send(ctx, http.MethodGet, "/snapshots/"+url.PathEscape(name))
	if err != nil {
		return nil, fmt.Errorf("read snapshot %q: %w", name, err)
	}
	return text, nil
}

// DeleteSnapshot removes a snapshot.
func (c Client) DeleteSnapshot(ctx context.Context, name string) error {
	if err := c.call(ctx, http.MethodDelete, "/snapshots/"+url.PathEscape(name), nil); err != nil {
		return fmt.Errorf("delete snapshot %q: %w", name, err)
	}
	return nil
}

func (c Client) call(ctx context.Context, method, path string, into any) error {
	text, err := c.send(ctx, method, path)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return nil
}

func (c Client) send(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.Control, "/")+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(c.TokenFile)
	if err != nil && c.TokenFile != "" && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the token of the control port: %w", err)
	}
	if text := strings.TrimSpace(string(token)); text != "" {
		request.Header.Set("Authorization", "Bearer "+text)
	}
	// No proxy: the address is on this machine.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: patience}}
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
	return nil, responseError(response, text)
}

// responseError returns the error in a response.
func responseError(response *http.Response, text []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &said) != nil || said.Error == "" {
		said.Error = strings.TrimSpace(string(text[:min(len(text), 200)]))
	}
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w: %s", ErrNotFound, said.Error)
	}
	err := fmt.Errorf("%s: %s", response.Status, said.Error)
	if response.StatusCode == http.StatusUnauthorized {
		return hint.To(err, TokenAdvice)
	}
	return err
}

// TokenAdvice is the hint of an error about the token of the control port.
const TokenAdvice = "restart the emulator, which creates a missing token: keel emulator stop && keel emulator start"
