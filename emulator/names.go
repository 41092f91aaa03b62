package emulator

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"evenkeel/emulator/internal/state"
	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// Names selects the names and ports by which clients reach the emulated hosts, in addition to the emulator's own
// ports.
type Names string

// Values of Names.
const (
	// NamesMap is the default: devices receive the Azure names of their hubs, and evenkeel's clients map them to the
	// data and MQTT ports. It needs no privilege.
	NamesMap Names = "map"
	// NamesLoopback is for unmodified Azure SDKs. Each hub and each provisioning service has its own loopback address
	// with the ports 443, 8883 and 5671 (which refuses AMQP), and devices receive the address of their hub. The
	// device API of all services is also on these ports of 127.0.0.1. Ports below 1024 need a privilege on most
	// systems, and on macOS every address but 127.0.0.1 needs an alias of the loopback interface.
	NamesLoopback Names = "loopback"
	// NamesAzure is for users who map the Azure names to this machine (hosts file, DNS): ports 443 and 8883 of
	// Options.Host serve all names.
	NamesAzure Names = "azure"
)

// Ports of Azure's hosts.
const (
	httpsPort = 443
	mqttPort  = 8883
	amqpPort  = 5671
)

// addressesFile is the file in the data folder that stores the address of each host.
const addressesFile = "addresses.json"

// The first address for hosts. Lower ones are left to other programs on the machine.
const firstAddress, lastAddress = 11, 254

// addresses are the loopback addresses of hubs and provisioning services. They exist only with NamesLoopback.
type addresses struct {
	// file is empty for an emulator in memory.
	file   string
	disk   durable.Disk
	logger *slog.Logger
	// serve listens on an address and serves it until the listeners are closed.
	serve func(address string) ([]net.Listener, error)

	mu     sync.Mutex
	byHost map[string]string
	open   map[string][]net.Listener // by host
	// present are the existing hosts, as last passed to follow. gone are hosts that were served and then deleted,
	// oldest first.
	present []string
	gone    []string
	closed  bool
}

// load reads the stored addresses.
func (a *addresses) load() error {
	a.byHost, a.open = map[string]string{}, map[string][]net.Listener{}
	if a.file == "" {
		return nil
	}
	data, err := a.disk.ReadFile(a.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read remembered addresses: %w", err)
	case durable.IsBlank(data):
		a.logger.Warn("the file of addresses was empty, so new addresses are chosen: clients need the new ones",
			"file", a.file)
		return nil
	}
	err = json.Unmarshal(data, &a.byHost)
	for host, address := range a.byHost {
		if ip := net.ParseIP(address); err == nil && (ip == nil || !ip.IsLoopback()) {
			err = fmt.Errorf("the address %q of %s is not a loopback address", address, host)
		}
	}
	if err != nil {
		return hint.To(fmt.Errorf("read remembered addresses: %s: %w", a.file, err),
			"remove the file to get new addresses, which clients must then use")
	}
	if a.byHost == nil { // the file holds null
		a.byHost = map[string]string{}
	}
	return nil
}

// Host implements iothub.Names. It returns the host of an address.
func (a *addresses) Host(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for host, address := range a.byHost {
		if address == name {
			return host
		}
	}
	return name
}

// Other implements iothub.Names. It returns the address of a host.
func (a *addresses) Other(host string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byHost[strings.ToLower(host)]
}

// ensure assigns an address to a host and serves it, unless it is served already.
func (a *addresses) ensure(host string) (address string, err error) {
	host = strings.ToLower(host)
	a.mu.Lock()
	defer a.mu.Unlock()
	address, known := a.byHost[host]
	if !known {
		if address, err = a.free(); err != nil {
			return "", err
		}
	}
	if a.open[host] == nil && !a.closed {
		if a.open[host], err = a.serve(address); err != nil {
			return address, fmt.Errorf("serve %s: %w", host, err)
		}
		a.gone = slices.DeleteFunc(a.gone, func(other string) bool { return other == host })
	}
	if !known {
		a.byHost[host] = address
		err = a.remember()
	}
	return address, err
}

// free returns an address that no host has. If all are in use, it takes the one of the host that was deleted first.
// a.mu is held.
func (a *addresses) free() (string, error) {
	taken := slices.Collect(maps.Values(a.byHost))
	for n := firstAddress; n <= lastAddress; n++ {
		if address := "127.0.0." + strconv.Itoa(n); !slices.Contains(taken, address) {
			return address, nil
		}
	}
	var absent []string
	for host := range a.byHost {
		if a.open[host] == nil && !slices.Contains(a.present, host) {
			absent = append(absent, host)
		}
	}
	if len(absent) == 0 || a.closed {
		const all = lastAddress - firstAddress + 1
		return "", fmt.Errorf("assign a loopback address: all %d are in use by hubs and provisioning services", all)
	}
	// The order of hosts that were deleted before this process started is unknown; they come first.
	longest := slices.MinFunc(absent, func(x, y string) int {
		return cmp.Or(cmp.Compare(slices.Index(a.gone, x), slices.Index(a.gone, y)), cmp.Compare(x, y))
	})
	address := a.byHost[longest]
	delete(a.byHost, longest)
	a.gone = slices.DeleteFunc(a.gone, func(host string) bool { return host == longest })
	return address, nil
}

func (a *addresses) remember() error {
	if a.file == "" {
		return nil
	}
	data, err := json.MarshalIndent(a.byHost, "", "  ")
	if err == nil {
		err = a.disk.WriteFile(a.file, append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("remember addresses: %w", err)
	}
	return nil
}

// follow serves the existing hosts and stops serving deleted ones. A deleted host keeps its address, in case it is
// created again, until no other address is free.
func (a *addresses) follow(hosts []string) error {
	a.leave(hosts)
	var failures []error
	for _, host := range hosts {
		if _, err := a.ensure(host); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// leave stops serving hosts that no longer exist.
func (a *addresses) leave(present []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.present = present
	for host, listeners := range a.open {
		if !slices.Contains(present, host) {
			closeAll(listeners)
			delete(a.open, host)
			a.gone = append(a.gone, host)
		}
	}
}

func (a *addresses) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, listeners := range a.open {
		closeAll(listeners)
	}
}

// listening returns the addresses that are served.
func (a *addresses) listening() (at []net.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, listeners := range a.open {
		for _, l := range listeners {
			at = append(at, l.Addr())
		}
	}
	return at
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close() // it may be closed already
	}
}

// listenForAzure opens the ports of Azure's hosts on an address and serves them with the data and MQTT surfaces.
func (e *Emulator) listenForAzure(data *http.Server, address string) ([]net.Listener, error) {
	var opened []net.Listener
	for _, port := range []int{e.options.AzurePorts.HTTPS, e.options.AzurePorts.MQTT} {
		at := net.JoinHostPort(address, strconv.Itoa(port))
		l, err := net.Listen("tcp", at)
		if err != nil {
			closeAll(opened)
			return nil, ExplainListen(at, err)
		}
		opened = append(opened, e.bound(l))
	}
	https, mqtt := opened[0], opened[1]
	go e.watch("data", func() error { return data.ServeTLS(https, "", "") })
	secure := func(l net.Listener) net.Listener { return tls.NewListener(l, e.tlsConfig(tls.RequestClientCert)) }
	go e.watch("mqtt", func() error { return e.broker.Serve(secure(mqtt)) })
	at := net.JoinHostPort(address, strconv.Itoa(e.options.AzurePorts.AMQP))
	if l, err := net.Listen("tcp", at); err != nil {
		// AMQP is only refused there, so another process may have the port.
		e.options.Logger.Warn("AMQP clients are not refused: their port is not available", "error",
			ExplainListen(at, err))
	} else {
		amqp := e.bound(l)
		opened = append(opened, amqp)
		go e.watch("amqp", func() error { return e.broker.ServeAMQP(secure(amqp)) })
	}
	return opened, nil
}

// openNames serves the names that Options.Names selects. e.mu is held. After an error nothing stays open.
func (e *Emulator) openNames(data *http.Server) error {
	host := e.options.Host
	switch e.options.Names {
	case NamesMap:
		return nil
	case NamesLoopback:
		host = DefaultHost
		e.addresses.serve = func(address string) ([]net.Listener, error) { return e.listenForAzure(data, address) }
	}
	var err error
	if e.azure, err = e.listenForAzure(data, host); err != nil || e.options.Names == NamesAzure {
		return err
	}
	// Calls in progress may change the hosts meanwhile: from here on each change is followed.
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	e.state.OnHosts(func() {
		select {
		case changed <- struct{}{}:
		default: // the watcher has a pending signal
		}
	})
	if err := e.followHosts(); err != nil {
		closeAll(e.azure)
		e.addresses.close()
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.stopNames = cancel
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			if err := e.followHosts(); err != nil && ctx.Err() == nil {
				e.options.Logger.Error("some hosts cannot be reached by their loopback addresses", "error", err)
			}
		}
	}()
	return nil
}

// followHosts serves the hosts that exist now. An earlier reading never overwrites a later one.
func (e *Emulator) followHosts() error {
	e.following.Lock()
	defer e.following.Unlock()
	hubs, err := e.state.Hubs("", "")
	if err != nil {
		return err
	}
	services, err := e.state.Services("", "")
	if err != nil {
		return err
	}
	var hosts []string
	for _, h := range hubs {
		hosts = append(hosts, strings.ToLower(h.Host()))
	}
	for _, s := range services {
		hosts = append(hosts, strings.ToLower(s.Host()))
	}
	return e.addresses.follow(hosts)
}

// closeNames undoes openNames.
func (e *Emulator) closeNames() {
	if e.stopNames != nil {
		e.stopNames()
	}
	closeAll(e.azure)
	e.addresses.close()
}

// dialName returns the name of a host that a client can connect to.
func (e *Emulator) dialName(host string) string {
	if e.options.Names != NamesLoopback {
		return host
	}
	address, err := e.addresses.ensure(state.ClassicHost(host))
	if err != nil {
		e.options.Logger.Error("a client received the name of a host that it cannot reach", "host", host, "error", err)
	}
	if address == "" {
		return host
	}
	return address
}

// HubAddress returns the name by which clients reach a hub or a provisioning service: its address with NamesLoopback,
// otherwise its host name.
func (e *Emulator) HubAddress(host string) string { return e.dialName(host) }

// Names returns how clients reach the hosts.
func (e *Emulator) Names() Names { return e.options.Names }

// dialable returns the addresses by host, or nil without NamesLoopback. Every host that was created before the call
// is served when it returns.
func (e *Emulator) dialable() map[string]string {
	if e.options.Names != NamesLoopback {
		return nil
	}
	if err := e.followHosts(); err != nil {
		e.options.Logger.Error("some hosts cannot be reached by their loopback addresses", "error", err)
	}
	e.addresses.mu.Lock()
	defer e.addresses.mu.Unlock()
	byHost := maps.Clone(e.addresses.byHost)
	for host, address := range e.addresses.byHost {
		if strings.HasSuffix(host, hubDomain) {
			byHost[state.DeviceHost(host)], byHost[state.ServiceHostOfHub(host)] = address, address
		}
	}
	return byHost
}

// addressesPath is the file that stores the addresses.
func (o Options) addressesPath() string {
	if o.Dir == "" {
		return ""
	}
	return filepath.Join(o.Dir, addressesFile)
}
