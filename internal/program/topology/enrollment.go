package topology

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/azure/enrollment"
	azuredps "evenkeel/sdks/azure-dps"
)

// Group is the enrollment group of the stack. A device can register with a key derived from the group's key or with a
// certificate signed by the authority.
type Group struct {
	// ID is the enrollment group's id.
	ID string
	entry
}

// Device is a device with an individual enrollment.
type Device struct {
	// ID is the registration id. It is also the device id on the hub unless DeviceID is set.
	ID, DeviceID string
	// certificate is PEM. The device authenticates with it instead of a symmetric key.
	certificate string
	entry
}

// entry holds the settings that groups and devices share.
type entry struct {
	// primary and secondary are symmetric keys from the configuration. The provider generates empty ones.
	primary, secondary string
	// authority signs the certificates of devices without a key or certificate here; nil with symmetric keys.
	authority *Authority
	// guest is set if another stack owns the service. Registrations are then deleted with the enrollment, since the
	// owner's stack does not delete them.
	guest bool
	// policy overrides the allocation policy of the service; empty keeps it. It is never empty if hubs is set.
	policy string
	// hubs are the resource names of the hubs that the device can be assigned to, without drained ones; empty means
	// every linked hub.
	hubs []string
	issuance
}

// entrySettings is the configuration of a group or a device. A string sets only its id.
type entrySettings struct {
	ID               string   `json:"id"`
	DeviceID         string   `json:"deviceId"`
	PrimaryKey       string   `json:"primaryKey"`
	SecondaryKey     string   `json:"secondaryKey"`
	Certificate      string   `json:"certificate"`
	AllocationPolicy string   `json:"allocationPolicy"`
	Hubs             []string `json:"hubs"`

	NamespaceName            string `json:"namespaceName"`
	CertificateAuthorityName string `json:"certificateAuthorityName"`
	CertificatePolicyName    string `json:"certificatePolicyName"`
}

func (s *entrySettings) setText(text string) { s.ID = text }

// cleanKeys removes the line breaks that tools add to long keys.
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
		r.fault(key, "deviceId and certificate are settings of `devices`, not of a group")
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
		if set.ID == "" && r.isReported(at) { // it could not be read
			continue
		}
		r.faults = append(r.faults, enrollment.CheckRegistrationID(at, set.ID)...)
		if first, twice := seen[strings.ToLower(set.ID)]; twice {
			r.fault(at, "%q is already enrolled by %s; ids are not case-sensitive", set.ID, index(key, first))
		} else {
			seen[strings.ToLower(set.ID)] = i
		}
		if set.DeviceID != "" {
			r.faults = append(r.faults, enrollment.CheckDeviceID(at+".deviceId", set.DeviceID)...)
		}
		if set.Certificate != "" {
			r.certificate(at+".certificate", set)
			if set.PrimaryKey != "" || set.SecondaryKey != "" {
				r.fault(at,
					"has a certificate and keys, but a device authenticates with only one of them: remove the other")
			}
		}
		devices = append(devices, Device{ID: set.ID, DeviceID: set.DeviceID, certificate: set.Certificate,
			entry: r.entry(at, set, t)})
	}
	return devices
}

// certificate checks that the certificate parses and names the device. The provider checks its validity period, which
// needs a clock.
func (r *reader) certificate(key string, set entrySettings) {
	if _, err := enrollment.ParseCertificate(set.Certificate); err != nil {
		r.fault(key, "%v", err)
		return
	}
	r.faults = append(r.faults, enrollment.CheckClientName(key, set.Certificate, set.ID)...)
}

// entry checks the settings that groups and devices share.
func (r *reader) entry(key string, set entrySettings, t *Topology) entry {
	e := entry{primary: set.PrimaryKey, secondary: set.SecondaryKey, authority: t.Authority, guest: t.Existing != nil,
		issuance: r.issuance(key, set)}
	for _, given := range []struct{ name, key string }{{".primaryKey", set.PrimaryKey},
		{".secondaryKey", set.SecondaryKey}} {
		if given.key != "" {
			r.faults = append(r.faults, enrollment.CheckKey(key+given.name, given.key)...)
		}
	}
	effective := t.Policy
	if set.AllocationPolicy != "" {
		match, ok := fold(set.AllocationPolicy, []string{"hashed", "geoLatency", "static"})
		if !ok {
			r.fault(key+".allocationPolicy", "%s is not one of hashed, geoLatency, static",
				enrollment.Quote(set.AllocationPolicy))
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
			r.fault(index(key+".hubs", i), "this stack has no hub %s", enrollment.Quote(name))
		} else if !hub.Drain {
			e.hubs = append(e.hubs, name)
		}
	}
	if len(set.Hubs) > 0 && len(e.hubs) == 0 {
		r.fault(key+".hubs", "lists no hub that accepts new devices: all of them are drained or removed")
	}
	r.oneHub(key+".hubs", effective, e)
	return e
}

// keepTo restricts devices at a shared service to this stack's hubs, distributed by the allocation policy.
func (e *entry) keepTo(hubs []Hub, policy string) {
	e.policy, _ = enrollment.CanonicalPolicy(policy)
	for _, hub := range hubs {
		if !hub.Drain {
			e.hubs = append(e.hubs, hub.Name)
		}
	}
}

// oneHub checks that the static policy has exactly one hub.
func (r *reader) oneHub(key, policy string, e entry) {
	if strings.EqualFold(policy, "static") && len(e.hubs) != 1 {
		r.fault(key, "the static allocation policy needs exactly one hub, but %d accept devices", len(e.hubs))
	}
}

// Args are the arguments of the enrollment group.
func (g Group) Args(hubs Hubs) *azuredps.EnrollmentGroupArgs {
	return &azuredps.EnrollmentGroupArgs{
		EnrollmentGroupId:        pulumi.String(g.ID),
		Attestation:              g.attestation(),
		AllocationPolicy:         g.allocation(),
		IotHubs:                  g.hubHosts(hubs),
		NamespaceName:            orNone(g.namespace),
		CertificateAuthorityName: orNone(g.issuer),
		CertificatePolicyName:    orNone(g.certificatePolicy),
		DeleteRegistrations:      g.deletes(),
	}
}

// Args are the arguments of the device's individual enrollment.
func (d Device) Args(hubs Hubs) *azuredps.IndividualEnrollmentArgs {
	args := &azuredps.IndividualEnrollmentArgs{
		RegistrationId:           pulumi.String(d.ID),
		Attestation:              d.attestation(),
		AllocationPolicy:         d.allocation(),
		IotHubs:                  d.hubHosts(hubs),
		NamespaceName:            orNone(d.namespace),
		CertificateAuthorityName: orNone(d.issuer),
		CertificatePolicyName:    orNone(d.certificatePolicy),
		DeleteRegistrations:      d.deletes(),
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

// attestation returns the keys from the configuration, as secrets. Without keys the authority attests the device, and
// without an authority the provider generates keys.
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
