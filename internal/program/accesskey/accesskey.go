// Package accesskey registers the keys of the shared access policies that a hub or a provisioning service has.
//
// It does not decide which policies there are: topology does.
package accesskey

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/topology"
	azuredps "evenkeel/sdks/azure-dps"
)

// Register makes a pair of keys for each role of a resource, whose name is owner.
func Register(ctx *pulumi.Context, cfg *topology.Topology, owner string, roles []string) (topology.Keys, error) {
	keys := topology.Keys{}
	for _, role := range roles {
		key, err := azuredps.NewSharedAccessKey(ctx, owner+"-"+role, cfg.Key(role))
		if err != nil {
			return nil, err
		}
		keys[role] = topology.KeyOf(key)
	}
	return keys, nil
}
