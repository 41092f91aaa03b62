package topology

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// Export sets the stack's outputs, which devices and operators need. Outputs that contain a key are secrets.
func (t *Topology) Export(ctx *pulumi.Context, hubs Hubs, service Provisioning, fleet *azuredps.EnrollmentGroup) {
	byName, operators := pulumi.Map{}, pulumi.StringMap{}
	for _, h := range hubs {
		byName[h.Name] = pulumi.Map{"hostName": h.Host, "weight": pulumi.Int(h.Weight), "drain": pulumi.Bool(h.Drain)}
		if !h.DisableLocalAuth { // keel then logs in with Microsoft Entra ID
			operators[h.Name] = connectionString(h.Host, RoleOperator, h.keys[RoleOperator].Active)
		}
	}
	for name, value := range map[string]pulumi.Input{
		"idScope":              pulumi.Unsecret(service.idScope), // not secret, although its resource has secret keys
		"serviceHost":          service.host,
		"provisioningService":  service.ID,
		"deviceHost":           pulumi.String("global." + t.serviceSuffix),
		"allocationPolicy":     pulumi.String(t.Policy),
		"hubs":                 byName,
		"attestation":          pulumi.String(t.Attestation),
		"enrollmentGroup":      pulumi.String(t.Fleet.ID),
		"enrollmentGroups":     pulumi.StringArray{fleet.EnrollmentGroupId},
		"hubConnectionStrings": pulumi.ToSecret(operators),
	} {
		ctx.Export(name, value)
	}
	if service.policy != "" {
		ctx.Export("serviceConnectionString", pulumi.ToSecret(connectionString(service.host, service.policy,
			service.key)))
	}
	if t.Authority != nil {
		ctx.Export("deviceAuthority", pulumi.String(t.Authority.Thumbprint))
	} else {
		ctx.Export("enrollmentGroupKey", pulumi.ToSecret(fleet.PrimaryKey))
	}
	if t.expiresAt != "" {
		ctx.Export("expiresAt", pulumi.String(t.expiresAt))
	}
}
