package provider

import (
	"fmt"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/provider/entry"
)

// freeJSON are the properties whose parts the schema does not name.
var freeJSON = map[string]bool{"tags": true, "desiredProperties": true, "optionalDeviceInformation": true}

// refusePrivateKeys adds a failure for each private key that was put where the state would keep it in plain, unless
// something is said of that place already. People paste a file that holds the certificate and its key.
func refusePrivateKeys(inputs property.Map, failures []p.CheckFailure) []p.CheckFailure {
	for name, value := range inputs.All {
		for _, path := range privateKeys(name, name, value) {
			if !slices.ContainsFunc(failures, func(f p.CheckFailure) bool { return entry.IsWithin(path, f.Property) }) {
				failures = append(
					failures,
					p.CheckFailure{
						Property: path,
						Reason:   "contains a private key: remove it, the state would keep it in plain text",
					},
				)
			}
		}
	}
	return failures
}

// privateKeys returns the paths at which a value that is no secret holds a private key. name is that of the innermost
// property.
func privateKeys(path, name string, value property.Value) (paths []string) {
	switch {
	case value.Secret() || secretNames[name] || secretSettings[name]:
	case value.IsString():
		if enrollment.HoldsPrivateKey(value.AsString()) {
			return []string{path}
		}
	case value.IsArray():
		for i, part := range value.AsArray().All {
			paths = append(paths, privateKeys(fmt.Sprintf("%s[%d]", path, i), name, part)...)
		}
	case value.IsMap():
		for part, inner := range value.AsMap().All {
			below := privateKeys(strings.TrimPrefix(path+"."+part, "."), part, inner)
			if freeJSON[name] && len(below) > 0 {
				return []string{path}
			}
			paths = append(paths, below...)
		}
	}
	return paths
}

// hideSecrets respells the failures of properties that are or hold secrets, or an asset, whose text may hold keys: the engine puts the
// whole value of a property into its message when a failure names it by its bare name, a secret in plain. As ["name"] the path is the same,
// and there is no such name.
func hideSecrets(inputs property.Map, failures []p.CheckFailure) []p.CheckFailure {
	failures = refusePrivateKeys(inputs, failures)
	for i, failure := range failures {
		value, named := inputs.GetOk(failure.Property)
		if !named {
			continue
		}
		whole := property.NewMap(map[string]property.Value{failure.Property: value})
		if secretSettings[failure.Property] || value.IsAsset() || value.IsArchive() || len(privateKeys("", "", value)) > 0 ||
			property.New(markSecrets(whole)).HasSecrets() {
			failures[i].Property = fmt.Sprintf("[%q]", failure.Property)
		}
	}
	return failures
}
