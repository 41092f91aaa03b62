// Package optional registers the resources that only optional settings ask for: links of hubs to a provisioning service
// that stacks share, the authority of devices with certificates, and the enrollments of a manifest. Without those
// settings it registers nothing.
package optional

import (
	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/target"
	"evenkeel/internal/program/topology"
	azuredps "evenkeel/sdks/azure-dps"
)

// Service finds the provisioning service of another stack that the setting provisioningService names. It returns false
// when the stack is to have its own.
func Service(ctx *pulumi.Context, cfg *topology.Topology, cloud target.Cloud) (topology.Provisioning, bool) {
	if cfg.Existing == nil {
		return topology.Provisioning{}, false
	}
	return cfg.Found(devices.LookupIotDpsResourceOutput(ctx, cfg.Existing.Lookup(), cloud.Lookup)), true
}

// BeforeEnrollments registers what enrollments need at the service: the links of the hubs where stacks share it, and
// the authority of devices with certificates. Enrollments depend on what it returns.
func BeforeEnrollments(ctx *pulumi.Context, cfg *topology.Topology, hubs topology.Hubs, service topology.Provisioning,
	provider *azuredps.Provider, cloud target.Cloud) ([]pulumi.Resource, error) {
	var made []pulumi.Resource
	for _, h := range cfg.Separate(hubs) {
		link, err := azuredps.NewLinkedHub(ctx, h.Name, h.LinkTo(service), pulumi.Provider(provider))
		if err != nil {
			return nil, err
		}
		made = append(made, link)
	}
	if cfg.Authority == nil {
		return made, nil
	}
	authority, err := devices.NewDpsCertificate(ctx, "authority", cfg.Certificate(service), cloud.Resources,
		topology.CreateFirst, service.Within)
	if err != nil {
		return nil, err
	}
	return append(made, authority), nil
}

// Manifest registers the enrollments of the setting manifest, after those of their own: a device that moves from the
// manifest to an enrollment of its own is taken over before the manifest drops it.
func Manifest(ctx *pulumi.Context, cfg *topology.Topology, hubs topology.Hubs, options ...pulumi.ResourceOption) error {
	if cfg.Manifest == nil {
		return nil
	}
	_, err := azuredps.NewEnrollmentSet(ctx, "manifest", cfg.Manifest.Args(hubs), options...)
	return err
}
