// Command evenkeel is a Pulumi program. It declares IoT hubs, a Device Provisioning Service that distributes devices
// evenly across them, and the enrollments that let the devices register.
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
		hub, err := devices.NewIotHubResource(ctx, h.Name, cfg.Hub(h, group, keys), cloud.Hub)
		if err != nil {
			return err
		}
		hubs = append(hubs, cfg.Link(h, hub, keys))
	}
	service, isShared := optional.Service(ctx, cfg, cloud)
	if !isShared { // all hubs linked, AllocationPolicy: Hashed
		keys, err := accesskey.Register(ctx, cfg, "provisioning", topology.ServiceRoles)
		if err != nil {
			return err
		}
		dps, err := devices.NewIotDpsResource(ctx, "provisioning", cfg.Service(group, hubs, keys), cloud.Service)
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
	options := pulumi.Composite(pulumi.Provider(provider), pulumi.DependsOn(before), service.Within)
	fleet, err := azuredps.NewEnrollmentGroup(ctx, cfg.Fleet.ID, cfg.Fleet.Args(hubs), options)
	if err != nil {
		return err
	}
	var single []pulumi.Resource
	for _, d := range cfg.Devices { // device-1 and device-2 by default
		device, err := azuredps.NewIndividualEnrollment(ctx, d.ID, d.Args(hubs), options)
		if err != nil {
			return err
		}
		single = append(single, device)
	}
	cfg.Export(ctx, hubs, service, fleet)
	return optional.Manifest(ctx, cfg, hubs, options, pulumi.DependsOn(single))
}
