package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// EnrollmentGroup enrolls every device whose certificate the authority has signed, and keeps its data when it moves to
// another hub.
func EnrollmentGroup(ctx *pulumi.Context) error {
	_, err := azuredps.NewEnrollmentGroup(ctx, "presses", &azuredps.EnrollmentGroupArgs{
		EnrollmentGroupId: pulumi.String("presses"),
		Attestation: azuredps.AttestationArgs{X509: azuredps.X509AttestationArgs{
			CaReferences: azuredps.CAReferencesArgs{Primary: pulumi.String("factory-ca")},
		}},
		AllocationPolicy: azuredps.AllocationPolicyHashed,
		ReprovisionPolicy: azuredps.ReprovisionPolicyArgs{
			UpdateHubAssignment: pulumi.Bool(true),
			MigrateDeviceData:   pulumi.Bool(true),
		},
	})
	return err
}
