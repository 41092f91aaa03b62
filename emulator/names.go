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

// Names says under which names, and on which ports, clients reach the emulated hosts beside the emulator's own ports.
type Names string

// Ways to reach the hosts.
const (
	// NamesMap, the default: devices are told the Azure names of their hubs, and our clients know that these are found on the data and
	// MQTT ports. Needs no privilege.
	NamesMap Names = "map"
	// NamesLoopback is for Azure's own SDKs, unmodified: each hub and each provisioning service has a loopback address of its own, with
	// ports 443 and 8883 (and 5671, which refuses AMQP), and devices are told that of their hub; the device API of all services is on those ports of 127.0.0.1 too.
	// Ports under 1024 need a privilege on most systems, and addresses beside 127.0.0.1 need an alias of the loopback interface on macOS.
	NamesLoopback Names = "loopback"
	// NamesAzure is for who maps the Azure names to this machine (hosts file, DNS): ports 443 and 8883 of Options.Host serve them all.
	NamesAzure Names = "azure"
)

// Ports of Azure's hosts.
const (
	httpsPort = 443
	mqttPort  = 8883
	amqpPort  = 5671
)

// addressesFile remembers in the data folder which host has which address.
const addressesFile = "addresses.json"

// Addresses of hosts are taken from here on; those before are for whatever else the machine has.
const firstAddress, lastAddress = 11, 254

// addresses are the loopback addresses of hubs and provisioning services; with other Names there are none.
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
	// present are the hosts that there are, as far as follow was told; gone those that were served and went, the
	// first first.
	present []string
	gone    []string
	closed  bool
}

// load reads what is remembered.
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
		a.logger.Warn("new addresses are chosen, because their file is empty: clients need the new ones",
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
			"remove the file to have new addresses chosen, which clients must then use")
	}
	if a.byHost == nil { // the file says null
		a.byHost = map[string]string{}
	}
	return nil
}

// Host implements iothub.Names: the host of an address.
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

// Other implements iothub.Names: the address of a host.
func (a *addresses) Other(host string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byHost[strings.ToLower(host)]
}

// ensure gives a host its address and serves it, unless it is served already.
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

// free is an address that no host has, or else that of the host that has been gone for the longest time; a.mu is held.
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
		return "", fmt.Errorf("give a loopback address: all %d are in use by hubs and provisioning services", all)
	}
	// Hosts that were gone before this process began are in no order; they come first.
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

// follow serves the hosts that there are, and no longer those that are gone; these keep their address for when they
// come back, until there is no other.
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

// leave ends the serving of hosts that are not among those that there are.
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

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close() // closed before is as good
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
		// Whoever has the port: nothing here is missing without it.
		e.options.Logger.Warn("clients of AMQP are not told that there is none", "error", ExplainListen(at, err))
	} else {
		amqp := e.bound(l)
		opened = append(opened, amqp)
		go e.watch("amqp", func() error { return e.broker.ServeAMQP(secure(amqp)) })
	}
	return opened, nil
}

// openNames serves what Options.Names asks for; e.mu is held. Nothing stays open after an error.
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
	// Calls under way may change them meanwhile: from here on each change is followed.
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	e.state.OnHosts(func() {
		select {
		case changed <- struct{}{}:
		default: // it will look again anyway
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

// followHosts serves the hosts that there are now. An older look never undoes a newer one.
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

// closeNames ends what openNames began.
func (e *Emulator) closeNames() {
	if e.stopNames != nil {
		e.stopNames()
	}
	closeAll(e.azure)
	e.addresses.close()
}

// told is the name of a host that a client can dial.
func (e *Emulator) told(host string) string {
	if e.options.Names != NamesLoopback {
		return host
	}
	address, err := e.addresses.ensure(state.ClassicHost(host))
	if err != nil {
		e.options.Logger.Error("a client was told a host that cannot be reached", "host", host, "error", err)
	}
	if address == "" {
		return host
	}
	return address
}

// HubAddress is the name by which clients reach a hub or a provisioning service: an address with NamesLoopback, else its host name.
func (e *Emulator) HubAddress(host string) string { return e.told(host) }

// Names says how clients find the hosts.
func (e *Emulator) Names() Names { return e.options.Names }

// dialable are the addresses by host; nil but for NamesLoopback. A host that was made before the call is served when
// it returns.
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

// addressesPath is where addresses are remembered.
func (o Options) addressesPath() string {
	if o.Dir == "" {
		return ""
	}
	return filepath.Join(o.Dir, addressesFile)
}
