package topology

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// skuPath is the property of a hub that names its sku.
const skuPath = "sku.name"

// CheckTier compares an update of a hub, given as its inputs before and after. Azure does not change the tier of a hub,
// except from basic to standard ("Choose the right IoT Hub tier and size"). The error explains how to recreate the hub.
func CheckTier(hub string, before, after resource.PropertyMap) error {
	from, to := skuOf(before), skuOf(after)
	if from == "" || to == "" || from[0] == to[0] || from[0] == 'B' && to[0] == 'S' {
		return nil
	}
	return fmt.Errorf(
		"%s cannot change from sku %s to %s: Azure changes the tier of a hub only from basic to standard. Recreate "+
			"the hub, which deletes its devices: "+
			"`keel hub remove %s --up`, then `keel hub remove %s --undo --up`",
		hub,
		from,
		to,
		hub,
		hub,
	)
}

// skuOf returns the sku in the inputs of a hub in upper case, or "" if it is unknown.
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
