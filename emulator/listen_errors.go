package emulator

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"evenkeel/internal/hint"
)

// isAddressMissing reports whether listening failed because no network interface has the address. A container or a
// network namespace may have only the IPv6 loopback address.
func isAddressMissing(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }

// ExplainListen adds the cause of common errors of listening on address (host:port), and a hint.
func ExplainListen(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: %w; on Linux allow it with sysctl net.ipv4.ip_unprivileged_port_start=443 "+
			"or setcap cap_net_bind_service=+ep on the program",
			address, err)
	case isAddressMissing(err):
		advice := "add the address to the loopback interface: ip address add 127.0.0.1/8 dev lo"
		if runtime.GOOS == "darwin" {
			advice = "add the address to the loopback interface: ifconfig lo0 alias ADDRESS"
		}
		return hint.To(fmt.Errorf("listen on %s: no network interface has this address: %w", address, err), advice)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: the port is in use by another process: %w", address, err)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}
