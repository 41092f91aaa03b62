package environment

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/hint"
)

// RefusePrivateKeys returns an error if the configuration of the stack contains a plain private key, for example from a
// file with a certificate and its key. Pulumi stores the configuration of every operation, even a failed one, in the
// history of the stack.
func (e *Environment) RefusePrivateKeys() error {
	settings, err := e.rawSettings()
	if err != nil {
		return err
	}
	paths := privateKeys("", settings)
	if len(paths) == 0 {
		return nil
	}
	err = fmt.Errorf(
		"the configuration of environment %s contains a plain private key, at %s: Pulumi would store it in the "+
			"history of the stack",
		e.Stack,
		strings.Join(paths, ", "),
	)
	return hint.To(
		err,
		"remove it and set only the certificate: keel exec -s %s -- pulumi config rm --path '%s'",
		e.Stack,
		paths[0],
	)
}

// privateKeys returns the paths, as `pulumi config` takes them, at which a value contains a private key.
func privateKeys(path string, value any) (paths []string) {
	switch value := value.(type) {
	case string:
		if enrollment.HoldsPrivateKey(value) {
			return []string{path}
		}
	case []any:
		for i, part := range value {
			paths = append(paths, privateKeys(fmt.Sprintf("%s[%d]", path, i), part)...)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if enrollment.HoldsPrivateKey(name) {
				paths = append(paths, path)
				continue
			}
			paths = append(paths, privateKeys(strings.TrimPrefix(path+"."+name, "."), value[name])...)
		}
	}
	return paths
}
