package entry

import (
	"cmp"
	"slices"
	"strings"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/internal/azure/enrollment"
)

// CheckSettings returns every error in the settings of an individual enrollment or, with group, of an enrollment group.
func CheckSettings(id string, s Settings, group bool, now time.Time) []enrollment.Fault {
	faults := attestationFaults(id, s.Attestation, group, now)
	if s.ProvisioningStatus != nil {
		faults = append(faults, enrollment.CheckStatus("provisioningStatus", string(*s.ProvisioningStatus))...)
	}
	policy := ""
	if s.AllocationPolicy != nil {
		policy = string(*s.AllocationPolicy)
		faults = append(faults, enrollment.CheckPolicy("allocationPolicy", policy)...)
	}
	if s.AllocationPolicy == nil && len(s.IotHubs) > 0 {
		faults = append(faults, enrollment.HubsWithoutPolicy("allocationPolicy")...)
	}
	if t := s.InitialTwin; t != nil {
		faults = append(faults, enrollment.CheckTags("initialTwin.tags", t.Tags)...)
		faults = append(faults, enrollment.CheckDesired("initialTwin.desiredProperties", t.DesiredProperties)...)
	}
	needsHub := policy
	if s.IotHubHostName != nil {
		faults = append(faults, enrollment.CheckHost("iotHubHostName", *s.IotHubHostName)...)
		if len(s.IotHubs) == 0 {
			needsHub = "" // the older property names the one hub of the policy static
		}
	}
	faults = append(faults, enrollment.CheckHubs("iotHubs", needsHub, s.IotHubs)...)
	faults = append(faults, s.Issuance.faults()...)
	canonical, decided := enrollment.CanonicalPolicy(policy)
	decided = decided || s.AllocationPolicy == nil // neither unknown nor an error that is reported already
	switch c := s.CustomAllocation; {
	case c != nil:
		faults = append(faults, enrollment.CheckWebhook("customAllocation.webhookUrl", c.WebhookURL)...)
		faults = append(faults, enrollment.CheckWebhookVersion("customAllocation.apiVersion", c.APIVersion)...)
		if decided && canonical != enrollment.Custom {
			faults = append(faults, enrollment.Fault{Path: "customAllocation",
				Message: "a webhook is only used with the allocation policy custom"})
		}
	case canonical == enrollment.Custom:
		faults = append(faults, enrollment.Fault{Path: "customAllocation",
			Message: "the allocation policy custom needs a webhook"})
	}
	return faults
}

func attestationFaults(id string, a *Attestation, group bool, now time.Time) []enrollment.Fault {
	if a == nil {
		return nil
	}
	var faults []enrollment.Fault
	kinds := 0
	if k := a.SymmetricKey; k != nil {
		kinds++
		if k.PrimaryKey != nil {
			faults = append(faults, enrollment.CheckKey("attestation.symmetricKey.primaryKey", *k.PrimaryKey)...)
		}
		if k.SecondaryKey != nil {
			faults = append(faults, enrollment.CheckKey("attestation.symmetricKey.secondaryKey", *k.SecondaryKey)...)
		}
	}
	if a.X509 != nil {
		kinds++
		faults = append(faults, x509Faults(id, *a.X509, group, now)...)
	}
	if t := a.TPM; t != nil {
		kinds++
		faults = append(faults, enrollment.CheckTPMKey("attestation.tpm.endorsementKey", t.EndorsementKey)...)
		if t.StorageRootKey != nil {
			faults = append(faults, enrollment.CheckTPMKey("attestation.tpm.storageRootKey", *t.StorageRootKey)...)
		}
		if group {
			faults = append(faults, enrollment.Fault{Path: "attestation.tpm",
				Message: "a group cannot attest by TPM: use an individual enrollment for each device"})
		}
	}
	if kinds > 1 {
		faults = append(faults, enrollment.Fault{Path: "attestation",
			Message: "set one of symmetricKey, x509 and tpm, not several"})
	}
	return faults
}

func x509Faults(id string, x X509Attestation, group bool, now time.Time) []enrollment.Fault {
	const base = "attestation.x509"
	var faults []enrollment.Fault
	members := 0
	if c := x.ClientCertificates; c != nil {
		members++
		faults = append(faults, pairFaults(base+".clientCertificates", *c, func(path, text string) []enrollment.Fault {
			faults := enrollment.CheckCertificate(path, text, enrollment.Client, now)
			if id != "" { // it may be unknown yet
				faults = append(faults, enrollment.CheckClientName(path, text, id)...)
			}
			return faults
		})...)
		if group {
			faults = append(faults, enrollment.Fault{Path: base + ".clientCertificates",
				Message: "a group attests by signing certificates or CA references, not by one device's certificate"})
		}
	}
	if c := x.SigningCertificates; c != nil {
		members++
		faults = append(faults, pairFaults(base+".signingCertificates", *c, func(path, text string) []enrollment.Fault {
			return enrollment.CheckCertificate(path, text, enrollment.Signing, now)
		})...)
	}
	if c := x.CAReferences; c != nil {
		members++
		faults = append(faults, enrollment.CheckAuthorityName(base+".caReferences.primary", c.Primary)...)
		if Text(c.Secondary) != "" {
			faults = append(faults, enrollment.CheckAuthorityName(base+".caReferences.secondary", *c.Secondary)...)
		}
	}
	if members != 1 {
		faults = append(faults, enrollment.Fault{Path: base,
			Message: "set exactly one of clientCertificates, signingCertificates and caReferences"})
	}
	return faults
}

func pairFaults(path string, pair CertificatePair,
	check func(path, text string) []enrollment.Fault) []enrollment.Fault {
	faults := check(path+".primary", pair.Primary)
	if pair.Secondary != nil {
		faults = append(faults, check(path+".secondary", *pair.Secondary)...)
	}
	return faults
}

// checkFailures turns faults into check failures, in the order of their paths, without those about values that are not
// known yet.
func checkFailures(inputs property.Map, faults []enrollment.Fault) []p.CheckFailure {
	var failures []p.CheckFailure
	for _, f := range faults {
		if !isUnknown(inputs, f.Path) {
			failures = append(failures, p.CheckFailure{Property: f.Path, Reason: f.Message})
		}
	}
	slices.SortStableFunc(failures, func(a, b p.CheckFailure) int { return cmp.Compare(a.Property, b.Property) })
	return failures
}

// isUnknown reports whether the value at path is not known yet: it, an object around it, or a direct part of it.
func isUnknown(inputs property.Map, path string) bool {
	value := property.New(inputs)
	for name := range strings.SplitSeq(path, ".") {
		if !value.IsMap() {
			break
		}
		value = value.AsMap().Get(name)
	}
	if value.IsComputed() {
		return true
	}
	switch {
	case value.IsMap():
		for _, part := range value.AsMap().All {
			if part.IsComputed() {
				return true
			}
		}
	case value.IsArray():
		for _, part := range value.AsArray().All {
			if part.IsComputed() {
				return true
			}
		}
	}
	return false
}

// WithFaults adds faults to the failures of decoding. A value that could not be decoded keeps only that failure.
func WithFaults(failures []p.CheckFailure, inputs property.Map, faults []enrollment.Fault) []p.CheckFailure {
	all := failures
	for _, failure := range checkFailures(inputs, faults) {
		undecoded := slices.ContainsFunc(failures, func(f p.CheckFailure) bool {
			return IsWithin(failure.Property, f.Property)
		})
		if !undecoded {
			all = append(all, failure)
		}
	}
	return all
}

// IsWithin reports whether a path is that of a property or of a part of it.
func IsWithin(path, property string) bool {
	rest, is := strings.CutPrefix(path, property)
	return is && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
