package topology_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"evenkeel/internal/program/topology"
)

func TestTheTierOfAHubStays(t *testing.T) {
	t.Parallel()
	inputs := func(sku string) resource.PropertyMap {
		if sku == "" {
			return resource.PropertyMap{}
		}
		return resource.PropertyMap{
			"sku": resource.NewObjectProperty(resource.PropertyMap{"name": resource.NewStringProperty(sku)}),
		}
	}
	for _, tc := range []struct {
		from, to string
		refused  bool
	}{
		{"S1", "F1", true}, {"F1", "S1", true}, {"F1", "B1", true}, {"B2", "F1", true}, {"S3", "B3", true},
		{"s1", "f1", true},
		{"S1", "S3", false}, {"B1", "B2", false}, {"B1", "S1", false}, {"B3", "s1", false}, {"F1", "F1", false},
		{"", "F1", false}, {"S1", "", false},
	} {
		t.Run(tc.from+" to "+tc.to, func(t *testing.T) {
			err := topology.CheckTier("hub-2", inputs(tc.from), inputs(tc.to))
			if (err != nil) != tc.refused {
				t.Errorf("%s to %s: got %v", tc.from, tc.to, err)
			}
			if err != nil &&
				!strings.Contains(
					err.Error(), "`keel hub remove hub-2 --up`, then `keel hub remove hub-2 --undo --up`") {
				t.Errorf("%s to %s: got %v, want the way to go", tc.from, tc.to, err)
			}
		})
	}
}
