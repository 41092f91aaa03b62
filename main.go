// Command evenkeel is the Pulumi program: IoT hubs behind one Device Provisioning Service that spreads devices evenly over them, and
// the enrollments that let the devices in.
package main

import (
	"os"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi-azure-native-sdk/resources/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/target"
	"evenkeel/internal/program/topology"
	azuredps "evenkeel/sdks/azure-dps"
)

func main() { pulumi.Run(target.Guard(os.Getenv, declare)) }

func declare(ctx *pulumi.Context, cfg *topology.Topology, cloud target.Cloud) error {
	group, err := resources.NewResourceGroup(ctx, "environment", cfg.Group(), cloud.Resources)
	if err != nil {
		return err
	}
	var hubs topology.Hubs
	for _, h := range cfg.Hubs { // hub-1 and hub-2 by default
		keys, err := accessKeys(ctx, cfg, h.Name, topology.HubRoles)
		if err != nil {
			return err
		}
		hub, err := devices.NewIotHubResource(ctx, h.Name, cfg.Hub(h, group, keys), cloud.Resources, topology.Anchored, cloud.Tiers)
		if err != nil {
			return err
		}
		hubs = append(hubs, cfg.Link(h, hub, keys))
	}
	service, err := provisioning(ctx, cfg, group, hubs, cloud)
	if err != nil {
		return err
	}
	provider, err := azuredps.NewProvider(ctx, "enrollments", cfg.Provider(service))
	if err != nil {
		return err
	}
	var first []pulumi.Resource            // what has to be there before enrollments
	for _, h := range cfg.Separate(hubs) { // none, unless stacks share one service
		link, err := azuredps.NewLinkedHub(ctx, h.Name, h.LinkTo(service), pulumi.Provider(provider))
		if err != nil {
			return err
		}
		first = append(first, link)
	}
	if cfg.Authority != nil { // attestation: x509
		authority, err := devices.NewDpsCertificate(ctx, "authority", cfg.Certificate(service), cloud.Resources, topology.Succeeded, service.Within)
		if err != nil {
			return err
		}
		first = append(first, authority)
	}
	fleet, err := azuredps.NewEnrollmentGroup(ctx, cfg.Fleet.ID, cfg.Fleet.Args(hubs), pulumi.Provider(provider), pulumi.DependsOn(first), service.Within)
	if err != nil {
		return err
	}
	single := first                 // a device that moves from the manifest to an enrollment of its own is taken over before the manifest drops it
	for _, d := range cfg.Devices { // device-1 and device-2 by default
		device, err := azuredps.NewIndividualEnrollment(ctx, d.ID, d.Args(hubs), pulumi.Provider(provider), pulumi.DependsOn(first), service.Within)
		if err != nil {
			return err
		}
		single = append(single, device)
	}
	if cfg.Manifest != nil { // manifest: thousands of devices in a file
		if _, err := azuredps.NewEnrollmentSet(ctx, "manifest", cfg.Manifest.Args(hubs), pulumi.Provider(provider), pulumi.DependsOn(single), service.Within); err != nil {
			return err
		}
	}
	cfg.Export(ctx, hubs, service, fleet)
	return nil
}

// provisioning makes the service that the devices register with, or finds the one that another stack owns.
func provisioning(ctx *pulumi.Context, cfg *topology.Topology, group *resources.ResourceGroup, hubs topology.Hubs, cloud target.Cloud) (topology.Provisioning, error) {
	if cfg.Existing != nil { // provisioningService: its resource id
		return cfg.Found(devices.LookupIotDpsResourceOutput(ctx, cfg.Existing.Question(), cloud.Questions)), nil
	}
	keys, err := accessKeys(ctx, cfg, "provisioning", topology.ServiceRoles)
	if err != nil {
		return topology.Provisioning{}, err
	}
	// All hubs linked, AllocationPolicy: Hashed.
	dps, err := devices.NewIotDpsResource(ctx, "provisioning", cfg.Service(group, hubs, keys), cloud.Resources, topology.Anchored, cloud.Links)
	if err != nil {
		return topology.Provisioning{}, err
	}
	return cfg.Own(group, dps, keys), nil
}

// accessKeys makes a pair of shared access keys for each policy of a resource.
func accessKeys(ctx *pulumi.Context, cfg *topology.Topology, owner string, roles []string) (topology.Keys, error) {
	keys := topology.Keys{}
	for _, role := range roles {
		key, err := azuredps.NewSharedAccessKey(ctx, owner+"-"+role, cfg.Key(role))
		if err != nil {
			return nil, err
		}
		keys[role] = topology.KeyOf(key)
	}
	return keys, nil
}
