package topology

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/azure/enrollment"
	azuredps "evenkeel/sdks/azure-dps"
)

// Group is the enrollment group that the stack declares: every device may register whose key derives from the group's or whose
// certificate the authority has signed.
type Group struct {
	// ID is the enrollment group's id.
	ID string
	entry
}

// Device is a device with an individual enrollment of its own.
type Device struct {
	// ID is the registration id, and the device's id on its hub unless DeviceID says otherwise.
	ID, DeviceID string
	// certificate is a PEM text: the device proves itself with it instead of a symmetric key.
	certificate string
	entry
}

// entry is what groups and devices may set alike.
type entry struct {
	// primary and secondary are symmetric keys given by the user; empty ones are made by the provider.
	primary, secondary string
	// authority lets in who has neither key nor certificate of their own; nil where devices have symmetric keys.
	authority *Authority
	// guest says that the service is another stack's: what registered goes with the entry, or nobody would remove it.
	guest bool
	// policy overrides the provisioning service's; empty follows it. Where hubs are given it is never empty.
	policy string
	// hubs are the resource names of the hubs that may take the device; empty: every linked one. Drained ones are left out.
	hubs []string
}

// entrySettings is the configuration of a group or a device: a text is its id alone.
type entrySettings struct {
	ID               string   `json:"id"`
	DeviceID         string   `json:"deviceId"`
	PrimaryKey       string   `json:"primaryKey"`
	SecondaryKey     string   `json:"secondaryKey"`
	Certificate      string   `json:"certificate"`
	AllocationPolicy string   `json:"allocationPolicy"`
	Hubs             []string `json:"hubs"`
}

func (s *entrySettings) setText(text string) { s.ID = text }

// cleanKeys takes out the line breaks with which tools print long keys.
func (s *entrySettings) cleanKeys() {
	s.PrimaryKey, s.SecondaryKey = enrollment.CleanKey(s.PrimaryKey), enrollment.CleanKey(s.SecondaryKey)
}

func (r *reader) group(t *Topology) Group {
	const key = "enrollmentGroup"
	set := entrySettings{ID: "devices"}
	switch value := r.text(key, ""); {
	case strings.HasPrefix(value, "{"), strings.HasPrefix(value, "["):
		r.decode(key, value, &set)
	case value != "":
		set.ID = value
	}
	set.cleanKeys()
	if set.DeviceID != "" || set.Certificate != "" {
		r.fault(key, "a group has neither deviceId nor certificate; those belong to `devices`")
	}
	set.ID = t.scoped(set.ID)
	r.faults = append(r.faults, enrollment.CheckGroupID(key, set.ID)...)
	return Group{ID: set.ID, entry: r.entry(key, set, t)}
}

func (r *reader) devices(t *Topology) []Device {
	const key = "devices"
	sets := []entrySettings{{ID: "device-1"}, {ID: "device-2"}}
	if value := r.text(key, ""); value != "" {
		sets = nil
		r.decode(key, value, &sets)
	}
	seen := map[string]int{}
	var devices []Device
	for i, set := range sets {
		at := index(key, i)
		set.cleanKeys()
		set.ID = t.scoped(set.ID)
		if set.ID == "" && r.isTold(at) { // it could not be read
			continue
		}
		r.faults = append(r.faults, enrollment.CheckRegistrationID(at, set.ID)...)
		if first, twice := seen[strings.ToLower(set.ID)]; twice {
			r.fault(at, "%q is enrolled already by %s; ids compare without regard to letter case", set.ID, index(key, first))
		} else {
			seen[strings.ToLower(set.ID)] = i
		}
		if set.DeviceID != "" {
			r.faults = append(r.faults, enrollment.CheckDeviceID(at+".deviceId", set.DeviceID)...)
		}
		if set.Certificate != "" {
			r.certificate(at+".certificate", set)
			if set.PrimaryKey != "" || set.SecondaryKey != "" {
				r.fault(at, "has a certificate and keys; a device proves itself by one of them")
			}
		}
		devices = append(devices, Device{ID: set.ID, DeviceID: set.DeviceID, certificate: set.Certificate, entry: r.entry(at, set, t)})
	}
	return devices
}

// certificate checks that it parses and bears the device's name. Whether it has expired needs a clock: the provider looks at that.
func (r *reader) certificate(key string, set entrySettings) {
	if _, err := enrollment.ParseCertificate(set.Certificate); err != nil {
		r.fault(key, "%v", err)
		return
	}
	r.faults = append(r.faults, enrollment.CheckClientName(key, set.Certificate, set.ID)...)
}

// entry checks what groups and devices share.
func (r *reader) entry(key string, set entrySettings, t *Topology) entry {
	e := entry{primary: set.PrimaryKey, secondary: set.SecondaryKey, authority: t.Authority, guest: t.Existing != nil}
	for _, given := range []struct{ name, key string }{{".primaryKey", set.PrimaryKey}, {".secondaryKey", set.SecondaryKey}} {
		if given.key != "" {
			r.faults = append(r.faults, enrollment.CheckKey(key+given.name, given.key)...)
		}
	}
	effective := t.Policy
	if set.AllocationPolicy != "" {
		match, ok := fold(set.AllocationPolicy, []string{"hashed", "geoLatency", "static"})
		if !ok {
			r.fault(key+".allocationPolicy", "%s is not one of hashed, geoLatency, static", enrollment.Quote(set.AllocationPolicy))
		}
		e.policy, effective = match, match
	}
	if len(set.Hubs) > 0 && e.policy == "" { // Azure takes no hubs without a policy
		e.policy, _ = enrollment.CanonicalPolicy(t.Policy)
	}
	known := map[string]Hub{}
	for _, hub := range t.Hubs {
		known[hub.Name] = hub
	}
	if len(set.Hubs) == 0 && t.linked() {
		e.keepTo(t.Hubs, effective)
	}
	for i, name := range set.Hubs {
		hub, ok := known[name]
		if !ok {
			r.fault(index(key+".hubs", i), "there is no hub %s in this stack", enrollment.Quote(name))
		} else if !hub.Drain {
			e.hubs = append(e.hubs, name)
		}
	}
	if len(set.Hubs) > 0 && len(e.hubs) == 0 {
		r.fault(key+".hubs", "names no hub that takes devices: every one is drained or absent")
	}
	r.oneHub(key+".hubs", effective, e)
	return e
}

// keepTo keeps devices among the hubs of others on the stack's own, spread as the policy says.
func (e *entry) keepTo(hubs []Hub, policy string) {
	e.policy, _ = enrollment.CanonicalPolicy(policy)
	for _, hub := range hubs {
		if !hub.Drain {
			e.hubs = append(e.hubs, hub.Name)
		}
	}
}

// oneHub checks that the static policy has its one hub.
func (r *reader) oneHub(key, policy string, e entry) {
	if strings.EqualFold(policy, "static") && len(e.hubs) != 1 {
		r.fault(key, "the static allocation policy needs exactly one hub here, %d take devices", len(e.hubs))
	}
}

// Args are the arguments of the enrollment group.
func (g Group) Args(hubs Hubs) *azuredps.EnrollmentGroupArgs {
	return &azuredps.EnrollmentGroupArgs{
		EnrollmentGroupId:   pulumi.String(g.ID),
		Attestation:         g.attestation(),
		AllocationPolicy:    g.allocation(),
		IotHubs:             g.hubHosts(hubs),
		DeleteRegistrations: g.deletes(),
	}
}

// Args are the arguments of the device's individual enrollment.
func (d Device) Args(hubs Hubs) *azuredps.IndividualEnrollmentArgs {
	args := &azuredps.IndividualEnrollmentArgs{
		RegistrationId:      pulumi.String(d.ID),
		Attestation:         d.attestation(),
		AllocationPolicy:    d.allocation(),
		IotHubs:             d.hubHosts(hubs),
		DeleteRegistrations: d.deletes(),
	}
	if d.DeviceID != "" {
		args.DeviceId = pulumi.String(d.DeviceID)
	}
	if d.certificate != "" {
		args.Attestation = azuredps.AttestationArgs{X509: azuredps.X509AttestationArgs{
			ClientCertificates: azuredps.CertificatePairArgs{Primary: pulumi.String(d.certificate)},
		}}
	}
	return args
}

func (e entry) hubHosts(hubs Hubs) pulumi.StringArrayInput {
	if len(e.hubs) == 0 {
		return nil
	}
	return hubs.hosts(e.hubs)
}

func (e entry) deletes() pulumi.BoolPtrInput {
	if !e.guest {
		return nil
	}
	return pulumi.Bool(true)
}

func (e entry) allocation() azuredps.AllocationPolicyPtrInput {
	if e.policy == "" {
		return nil
	}
	return azuredps.AllocationPolicy(e.policy)
}

// attestation passes on the keys that the user gave, as secrets. Without any the authority lets the device in, and without that the
// provider makes keys.
func (e entry) attestation() azuredps.AttestationPtrInput {
	if e.primary == "" && e.secondary == "" {
		if e.authority == nil {
			return nil
		}
		return e.authority.attestation()
	}
	var keys azuredps.SymmetricKeyArgs
	if e.primary != "" {
		keys.PrimaryKey = secret(e.primary)
	}
	if e.secondary != "" {
		keys.SecondaryKey = secret(e.secondary)
	}
	return azuredps.AttestationArgs{SymmetricKey: keys}
}

func secret(text string) pulumi.StringPtrOutput {
	return pulumi.ToSecret(pulumi.StringPtr(text)).(pulumi.StringPtrOutput)
}
