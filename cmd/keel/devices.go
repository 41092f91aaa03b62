package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"evenkeel/dpsdevice"
	"evenkeel/internal/fleet/spread"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// maxFailures is how many failed devices are listed; the others are only counted.
const maxFailures = 5

func newDevices(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "devices", Short: "Register devices, and show their hubs and credentials",
		Long: "Register devices with the provisioning service, show which hub each was assigned to, and print the " +
			"keys and\n" +
			"certificates with which they authenticate.",
		Example: "  keel devices provision\n  keel devices status",
	}
	group(cmd)
	var count, parallel int
	var protocol string
	var csr bool
	provision := &cobra.Command{
		Use:   "provision",
		Short: "Register the stack's devices and show their distribution over the hubs",
		Long: "Register devices of the enrollment group through the provisioning service, with keys derived from the " +
			"group's, or with\n" +
			"certificates of the environment's authority when the stack has attestation x509, and connect each to " +
			"its assigned hub.\n" +
			"Then register the devices that the stack gives individual enrollments, such as device-1, and list their " +
			"hubs. A device\n" +
			"whose key or certificate keel cannot use is skipped, with the reason. Run again, all devices keep their " +
			"hubs.\n\n" +
			"With --csr, each device makes a new key, asks the service for a certificate, and connects to its hub with " +
			"it. keel keeps\n" +
			"both as DEVICE-issued-cert.pem and DEVICE-issued-key.pem, a secret, under .evenkeel/devices. The enrollments " +
			"must name a\n" +
			"certificate policy.",
		Example: "  keel devices provision\n  keel devices provision --protocol https\n  keel devices provision " +
			"--count 1000 --parallel 32 --json",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if count < 1 || count > 100_000 || parallel < 1 || parallel > 256 {
				return usageError{errors.New("--count must be 1 to 100000, and --parallel 1 to 256")}
			}
			transport, ok := map[string]dpsdevice.Transport{"mqtt": dpsdevice.MQTT,
				"https": dpsdevice.HTTPS}[strings.ToLower(protocol)]
			if !ok {
				return usageError{fmt.Errorf("--protocol %q: use mqtt or https", protocol)}
			}
			return a.provision(cmd.Context(), count, parallel, transport, csr)
		},
	}
	provision.Flags().IntVar(&count, "count", 200, "how many devices of the enrollment group")
	provision.Flags().IntVar(&parallel, "parallel", 16, "how many at a time")
	provision.Flags().StringVar(&protocol, "protocol", "mqtt",
		"how they register: mqtt or https; hubs are reached over MQTT")
	provision.Flags().BoolVar(&csr, "csr", false, "have the service issue certificates, with which devices connect")
	a.addJSON(provision)
	cmd.AddCommand(provision, newDeviceKey(a), newDeviceStatus(a), newDeviceCA(a), newDeviceCert(a), newDeviceToken(a))
	return cmd
}

// fleet provisions devices and collects the results.
type fleet struct {
	stack      outputs
	network    dpsdevice.Network
	transport  dpsdevice.Transport
	credential func(id string) (dpsdevice.Credential, error)
	before     map[string]string // hub by registration id, from earlier runs
	// certificates is the folder of the certificates that devices ask for; empty if they ask for none.
	certificates string

	mu        sync.Mutex // guards what follows
	hubs      map[string]int
	substatus map[string]int
	assigned  int
	kept      int
	moved     int
	failed    int
	failures  []failure
	code      int // of the first rejection: the service's error code, or the status where MQTT has no code

	declared []declaredDevice // with individual enrollments; each is written by one worker
	sets     []declaredSet
}

// failure is a device that failed to register or to connect to its hub.
type failure struct {
	Device string `json:"device"`
	Error  string `json:"error"`
}

func (a *app) provision(ctx context.Context, count, parallel int, transport dpsdevice.Transport, csr bool) error {
	stack, e, err := a.outputs(ctx)
	if err != nil {
		return err
	}
	f, err := newFleet(ctx, stack, e, transport)
	if err == nil && csr {
		err = f.askForCertificates(ctx, e)
	}
	if err != nil {
		return err
	}
	begun := time.Now()
	progress := a.progress("devices", count)
	var workers errgroup.Group
	workers.SetLimit(parallel)
	for i := range count {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() error {
			f.provision(ctx, fmt.Sprintf("%s-%04d", stack.EnrollmentGroup, i+1))
			progress()
			return nil
		})
	}
	_ = workers.Wait() // failures are counted, not returned
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("provision devices: %w", err)
	}
	took := time.Since(begun)
	if err := f.provisionDeclared(ctx, e, parallel); err != nil {
		return fmt.Errorf("provision devices: %w", err)
	}
	if err := a.report(f, took); err != nil {
		return err
	}
	a.sayIssued(f)
	if f.failed > 0 {
		advice := "see the emulator's log: keel emulator logs"
		if f.code != 0 {
			advice = fmt.Sprintf("explain the code: keel doctor %d; see the emulator's log: keel emulator logs", f.code)
		}
		return hint.To(fmt.Errorf("provision devices: %d of %d failed", f.failed, count+len(f.declared)), "%s", advice)
	}
	if !a.json {
		also := a.stackFlag()
		a.say("\nTry next:")
		_ = table(a.stderr, func(row func(...string)) { // an error of writing progress is ignored
			row("  keel exec"+also+" -- pulumi config set hubs 3 && keel up"+a.stackArgument(),
				"add a hub; again: keel devices provision")
			row("  keel exec"+also+" -- pulumi preview", "plain Pulumi on this stack")
			row("  keel env"+also+" --device device-1", "print what one device needs to connect")
			row("  keel down"+a.stackArgument(), "remove it all")
		})
		a.say("(keel is .evenkeel/bin/keel, or: go run ./cmd/keel)")
	}
	return nil
}

func newFleet(ctx context.Context, stack outputs, e *environment.Environment, transport dpsdevice.Transport) (*fleet,
	error) {
	credential, err := stack.credentials(e)
	if err != nil {
		return nil, err
	}
	roots, err := e.Endpoints.Roots()
	if err != nil {
		return nil, err
	}
	data, err := url.Parse(e.Endpoints.Data)
	if err != nil {
		return nil, fmt.Errorf("read the emulator's endpoints: %w", err)
	}
	before, err := stack.registrations(ctx, e.Endpoints)
	if err != nil {
		return nil, err
	}
	network := dpsdevice.Network{TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	if data.Host != "" { // hosts on Azure are dialled by their own names
		network.Address = dpsdevice.Loopback(data.Host, e.Endpoints.MQTT)
	}
	return &fleet{
		network: network, stack: stack, transport: transport, credential: credential, before: before,
		hubs: map[string]int{}, substatus: map[string]int{},
	}, nil
}

// provision registers one device and connects it to its hub.
func (f *fleet) provision(ctx context.Context, id string) {
	credential, err := f.credential(id)
	if err != nil {
		f.fail(id, err)
		return
	}
	registration, err := f.run(ctx, id, credential)
	if err != nil {
		f.fail(id, err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count(id, registration)
}

// fail records a failed device.
func (f *fleet) fail(id string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed++
	if refusal := (*dpsdevice.Error)(nil); errors.As(err, &refusal) && f.code == 0 {
		f.code = cmp.Or(refusal.Code, refusal.Status)
	}
	if len(f.failures) < maxFailures {
		f.failures = append(f.failures, failure{id, err.Error()})
	}
}

// count records the hub of a device, and whether it is the hub of its earlier registration.
func (f *fleet) count(id string, registration dpsdevice.Registration) {
	f.hubs[hostKey(registration.Hub)]++
	f.substatus[registration.Substatus]++
	switch outcome(f.before[strings.ToLower(id)], registration.Hub) {
	case resultNew:
		f.assigned++
	case resultKept:
		f.kept++
	default:
		f.moved++
	}
}

// maxTries is how often a device begins, retryPause the time between two tries, several times over for later ones.
const (
	maxTries   = 6
	retryPause = 100 * time.Millisecond
)

// run registers a device and connects it. It tries again if another client registered as the same device at the same
// time, which ends the first connection and may end its operation at the service.
func (f *fleet) run(
	ctx context.Context, id string, credential dpsdevice.Credential,
) (registration dpsdevice.Registration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for try := 1; ; try++ {
		if registration, err = f.try(ctx, id, credential); err == nil || try == maxTries || !isWorthRetrying(err) {
			return registration, err
		}
		// By chance, so that two runs do not go on in step.
		pause := time.NewTimer(retryPause + rand.N(time.Duration(try)*retryPause))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return registration, err
		}
	}
}

// noOperation is the code of an operation that the service does not know.
const noOperation = 404203

func isWorthRetrying(err error) bool {
	refusal := (*dpsdevice.Error)(nil)
	return errors.Is(err, dpsdevice.ErrLost) || errors.As(err, &refusal) && refusal.Code == noOperation
}

// try is one try.
func (f *fleet) try(ctx context.Context, id string, credential dpsdevice.Credential) (dpsdevice.Registration, error) {
	registration, atHub, err := f.register(ctx, dpsdevice.Options{
		Host: f.stack.DeviceHost, IDScope: f.stack.IDScope, RegistrationID: id, Credential: credential,
		Transport: f.transport,
		Network:   f.network,
	})
	if err != nil {
		return dpsdevice.Registration{}, err
	}
	hub, err := dpsdevice.Connect(ctx, dpsdevice.HubOptions{
		Host: registration.Hub, DeviceID: registration.DeviceID, Credential: atHub, Network: f.network,
	})
	if err != nil {
		return dpsdevice.Registration{}, err
	}
	hub.Close()
	return registration, nil
}

// provisionResult is what `devices provision` prints as JSON.
type provisionResult struct {
	Devices   int            `json:"devices"`
	New       int            `json:"new"`
	Kept      int            `json:"kept"`
	Moved     int            `json:"moved"`
	Failed    int            `json:"failed"`
	Seconds   float64        `json:"seconds"`
	Policy    string         `json:"allocationPolicy"`
	Substatus map[string]int `json:"substatus"`
	Hubs      []spread.Hub   `json:"hubs"`
	// Enrollments are the devices with individual enrollments. The figures above count those of the group; Failed,
	// both.
	Enrollments    []declaredDevice `json:"enrollments,omitempty"`
	EnrollmentSets []declaredSet    `json:"enrollmentSets,omitempty"`
	Failures       []failure        `json:"failures,omitempty"`
	Allocation     string           `json:"allocation"`
}

// hashNote is printed with every distribution.
const hashNote = "emulator: rendezvous hashing; Azure's hash is not public"

func (a *app) report(f *fleet, took time.Duration) error {
	hubs := f.split()
	if a.json {
		return a.printJSON(provisionResult{
			f.assigned + f.kept + f.moved, f.assigned, f.kept, f.moved, f.failed, took.Seconds(),
			f.stack.AllocationPolicy, f.substatus, hubs,
			f.declared, f.sets, f.failures, hashNote,
		})
	}
	fmt.Fprintf(a.stdout, "%d devices of group %s, policy %s, in %.1f s: %d new, %d kept their hub, %d moved\n",
		f.assigned+f.kept+f.moved, f.stack.EnrollmentGroup, f.stack.AllocationPolicy, took.Seconds(), f.assigned,
		f.kept, f.moved)
	if err := spread.Draw(a.stdout, hubs); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, hashNote)
	if err := f.printDeclared(a.stdout); err != nil {
		return err
	}
	for _, c := range f.failures {
		a.say("%s: %s", c.Device, c.Error)
	}
	if more := f.failed - len(f.failures); more > 0 {
		a.say("and %d more", more)
	}
	return nil
}

// split counts the devices of each hub: first the stack's hubs, in its order, then other hubs.
func (f *fleet) split() []spread.Hub {
	var hubs []spread.Hub
	rest := maps.Clone(f.hubs)
	for _, h := range f.stack.Hubs {
		weight := h.Weight
		if h.Drain {
			weight = 0
		}
		hubs = append(hubs, spread.Hub{Name: h.Name, Weight: weight, Devices: rest[hostKey(h.HostName)]})
		delete(rest, hostKey(h.HostName))
	}
	own := len(hubs)
	for host, n := range rest {
		hubs = append(hubs, spread.Hub{Name: host, Devices: n})
	}
	slices.SortFunc(hubs[own:], func(x, y spread.Hub) int { return strings.Compare(x.Name, y.Name) })
	spread.Expect(hubs)
	return hubs
}
