// Command evenkeel is the Pulumi program: IoT hubs behind one Device Provisioning Service that spreads devices evenly
// over them, and the enrollments with which the devices register.
package main

import (
	"os"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi-azure-native-sdk/resources/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/accesskey"
	"evenkeel/internal/program/optional"
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
		keys, err := accesskey.Register(ctx, cfg, h.Name, topology.HubRoles)
		if err != nil {
			return err
		}
		hub, err := devices.NewIotHubResource(ctx, h.Name, cfg.Hub(h, group, keys), cloud.Resources, topology.Anchored, cloud.Tiers)
		if err != nil {
			return err
		}
		hubs = append(hubs, cfg.Link(h, hub, keys))
	}
	service, isAnothers := optional.Service(ctx, cfg, cloud)
	if !isAnothers { // all hubs linked, AllocationPolicy: Hashed
		keys, err := accesskey.Register(ctx, cfg, "provisioning", topology.ServiceRoles)
		if err != nil {
			return err
		}
		dps, err := devices.NewIotDpsResource(ctx, "provisioning", cfg.Service(group, hubs, keys), cloud.Resources, topology.Anchored, cloud.Links)
		if err != nil {
			return err
		}
		service = cfg.Own(group, dps, keys)
	}
	provider, err := azuredps.NewProvider(ctx, "enrollments", cfg.Provider(service))
	if err != nil {
		return err
	}
	before, err := optional.BeforeEnrollments(ctx, cfg, hubs, service, provider, cloud)
	if err != nil {
		return err
	}
	fleet, err := azuredps.NewEnrollmentGroup(ctx, cfg.Fleet.ID, cfg.Fleet.Args(hubs), pulumi.Provider(provider), pulumi.DependsOn(before), service.Within)
	if err != nil {
		return err
	}
	single := before
	for _, d := range cfg.Devices { // device-1 and device-2 by default
		device, err := azuredps.NewIndividualEnrollment(ctx, d.ID, d.Args(hubs), pulumi.Provider(provider), pulumi.DependsOn(before), service.Within)
		if err != nil {
			return err
		}
		single = append(single, device)
	}
	if err := optional.Manifest(ctx, cfg, hubs, pulumi.Provider(provider), pulumi.DependsOn(single), service.Within); err != nil {
		return err
	}
	cfg.Export(ctx, hubs, service, fleet)
	return nil
}
