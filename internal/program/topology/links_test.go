package topology_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"evenkeel/internal/program/topology"
)

// service returns the inputs of a provisioning service with links: each text is the host name of a hub, followed by
// "=key" or "=****".
func service(links ...string) resource.PropertyMap {
	list := []resource.PropertyValue{}
	for _, link := range links {
		host, key, _ := strings.Cut(link, "=")
		text := resource.NewStringProperty("HostName=" + host + ";SharedAccessKeyName=link;SharedAccessKey=" + key)
		if key != "****" {
			text = resource.MakeSecret(text)
		}
		list = append(list, resource.NewObjectProperty(resource.PropertyMap{"connectionString": text}))
	}
	properties := resource.PropertyMap{}
	if links != nil {
		properties["iotHubs"] = resource.NewArrayProperty(list)
	}
	return resource.PropertyMap{"properties": resource.NewObjectProperty(properties)}
}

// Two host names of one hub.
const (
	classic    = "hub-1.azure-devices.net"
	forDevices = "hub-1.device.azure-devices.net"
)

func TestAnUpdateKeepsTheLinksOfOthers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		shared        bool
		before, after []string
		now           []string
		want          string // part of the error; "" for none
	}{
		"own links as declared": {false, []string{"a=k", "b=k"}, []string{"a=k", "b=k"},
			[]string{"a", "b"}, ""},
		"an own link removed":                {false, []string{"a=k", "b=k"}, []string{"a=k"}, []string{"a", "b"}, ""},
		"an own link added":                  {false, []string{"a=k"}, []string{"a=k", "b=k"}, []string{"a"}, ""},
		"an own link of an update cut short": {false, []string{"a=k"}, []string{"a=k", "b=k"}, []string{"a", "b"}, ""},
		"letter case":                        {false, []string{"A=k"}, []string{"A=k"}, []string{"a"}, ""},
		"a link of another stack": {false, []string{"a=k"}, []string{"a=k"}, []string{"a", "x"},
			"would drop the links of x, which this stack does not declare"},
		"a link of another, after a look": {false, []string{"a=k", "x=****"}, []string{"a=k"}, []string{"a", "x"},
			"would drop the links of x, which this stack does not declare"},
		"no longer shared": {false, []string{"a=****"}, []string{"a=k"}, []string{"a"},
			"a is linked by a separate resource"},
		"not shared, never looked at": {false, nil, []string{"a=k"}, []string{"a"},
			"a is linked by a separate resource"},
		"shared, nothing linked":          {true, nil, nil, nil, ""},
		"shared, links as last looked at": {true, []string{"a=****"}, []string{"a=****"}, []string{"a"}, ""},
		"shared, a link since": {true, []string{"a=****"}, []string{"a=****"}, []string{"x", "a", "b"},
			"would drop the links of b, x, which were added"},
		"shared, never looked at": {true, nil, nil, []string{"a"}, "`pulumi up --refresh` to keep them"},
		"shared, a link removed": {true, []string{"a=****", "b=****"}, []string{"a=****", "b=****"},
			[]string{"a"}, "the links of b were removed"},
		"shared after it declared links": {true, []string{"a=k"}, []string{"a=k"}, []string{"a"},
			"still declares the links of a,"},
		"shared, with a hub not yet known": {true, []string{}, []string{}, nil, ""},
		"linked under the name for devices": {false, []string{classic + "=k"}, []string{classic + "=k"},
			[]string{forDevices}, ""},
		"declared under the name for devices": {false, []string{forDevices + "=k"}, []string{forDevices + "=k"},
			[]string{strings.ToUpper(classic)}, ""},
		"removed, linked under the name for devices": {false, []string{classic + "=k"}, []string{},
			[]string{forDevices}, ""},
		"linked under both names": {false, []string{classic + "=k"}, []string{classic + "=k"},
			[]string{classic, forDevices}, "would drop the links of " + forDevices + ", which this stack"},
		"linked under both names, the name for devices declared": {false, []string{forDevices + "=k"},
			[]string{forDevices + "=k"}, []string{classic, forDevices}, "would drop the links of " + classic + ","},
		"another hub under the name for devices": {false, []string{classic + "=k"}, []string{classic + "=k"},
			[]string{classic, "x.device.azure-devices.net"}, "would drop the links of x.device.azure-devices.net"},
		"not shared any more, linked under the name for devices": {false, []string{forDevices + "=****"},
			[]string{classic + "=k"}, []string{forDevices}, "is linked by a separate resource"},
		"shared, linked again under the name for devices": {true, []string{classic + "=****"},
			[]string{classic + "=****"}, []string{forDevices}, ""},
		"shared, one of two names gone": {true, []string{classic + "=****", "b=****"},
			[]string{classic + "=****", "b=****"}, []string{forDevices}, "the links of b were removed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var now []devices.IotHubDefinitionDescriptionResponse
			for _, host := range tc.now {
				now = append(now, devices.IotHubDefinitionDescriptionResponse{Name: host})
			}
			top := &topology.Topology{Shared: tc.shared}
			err := top.CheckLinks(service(tc.before...), service(tc.after...), now)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
