package adopt

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"evenkeel/dpsservice"
)

// column is a column of a manifest. Cell returns the text for an entry, "" for an absent value.
type column struct {
	name string
	cell func(dpsservice.Enrollment) (string, error)
}

// columns are the columns that a manifest may have; it has those that an entry uses.
var columns = []column{
	{"registrationId", func(e dpsservice.Enrollment) (string, error) { return e.ID, nil }},
	{"deviceId", func(e dpsservice.Enrollment) (string, error) { return text(e.DeviceID), nil }},
	{"certificate", func(e dpsservice.Enrollment) (string, error) { return certificates(e)[0], nil }},
	{"secondaryCertificate", func(e dpsservice.Enrollment) (string, error) { return certificates(e)[1], nil }},
	{"caReference", func(e dpsservice.Enrollment) (string, error) { return references(e)[0], nil }},
	{"secondaryCaReference", func(e dpsservice.Enrollment) (string, error) { return references(e)[1], nil }},
	{"endorsementKey", func(e dpsservice.Enrollment) (string, error) { return tpm(e)[0], nil }},
	{"storageRootKey", func(e dpsservice.Enrollment) (string, error) { return tpm(e)[1], nil }},
	{"provisioningStatus", func(e dpsservice.Enrollment) (string, error) { return status(e), nil }},
	{"iotEdge", func(e dpsservice.Enrollment) (string, error) {
		if !isEdge(e) {
			return "", nil
		}
		return strconv.FormatBool(true), nil
	}},
	{"tags", func(e dpsservice.Enrollment) (string, error) { return objectCell(tagsOf(e)) }},
	{"desiredProperties", func(e dpsservice.Enrollment) (string, error) { return objectCell(desiredOf(e)) }},
	{"optionalDeviceInformation", func(e dpsservice.Enrollment) (string, error) {
		return objectCell(plainJSON(e.OptionalDeviceInformation))
	}},
	{"reprovisionPolicy", func(e dpsservice.Enrollment) (string, error) {
		if e.ReprovisionPolicy == nil {
			return "", nil
		}
		return jsonCell(e.ReprovisionPolicy)
	}},
	{"allocationPolicy", func(e dpsservice.Enrollment) (string, error) { return text(e.AllocationPolicy), nil }},
	{"iotHubs", func(e dpsservice.Enrollment) (string, error) { return strings.Join(e.IotHubs, " "), nil }},
	{"iotHubHostName", func(e dpsservice.Enrollment) (string, error) { return text(e.IotHubHostName), nil }},
	{"namespaceName", func(e dpsservice.Enrollment) (string, error) { return text(e.NamespaceName), nil }},
	{"certificateAuthorityName", func(e dpsservice.Enrollment) (string, error) {
		return text(e.CertificateAuthorityName), nil
	}},
	{"certificatePolicyName", func(e dpsservice.Enrollment) (string, error) {
		return text(e.CertificatePolicyName), nil
	}},
}

// manifest returns the entries as CSV.
func manifest(entries []dpsservice.Enrollment) ([]byte, error) {
	rows := make([][]string, len(entries)+1)
	for _, c := range columns {
		cells, isUsed := make([]string, len(entries)), false
		for i, entry := range entries {
			cell, err := c.cell(entry)
			if err != nil {
				return nil, fmt.Errorf("adopt: write %s of %q: %w", c.name, entry.ID, err)
			}
			cells[i], isUsed = cell, isUsed || cell != ""
		}
		if !isUsed {
			continue
		}
		rows[0] = append(rows[0], c.name)
		for i, cell := range cells {
			rows[i+1] = append(rows[i+1], cell)
		}
	}
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	if err := w.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("adopt: write a manifest: %w", err)
	}
	return text.Bytes(), nil
}

func objectCell(object map[string]any) (string, error) {
	if object == nil {
		return "", nil
	}
	return jsonCell(object)
}

func jsonCell(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// status returns the provisioning status unless it is the default.
func status(e dpsservice.Enrollment) string {
	if strings.EqualFold(text(e.ProvisioningStatus), "enabled") {
		return ""
	}
	return text(e.ProvisioningStatus)
}

func isEdge(e dpsservice.Enrollment) bool { return e.Capabilities != nil && e.Capabilities.IotEdge }

func certificates(e dpsservice.Enrollment) (texts [2]string) {
	if e.Attestation == nil || e.Attestation.X509 == nil || e.Attestation.X509.ClientCertificates == nil {
		return texts
	}
	return textsOf(e.Attestation.X509.ClientCertificates)
}

func textsOf(pair *dpsservice.X509Certificates) (texts [2]string) {
	for i, one := range []*dpsservice.X509Certificate{pair.Primary, pair.Secondary} {
		if one != nil {
			texts[i] = one.Certificate
		}
	}
	return texts
}

func references(e dpsservice.Enrollment) (names [2]string) {
	if e.Attestation != nil && e.Attestation.X509 != nil && e.Attestation.X509.CAReferences != nil {
		r := e.Attestation.X509.CAReferences
		names = [2]string{r.Primary, text(r.Secondary)}
	}
	return names
}

func tpm(e dpsservice.Enrollment) (keys [2]string) {
	if e.Attestation != nil && e.Attestation.TPM != nil {
		keys = [2]string{e.Attestation.TPM.EndorsementKey, text(e.Attestation.TPM.StorageRootKey)}
	}
	return keys
}
