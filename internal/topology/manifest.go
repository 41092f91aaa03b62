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
}

// manifest reads where the list is; nil when there is none. What stands in it, the provider checks.
func (r *reader) manifest(t *Topology) *Manifest {
	const key = "manifest"
	value := r.text(key, "")
	if value == "" {
		return nil
	}
	if t.Existing != nil {
		r.fault(key, "cannot be used with `provisioningService`: the devices of a stack that uses another's service bear the stack's name, and a list has names of its own; use `devices`")
		return nil
	}
	if strings.HasPrefix(strings.TrimSpace(value), "[") || strings.Contains(value, "\n") {
		return &Manifest{text: value}
	}
	if _, err := r.file(value); err != nil {
		r.fault(key, "is neither a list of devices (JSON, or CSV of several lines) nor a file that can be read: %v", err)
	}
	return &Manifest{file: value}
}

// Args are the arguments of the set. A list in the configuration may hold keys, so it is a secret.
func (m *Manifest) Args() *azuredps.EnrollmentSetArgs {
	if m.file != "" {
		return &azuredps.EnrollmentSetArgs{Manifest: pulumi.NewFileAsset(m.file)}
	}
	return &azuredps.EnrollmentSetArgs{ManifestText: secret(m.text)}
}
