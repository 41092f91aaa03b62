package environment

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/hint"
)

// RefusePrivateKeys is an error when the configuration of the stack holds a private key in plain, as when somebody
// gives the file that has a certificate and its key. Pulumi keeps the configuration of every operation in the history
// of the stack, of one that fails too.
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
		"the configuration of environment %s holds a private key in plain, at %s: Pulumi would keep it in the history of the stack",
		e.Stack,
		strings.Join(paths, ", "),
	)
	return hint.To(
		err,
		"take it out, only the certificate belongs there: keel exec -s %s -- pulumi config rm --path '%s'",
		e.Stack,
		paths[0],
	)
}

// privateKeys are the paths, as `pulumi config` takes them, at which a value holds a private key.
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
