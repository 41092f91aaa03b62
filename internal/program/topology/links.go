package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// linksPath is the property of a provisioning service that lists its links.
const linksPath = "properties.iotHubs"

// maskedKey is what Azure shows of a link's key, and takes for the key that it holds.
const maskedKey = "SharedAccessKey=****"

// CheckLinks compares an update of the stack's own service, by its inputs before and after, with the links that it has now. The error
// says which links the update would drop although others made them, or bring back although they are gone.
func (t *Topology) CheckLinks(before, after resource.PropertyMap, now []devices.IotHubDefinitionDescriptionResponse) error {
	old, wanted := linksOf(before), linksOf(after)
	var linked []string
	for _, link := range now {
		linked = append(linked, strings.ToLower(link.Name))
	}
	var lost, gone, inline, separate []string
	for _, host := range linked {
		// A link that this stack declared before, with its key, is its own to remove; masked it is from a refresh.
		declared := old[host] != "" && !strings.HasSuffix(old[host], maskedKey)
		if wanted[host] == "" && (t.Shared || !declared) {
			lost = append(lost, host)
		}
		// A service that declares its links has always some. One that is linked already but new here is of an update that was cut short.
		if !t.Shared && wanted[host] != "" && (len(old) == 0 || strings.HasSuffix(old[host], maskedKey)) {
			separate = append(separate, host)
		}
	}
	for host, text := range wanted {
		if t.Shared && !strings.HasSuffix(text, maskedKey) {
			inline = append(inline, host)
		} else if t.Shared && !slices.Contains(linked, host) {
			gone = append(gone, host)
		}
	}
	slices.Sort(lost)
	slices.Sort(separate)
	slices.Sort(gone)
	slices.Sort(inline)
	switch {
	case len(inline) > 0:
		return fmt.Errorf("the provisioning service still declares the links of %s itself, from before it was shared, and a service has one form of links alone: "+
			"set dropLinks to true for one `pulumi up`, which makes each link a resource of its own (no device can register in the middle of it)", strings.Join(inline, ", "))
	case len(lost) > 0 && t.Shared:
		return fmt.Errorf("the update would drop the links of %s, which came after the last look at the provisioning service: "+
			"`pulumi up --refresh` keeps them; to drop them, set dropLinks to true", strings.Join(lost, ", "))
	case len(lost) > 0:
		return fmt.Errorf("the update would drop the links of %s, which others made, as this stack declares all links itself: "+
			"set shared to true to let others link their hubs; to drop the links, set dropLinks to true", strings.Join(lost, ", "))
	case len(separate) > 0:
		return fmt.Errorf("%s is linked by a resource of its own, from when the provisioning service was shared, and a service has one form of links alone: "+
			"set shared back to true; or set dropLinks to true for one `pulumi up`, which removes those links, and run `pulumi up --refresh` without it, "+
			"which declares them (no device can register in between)", strings.Join(separate, ", "))
	case len(gone) > 0:
		return fmt.Errorf("the links of %s are gone since the last look at the provisioning service: run `pulumi up --refresh`", strings.Join(gone, ", "))
	}
	return nil
}

// linksOf returns the connection strings of the links in the inputs of a service by the hubs' host names in lower case. One that a
// preview does not know is of a hub that is not there yet, and left out.
func linksOf(inputs resource.PropertyMap) map[string]string {
	links := map[string]string{}
	path, err := resource.ParsePropertyPath(linksPath)
	if err != nil {
		return links
	}
	list, _ := path.Get(resource.NewObjectProperty(inputs))
	list = open(list)
	if !list.IsArray() {
		return links
	}
	for _, item := range list.ArrayValue() {
		if item = open(item); !item.IsObject() {
			continue
		}
		text := open(item.ObjectValue()["connectionString"])
		if !text.IsString() {
			continue
		}
		for part := range strings.SplitSeq(text.StringValue(), ";") {
			if name, host, _ := strings.Cut(part, "="); strings.EqualFold(name, "HostName") {
				links[strings.ToLower(host)] = text.StringValue()
			}
		}
	}
	return links
}

// open takes a value out of what marks it as a secret.
func open(value resource.PropertyValue) resource.PropertyValue {
	for {
		switch {
		case value.IsSecret():
			value = value.SecretValue().Element
		case value.IsOutput():
			value = value.OutputValue().Element
		default:
			return value
		}
	}
}
