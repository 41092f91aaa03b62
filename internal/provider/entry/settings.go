package entry

import "github.com/pulumi/pulumi-go-provider/infer"

// Settings are the inputs that individual enrollments and enrollment groups have in common. A property that is left out
// is not set at the service: an update sends the whole entry, so a property removed from the program is removed there
// too.
//
// Source: IndividualEnrollment and EnrollmentGroup of the service API 2021-10-01 and, for Issuance, 2026-11-01.
type Settings struct {
	Attestation        *Attestation        `pulumi:"attestation,optional"`
	ProvisioningStatus *ProvisioningStatus `pulumi:"provisioningStatus,optional"`
	Capabilities       *Capabilities       `pulumi:"capabilities,optional"`
	InitialTwin        *InitialTwin        `pulumi:"initialTwin,optional"`
	ReprovisionPolicy  *ReprovisionPolicy  `pulumi:"reprovisionPolicy,optional"`
	AllocationPolicy   *AllocationPolicy   `pulumi:"allocationPolicy,optional"`
	CustomAllocation   *CustomAllocation   `pulumi:"customAllocation,optional"`
	IotHubs            []string            `pulumi:"iotHubs,optional"`
	IotHubHostName     *string             `pulumi:"iotHubHostName,optional"`
	Issuance
}

// Annotate describes the properties in the schema.
func (s *Settings) Annotate(an infer.Annotator) {
	an.Describe(&s.Attestation,
		"How devices authenticate. Left out, the provider generates a pair of symmetric keys. Another kind of "+
			"attestation replaces the enrollment.")
	an.Describe(&s.ProvisioningStatus, "Whether devices may register: `enabled` (the default) or `disabled`.")
	an.Describe(&s.Capabilities, "Capabilities of the devices.")
	an.Describe(&s.InitialTwin,
		"Twin that a device gets when it is first assigned to a hub, or when its data is reset.")
	an.Describe(&s.ReprovisionPolicy,
		"What happens when a device registers again. Left out, the service evaluates the allocation again and "+
			"migrates the device's data.")
	an.Describe(&s.AllocationPolicy,
		"How devices are distributed over the hubs: `hashed` (evenly, by weight), `geoLatency`, `static` or "+
			"`custom`, in any letter case. Left out, the provisioning service's own policy applies; required with "+
			"`iotHubs`.")
	an.Describe(&s.CustomAllocation, "The webhook that decides, for the policy `custom`.")
	an.Describe(&s.IotHubs,
		"Host names of the linked hubs that devices may be assigned to. Left out or empty, every linked hub. The "+
			"order has no meaning. The policy `static` needs exactly one.")
	an.Describe(&s.IotHubHostName, "The older property for the hub of the policy `static`; use `iotHubs`.")
}

// Record holds the outputs that individual enrollments and enrollment groups have in common.
type Record struct {
	ServiceHost            string           `pulumi:"serviceHost"`
	Etag                   string           `pulumi:"etag"`
	CreatedDateTimeUtc     string           `pulumi:"createdDateTimeUtc"`
	LastUpdatedDateTimeUtc string           `pulumi:"lastUpdatedDateTimeUtc"`
	PrimaryKey             *string          `pulumi:"primaryKey,optional" provider:"secret"`
	SecondaryKey           *string          `pulumi:"secondaryKey,optional" provider:"secret"`
	PrimaryCertificate     *CertificateInfo `pulumi:"primaryCertificate,optional"`
	SecondaryCertificate   *CertificateInfo `pulumi:"secondaryCertificate,optional"`
}

// Annotate describes the properties in the schema.
func (r *Record) Annotate(an infer.Annotator) {
	an.Describe(&r.ServiceHost, "Host name of the provisioning service that holds the enrollment.")
	an.Describe(&r.Etag,
		"Etag of this version of the enrollment. Updates and deletions send it, so that they do not overwrite "+
			"changes of others. `?` while it is unknown whether the enrollment was created.")
	an.Describe(&r.CreatedDateTimeUtc, "When the enrollment was created, in UTC.")
	an.Describe(&r.LastUpdatedDateTimeUtc, "When the enrollment was last changed, in UTC.")
	an.Describe(&r.PrimaryKey, "The primary symmetric key in use, given or generated.")
	an.Describe(&r.SecondaryKey, "The secondary symmetric key in use, given or generated.")
	an.Describe(&r.PrimaryCertificate, "The primary certificate that the service has.")
	an.Describe(&r.SecondaryCertificate, "The secondary certificate that the service has.")
}

func (r *Record) record() *Record { return r }

// Life distinguishes a resource from the one that it replaced. See Claims.
type Life struct {
	Instance *string `pulumi:"instance,optional"`
}

// Annotate describes the property in the schema.
func (l *Life) Annotate(an infer.Annotator) {
	an.Describe(&l.Instance,
		"Distinguishes this resource from the one that it replaced, which has the same name and may have the same id. "+
			"The service does not know it; resources of older versions have none.")
}

func (l *Life) life() *Life { return l }

// Capabilities are a device's capabilities.
type Capabilities struct {
	IotEdge bool `pulumi:"iotEdge"`
}

// Annotate describes the type in the schema.
func (c *Capabilities) Annotate(an infer.Annotator) {
	an.SetToken("index", "Capabilities")
	an.Describe(c, "Capabilities of a device.")
	an.Describe(&c.IotEdge, "Whether the device is an IoT Edge device.")
}

// InitialTwin is the twin that a device starts with.
type InitialTwin struct {
	Tags              map[string]any `pulumi:"tags,optional"`
	DesiredProperties map[string]any `pulumi:"desiredProperties,optional"`
}

// Annotate describes the type in the schema.
func (i *InitialTwin) Annotate(an infer.Annotator) {
	an.SetToken("index", "InitialTwin")
	an.Describe(i, "The twin that a device starts with.")
	an.Describe(&i.Tags,
		"Tags of the twin: a JSON object that a hub accepts (names without `.`, `$`, `#` and spaces, 10 levels, 8 KiB).")
	an.Describe(&i.DesiredProperties, "Desired properties of the twin: a JSON object that a hub accepts, up to 32 KiB.")
}

// ReprovisionPolicy defines what happens when a device registers again.
type ReprovisionPolicy struct {
	UpdateHubAssignment bool `pulumi:"updateHubAssignment"`
	MigrateDeviceData   bool `pulumi:"migrateDeviceData"`
}

// Annotate describes the type in the schema.
func (r *ReprovisionPolicy) Annotate(an infer.Annotator) {
	an.SetToken("index", "ReprovisionPolicy")
	an.Describe(r, "What happens when a device registers again.")
	an.Describe(&r.UpdateHubAssignment, "Whether the hub is chosen again. If false, the device stays on its hub.")
	an.Describe(&r.MigrateDeviceData,
		"Whether the device's twin moves with it to another hub. If false, it starts there with the initial twin.")
}

// CustomAllocation names the webhook of the policy custom.
type CustomAllocation struct {
	WebhookURL string `pulumi:"webhookUrl" provider:"secret"`
	APIVersion string `pulumi:"apiVersion"`
}

// Annotate describes the type in the schema.
func (c *CustomAllocation) Annotate(an infer.Annotator) {
	an.SetToken("index", "CustomAllocation")
	an.Describe(c, "The webhook that chooses a hub for the allocation policy `custom`.")
	an.Describe(&c.WebhookURL,
		"HTTPS address of the webhook. The service never returns its query string, which may contain a function's "+
			"key, so a refresh does not detect a change of it that was made elsewhere.")
	an.Describe(&c.APIVersion, "API version of the enrollment that the webhook receives; 2018-09-01-preview or later.")
}

// ProvisioningStatus defines whether devices may register.
type ProvisioningStatus string

// The provisioning statuses.
const (
	ProvisioningEnabled  ProvisioningStatus = "enabled"
	ProvisioningDisabled ProvisioningStatus = "disabled"
)

// Annotate names the type in the schema.
func (s *ProvisioningStatus) Annotate(an infer.Annotator) { an.SetToken("index", "ProvisioningStatus") }

// Values lists the enum in the schema.
func (ProvisioningStatus) Values() []infer.EnumValue[ProvisioningStatus] {
	return []infer.EnumValue[ProvisioningStatus]{
		{Name: "Enabled", Value: ProvisioningEnabled, Description: "Devices may register."},
		{Name: "Disabled", Value: ProvisioningDisabled, Description: "Devices are refused."},
	}
}

// AllocationPolicy defines how devices are distributed over hubs, in the spelling of the service API.
type AllocationPolicy string

// The allocation policies.
const (
	AllocationHashed     AllocationPolicy = "hashed"
	AllocationGeoLatency AllocationPolicy = "geoLatency"
	AllocationStatic     AllocationPolicy = "static"
	AllocationCustom     AllocationPolicy = "custom"
)

// Annotate names the type in the schema.
func (p *AllocationPolicy) Annotate(an infer.Annotator) { an.SetToken("index", "AllocationPolicy") }

// Values lists the enum in the schema.
func (AllocationPolicy) Values() []infer.EnumValue[AllocationPolicy] {
	return []infer.EnumValue[AllocationPolicy]{
		{Name: "Hashed", Value: AllocationHashed, Description: "Evenly, in proportion to the hubs' weights."},
		{Name: "GeoLatency", Value: AllocationGeoLatency, Description: "The hub nearest to the device."},
		{Name: "Static", Value: AllocationStatic, Description: "One named hub."},
		{Name: "Custom", Value: AllocationCustom, Description: "A webhook decides."},
	}
}

// Text returns what an optional string points to, or "".
func Text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// IsOn reports whether an optional flag is set.
func IsOn(b *bool) bool { return b != nil && *b }
