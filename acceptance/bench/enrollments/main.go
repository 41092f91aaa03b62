// Command enrollments is the Pulumi program with which `make bench` measures enrollments. The configuration sets their
// number (count), their form (form) and the access to the provisioning service. It deploys nothing else.
package main

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	azuredps "evenkeel/sdks/azure-dps"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		c := config.New(ctx, "")
		provider, err := azuredps.NewProvider(ctx, "enrollments", &azuredps.ProviderArgs{
			ConnectionString: c.RequireSecret("connectionString"), Endpoint: pulumi.String(c.Require("endpoint")),
			CaFile: pulumi.String(c.Require("caFile")), RateLimit: pulumi.Int(0),
		})
		if err != nil {
			return err
		}
		return declare(ctx, c, pulumi.Provider(provider))
	})
}

// declare declares the enrollments, or as many resources that call no service ("nothing"), or no resources ("none").
func declare(ctx *pulumi.Context, c *config.Config, provider pulumi.ResourceOption) error {
	count, form := c.RequireInt("count"), c.Require("form")
	switch form {
	case "none":
		return nil
	case "manifest":
		_, err := azuredps.NewEnrollmentSet(ctx, "devices",
			&azuredps.EnrollmentSetArgs{Manifest: pulumi.NewFileAsset(c.Require("manifest"))}, provider)
		return err
	case "items":
		items := make(azuredps.EnrollmentSetItemArray, count)
		for i := range items {
			items[i] = azuredps.EnrollmentSetItemArgs{RegistrationId: pulumi.String(deviceID(i))}
		}
		_, err := azuredps.NewEnrollmentSet(ctx, "devices", &azuredps.EnrollmentSetArgs{Items: items}, provider)
		return err
	case "single", "nothing":
		for i := range count {
			var err error
			if form == "single" {
				_, err = azuredps.NewIndividualEnrollment(ctx, deviceID(i),
					&azuredps.IndividualEnrollmentArgs{RegistrationId: pulumi.String(deviceID(i))}, provider)
			} else {
				_, err = azuredps.NewSharedAccessKey(ctx, deviceID(i), nil, provider)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("unknown form %q: use none, nothing, single, items or manifest", form)
}

func deviceID(i int) string { return fmt.Sprintf("bench-%06d", i) }
