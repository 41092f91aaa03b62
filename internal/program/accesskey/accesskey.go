// Package accesskey registers the keys of the shared access policies of a hub or a provisioning service. Package
// topology decides which policies exist.
package accesskey

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/topology"
	azuredps "evenkeel/sdks/azure-dps"
)

// Register declares a pair of keys for each role of the resource named owner.
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
