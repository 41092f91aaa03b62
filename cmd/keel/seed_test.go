//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/rogpeppe/go-internal/testscript"

	"evenkeel/dpsservice"
	"evenkeel/internal/fleet/deviceca"
	"evenkeel/internal/keel/environment"
)

// policyOfService is a shared access policy of a provisioning service.
type policyOfService = armdeviceprovisioningservices.
	SharedAccessSignatureAuthorizationRuleAccessRightsDescription

// groupKey is the key of the seeded enrollment group, in base64.
const groupKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// seed: creates in the running emulator what the real Pulumi would (two hubs, a provisioning service, the group
// "devices", the enrollment device-1), and makes the fake pulumi return its outputs. `seed wrong-key` returns a key
// that is not the group's; with `seed x509 FOLDER`, the devices of the group have certificates of the authority in that
// folder.
func seed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 2 || len(args) == 2 && args[0] != "x509" {
		ts.Fatalf("usage: seed [wrong-key | x509 FOLDER]")
	}
	record, err := process(ts.Getenv("CHECKOUT")).Find()
	ts.Check(err)
	ends, err := decode(record)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := deploy(ctx, ends)
	ts.Check(err)
	switch len(args) {
	case 2:
		ts.Check(byCertificates(ctx, ends, &out, ts.MkAbs(args[1])))
	case 1:
		out.EnrollmentGroupKey = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
	}
	text, err := json.Marshal(out)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("FAKE"), "outputs"), text, 0o600))
}

// deploy creates the resources through the management API, as Azure's own clients do, with two hubs of equal weight.
func deploy(ctx context.Context, ends environment.Endpoints) (outputs, error) {
	return deployHubs(ctx, ends, hubOut{Name: "hub-1", Weight: 1}, hubOut{Name: "hub-2", Weight: 1})
}

// deployHubs is deploy with other hubs.
func deployHubs(ctx context.Context, ends environment.Endpoints, wanted ...hubOut) (outputs, error) {
	credential, client, err := environment.Client(ends)
	if err != nil {
		return outputs{}, err
	}
	options := &arm.ClientOptions{ClientOptions: client, DisableRPRegistration: true}
	out := outputs{
		DeviceHost: "global.azure-devices-provisioning.net", ServiceHost: "seeded.azure-devices-provisioning.net",
		AllocationPolicy: "Hashed",
		EnrollmentGroup:  "devices", EnrollmentGroupKey: groupKey, HubConnectionStrings: map[string]string{},
	}
	groups, err := armresources.NewResourceGroupsClient(ends.SubscriptionID, credential, options)
	if err != nil {
		return outputs{}, err
	}
	tags := map[string]*string{"purpose": to.Ptr("evenkeel"), "stack": to.Ptr(environment.Local)}
	if _, err := groups.CreateOrUpdate(ctx, "seeded", armresources.ResourceGroup{Location: to.Ptr("westeurope"),
		Tags: tags}, nil); err != nil {
		return outputs{}, err
	}
	hubs, err := armiothub.NewResourceClient(ends.SubscriptionID, credential, options)
	if err != nil {
		return outputs{}, err
	}
	var links []*armdeviceprovisioningservices.IotHubDefinitionDescription
	for _, h := range wanted {
		name := h.Name
		poller, err := hubs.BeginCreateOrUpdate(ctx, "seeded", "seeded-"+name, armiothub.Description{
			Location: to.Ptr("westeurope"), SKU: &armiothub.SKUInfo{Name: to.Ptr(armiothub.IotHubSKUS1),
				Capacity: to.Ptr[int64](1)},
		}, nil)
		if err == nil {
			_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: time.Second})
		}
		if err != nil {
			return outputs{}, err
		}
		owner, err := hubs.GetKeysForKeyName(ctx, "seeded", "seeded-"+name, "iothubowner", nil)
		if err != nil {
			return outputs{}, err
		}
		host := "seeded-" + name + ".azure-devices.net"
		out.Hubs = append(out.Hubs, hubOut{Name: name, HostName: host, Weight: h.Weight, Drain: h.Drain})
		out.HubConnectionStrings[name] = fmt.Sprintf("HostName=%s;SharedAccessKeyName=iothubowner;SharedAccessKey=%s",
			host, *owner.PrimaryKey)
		links = append(links, &armdeviceprovisioningservices.IotHubDefinitionDescription{
			ConnectionString: to.Ptr(out.HubConnectionStrings[name]), Location: to.Ptr("westeurope"),
			AllocationWeight: to.Ptr(int32(h.Weight)), ApplyAllocationPolicy: to.Ptr(!h.Drain),
		})
	}
	services, err := armdeviceprovisioningservices.NewIotDpsResourceClient(ends.SubscriptionID, credential, options)
	if err != nil {
		return outputs{}, err
	}
	rights := armdeviceprovisioningservices.AccessRightsDescription(
		"EnrollmentRead, EnrollmentWrite, RegistrationStatusRead, RegistrationStatusWrite")
	poller, err := services.BeginCreateOrUpdate(ctx, "seeded", "seeded",
		armdeviceprovisioningservices.ProvisioningServiceDescription{
			Location: to.Ptr("westeurope"),
			SKU: &armdeviceprovisioningservices.IotDpsSKUInfo{Name: to.Ptr(armdeviceprovisioningservices.IotDpsSKUS1),
				Capacity: to.Ptr[int64](1)},
			Properties: &armdeviceprovisioningservices.IotDpsPropertiesDescription{
				IotHubs: links,
				AuthorizationPolicies: []*policyOfService{{
					KeyName: to.Ptr("enrollments"), Rights: &rights, PrimaryKey: to.Ptr(groupKey),
					SecondaryKey: to.Ptr(groupKey),
				}},
			},
		}, nil)
	if err != nil {
		return outputs{}, err
	}
	made, err := poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: time.Second})
	if err != nil {
		return outputs{}, err
	}
	out.IDScope = *made.Properties.IDScope
	out.ServiceConnectionString = "HostName=" + out.ServiceHost + ";SharedAccessKeyName=enrollments;SharedAccessKey=" +
		groupKey
	return out, enroll(ctx, out, ends)
}

func enroll(ctx context.Context, out outputs, ends environment.Endpoints) error {
	client, err := out.service(ends)
	if err != nil {
		return err
	}
	defer client.Close()
	attestation := &dpsservice.Attestation{
		Type: dpsservice.SymmetricKeyAttestation, SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: groupKey,
			SecondaryKey: groupKey},
	}
	if _, err := client.Groups().Put(ctx, "devices", dpsservice.Enrollment{ID: "devices", Attestation: attestation},
		""); err != nil {
		return err
	}
	_, err = client.Individuals().Put(ctx, "device-1", dpsservice.Enrollment{ID: "device-1", Attestation: attestation},
		"")
	return err
}

// byCertificates adds the authority in a folder to the seeded service and makes the group use it.
func byCertificates(ctx context.Context, ends environment.Endpoints, out *outputs, folder string) error {
	authority, err := deviceca.Open(folder, time.Now())
	if err != nil {
		return err
	}
	credential, client, err := environment.Client(ends)
	if err != nil {
		return err
	}
	certificates, err := armdeviceprovisioningservices.NewDpsCertificateClient(ends.SubscriptionID, credential,
		&arm.ClientOptions{ClientOptions: client, DisableRPRegistration: true})
	if err != nil {
		return err
	}
	name := "authority-" + thumbprint(authority.PEM())[:8]
	_, err = certificates.CreateOrUpdate(ctx, "seeded", "seeded", name,
		armdeviceprovisioningservices.CertificateResponse{
			Properties: &armdeviceprovisioningservices.CertificateProperties{Certificate: authority.PEM(),
				IsVerified: to.Ptr(true)},
		}, nil)
	if err != nil {
		return err
	}
	service, err := out.service(ends)
	if err != nil {
		return err
	}
	defer service.Close()
	_, err = service.Groups().Put(ctx, "devices", dpsservice.Enrollment{ID: "devices",
		Attestation: &dpsservice.Attestation{
			Type: dpsservice.X509CertAttestation, X509: &dpsservice.X509Attestation{
				CAReferences: &dpsservice.X509CAReferences{Primary: name}},
		}}, "*")
	out.EnrollmentGroupKey, out.DeviceAuthority = "", thumbprint(authority.PEM())
	return err
}
