package topology

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// skuPath is the property of a hub that names its sku.
const skuPath = "sku.name"

// CheckTier compares an update of a hub, by its inputs before and after. Azure keeps the tier of a hub, but for basic
// to standard ("Choose the right IoT Hub tier and size"), so the error says how to make the hub anew.
func CheckTier(hub string, before, after resource.PropertyMap) error {
	from, to := skuOf(before), skuOf(after)
	if from == "" || to == "" || from[0] == to[0] || from[0] == 'B' && to[0] == 'S' {
		return nil
	}
	return fmt.Errorf(
		"%s cannot go from sku %s to %s: Azure keeps the tier of a hub (only basic becomes standard). Make the hub again, without its devices: "+
			"`keel hub remove %s --up`, then `keel hub remove %s --undo --up`",
		hub,
		from,
		to,
		hub,
		hub,
	)
}

// skuOf is the sku in the inputs of a hub in capital letters; empty where it is not known.
func skuOf(inputs resource.PropertyMap) string {
	path, err := resource.ParsePropertyPath(skuPath)
	if err != nil {
		return ""
	}
	value, _ := path.Get(resource.NewObjectProperty(inputs))
	if value = open(value); !value.IsString() {
		return ""
	}
	return strings.ToUpper(value.StringValue())
}
