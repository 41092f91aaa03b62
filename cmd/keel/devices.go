package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"evenkeel/dpsdevice"
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
	var o provisionOptions
	var protocol string
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
			"both as DEVICE-issued-cert.pem and DEVICE-issued-key.pem, a secret, under .evenkeel/devices. The " +
			"enrollments " +
			"must name a\n" +
			"certificate policy.\n\n" + proofHelp,
		Example: "  keel devices provision\n  keel devices provision --protocol https\n  keel devices provision " +
			"--count 1000 --parallel 32 --json\n  keel devices provision --check --svg split.svg",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.count < 1 || o.count > 100_000 || o.parallel < 1 || o.parallel > 256 {
				return usageError{errors.New("--count must be 1 to 100000, and --parallel 1 to 256")}
			}
			transport, ok := map[string]dpsdevice.Transport{"mqtt": dpsdevice.MQTT,
				"https": dpsdevice.HTTPS}[strings.ToLower(protocol)]
			if !ok {
				return usageError{fmt.Errorf("--protocol %q: use mqtt or https", protocol)}
			}
			o.transport = transport
			return a.provision(cmd.Context(), o)
		},
	}
	provision.Flags().IntVar(&o.count, "count", 200, "how many devices of each enrollment group")
	provision.Flags().IntVar(&o.parallel, "parallel", 16, "how many at a time")
	addProof(provision, &o)
	provision.Flags().StringVar(&protocol, "protocol", "mqtt",
		"how they register: mqtt or https; hubs are reached over MQTT")
	provision.Flags().BoolVar(&o.csr, "csr", false, "have the service issue certificates, with which devices connect")
	a.addJSON(provision)
	cmd.AddCommand(provision, newDeviceKey(a), newDeviceStatus(a), newDeviceFind(a), newDeviceList(a),
		newDeviceReprovision(a), newDeviceCA(a), newDeviceCert(a), newDeviceToken(a))
	return cmd
}

// fleet provisions devices and collects the results.
type fleet struct {
	stack      outputs
	network    dpsdevice.Network
	transport  dpsdevice.Transport
	credential func(id string) (dpsdevice.Credential, error) // of the stack's own group
	before     map[string]string                             // hub by registration id, from earlier runs
	// a device that has begun is finished after an interruption
	finishes bool
	// certificates is the folder of the certificates that devices ask for; empty if they ask for none.
	certificates string

	mu        sync.Mutex // guards what follows, and the counts of the cohorts
	cohorts   []*cohort
	substatus map[string]int
	assigned  int
	kept      int
	moved     int
	failed    int
	failures  []failure
	causes    []cause // of the failures, by code
	strays    []stray
	// How long successful registrations and connections to hubs took.
	registerTimes, connectTimes []time.Duration

	declared []declaredDevice // with individual enrollments; each is written by one worker
	sets     []declaredSet
}

// failure is a device that failed to register or to connect to its hub.
type failure struct {
	Device string `json:"device"`
	Error  string `json:"error"`
}

func (a *app) provision(ctx context.Context, o provisionOptions) error {
	stack, e, err := a.outputs(ctx)
	if err != nil {
		return err
	}
	f, err := newFleet(ctx, stack, e, o)
	if err == nil && o.csr {
		err = f.askForCertificates(ctx, e)
	}
	if err != nil {
		return err
	}
	took := f.registerAll(ctx, o.parallel, f.ids(o.count), a.progress("devices", o.count*len(f.cohorts)))
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("provision devices: %w", err)
	}
	if err := f.provisionDeclared(ctx, e, o.parallel); err != nil {
		return fmt.Errorf("provision devices: %w", err)
	}
	return a.conclude(f, took, o)
}

// conclude reports the results, writes the picture, and returns an error if devices failed or the check did.
func (a *app) conclude(f *fleet, took time.Duration, o provisionOptions) error {
	r := f.result(f.compare(), took, o.check)
	if err := a.report(f, r); err != nil {
		return err
	}
	if err := r.writePicture(o.svg); err != nil {
		return err
	}
	if err := r.Check.err(); err != nil {
		return err
	}
	a.sayIssued(f)
	if f.failed > 0 {
		advice := "see the emulator's log: keel emulator logs"
		if code := f.firstCode(); code != 0 {
			advice = fmt.Sprintf("explain the code: keel doctor %d; see the emulator's log: keel emulator logs", code)
		}
		return hint.To(fmt.Errorf("provision devices: %d of %d failed", f.failed,
			o.count*len(f.cohorts)+len(f.declared)), "%s", advice)
	}
	if !a.json {
		a.suggestNext()
	}
	return nil
}

// suggestNext prints what to try after the devices are registered.
func (a *app) suggestNext() {
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

func newFleet(ctx context.Context, stack outputs, e *environment.Environment, o provisionOptions) (*fleet, error) {
	roots, err := e.Endpoints.Roots()
	if err != nil {
		return nil, err
	}
	data, err := url.Parse(e.Endpoints.Data)
	if err != nil {
		return nil, fmt.Errorf("read the emulator's endpoints: %w", err)
	}
	network := dpsdevice.Network{TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	if data.Host != "" { // hosts on Azure are dialled by their own names
		network.Address = dpsdevice.Loopback(data.Host, e.Endpoints.MQTT)
	}
	f := &fleet{network: network, stack: stack, transport: o.transport, before: map[string]string{},
		substatus: map[string]int{}}
	if f.credential, err = stack.credentials(e); err != nil {
		return nil, err
	}
	groups := o.groups
	if len(groups) == 0 {
		groups = []string{stack.EnrollmentGroup}
	}
	seen := map[string]bool{}
	for _, group := range groups {
		if seen[strings.ToLower(group)] {
			continue
		}
		seen[strings.ToLower(group)] = true
		c, err := newCohort(ctx, stack, e, group)
		if err != nil {
			return nil, err
		}
		f.cohorts = append(f.cohorts, c)
		if o.isFirst || c.unread != "" {
			continue
		}
		before, err := stack.registrations(ctx, e.Endpoints, group)
		if err != nil {
			return nil, err
		}
		maps.Copy(f.before, before)
	}
	return f, nil
}

// member is a device of a cohort.
type member struct {
	id string
	of *cohort
}

// ids returns the devices of a run: as many of each cohort as asked for, with names that are the same each time.
func (f *fleet) ids(count int) []member {
	var members []member
	for i := range count {
		for _, c := range f.cohorts {
			members = append(members, member{fmt.Sprintf("%s-%04d", c.group, i+1), c})
		}
	}
	return members
}

// registerAll registers devices until the context ends, and returns how long it took.
func (f *fleet) registerAll(ctx context.Context, parallel int, members []member, progress func()) time.Duration {
	begun := time.Now()
	var workers errgroup.Group
	workers.SetLimit(parallel)
	for _, m := range members {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() error {
			f.provision(ctx, m.of, m.id)
			progress()
			return nil
		})
	}
	_ = workers.Wait() // failures are counted, not returned
	return time.Since(begun)
}

// provision registers one device and connects it to its hub.
func (f *fleet) provision(ctx context.Context, c *cohort, id string) {
	if f.finishes {
		ctx = context.WithoutCancel(ctx)
	}
	credential, err := c.credential(id)
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
	f.count(c, id, registration)
}

// fail records a failed device.
func (f *fleet) fail(id string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed++
	f.blame(id, err)
	if len(f.failures) < maxFailures {
		f.failures = append(f.failures, failure{id, err.Error()})
	}
}

// count records the hub of a device, and whether it is the hub of its earlier registration.
func (f *fleet) count(c *cohort, id string, registration dpsdevice.Registration) {
	c.hubs[hostKey(registration.Hub)]++
	f.substatus[registration.Substatus]++
	result := outcome(f.before[strings.ToLower(id)], registration.Hub)
	switch result {
	case resultNew:
		f.assigned++
	case resultKept:
		f.kept++
		c.kept++
	default:
		f.moved++
	}
	f.notice(c.rule, id, registration.Hub, result == resultKept)
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
	begun := time.Now()
	registration, atHub, err := f.register(ctx, dpsdevice.Options{
		Host: f.stack.DeviceHost, IDScope: f.stack.IDScope, RegistrationID: id, Credential: credential,
		Transport: f.transport,
		Network:   f.network,
	})
	if err != nil {
		return dpsdevice.Registration{}, err
	}
	registered := time.Now()
	hub, err := dpsdevice.Connect(ctx, dpsdevice.HubOptions{
		Host: registration.Hub, DeviceID: registration.DeviceID, Credential: atHub, Network: f.network,
	})
	if err != nil {
		return dpsdevice.Registration{}, err
	}
	connected := time.Now()
	hub.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.registerTimes = append(f.registerTimes, registered.Sub(begun))
	f.connectTimes = append(f.connectTimes, connected.Sub(registered))
	return registration, nil
}
