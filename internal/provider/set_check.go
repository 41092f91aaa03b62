package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/dpsapi"
	"evenkeel/internal/enrollment"
	"evenkeel/internal/sas"
)

// maxFaults bounds how many faults of a set are told.
const maxFaults = 50

// itemPaths are where an item, or the defaults, have what an enrollment has at these paths.
var itemPaths = []struct{ enrollment, item string }{
	{"attestation.symmetricKey.primaryKey", "primaryKey"},
	{"attestation.symmetricKey.secondaryKey", "secondaryKey"},
	{"attestation.x509.clientCertificates.primary", "certificate"},
	{"attestation.x509.clientCertificates.secondary", "secondaryCertificate"},
	{"attestation.tpm.endorsementKey", "endorsementKey"},
	{"attestation.tpm.storageRootKey", "storageRootKey"},
	{"attestation", "registrationId"},
}

// setFaults returns the faults of every enrollment. Those of an inline item stand at its own property, or at the defaults' where it has
// none; those of a manifest at the manifest, with the row.
func setFaults(ctx context.Context, args EnrollmentSetArgs, now time.Time) []enrollment.Fault {
	path, items, err := args.rows(ctx)
	if err != nil {
		return []enrollment.Fault{{Path: path, Message: err.Error()}}
	}
	var faults []enrollment.Fault
	seen := map[string]int{}
	defaults := args.defaults()
	for i, item := range items {
		own := enrollment.CheckRegistrationID("registrationId", item.RegistrationID)
		if first, twice := seen[strings.ToLower(item.RegistrationID)]; twice {
			own = append(own, enrollment.Fault{Path: "registrationId", Message: fmt.Sprintf("%q stands twice, first as item %d", item.RegistrationID, first+1)})
		} else {
			seen[strings.ToLower(item.RegistrationID)] = i
		}
		if item.DeviceID != nil && *item.DeviceID == "" {
			own = append(own, enrollment.Fault{Path: "deviceId", Message: "it is empty: leave it out to use the registration id"})
		}
		own = append(own, faultsOf(item.RegistrationID, item.declared(defaults).Settings, false, now)...)
		for _, f := range own {
			if faults = append(faults, item.place(f, path, i)); len(faults) == maxFaults {
				return append(faults, enrollment.Fault{Path: path, Message: "there may be more faults: only the first are told"})
			}
		}
	}
	return slices.CompactFunc(faults, func(a, b enrollment.Fault) bool { return a == b })
}

func (i SetItem) place(f enrollment.Fault, path string, index int) enrollment.Fault {
	for _, pair := range itemPaths {
		if f.Path == pair.enrollment || pair.enrollment == "attestation" && strings.HasPrefix(f.Path, pair.enrollment) {
			f.Path = pair.item
			break
		}
	}
	own := map[string]bool{"allocationPolicy": i.AllocationPolicy != nil, "iotHubs": i.IotHubs != nil, "provisioningStatus": i.ProvisioningStatus != nil}
	if has, shared := own[f.Path]; shared && !has || strings.HasPrefix(f.Path, "customAllocation") {
		return enrollment.Fault{Path: "defaults." + f.Path, Message: f.Message}
	}
	if path == "items" {
		return enrollment.Fault{Path: fmt.Sprintf("items[%d].%s", index, f.Path), Message: f.Message}
	}
	return enrollment.Fault{Path: path, Message: fmt.Sprintf("row %d, %q: %s: %s", index+1, i.RegistrationID, f.Path, f.Message)}
}

// importSet reads the enrollments that an import names, by ids or by a prefix, as inline items. Keys that the service made are not
// written into them.
func importSet(ctx context.Context, id string) (infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState], error) {
	var response infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState]
	host, names, err := parseID(id, individualsName)
	if err != nil {
		return response, err
	}
	key, err := sas.NewKey(nil)
	if err != nil {
		return response, err
	}
	run, err := beginSet(ctx, key, nil)
	if err != nil {
		return response, err
	}
	if host != run.host {
		return response, fmt.Errorf("%s lies at %s, but the provider is configured for %s", id, host, run.host)
	}
	ids := strings.Split(names, ",")
	if prefix, is := strings.CutSuffix(names, "*"); is {
		ids = nil
		for entry, err := range run.entries.Query(ctx, "SELECT * FROM enrollments", queryPage) {
			if err != nil {
				return response, run.failure("import", names, err)
			}
			if strings.HasPrefix(strings.ToLower(entry.RegistrationID), strings.ToLower(prefix)) {
				ids = append(ids, entry.RegistrationID)
			}
		}
	}
	found, err := run.readAll(ctx, ids)
	if err != nil {
		return response, err
	}
	if len(found) != len(ids) || len(found) == 0 {
		return response, fmt.Errorf("import %s: %d of %d enrollments exist: %w", id, len(found), len(ids), dpsapi.ErrNotFound)
	}
	args, err := importedArgs(found)
	if err != nil {
		return response, fmt.Errorf("import %s: %w", id, err)
	}
	response.ID, response.Inputs = resourceID(run.host, setsName, run.name), args
	response.State = EnrollmentSetState{EnrollmentSetArgs: args, ServiceHost: run.host, Devices: run.devices, DigestKey: key}
	return response, nil
}

// importedArgs makes items of enrollments. What only the defaults can say has to be the same in all of them.
func importedArgs(found []held) (EnrollmentSetArgs, error) {
	slices.SortFunc(found, func(a, b held) int { return strings.Compare(a.ID, b.ID) })
	first := found[0].Settings
	args := EnrollmentSetArgs{Defaults: &SetDefaults{ReprovisionPolicy: first.ReprovisionPolicy, CustomAllocation: first.CustomAllocation}}
	for _, h := range found {
		s := h.Settings
		if reprovisionOf(s) != reprovisionOf(first) || webhookOf(s) != webhookOf(first) {
			return args, fmt.Errorf("%q and %q have different reprovision policies or webhooks, which a set has in common: import them as two sets", found[0].ID, h.ID)
		}
		if a := s.Attestation; signingPair(a) != nil || referencesOf(a).Primary != "" || s.IotHubHostName != nil {
			return args, fmt.Errorf("%q has signing certificates, CA references or the older iotHubHostName, which a set cannot say: import it as an IndividualEnrollment", h.ID)
		}
		edge := isEdge(s)
		item := SetItem{
			RegistrationID: h.ID, DeviceID: h.DeviceID, OptionalDeviceInformation: plainJSON(h.DeviceInformation), ProvisioningStatus: s.ProvisioningStatus,
			IotEdge: &edge, Tags: plainJSON(twinOf(s).Tags), DesiredProperties: plainJSON(twinOf(s).DesiredProperties), AllocationPolicy: s.AllocationPolicy, IotHubs: s.IotHubs,
		}
		if pair := clientPair(s.Attestation); pair != nil {
			item.Certificate, item.SecondaryCertificate = &pair.Primary, pair.Secondary
		}
		if tpm := tpmOf(s.Attestation); tpm.EndorsementKey != "" {
			item.EndorsementKey, item.StorageRootKey = &tpm.EndorsementKey, tpm.StorageRootKey
		}
		args.Items = append(args.Items, item)
	}
	return args, nil
}

type unknownKey struct{}

// withUnknown notes in the context that inputs are not all known yet.
func withUnknown(ctx context.Context, unknown bool) context.Context {
	return context.WithValue(ctx, unknownKey{}, unknown)
}

func isPartlyUnknown(ctx context.Context) bool {
	unknown, _ := ctx.Value(unknownKey{}).(bool)
	return unknown
}
