package emulator

import (
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"evenkeel/emulator/internal/registration"
)

// webhookDialTimeout limits a dial. The call as a whole has its own limit.
const webhookDialTimeout = 30 * time.Second

// webhookTransport sends calls of webhooks to any address but the emulator's own ports. It checks the address that is
// dialled, whatever name it was resolved from.
func (e *Emulator) webhookTransport() *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if common, ok := http.DefaultTransport.(*http.Transport); ok { // a program may have replaced it
		t = common.Clone()
	}
	t.DialContext = (&net.Dialer{Timeout: webhookDialTimeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			if to, err := netip.ParseAddrPort(address); err != nil || e.owns(to) {
				return registration.ErrOwnAddress
			}
			return nil
		}}).DialContext
	return t
}

// owns reports whether the emulator listens at the address of a dial.
func (e *Emulator) owns(to netip.AddrPort) bool {
	ip := to.Addr().Unmap().WithZone("")
	for _, addr := range e.listening() {
		tcp, ok := addr.(*net.TCPAddr)
		if !ok || tcp.Port != int(to.Port()) {
			continue
		}
		own := tcp.AddrPort().Addr().Unmap().WithZone("")
		switch {
		case own == ip:
			return true
		case ip.IsUnspecified(): // a dial of 0.0.0.0 or :: goes to the loopback address
			if own.IsLoopback() || own.IsUnspecified() {
				return true
			}
		case own.IsUnspecified():
			if ip.IsLoopback() || isOfThisMachine(ip) {
				return true
			}
		}
	}
	return false
}

// listening returns all addresses that the emulator serves.
func (e *Emulator) listening() []net.Addr {
	e.mu.Lock()
	open, azure := e.listeners, e.azure
	e.mu.Unlock()
	at := e.addresses.listening()
	if open != nil {
		at = append(at, open.arm.Addr(), open.data.Addr(), open.mqtt.Addr(), open.control.Addr())
	}
	for _, l := range azure {
		at = append(at, l.Addr())
	}
	return at
}

func isOfThisMachine(ip netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true // if in doubt, refuse
	}
	for _, addr := range all {
		if network, ok := addr.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(network.IP); ok && own.Unmap() == ip {
				return true
			}
		}
	}
	return false
}
