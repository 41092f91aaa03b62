package topology

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/azure/enrollment"
	azuredps "evenkeel/sdks/azure-dps"
)

// Manifest is a list of devices whose individual enrollments are one resource, since thousands of resources would be
// slow.
type Manifest struct {
	// file is the name of a file of the project, and text the list itself. One of them is empty.
	file, text string
	// prefix precedes the ids of the list. It is empty if the stack owns the service.
	prefix string
	// entry holds the defaults for devices of which the list has only the id. Its keys are never set.
	entry
}

// manifest reads the list or its file name, and returns nil without one. The provider checks the content of the list.
func (r *reader) manifest(t *Topology) *Manifest {
	const key = "manifest"
	value := r.text(key, "")
	if value == "" {
		return nil
	}
	m := &Manifest{prefix: t.prefix(), entry: entry{authority: t.Authority, guest: t.Existing != nil}}
	if t.linked() {
		m.keepTo(t.Hubs, t.Policy)
		r.oneHub(key, t.Policy, m.entry)
	}
	if strings.HasPrefix(value, "[") || strings.ContainsAny(value, "\r\n") {
		m.text = value
		r.notTwice(t, m.prefix, []byte(value))
		return m
	}
	content, err := r.file(value)
	if err != nil {
		r.fault(key, "is neither a list of devices (JSON, or CSV of several lines) nor a file that can be read: %v",
			err)
	}
	m.file = value
	r.notTwice(t, m.prefix, content)
	return m
}

// notTwice rejects devices that both `devices` and the manifest declare. The provider rejects them too, but not in the
// first preview of a stack, where the engine does not call it because its configuration is still unknown.
func (r *reader) notTwice(t *Topology, prefix string, manifest []byte) {
	const most = 20
	listed := map[string]int{}
	for i, device := range t.Devices {
		listed[strings.ToLower(device.ID)] = i
	}
	reported := 0
	for _, id := range enrollment.ManifestIDs(manifest) {
		i, is := listed[strings.ToLower(prefix+id)]
		if !is || id == "" {
			continue
		}
		if reported++; reported > most {
			r.fault("manifest", "declares more devices that `devices` declares too; only the first are listed")
			return
		}
		r.fault("manifest", "%s is declared twice in this stack: %s declares it too; remove one of them",
			enrollment.Quote(prefix+id), index("devices", i))
	}
}

// Args returns the arguments of the set. A list in the configuration is a secret, since it can contain keys.
func (m *Manifest) Args(hubs Hubs) *azuredps.EnrollmentSetArgs {
	defaults := azuredps.EnrollmentSetDefaultsArgs{AllocationPolicy: m.allocation(), IotHubs: m.hubHosts(hubs)}
	if m.authority != nil {
		defaults.CaReferences = m.authority.references()
	}
	args := &azuredps.EnrollmentSetArgs{Defaults: defaults, DeleteRegistrations: m.deletes()}
	if m.prefix != "" {
		args.IdPrefix = pulumi.String(m.prefix)
	}
	if m.file != "" {
		args.Manifest = pulumi.NewFileAsset(m.file)
	} else {
		args.ManifestText = secret(m.text)
	}
	return args
}
