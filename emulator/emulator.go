// Package emulator is a local stand-in for the part of Azure that provisions devices: Azure Resource Manager for
// resource groups, IoT hubs and Device Provisioning Services; the DPS service and device APIs over HTTPS and MQTT;
// and the IoT hubs that devices are assigned to.
//
//	e := emulator.RunT(t)           // in a test: in memory, free ports, closed with the test
//	e.Endpoints().ARM               // https://127.0.0.1:… for azcore clients
//
//	e, err := emulator.New(emulator.Options{Dir: dir})
//	err = e.Run(ctx)                // a program: state and ports are kept in dir
//
// Do not connect real devices or store real secrets in it. It listens on loopback unless configured otherwise, and
// does not depend on Pulumi. docs/reference/fidelity.md lists what each call does and what is missing.
package emulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"evenkeel/emulator/internal/arm"
	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/control"
	"evenkeel/emulator/internal/documents"
	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/hold"
	"evenkeel/emulator/internal/iothub"
	"evenkeel/emulator/internal/issuer"
	"evenkeel/emulator/internal/localca"
	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/traffic"
)

const (
	// logCapacity is the largest number of requests in the request log.
	logCapacity = 20_000
	// closeGrace is how long Close waits for requests in progress.
	closeGrace = 2 * time.Second
	storeDir   = "store"
)

// Emulator is one emulated cloud. Its methods may be called concurrently.
type Emulator struct {
	options   Options
	state     *state.State
	clock     *state.Clock
	snapshots *documents.Folder
	ca        *localca.Authority
	entra     *entra.Authority
	// issuer signs certificates of devices that register with a certificate signing request.
	issuer *issuer.Authority
	// controlToken is the token that clients of the control port must send.
	controlToken string

	log     *requestlog.Log
	holds   *hold.Table
	gate    *traffic.Gate
	devices *registration.API
	// webhooks is the transport for webhooks of custom allocation.
	webhooks *http.Transport
	hubs     *iothub.Hubs
	broker   *broker.Broker
	// addresses are the loopback addresses of hubs, with NamesLoopback.
	addresses *addresses
	// kept are the names of the files in the data folder that clients depend on, once they exist.
	kept atomic.Pointer[[]string]
	// following is held while the hosts are read and served.
	following sync.Mutex

	// mu guards the fields below.
	mu        sync.Mutex
	started   bool
	closed    bool
	endpoints Endpoints
	listeners *listeners
	servers   []*http.Server
	// endRequests cancels the contexts of requests to them.
	endRequests context.CancelFunc
	// azure are the listeners on Azure's ports that are not for a single hub. stopNames stops watching for hubs.
	azure     []net.Listener
	stopNames func()
	failed    chan error
}

// New opens the state in o.Dir. On the first call it creates the folder, the local CA and the client secret there. It
// does not listen yet. The caller must Close it.
func New(o Options) (*Emulator, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	e := &Emulator{options: o, log: requestlog.New(logCapacity), holds: &hold.Table{}, failed: make(chan error, 1)}
	if err := e.open(); err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	return e, nil
}

func (e *Emulator) open() (err error) {
	// Certificates follow the real clock because clients verify them against the real time.
	e.clock = state.NewClock(e.options.Now)
	stateDir, snapshotDir := "", ""
	if dir := e.options.Dir; dir != "" {
		stateDir, snapshotDir = filepath.Join(dir, storeDir), filepath.Join(dir, snapshotsDir)
		if err := e.options.disk.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	// First, because it locks the folder: no other process can create keys there meanwhile.
	e.state, err = state.Open(state.Options{
		Dir: stateDir, FS: e.options.storeDisk, Clock: e.clock, Random: e.options.Random,
		Latencies: e.options.Latencies, Logger: e.options.Logger, Beside: e.lookForFiles, HubSettings: arm.HubSettings,
		ServiceSettings: arm.ServiceSettings, Principals: arm.Principals,
	})
	if err != nil {
		return err
	}
	e.state.RequireRoles(e.options.RequireRoles)
	e.gate = &traffic.Gate{Faults: &traffic.Faults{}, Limits: traffic.NewLimits(e.state, e.options.AzureLimits)}
	e.snapshots = documents.NewFolder(e.options.disk, snapshotDir)
	e.addresses = &addresses{file: e.options.addressesPath(), disk: e.options.disk, logger: e.options.Logger}
	for _, step := range []func() error{
		e.openAuthorities, e.openControlToken, e.seedEmpty, e.addresses.load, e.openSurfaces} {
		if err := step(); err != nil {
			return errors.Join(err, e.state.Close())
		}
	}
	return nil
}

// openAuthorities reads the CA and the client's credentials from the data folder, or creates them.
func (e *Emulator) openAuthorities() (err error) {
	dir, disk, logger := e.options.Dir, e.options.disk, e.options.Logger
	if dir == "" {
		if e.ca, err = localca.New(time.Now); err != nil {
			return err
		}
		if e.issuer, err = issuer.New(e.clock.Now); err != nil {
			return err
		}
		e.entra, err = entra.New(e.clock.Now)
	} else {
		if err = errors.Join(disk.Clean(dir), disk.Clean(filepath.Join(dir, snapshotsDir))); err != nil {
			return err
		}
		if e.ca, err = localca.Load(disk, dir, time.Now, logger); err != nil {
			return err
		}
		if e.issuer, err = issuer.Load(disk, dir, e.clock.Now, logger); err != nil {
			return err
		}
		e.entra, err = entra.Load(disk, dir, e.clock.Now, logger)
	}
	if err != nil {
		return err
	}
	for _, certificate := range e.options.ClientCertificates {
		e.entra.TrustCertificate(certificate)
	}
	for _, f := range e.options.Federations {
		e.entra.Trust(entra.Federation(f))
	}
	e.keep(localca.CertFile, localca.KeyFile, issuer.CertFile, issuer.KeyFile, entra.SecretFile, entra.KeyFile,
		entra.CertificateFile)
	return nil
}

// Start listens and serves until Close. It may be called once.
func (e *Emulator) Start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started || e.closed {
		return errors.New("emulator: already started or closed")
	}
	l, err := listen(e.options)
	if err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	e.endpoints = Endpoints{
		ARM:     "https://" + l.arm.Addr().String(),
		Data:    "https://" + l.data.Addr().String(),
		MQTT:    l.mqtt.Addr().String(),
		Control: "http://" + l.control.Addr().String(),
		CAFile:  e.endpoints.CAFile, CAPEM: e.ca.PEM(),
		ControlToken: e.controlToken, ControlTokenFile: e.endpoints.ControlTokenFile,
		TenantID: entra.TenantID, ClientID: entra.ClientID, ClientSecret: e.entra.Secret(),
		SubscriptionID: SubscriptionID,
	}
	if e.options.Dir != "" {
		e.keep(endpointsFile)
		e.endpoints.CAFile = filepath.Join(e.options.Dir, localca.CertFile)
		e.endpoints.ControlTokenFile = filepath.Join(e.options.Dir, ControlTokenFile)
		e.endpoints.ClientCertificateFile = filepath.Join(e.options.Dir, entra.CertificateFile)
	}
	if ip := net.ParseIP(e.options.Host); !ip.IsLoopback() {
		e.options.Logger.Warn("listening beyond this machine: the control port is plain HTTP, so anyone who sees its "+
			"traffic can read the token and control the emulator",
			"address", e.options.Host, "control", e.endpoints.Control)
	}
	e.entra.SetBase(e.endpoints.ARM)
	e.entra.SetLocations(arm.Locations())
	if err := e.serve(l); err != nil {
		l.close()
		return fmt.Errorf("emulator: %w", err)
	}
	e.started, e.listeners = true, l
	return nil
}

// serve starts the servers; e.mu is held.
func (e *Emulator) serve(l *listeners) error {
	devices := tls.NewListener(e.bound(l.mqtt), e.tlsConfig(tls.RequestClientCert))
	data := e.server(e.dataHandler())
	data.TLSConfig = e.tlsConfig(tls.RequestClientCert)
	arm := e.server(e.armHandler())
	arm.TLSConfig = e.tlsConfig(tls.NoClientCert)
	management := e.server(e.controlHandler())
	// Requests that wait, follow messages or are delayed by a fault end with the servers.
	running, end := context.WithCancel(context.Background())
	e.endRequests = end
	for _, server := range []*http.Server{arm, data, management} {
		server.BaseContext = func(net.Listener) context.Context { return running }
	}
	if err := e.openNames(data); err != nil {
		return err
	}
	e.servers = []*http.Server{arm, data, management}
	go e.watch("arm", func() error { return arm.ServeTLS(e.bound(l.arm), "", "") })
	go e.watch("data", func() error { return data.ServeTLS(e.bound(l.data), "", "") })
	go e.watch("mqtt", func() error { return e.broker.Serve(devices) })
	go e.watch("control", func() error { return management.Serve(e.bound(l.control)) })
	return nil
}

// watch serves until Close closes the listener.
func (e *Emulator) watch(surface string, serve func() error) {
	if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		select {
		case e.failed <- fmt.Errorf("emulator: serve %s: %w", surface, err):
		default: // the first failure is enough
		}
	}
}

// tlsConfig requests client certificates but does not verify them: a device would see a failed handshake as a network
// error.
func (e *Emulator) tlsConfig(clients tls.ClientAuthType) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: e.ca.Certificate, ClientAuth: clients}
	if e.options.X25519Only {
		c.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	return c
}

func (e *Emulator) controlHandler() http.Handler {
	return control.New(e.messageOptions(control.Options{
		Log: e.log, Holds: e.holds, Counts: func() (any, error) { return e.Counts() }, Hubs: e.HubDevices,
		Devices: e.Devices, Reset: e.Reset,
		Snapshots: snapshotControl{e.snapshots, e}, Clock: e.clock, Gate: e.gate, State: e.state,
		Token: e.controlToken, Remote: e.options.AllowRemote, Hosts: e.options.ControlHosts,
		Ready: e.state.Err, // the listeners open last, so an open port implies that the rest is ready
		About: func() map[string]any {
			ends := e.Endpoints()
			return map[string]any{"arm": ends.ARM, "data": ends.Data, "mqtt": ends.MQTT, "control": ends.Control,
				"pid":   os.Getpid(),
				"names": e.options.Names, "addresses": e.dialable()}
		},
	}))
}

// Run starts the emulator if it has not been started, serves until ctx is done or a server fails, and closes it.
func (e *Emulator) Run(ctx context.Context) error {
	e.mu.Lock()
	started := e.started
	e.mu.Unlock()
	if !started {
		if err := e.Start(); err != nil {
			return errors.Join(err, e.Close())
		}
	}
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-e.failed:
	}
	return errors.Join(failure, e.Close())
}

// Close stops serving and closes the state. Requests in progress get a short time to finish; held requests are
// dropped. Closing again does nothing.
func (e *Emulator) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	servers, open := e.servers, e.listeners
	e.mu.Unlock()

	e.holds.Close()
	if open != nil {
		open.close() // a server that has not started yet would close its listener later
	}
	e.closeNames()
	if e.endRequests != nil {
		e.endRequests()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	var ending sync.WaitGroup
	for _, s := range servers {
		ending.Go(func() {
			if s.Shutdown(ctx) != nil {
				_ = s.Close() // the grace period is over
			}
		})
	}
	ending.Wait()
	failure := e.broker.Close()
	e.hubs.Close()
	e.webhooks.CloseIdleConnections()
	if err := errors.Join(failure, e.state.Close()); err != nil {
		return fmt.Errorf("emulator: close: %w", err)
	}
	return nil
}

// Endpoints returns the addresses of the emulator. They are empty before Start.
func (e *Emulator) Endpoints() Endpoints {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.endpoints
}
