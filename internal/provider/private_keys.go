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

// freeJSON are the properties whose members the schema does not list.
var freeJSON = map[string]bool{"tags": true, "desiredProperties": true, "optionalDeviceInformation": true}

// refusePrivateKeys adds a failure for each private key in an input that the state would keep as plain text, unless the
// input has a failure already. Users paste files that contain a certificate and its key.
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

// privateKeys returns the paths at which a value that is not a secret contains a private key. name is the name of the
// innermost property.
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

// hideSecrets changes the paths of failures of properties that are or contain secrets, or an asset, whose text may
// contain keys: if a failure has the bare name of a property, the engine prints the whole value, even of a secret. The
// path ["name"] means the same, and the engine finds no property of that name.
func hideSecrets(inputs property.Map, failures []p.CheckFailure) []p.CheckFailure {
	failures = refusePrivateKeys(inputs, failures)
	for i, failure := range failures {
		value, named := inputs.GetOk(failure.Property)
		if !named {
			continue
		}
		whole := property.NewMap(map[string]property.Value{failure.Property: value})
		if secretSettings[failure.Property] || value.IsAsset() || value.IsArchive() ||
			len(privateKeys("", "", value)) > 0 ||
			property.New(markSecrets(whole)).HasSecrets() {
			failures[i].Property = fmt.Sprintf("[%q]", failure.Property)
		}
	}
	return failures
}
