package emulator_test

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// TestAddressesOfDeletedHostsAreReused: there are 244; the next host gets that of whichever has been gone for
// the longest time, and an existing host never loses its address.
func TestAddressesOfDeletedHostsAreReused(t *testing.T) {
	t.Parallel()
	const all = 244
	file := filepath.Join(t.TempDir(), "addresses.json")
	ensure, follow, err := emulator.Addresses(file)
	check(t, err)
	address := func(host string) string {
		t.Helper()
		got, err := ensure(host)
		check(t, err)
		return got
	}
	hosts := make([]string, all)
	given := map[string]string{}
	for i := range hosts {
		hosts[i] = fmt.Sprintf("hub-%d.azure-devices.net", i)
	}
	check(t, follow(hosts))
	for _, host := range hosts {
		given[address(host)] = host
	}
	if len(given) != all {
		t.Fatalf("got %d addresses, want %d", len(given), all)
	}
	err = follow(append([]string{"one.azure-devices.net"}, hosts...))
	if err == nil || !strings.Contains(err.Error(), "all 244 are in use") {
		t.Errorf("one too many: got %v, want that all are in use", err)
	}
	seventh, third := address(hosts[7]), address(hosts[3])
	check(t, follow(append(hosts[:7:7], hosts[8:]...)))
	check(t, follow(append(append(hosts[:3:3], hosts[4:7]...), hosts[8:]...)))
	if got := address("one.azure-devices.net"); got != seventh {
		t.Errorf("got %s, want %s of the host that went first", got, seventh)
	}
	if got := address(strings.ToUpper(hosts[3])); got != third {
		t.Errorf("a host that comes back: got %s, want %s as before", got, third)
	}
	if _, err := ensure("two.azure-devices.net"); err == nil {
		t.Error("got an address though all are in use")
	}

	// A process that begins with all remembered gives none of a host that is there, whichever it serves first.
	present := append(append([]string{"new.azure-devices.net"}, hosts[:7]...), hosts[8:]...)
	ensure, follow, err = emulator.Addresses(file)
	check(t, err)
	check(t, follow(present))
	if got := address("new.azure-devices.net"); got != seventh {
		t.Errorf("after a restart: got %s, want %s, which is the only one free", got, seventh)
	}
	for want, host := range given {
		if host != hosts[7] && address(host) != want {
			t.Errorf("%s: got %s after a restart, want %s", host, address(host), want)
		}
	}
}

// TestAHostIsServedWhenItsChangeIsAnswered, or as soon as its address is requested, and no longer after its group was
// deleted.
func TestAHostIsServedWhenItsChangeIsAnswered(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8 without set-up")
	}
	e, ports := runNamed(t, emulator.Options{Names: emulator.NamesLoopback})
	w := plain(t, e)
	reached := func(host string) error {
		t.Helper()
		_, ready := controlCall(t, e, "GET", "/readyz", "")
		addresses, _ := ready["addresses"].(map[string]any)
		address, _ := addresses[host].(string)
		if address == "" {
			t.Fatalf("got the addresses %v, want one of %s, which was made before", addresses, host)
		}
		at := net.JoinHostPort(address, strconv.Itoa(ports.HTTPS))
		conn, err := (&net.Dialer{}).DialContext(await.Context(t), "tcp", at)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	w.must("PUT", groupPath+groupVersion, groupJSON)
	for n := range 20 {
		path := strings.Replace(hubPath, "hub-1", fmt.Sprint("hub-", n), 1)
		w.must("PUT", path+hubVersion, hubJSON)
		check(t, reached(fmt.Sprintf("hub-%d.azure-devices.net", n)))
	}
	w.must("DELETE", groupPath+groupVersion, "")
	await.Until(t, "the end of the hubs of the deleted group", func() error {
		for n := range 20 {
			if err := reached(fmt.Sprintf("hub-%d.azure-devices.net", n)); !errors.Is(err, syscall.ECONNREFUSED) {
				return fmt.Errorf("hub-%d: got %v, want a refused connection", n, err)
			}
		}
		return nil
	})
}
