package topology

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// Manifest is a list of devices that get individual enrollments as one resource, since thousands of resources would be slow.
type Manifest struct {
	// file names a file of the project; text is the list itself. One of them is empty.
	file, text string
	// prefix stands before the ids of the list; empty where the service is the stack's own.
	prefix string
	// entry is what a device has of which the list says no more than its id. Its keys are never set.
	entry
}

// manifest reads where the list is; nil when there is none. What stands in it, the provider checks.
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
		return m
	}
	if _, err := r.file(value); err != nil {
		r.fault(key, "is neither a list of devices (JSON, or CSV of several lines) nor a file that can be read: %v", err)
	}
	m.file = value
	return m
}

// Args are the arguments of the set. A list in the configuration may hold keys, so it is a secret.
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
