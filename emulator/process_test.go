package emulator_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"evenkeel/dpsdevice"
	"evenkeel/emulator"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

// What a process of its own shows: being killed, a disk that runs full, a store that is damaged. The child is this test
// binary.

const (
	// serveVariable makes this binary serve an emulator in that folder until it is killed.
	serveVariable = "EVENKEEL_TEST_SERVE"
	// fileSizeVariable is the largest file that it may write, in bytes.
	fileSizeVariable = "EVENKEEL_TEST_FILE_SIZE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveVariable); dir != "" {
		if err := serveChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serveChild(dir string) error {
	if text := os.Getenv(fileSizeVariable); text != "" {
		limit, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return err
		}
		if err := limitFileSize(limit); err != nil {
			return err
		}
	}
	e, err := emulator.New(emulator.Options{Dir: dir})
	if err != nil {
		return err
	}
	if err := e.Start(); err != nil {
		return errors.Join(err, e.Close())
	}
	fmt.Println("ready")
	return e.Run(context.Background())
}

// child is an emulator in a process of its own.
type child struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

// startChild starts one and returns when it serves or has ended; the latter is an error. It waits for ports that
// another process took while no emulator was up: those who follow the fleet know no others.
func startChild(t *testing.T, dir string, more ...string) (c *child, err error) {
	t.Helper()
	await.Until(t, "the ports that the folder remembers", func() error {
		c, err = startOne(t, dir, more...)
		if err != nil && strings.Contains(err.Error(), "in use by another process") {
			return err
		}
		return nil
	})
	return c, err
}

func startOne(t *testing.T, dir string, more ...string) (*child, error) {
	t.Helper()
	c := &child{cmd: exec.CommandContext(t.Context(), os.Args[0])}
	c.cmd.Env = append(append(os.Environ(), serveVariable+"="+dir), more...)
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	check(t, err)
	check(t, c.cmd.Start())
	ready := make(chan error, 1)
	go func() {
		_, err := out.Read(make([]byte, len("ready\n")))
		ready <- err
	}()
	if err := await.Next(t, ready, "the child's first word"); err != nil {
		return c, errors.Join(c.cmd.Wait(), errors.New(c.stderr.String()))
	}
	t.Cleanup(c.kill)
	return c, nil
}

// kill ends the child without a warning; once more does nothing.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill() // it may have ended already
		_ = c.cmd.Wait()
	}
}

// fleet is the devices of the group "fleet" in an emulator that runs as a child process, and the hubs that were
// acknowledged to them.
type fleet struct {
	*yard
	dir, groupKey string

	mu       sync.Mutex
	assigned map[string]string // by id, the hub
}

// newFleet makes a cloud in a folder of its own, and leaves the folder to children.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{dir: t.TempDir(), assigned: map[string]string{}}
	f.yard = newYard(t, emulator.Options{Dir: f.dir})
	key, err := sas.NewKey(nil)
	check(t, err)
	f.groupKey = key
	f.service("PUT", "/enrollmentGroups/fleet",
		fmt.Sprintf(`{"enrollmentGroupId":"fleet","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":%q,"secondaryKey":%q}}}`, key, key))
	check(t, f.e.Close())
	return f
}

// register registers a device over HTTPS or MQTT.
func (f *fleet) register(ctx context.Context, id string, by dpsdevice.Transport) (dpsdevice.Registration, error) {
	key, err := sas.DeriveDeviceKey(f.groupKey, id)
	if err != nil {
		return dpsdevice.Registration{}, err
	}
	return dpsdevice.Register(ctx, dpsdevice.Options{
		IDScope: f.scope, RegistrationID: id, Credential: dpsdevice.SymmetricKey(key), Transport: by,
		Network: dpsdevice.Network{
			Address: dpsdevice.Loopback(strings.TrimPrefix(f.e.Endpoints().Data, "https://"), f.e.Endpoints().MQTT),
			TLS:     &tls.Config{RootCAs: f.roots, MinVersion: tls.VersionTLS12},
		},
	})
}

// registerUntil lets many clients register devices concurrently until that many registrations were acknowledged, and
// then kills the child. It returns the devices with an acknowledgement.
func (f *fleet) registerUntil(ctx context.Context, c *child, round, acknowledgements int) []string {
	const clients = 64
	var acknowledged []string
	var running errgroup.Group
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for client := range clients {
		by := []dpsdevice.Transport{dpsdevice.HTTPS, dpsdevice.MQTT}[client%2]
		running.Go(func() error {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("device-%d-%d-%d", round, client, n)
				r, err := f.register(ctx, id, by)
				if err != nil {
					continue // the child is being killed: the loop ends with it
				}
				f.mu.Lock()
				f.assigned[id] = r.Hub
				if acknowledged = append(acknowledged, id); len(acknowledged) == acknowledgements {
					c.kill()
					stop()
				}
				f.mu.Unlock()
			}
			return nil
		})
	}
	_ = running.Wait() // the error does not matter
	return acknowledged
}

// verify asks the service where devices are.
func (f *fleet) verify(ids []string) {
	f.t.Helper()
	lost := 0
	for _, id := range ids {
		status, body := f.on(serviceHost, "GET", "/registrations/"+id+"?api-version=2021-10-01", "", f.owner)
		if status != http.StatusOK || body["status"] != "assigned" || body["assignedHub"] != f.assigned[id] {
			if lost++; lost < 5 {
				f.t.Errorf("%s: got %d %v, want it assigned to %s as acknowledged", id, status, body, f.assigned[id])
			}
		}
	}
	if lost > 0 {
		f.t.Errorf("got %d of %d assignments lost, want 0", lost, len(ids))
	}
}

// TestAssignmentsSurviveAKill kills it in the midst of 64 registering clients, right after a seeded number of
// acknowledgements, and looks for all of them after the next start.
func TestAssignmentsSurviveAKill(t *testing.T) {
	t.Parallel()
	rounds := 20
	if testing.Short() {
		rounds = 2
	}
	f := newFleet(t)
	chance := rand.New(rand.NewPCG(20, 1))
	for round := range rounds {
		ctx := await.Context(t)
		c, err := startChild(t, f.dir)
		check(t, err)
		acknowledged := f.registerUntil(ctx, c, round, 1+chance.IntN(200))
		c.kill()
		if ctx.Err() != nil {
			t.Fatalf("round %d: only %d devices were assigned in time; the child said %s", round, len(acknowledged),
				c.stderr.String())
		}
		if c, err = startChild(t, f.dir); err != nil {
			t.Fatalf("round %d: start again: %v", round, err)
		}
		f.verify(acknowledged)
		// Who registers again stays where it is.
		again, err := f.register(ctx, acknowledged[0], dpsdevice.HTTPS)
		if err != nil || again.Hub != f.assigned[acknowledged[0]] {
			t.Errorf("round %d: %s registers again: got %s, %v, want %s", round, acknowledged[0], again.Hub, err,
				f.assigned[acknowledged[0]])
		}
		c.kill()
	}
	f.verifyDevices()
}

// verifyDevices looks at the hubs: each assigned device is there, and on no other.
func (f *fleet) verifyDevices() {
	f.t.Helper()
	e, err := emulator.New(emulator.Options{Dir: f.dir})
	check(f.t, err)
	defer e.Close()
	on := map[string][]string{}
	for _, hub := range []string{hub1, hub2} {
		ids, err := e.Devices(hub)
		check(f.t, err)
		for _, id := range ids {
			on[id] = append(on[id], hub)
		}
	}
	for id, hub := range f.assigned {
		if got := on[id]; len(got) != 1 || got[0] != hub {
			f.t.Errorf("%s: got it on %v, want on %s alone", id, got, hub)
		}
	}
	f.t.Logf("%d assignments survived", len(f.assigned))
}

// TestFullDiskIsReported lets the store's files grow to a limit of the operating system: what is refused says why and
// what to do, what is acknowledged is there later.
func TestFullDiskIsReported(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	c, err := startChild(t, f.dir, fileSizeVariable+"=300000")
	if err != nil && strings.Contains(err.Error(), errNoLimit.Error()) {
		t.Skip(errNoLimit)
	}
	check(t, err)
	put := func(id string) (int, map[string]any) {
		return f.on(serviceHost, "PUT", "/enrollments/"+id+"?api-version=2021-10-01",
			fmt.Sprintf(`{"registrationId":%q,%s}`, id, keyed), f.owner)
	}
	kept := 0
	status, body := put("device-0")
	for ; status == http.StatusOK && kept < 100_000; status, body = put(fmt.Sprint("device-", kept)) {
		kept++
	}
	message, _ := body["message"].(string)
	if status != http.StatusInternalServerError || !strings.Contains(message, "free disk space") {
		t.Fatalf("after %d enrollments: got %d %v, want 500 that says what to do", kept, status, body)
	}
	if status, body := put("another"); status != http.StatusInternalServerError {
		t.Errorf("another one: got %d %v, want it refused too", status, body)
	}
	if status, body := f.on(serviceHost, "GET", "/enrollments/device-0?api-version=2021-10-01", "",
		f.owner); status != http.StatusOK {
		t.Errorf("reading: got %d %v, want what was acknowledged", status, body)
	}
	if status, text := get(t, await.Client, f.e.Endpoints().Control+
		"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "free disk space") {
		t.Errorf("readiness: got %d %s, want 503 and the reason", status, text)
	}
	c.kill()
	_, err = startChild(t, f.dir)
	check(t, err)
	for n := range kept {
		if status, body := f.on(serviceHost, "GET", fmt.Sprintf("/enrollments/device-%d?api-version=2021-10-01", n), "",
			f.owner); status != http.StatusOK {
			t.Fatalf("device-%d, after the start: got %d %v, want it as acknowledged", n, status, body)
		}
	}
	if status, body := put("another"); status != http.StatusOK {
		t.Errorf("with room again: got %d %v, want 200", status, body)
	}
	t.Logf("%d enrollments were acknowledged and kept", kept)
}

// TestDamagedStoreIsReportedAndUnchanged: the emulator does not start, says why and what to do, and touches nothing.
func TestDamagedStoreIsReportedAndUnchanged(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	store := filepath.Join(f.dir, "store")
	manifests, err := filepath.Glob(filepath.Join(store, "MANIFEST-*"))
	check(t, err)
	if len(manifests) == 0 {
		t.Fatal("the store has no manifest to damage")
	}
	text, err := os.ReadFile(manifests[0])
	check(t, err)
	text[len(text)/2] ^= 0x40
	check(t, os.WriteFile(manifests[0], text, 0o600))
	before := contents(t, store)
	_, err = startChild(t, f.dir)
	if err == nil || !strings.Contains(err.Error(),
		"the store is damaged: restore the folder from a backup, or remove it") ||
		!strings.Contains(err.Error(), store) {
		t.Errorf("got %v, want what is damaged, where, and what to do", err)
	}
	if after := contents(t, store); after != before {
		t.Errorf("got the store changed:\n%s\nwant as before:\n%s", after, before)
	}
}

// contents sums up the files of a folder.
func contents(t *testing.T, dir string) string {
	t.Helper()
	sums := map[string]string{}
	check(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		sums[path] = fmt.Sprintf("%d bytes, %x", len(data), sha256.Sum256(data))
		return err
	}))
	text, err := json.MarshalIndent(sums, "", " ")
	check(t, err)
	return string(text)
}
