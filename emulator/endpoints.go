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

// endpointsFile is the file in the data folder that stores the ports.
const endpointsFile = "endpoints.json"

// Endpoints are the addresses of a started emulator and the credentials that clients need.
type Endpoints struct {
	// ARM is the URL of Azure Resource Manager, of the token endpoint and of /metadata/endpoints.
	ARM string
	// Data is the URL of the DPS device API, the DPS service API and the IoT hubs. The Host header selects one.
	Data string
	// MQTT is the address, host:port, of MQTT over TLS for DPS and the hubs. The user name selects one.
	MQTT string
	// Control is the URL of the control port. Every call but the health checks needs ControlToken as a bearer token.
	Control      string
	ControlToken string
	// ControlTokenFile is a file that holds the token. It is empty for an emulator in memory that RunT did not start.
	ControlTokenFile string
	// CAFile is a PEM file with the root certificate to trust. It is empty for an emulator in memory that RunT did
	// not start.
	CAFile string
	// CAPEM is the root certificate.
	CAPEM []byte
	// TenantID, ClientID and ClientSecret are the credentials for access tokens of ARM.
	TenantID, ClientID, ClientSecret string
	// ClientCertificateFile is a PEM file with the client's certificate and key. It is empty for an emulator in
	// memory.
	ClientCertificateFile string
	SubscriptionID        string
}

// PortTakenError reports that another process uses a port that was configured or remembered.
type PortTakenError struct {
	// Surface is "arm", "data", "mqtt" or "control".
	Surface string
	// Address is host:port.
	Address string
	// Remembered is the file that stores the port. It is empty for a port that was configured.
	Remembered string
	Err        error
}

// Error implements error. The text names the surface and the address.
func (e *PortTakenError) Error() string {
	return fmt.Sprintf("listen on %s for %s: the port is in use by another process", e.Address, e.Surface)
}

// Unwrap returns the error of the operating system.
func (e *PortTakenError) Unwrap() error { return e.Err }

// listeners are the sockets of an emulator, in the order of their names.
type listeners struct {
	arm, data, mqtt, control net.Listener
}

func (l *listeners) close() {
	for _, listener := range []net.Listener{l.arm, l.data, l.mqtt, l.control} {
		if listener != nil {
			_ = listener.Close() // it may be closed already
		}
	}
}

// listen opens all ports or none, and stores them in dir.
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

// Ports to remember are chosen below the range that operating systems use for outgoing connections. Otherwise such a
// connection could take the port while the emulator is down.
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
		o.Logger.Warn("the file of ports was empty, so new ports are chosen: clients need the new ones", "file", file)
		return p, nil
	}
	err = json.Unmarshal(data, &p)
	for _, port := range []int{p.ARM, p.Data, p.MQTT, p.Control} {
		if err == nil && (port < 0 || port > 65535) {
			err = fmt.Errorf("invalid port %d", port)
		}
	}
	if err != nil {
		return p, hint.To(fmt.Errorf("read remembered ports: %s: %w", file, err),
			"remove the file to get new ports, which clients must then use")
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
