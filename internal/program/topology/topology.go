// Package topology turns the configuration of a stack into the arguments of its resources: names, policies, links,
// enrollments and outputs. It checks the whole configuration before the program registers the first resource, and
// reports every error with its configuration key.
//
// Everything here is a pure function of the configuration. It registers no resource and reads no clock, environment
// variable, file or network, so two people who preview the same stack see the same result.
package topology

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/azure/domain"
)

// Targets of a stack.
const (
	// Local is the emulator on this machine.
	Local = "local"
	// Azure is a real subscription.
	Azure = "azure"
)

// Topology is the validated configuration of a stack.
type Topology struct {
	// Stack is the name of the Pulumi stack. Every resource carries it as a tag.
	Stack string
	// Target is Local or Azure.
	Target string
	// Location is the Azure region of every resource that does not set another one.
	Location string
	// Policy is the allocation policy of the provisioning service: Hashed, GeoLatency or Static.
	Policy string
	// Hubs are the hubs to declare, in order, without removed ones.
	Hubs []Hub
	// Fleet is the enrollment group. Any number of devices can register with it.
	Fleet Group
	// Devices are the individual enrollments, in order.
	Devices []Device
	// Manifest lists further devices with individual enrollments; nil for none.
	Manifest *Manifest
	// Attestation is how devices authenticate: SymmetricKey or X509.
	Attestation string
	// Authority signs the devices' certificates; nil unless Attestation is X509.
	Authority *Authority
	// Existing is the provisioning service that the stack uses instead of one of its own; nil otherwise.
	Existing *Existing
	// Shared allows other stacks to link their hubs to this stack's service.
	Shared bool
	// DropLinks allows an update of this stack's service to drop links that others made.
	DropLinks bool
	// Endpoint is the https URL of the emulator and CAFile the PEM file of its CA. Both are empty on Azure.
	Endpoint, CAFile string
	// SecretFile holds the emulator's client secret on Local.
	SecretFile string

	linking       linking
	emulator      *login         // nil if nothing logs in to the emulator
	rotations     map[string]int // by role
	owner         string
	createdAt     string
	expiresAt     string
	origin        string
	keep          string
	hubSuffix     string
	serviceSuffix string
}

// Source returns configuration values by key, without a namespace. Objects and lists are JSON, as Pulumi passes them.
type Source interface {
	Get(key string) (value string, ok bool)
}

// Load reads and checks the configuration of the stack being deployed. It reads the files named there with readFile.
func Load(ctx *pulumi.Context, readFile func(name string) ([]byte, error)) (*Topology, error) {
	return Parse(stackConfig{ctx, readFile}, ctx.Stack())
}

// stackConfig reads the stack's configuration in the project's namespace, under any project name. It reads raw values,
// including secrets; code that turns a secret into an argument marks it as secret again.
type stackConfig struct {
	ctx      *pulumi.Context
	readFile func(name string) ([]byte, error)
}

func (c stackConfig) Get(key string) (string, bool) {
	return c.ctx.GetConfig(c.ctx.Project() + ":" + key)
}

func (c stackConfig) File(name string) ([]byte, error) { return c.readFile(name) }

// Parse reads and checks a configuration. Its error is a Faults that lists everything wrong with it.
func Parse(source Source, stack string) (*Topology, error) {
	r := &reader{source: source}
	t := &Topology{
		Stack:         stack,
		Target:        r.choice("target", Local, Local, Azure),
		Location:      locationName(r.text("location", "westeurope")),
		Policy:        r.choice("allocationPolicy", "Hashed", "Hashed", "GeoLatency", "Static"),
		Attestation:   r.choice("attestation", SymmetricKey, SymmetricKey, X509),
		Endpoint:      r.text("endpoint", ""),
		CAFile:        r.text("caFile", ""),
		SecretFile:    r.text("secretFile", ""),
		rotations:     r.rotations(),
		owner:         r.text("owner", ""),
		createdAt:     r.time("createdAt"),
		expiresAt:     r.time("expiresAt"),
		origin:        r.text("origin", ""),
		keep:          r.text("keep", ""),
		hubSuffix:     r.text("hubSuffix", domain.Hub),
		serviceSuffix: r.text("serviceSuffix", domain.Service),
	}
	t.Hubs = r.hubs(t.Location)
	t.Existing = r.existing()
	r.sharing(t)
	t.linking = r.linking(t)
	r.localAuth(t)
	t.emulator = r.login(t)
	t.Authority = r.authority(t.Attestation, stack)
	t.Fleet = r.group(t)
	if t.Attestation == X509 && (t.Fleet.primary != "" || t.Fleet.secondary != "") {
		r.fault("enrollmentGroup",
			"has keys, but with attestation x509 devices authenticate by certificate: remove the keys")
	}
	t.Devices = r.devices(t)
	t.Manifest = r.manifest(t)
	r.target(t)
	if len(r.faults) > 0 {
		return nil, Faults{Stack: stack, List: r.faults}
	}
	return t, nil
}

// target checks settings that only one target has.
func (r *reader) target(t *Topology) {
	switch {
	case t.Target == Local && (t.Endpoint == "" || t.CAFile == ""):
		r.fault("endpoint",
			"a local stack needs the emulator's address and CA file, which `keel up` and `keel exec` write")
	case t.Target == Azure && t.Endpoint != "":
		r.fault("endpoint",
			"is the address of an emulator, but the target is azure: run `pulumi config rm endpoint`, or set target "+
				"to local")
	case t.Target == Azure && t.CAFile != "":
		r.fault("caFile",
			"belongs to an emulator, but the target is azure: run `pulumi config rm caFile`, or set target to local")
	case t.Target == Azure && t.SecretFile != "":
		r.fault("secretFile",
			"belongs to an emulator, but the target is azure: run `pulumi config rm secretFile`, or set target to local")
	}
}

// EmulatorSecret reads the emulator's client secret.
func (t *Topology) EmulatorSecret(readFile func(name string) ([]byte, error)) (string, error) {
	if t.SecretFile == "" {
		return "", errors.New("secretFile: a local stack needs the file of the emulator's client secret, which `keel " +
			"up` and `keel exec` write")
	}
	text, err := readFile(t.SecretFile)
	if err != nil {
		return "", fmt.Errorf("secretFile: cannot be read: %w; `keel up` and `keel exec` write where it is", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func index(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }
