package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"syscall"

	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// endpointsFile remembers the ports in the data folder.
const endpointsFile = "endpoints.json"

// Endpoints are where a started emulator is found, and what a client needs to be let in.
type Endpoints struct {
	// ARM is the URL of Azure Resource Manager, of the token endpoint and of /metadata/endpoints.
	ARM string
	// Data is the URL of the DPS device API, the DPS service API and the IoT hubs; the Host header picks.
	Data string
	// MQTT is the address, host:port, of MQTT over TLS for DPS and the hubs; the user name picks.
	MQTT string
	// Control is the URL of the management surface. Everything there but health asks for ControlToken, as a bearer token.
	Control      string
	ControlToken string
	// ControlTokenFile holds that token; empty for an emulator in memory, except by RunT.
	ControlTokenFile string
	// CAFile holds the root certificate to trust, in PEM; empty for an emulator in memory, except by RunT.
	CAFile string
	// CAPEM is that certificate.
	CAPEM []byte
	// TenantID, ClientID and ClientSecret get access tokens for ARM.
	TenantID, ClientID, ClientSecret string
	// ClientCertificateFile holds a certificate of the client with its key, in PEM; empty for an emulator in memory.
	ClientCertificateFile string
	SubscriptionID        string
}

// PortTakenError says that a port which the emulator was told to use, or remembers, is in use by another process.
type PortTakenError struct {
	// Surface is "arm", "data", "mqtt" or "control".
	Surface string
	// Address is host:port.
	Address string
	// Remembered is the file that the port was remembered in; empty when it was asked for.
	Remembered string
	Err        error
}

// Error names the surface and the address.
func (e *PortTakenError) Error() string {
	return fmt.Sprintf("listen on %s for %s: the port is in use by another process", e.Address, e.Surface)
}

// Unwrap returns the operating system's error.
func (e *PortTakenError) Unwrap() error { return e.Err }

// listeners are the sockets of an emulator, in the order in which they are named.
type listeners struct {
	arm, data, mqtt, control net.Listener
}

func (l *listeners) close() {
	for _, listener := range []net.Listener{l.arm, l.data, l.mqtt, l.control} {
		if listener != nil {
			_ = listener.Close() // closed before is as good
		}
	}
}

// listen opens all ports, or none, and remembers them in dir.
func listen(o Options) (*listeners, error) {
	var remembered Ports
	file := ""
	if o.Dir != "" {
		file = filepath.Join(o.Dir, endpointsFile)
		var err error
		if remembered, err = readPorts(o, file); err != nil {
			return nil, err
		}
	}
	l := &listeners{}
	var used Ports
	for _, s := range []struct {
		name         string
		asked, known int
		listener     *net.Listener
		port         *int
	}{
		{"arm", o.Ports.ARM, remembered.ARM, &l.arm, &used.ARM},
		{"data", o.Ports.Data, remembered.Data, &l.data, &used.Data},
		{"mqtt", o.Ports.MQTT, remembered.MQTT, &l.mqtt, &used.MQTT},
		{"control", o.Ports.Control, remembered.Control, &l.control, &used.Control},
	} {
		port, from := s.asked, ""
		if port == 0 && s.known != 0 {
			port, from = s.known, file
		}
		listener, err := open(s.name, o, port, from)
		if err != nil {
			l.close()
			return nil, err
		}
		*s.listener = listener
		*s.port = listener.Addr().(*net.TCPAddr).Port
	}
	if file != "" && used != remembered {
		if err := writePorts(o.disk, file, used); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// Ports to be remembered are chosen under the range that operating systems give to outgoing connections, which would otherwise
// take one now and then while the emulator is down.
const (
	firstPort, lastPort = 20_000, 32_000
	portTries           = 64
)

func open(surface string, o Options, port int, remembered string) (net.Listener, error) {
	if port == 0 && o.Dir != "" {
		for range portTries {
			listener, err := listenOn(surface, o.Host, firstPort+rand.IntN(lastPort-firstPort), "")
			if err == nil || isAddressMissing(err) {
				return listener, err
			}
		}
	}
	return listenOn(surface, o.Host, port, remembered)
}

func listenOn(surface, host string, port int, remembered string) (net.Listener, error) {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &PortTakenError{Surface: surface, Address: address, Remembered: remembered, Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", surface, ExplainListen(address, err))
	}
	return listener, nil
}

func readPorts(o Options, file string) (Ports, error) {
	var p Ports
	data, err := o.disk.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p, nil
	case err != nil:
		return p, fmt.Errorf("read remembered ports: %w", err)
	case durable.IsBlank(data):
		o.Logger.Warn("new ports are chosen, because their file is empty: clients need the new ones", "file", file)
		return p, nil
	}
	err = json.Unmarshal(data, &p)
	for _, port := range []int{p.ARM, p.Data, p.MQTT, p.Control} {
		if err == nil && (port < 0 || port > 65535) {
			err = fmt.Errorf("%d is not a port", port)
		}
	}
	if err != nil {
		return p, hint.To(fmt.Errorf("read remembered ports: %s: %w", file, err),
			"remove the file to have new ports chosen, which clients must then use")
	}
	return p, nil
}

func writePorts(disk durable.Disk, file string, p Ports) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err == nil {
		err = disk.WriteFile(file, append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("remember ports: %w", err)
	}
	return nil
}
