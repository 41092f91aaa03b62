package adopt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/hublink"
)

// writer collects the resources, settings and manifests of a program.
type writer struct {
	Options
	access dpsservice.Access
	box    *box
	found  contents
	names  names
	result Result

	program   []property // the resources, by name
	declared  []property // the secret settings that the program names, by name
	secrets   []secret
	manifests map[string][]byte // by file name
}

// secret is an encrypted setting of the stack.
type secret struct{ name, sealed string }

func newWriter(o Options, access dpsservice.Access, b *box, found contents) *writer {
	return &writer{Options: o, access: access, box: b, found: found, names: names{}, manifests: map[string][]byte{},
		result: Result{Folder: o.Folder, Host: access.Host, Project: o.Project, Stack: o.Stack}}
}

// resources makes the resources of everything that was found. It writes nothing.
func (w *writer) resources() error {
	c := newCompleter(w.Options)
	individuals, groups := w.completed(c, "enrollment", w.found.individuals), w.completed(c, "group", w.found.groups)
	w.result.LeftOut = append(w.result.LeftOut, checkLinks(w.Links)...)
	if len(w.result.LeftOut) > 0 && !w.LeaveOut {
		return &IncompleteError{w.result.LeftOut}
	}
	for _, link := range w.Links {
		if len(checkLinks([]hublink.Link{link})) == 0 {
			w.link(link)
		}
	}
	for _, group := range groups {
		if err := w.single("EnrollmentGroup", "enrollmentGroupId", "enrollmentGroups", group); err != nil {
			return err
		}
		w.result.Groups++
	}
	sets, singles := w.divide(individuals)
	for _, one := range singles {
		if err := w.single("IndividualEnrollment", "registrationId", "enrollments", one); err != nil {
			return err
		}
		w.result.Enrollments++
	}
	for _, set := range sets {
		if err := w.set(set); err != nil {
			return err
		}
	}
	return nil
}

// completed returns the entries that can be declared, and notes the others.
func (w *writer) completed(c completer, kind string, entries []dpsservice.Enrollment) []dpsservice.Enrollment {
	whole := make([]dpsservice.Enrollment, 0, len(entries))
	for _, entry := range entries {
		err := c.complete(&entry, kind == "group")
		if hook := entry.CustomAllocationDefinition; err == nil && hook != nil && isSecret(hook) && w.box == nil {
			err = errors.New("its webhook may contain a key and is only written encrypted: set " +
				"PULUMI_CONFIG_PASSPHRASE")
		}
		if err != nil {
			w.result.LeftOut = append(w.result.LeftOut, Incomplete{Kind: kind, ID: entry.ID, Reason: err.Error()})
			continue
		}
		whole = append(whole, entry)
	}
	return whole
}

// divide returns the enrollments that become single resources, and those of each set. A set declares one webhook at
// most, as a default, since a manifest is not encrypted. It cannot declare signing certificates.
func (w *writer) divide(entries []dpsservice.Enrollment) (sets [][]dpsservice.Enrollment,
	singles []dpsservice.Enrollment) {
	if len(w.found.individuals) <= w.SetAbove {
		return nil, entries
	}
	byHook := map[string][]dpsservice.Enrollment{}
	for _, entry := range entries {
		if a := entry.Attestation; a.X509 != nil && a.X509.SigningCertificates != nil {
			singles = append(singles, entry)
			continue
		}
		key := ""
		if hook := entry.CustomAllocationDefinition; hook != nil {
			key = hook.WebhookURL + " " + hook.APIVersion
		}
		byHook[key] = append(byHook[key], entry)
	}
	for _, set := range byHook {
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b []dpsservice.Enrollment) int { // a repeated adoption has the same order
		return cmp.Compare(strings.ToLower(a[0].ID), strings.ToLower(b[0].ID))
	})
	return sets, singles
}

// resource adds a resource that is imported by an id.
func (w *writer) resource(name, kind, id string, properties *yaml.Node) {
	w.program = append(w.program, property{name, mapping(
		property{"type", "azure-dps:" + kind},
		property{"properties", properties},
		property{"options", mapping(property{"import", id})},
	)})
}

// single adds a resource for one entry.
func (w *writer) single(kind, idName, collection string, entry dpsservice.Enrollment) error {
	name := w.names.pick(entry.ID)
	members := []property{{idName, entry.ID}, {"deviceId", entry.DeviceID},
		{"optionalDeviceInformation", object(plainJSON(entry.OptionalDeviceInformation))}}
	keys, hasKeys := w.found.keys[keyName(collection, entry.ID)]
	if hasKeys && isSymmetric(entry) {
		primary := w.sealed(name+"-primary-key", keys.Primary)
		secondary := w.sealed(name+"-secondary-key", keys.Secondary)
		members = append(members, property{"attestation", mapping(property{"symmetricKey",
			mapping(property{"primaryKey", primary}, property{"secondaryKey", secondary})})})
		w.result.Keys++
	} else {
		members = append(members, property{"attestation", attestationNode(entry.Attestation)})
	}
	members = append(members, w.settings(entry)...)
	webhook, err := w.webhook(name, entry)
	if err != nil {
		return err
	}
	members = append(members, property{"customAllocation", webhook})
	w.resource(name, kind, w.access.Host+"/"+collection+"/"+entry.ID, mapping(members...))
	return nil
}

func (w *writer) settings(entry dpsservice.Enrollment) []property {
	var edge, twin, reprovision *yaml.Node
	if isEdge(entry) {
		edge = mapping(property{"iotEdge", true})
	}
	twin = mapping(property{"tags", object(tagsOf(entry))}, property{"desiredProperties", object(desiredOf(entry))})
	if r := entry.ReprovisionPolicy; r != nil {
		reprovision = mapping(property{"updateHubAssignment", r.UpdateHubAssignment},
			property{"migrateDeviceData", r.MigrateDeviceData})
	}
	return []property{
		{"provisioningStatus", optional(status(entry))}, {"capabilities", edge}, {"initialTwin", twin},
		{"reprovisionPolicy", reprovision}, {"allocationPolicy", entry.AllocationPolicy},
		{"iotHubs", list(entry.IotHubs)}, {"iotHubHostName", entry.IotHubHostName},
		{"namespaceName", entry.NamespaceName}, {"certificateAuthorityName", entry.CertificateAuthorityName},
		{"certificatePolicyName", entry.CertificatePolicyName},
	}
}

func object(value map[string]any) any {
	if value == nil {
		return nil
	}
	return value
}

func list(value []string) any {
	if len(value) == 0 {
		return nil
	}
	return value
}

// attestationNode returns the attestation by certificates or a TPM; nil for symmetric keys, which the service keeps.
func attestationNode(a *dpsservice.Attestation) *yaml.Node {
	pair := func(c *dpsservice.X509Certificates) *yaml.Node {
		if c == nil {
			return nil
		}
		texts := textsOf(c)
		return mapping(property{"primary", texts[0]}, property{"secondary", optional(texts[1])})
	}
	switch {
	case a.X509 != nil:
		var references *yaml.Node
		if r := a.X509.CAReferences; r != nil {
			references = mapping(property{"primary", r.Primary}, property{"secondary", r.Secondary})
		}
		return mapping(property{"x509", mapping(
			property{"clientCertificates", pair(a.X509.ClientCertificates)},
			property{"signingCertificates", pair(a.X509.SigningCertificates)},
			property{"caReferences", references},
		)})
	case a.TPM != nil:
		return mapping(property{"tpm", mapping(property{"endorsementKey", a.TPM.EndorsementKey},
			property{"storageRootKey", a.TPM.StorageRootKey})})
	}
	return nil
}

func optional(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// webhook returns the webhook of an entry, whose address is a secret setting; nil for none.
func (w *writer) webhook(name string, entry dpsservice.Enrollment) (*yaml.Node, error) {
	hook := entry.CustomAllocationDefinition
	if hook == nil {
		return nil, nil
	}
	if !isSecret(hook) {
		return mapping(property{"webhookUrl", hook.WebhookURL}, property{"apiVersion", hook.APIVersion}), nil
	}
	sealed, err := w.box.seal(hook.WebhookURL)
	if err != nil {
		return nil, err
	}
	return mapping(property{"webhookUrl", w.sealed(name+"-webhook", sealed)},
		property{"apiVersion", hook.APIVersion}), nil
}

// isSecret reports whether the address of a webhook may contain a key.
func isSecret(hook *dpsservice.CustomAllocationDefinition) bool {
	return strings.Contains(hook.WebhookURL, "?")
}

// sealed adds a secret setting and returns the expression of its value.
func (w *writer) sealed(name, value string) reference {
	name = w.names.pick(name)
	w.secrets = append(w.secrets, secret{name, value})
	w.declared = append(w.declared, property{name, mapping(property{"type", "string"}, property{"secret", true})})
	return reference(name)
}

// set adds a set with its manifest.
func (w *writer) set(entries []dpsservice.Enrollment) error {
	name := w.names.pick("enrollments")
	file := name + ".csv"
	content, err := manifest(entries)
	if err != nil {
		return err
	}
	w.manifests[file] = content
	members := []property{{"manifest", mapping(property{"fn::fileAsset", "./" + file})}}
	webhook, err := w.webhook(name, entries[0])
	if err != nil {
		return err
	}
	if webhook != nil {
		members = append(members, property{"defaults", mapping(property{"customAllocation", webhook})})
	}
	w.resource(name, "EnrollmentSet", w.access.Host+"/enrollmentSets/@"+file, mapping(members...))
	w.result.Sets++
	w.result.InSets += len(entries)
	return nil
}

func (w *writer) link(l hublink.Link) {
	hub, _, _ := strings.Cut(l.Host, ".")
	members := []property{{"provisioningServiceId", w.ServiceID}, {"hubHostName", l.Host},
		{"authenticationType", optional(l.Identity)}, {"identityId", optional(l.IdentityID)},
		{"policyName", optional(l.PolicyName)}, {"location", l.Location}}
	if l.Weight != nil {
		members = append(members, property{"allocationWeight", *l.Weight})
	}
	if l.Apply != nil {
		members = append(members, property{"applyAllocationPolicy", *l.Apply})
	}
	w.resource(w.names.pick("link-"+hub), "LinkedHub", w.ServiceID+"/linkedHubs/"+strings.ToLower(l.Host),
		mapping(members...))
	w.result.LinkedHubs++
}

// checkLinks refuses links that the resource LinkedHub does not declare.
func checkLinks(links []hublink.Link) []Incomplete {
	var bad []Incomplete
	for _, l := range links {
		reason := ""
		switch {
		case l.Identity == "" && len(enrollment.CheckPolicyName("policyName", l.PolicyName)) > 0:
			reason = "its connection string names no shared access policy"
		case l.Identity != "" && !strings.EqualFold(l.Identity, enrollment.SystemAssigned) &&
			!strings.EqualFold(l.Identity, enrollment.UserAssigned):
			reason = fmt.Sprintf("LinkedHub does not know its authentication %q", l.Identity)
		}
		if reason != "" {
			bad = append(bad, Incomplete{Kind: "link", ID: l.Host, Reason: reason})
		}
	}
	return bad
}
