//go:build limits

package emulator_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"evenkeel/emulator"
)

// The load that an emulator supports (`make limits`): a million enrollments, and ten thousand devices at once. The
// emulator is a process of its own, so that its memory is not the tests'.

// memoryOf is a line of a process's status in MiB: VmRSS is what it has now, VmHWM the most it ever had. Only Linux
// has it.
func (c *child) memoryOf(t *testing.T, line string) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		t.Skipf("this system does not tell the memory of a process: %v", err)
	}
	for found := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(found, line+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			check(t, err)
			return kib / 1024
		}
	}
	t.Fatalf("no %s in the status of the process", line)
	return 0
}

// bytesIn is the size of a folder's files.
func bytesIn(t *testing.T, dir string) (total int64) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	}))
	return total
}

func TestLimitAMillionEnrollments(t *testing.T) {
	const enrollments, bulk, workers = 1_000_000, 10, 16
	const mostBytes, mostMemory, mostTime = 1024, 600, 2 * time.Second
	f := newFleet(t)
	c, err := startChild(t, f.dir)
	check(t, err)
	before := bytesIn(t, f.dir)
	loading := time.Now()
	var next atomic.Int64
	var running errgroup.Group
	for range workers {
		running.Go(func() error {
			for {
				first := next.Add(bulk) - bulk
				if first >= enrollments {
					return nil
				}
				if err := f.load(int(first), bulk); err != nil {
					return err
				}
			}
		})
	}
	check(t, running.Wait())
	took := time.Since(loading)
	row := float64(bytesIn(t, f.dir)-before) / enrollments
	peak := c.memoryOf(t, "VmHWM")
	c.kill()

	starting := time.Now()
	c, err = startChild(t, f.dir)
	check(t, err)
	for _, n := range []int{0, enrollments / 2, enrollments - 1} {
		if status, body := f.on(serviceHost, "GET", fmt.Sprintf("/enrollments/device-%d?api-version=2021-10-01", n), "",
			f.owner); status != http.StatusOK {
			t.Errorf("device-%d: got %d %v", n, status, body)
		}
	}
	again := time.Since(starting)
	rested := c.memoryOf(t, "VmRSS")
	var counts emulator.Counts
	_, text := f.control("GET", "/counts", "")
	check(t, json.Unmarshal([]byte(text), &counts))
	t.Logf("%d enrollments in %s: %.0f bytes a row on disk, %.0f MiB at most; after kill -9 answering again in %s "+
		"with %.0f MiB",
		counts.Enrollments, took.Round(time.Second), row, peak, again.Round(time.Millisecond), rested)
	if counts.Enrollments != enrollments || row > mostBytes || peak > mostMemory || again > mostTime {
		t.Errorf("got %d enrollments, %.0f bytes, %.0f MiB, %s; want %d, at most %d, %d and %s", counts.Enrollments,
			row, peak, again, enrollments, mostBytes, mostMemory, mostTime)
	}
}

// load enrolls devices in one bulk operation; the service makes their keys.
func (f *fleet) load(first, count int) error {
	entries := make([]string, count)
	for i := range entries {
		entries[i] = fmt.Sprintf(`{"registrationId":"device-%d","attestation":{"type":"symmetricKey"}}`, first+i)
	}
	r, err := http.NewRequest("POST", f.e.Endpoints().Data+"/enrollments?api-version=2021-10-01",
		strings.NewReader(`{"mode":"create","enrollments":[`+strings.Join(entries, ",")+`]}`))
	if err != nil {
		return err
	}
	r.Host = serviceHost
	r.Header.Set("Authorization", f.owner)
	response, err := f.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var body struct{ IsSuccessful bool }
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !body.IsSuccessful {
		return fmt.Errorf("bulk operation from device-%d: got %s", first, response.Status)
	}
	return nil
}

func TestLimitTenThousandDevicesAtOnce(t *testing.T) {
	const devices, dialling = 10_000, 64
	if err := wantFiles(devices + 500); err != nil {
		t.Skip(err)
	}
	f := newFleet(t)
	c, err := startChild(t, f.dir)
	check(t, err)
	ids := make([]string, devices)
	for i := range ids {
		ids[i] = fmt.Sprintf("device-%d", i)
	}
	owner := token(t, hub1, "iothubowner", f.firstKey(groupPath+
		"/providers/Microsoft.Devices/IotHubs/hub-1/IotHubKeys/iothubowner", hubVersion))
	for batch := range slices.Chunk(ids, 100) {
		made := make([]string, len(batch))
		for i, id := range batch {
			made[i] = fmt.Sprintf(
				`{"id":%q,"importMode":"create","authentication":{"type":"sas","symmetricKey":{"primaryKey":%q,"secondaryKey":%q}}}`, id, primary, secondary)
		}
		if status, body := f.on(hub1, "POST", "/devices?api-version=2021-04-12", "["+strings.Join(made, ",")+"]",
			owner); status != http.StatusOK {
			t.Fatalf("make devices: got %d %v", status, body)
		}
	}
	empty := c.memoryOf(t, "VmRSS")
	connections := make([]*tls.Conn, devices)
	t.Cleanup(func() {
		for _, one := range connections {
			if one != nil {
				_ = one.Close()
			}
		}
	})
	connecting := time.Now()
	var running errgroup.Group
	running.SetLimit(dialling)
	for i, id := range ids {
		running.Go(func() (err error) {
			connections[i], err = f.connect(t.Context(), id)
			return err
		})
	}
	check(t, running.Wait())
	took := time.Since(connecting)
	full := c.memoryOf(t, "VmRSS")
	for i, one := range connections {
		running.Go(func() error { return ping(one, ids[i]) })
	}
	check(t, running.Wait())
	status, statistics := f.on(hub1, "GET", "/statistics/service?api-version=2021-04-12", "", owner)
	if status != http.StatusOK || statistics["connectedDeviceCount"] != float64(devices) {
		t.Errorf("got %d %v, want %d devices connected", status, statistics, devices)
	}
	t.Logf("%d devices connected in %s, all answered a ping: %.0f MiB, %.1f KiB a device over the %.0f MiB before",
		devices, took.Round(time.Second), full, (full-empty)*1024/devices, empty)
}

// connect opens the MQTT connection of a device and sees it accepted.
func (f *fleet) connect(ctx context.Context, id string) (*tls.Conn, error) {
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: f.roots, ServerName: hub1, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", f.e.Endpoints().MQTT)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	text := func(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }
	packet := append(text("MQTT"), 4, 0xc2, 4, 0x99) // 3.1.1; user name, password and clean session; keep-alive 1,177 s
	for _, field := range []string{id, hub1 + "/" + id + "/?api-version=2021-04-12", token(f.t, hub1+"/devices/"+id, "",
		primary)} {
		packet = append(packet, text(field)...)
	}
	if _, err := conn.Write(append(binary.AppendUvarint([]byte{0x10}, uint64(len(packet))), packet...)); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return conn.(*tls.Conn), expect(conn.(*tls.Conn), id, 0x20, 2, 0, 0)
}

func ping(conn *tls.Conn, id string) error {
	if _, err := conn.Write([]byte{0xc0, 0}); err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	return expect(conn, id, 0xd0, 0)
}

// expect reads a packet.
func expect(conn *tls.Conn, id string, want ...byte) error {
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s: got the packet % x, want % x", id, got, want)
	}
	return nil
}
