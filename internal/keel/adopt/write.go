package adopt

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
)

// private is the mode of written files: only their owner reads the settings of the stack and the manifests.
const private = 0o600

// write writes the files of the program, Pulumi.yaml last: without it, the folder is no project.
func (w *writer) write() (Result, error) {
	put := func(name string, content []byte) error {
		if err := disk.WriteFile(filepath.Join(w.Folder, name), content, private); err != nil {
			return fmt.Errorf("adopt: %w", err)
		}
		w.result.Files = append(w.result.Files, name)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(w.manifests)) {
		if err := put(name, w.manifests[name]); err != nil {
			return w.result, err
		}
	}
	settings, err := w.stackSettings()
	if err != nil {
		return w.result, err
	}
	if err := put("Pulumi."+w.Stack+".yaml", settings); err != nil {
		return w.result, err
	}
	program, err := w.project()
	if err != nil {
		return w.result, err
	}
	return w.result, put("Pulumi.yaml", program)
}

// project returns Pulumi.yaml: the project and its program.
func (w *writer) project() ([]byte, error) {
	return encode("Written by keel adopt. Each resource is imported by the first `pulumi up`; the options\n"+
		"`import` have no effect after it and may be removed.\n", mapping(
		property{"name", w.Project},
		property{"runtime", "yaml"},
		property{"description", "Enrollments of the provisioning service " + w.access.Host},
		property{"config", mapping(w.declared...)},
		property{"resources", mapping(w.program...)},
	))
}

// stackSettings returns the settings of the stack: the access to the service, and the secrets.
func (w *writer) stackSettings() ([]byte, error) {
	const provider = "azure-dps:"
	var members []property
	switch {
	case w.ConnectionString == "":
		members = append(members, property{provider + "host", plainNode(w.access.Host)})
	case w.box == nil:
		w.result.NeedsAccess = true
	default:
		sealed, err := w.box.seal(w.ConnectionString)
		if err != nil {
			return nil, err
		}
		members = append(members, property{provider + "connectionString", secure(sealed)})
	}
	if w.Endpoint != "" {
		members = append(members, property{provider + "endpoint", plainNode(w.Endpoint)})
	}
	if w.CAFile != "" {
		members = append(members, property{provider + "caFile", plainNode(w.CAFile)})
	}
	members = append(members, property{provider + "rateLimit", plainNode(fmt.Sprint(w.RateLimit))})
	for _, s := range w.secrets {
		members = append(members, property{w.Project + ":" + s.name, secure(s.sealed)})
	}
	var salt any
	if w.box != nil {
		salt, w.result.HasSecrets = plainNode(w.box.salt), true
	}
	return encode("Written by keel adopt.\n", mapping(
		property{"encryptionsalt", salt}, property{"config", mapping(members...)}))
}

// secure returns the node of an encrypted value.
func secure(sealed string) *yaml.Node { return mapping(property{"secure", plainNode(sealed)}) }
