// Package topology turns the configuration of a stack into the arguments of its resources: names, policies, links, enrollments and
// outputs. It checks everything at once and names each fault by its configuration key, before the first resource is registered.
//
// Everything here is a pure function of the configuration. It registers no resource and reads no clock, environment, file or network:
// two people who look at one stack see the same preview.
package topology

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Targets of a stack.
const (
	// Local is the emulator on this machine.
	Local = "local"
	// Azure is a real subscription.
	Azure = "azure"
)

// Topology is what a stack's configuration asks for, checked.
type Topology struct {
	// Stack is the Pulumi stack's name; it goes into the tags.
	Stack string
	// Target is Local or Azure.
	Target string
	// Location is the Azure region of everything that names none of its own.
	Location string
	// Policy is the allocation policy of the provisioning service: Hashed, GeoLatency or Static.
	Policy string
	// Hubs are the hubs to declare, in order; removed ones are not among them.
	Hubs []Hub
	// Fleet is the enrollment group that lets any number of devices in.
	Fleet Group
	// Devices are the devices with an individual enrollment, in order.
	Devices []Device
	// Manifest lists further devices with individual enrollments; nil for none.
	Manifest *Manifest
	// Attestation is how the devices prove themselves: SymmetricKey or X509.
	Attestation string
	// Authority signs the devices' certificates; nil unless Attestation is X509.
	Authority *Authority
	// Existing is the provisioning service that the stack uses instead of one of its own; nil otherwise.
	Existing *Existing
	// Shared says that other stacks link their hubs to the stack's own service.
	Shared bool
	// DropLinks lets an update of the stack's own service drop the links that others made.
	DropLinks bool
	// Endpoint and CAFile lead to the emulator on Local: an https URL, and the file of the CA that it trusts. Empty on Azure.
	Endpoint, CAFile string
	// SecretFile holds the emulator's client secret on Local.
	SecretFile string

	emulator      *login         // nil where nothing logs in to the emulator
	rotations     map[string]int // by role
	owner         string
	createdAt     string
	expiresAt     string
	origin        string
	keep          string
	hubSuffix     string
	serviceSuffix string
}

// Source gives configuration values by key, without a namespace. Objects and lists come as JSON, as Pulumi passes them.
type Source interface {
	Get(key string) (value string, ok bool)
}

// Load reads and checks the configuration of the stack that is being deployed. Files that it names are read by readFile.
func Load(ctx *pulumi.Context, readFile func(name string) ([]byte, error)) (*Topology, error) {
	return Parse(stackConfig{ctx, readFile}, ctx.Stack())
}

// stackConfig reads the stack's configuration in the project's own namespace, whatever the project is called. It reads the raw
// values, secret ones too: what is secret by nature is wrapped again where it becomes an argument.
type stackConfig struct {
	ctx      *pulumi.Context
	readFile func(name string) ([]byte, error)
}

func (c stackConfig) Get(key string) (string, bool) {
	return c.ctx.GetConfig(c.ctx.Project() + ":" + key)
}

func (c stackConfig) File(name string) ([]byte, error) { return c.readFile(name) }

// Parse reads and checks a configuration. The error is a Faults with everything that is wrong.
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
		hubSuffix:     r.text("hubSuffix", "azure-devices.net"),
		serviceSuffix: r.text("serviceSuffix", "azure-devices-provisioning.net"),
	}
	t.Hubs = r.hubs(t.Location)
	t.Existing = r.existing()
	r.sharing(t)
	t.emulator = r.login(t)
	t.Authority = r.authority(t.Attestation, stack)
	t.Fleet = r.group(t)
	if t.Attestation == X509 && (t.Fleet.primary != "" || t.Fleet.secondary != "") {
		r.fault("enrollmentGroup", "has keys, but attestation x509 lets devices in by their certificates: leave the keys out")
	}
	t.Devices = r.devices(t)
	t.Manifest = r.manifest(t)
	r.target(t)
	if len(r.faults) > 0 {
		return nil, Faults{Stack: stack, List: r.faults}
	}
	return t, nil
}

// target checks what belongs to one target only.
func (r *reader) target(t *Topology) {
	switch {
	case t.Target == Local && (t.Endpoint == "" || t.CAFile == ""):
		r.fault("endpoint", "a local stack needs the emulator's address and CA file, which `keel up` and `keel exec` write")
	case t.Target == Azure && t.Endpoint != "":
		r.fault("endpoint", "leads to an emulator, but the target is azure: `pulumi config rm endpoint`, or choose target local")
	case t.Target == Azure && t.CAFile != "":
		r.fault("caFile", "belongs to an emulator, but the target is azure: `pulumi config rm caFile`, or choose target local")
	case t.Target == Azure && t.SecretFile != "":
		r.fault("secretFile", "belongs to an emulator, but the target is azure: `pulumi config rm secretFile`, or choose target local")
	}
}

// EmulatorSecret reads the emulator's client secret.
func (t *Topology) EmulatorSecret(readFile func(name string) ([]byte, error)) (string, error) {
	if t.SecretFile == "" {
		return "", errors.New("secretFile: a local stack needs the file of the emulator's client secret, which `keel up` and `keel exec` write")
	}
	text, err := readFile(t.SecretFile)
	if err != nil {
		return "", fmt.Errorf("secretFile: cannot be read: %w; `keel up` and `keel exec` write where it is", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func index(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }
