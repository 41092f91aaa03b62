package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"evenkeel/internal/azure/domain"
)

// linksPath is the property of a provisioning service that lists its links.
const linksPath = "properties.iotHubs"

// maskedKey is Azure's placeholder for the key of a link. In a request it keeps the stored key.
const maskedKey = "SharedAccessKey=****"

// CheckLinks compares an update of this stack's service, given as its inputs before and after, with the links that the
// service has now. Its error names the links of others that the update would drop, and removed links that it would
// restore. A link has any of the hub's host names.
func (t *Topology) CheckLinks(before, after resource.PropertyMap,
	now []devices.IotHubDefinitionDescriptionResponse) error {
	old, wanted := linksOf(before), linksOf(after)
	var linked []string
	for _, link := range now {
		linked = append(linked, strings.ToLower(link.Name))
	}
	var lost, gone, inline, separate []string
	for _, host := range linked {
		before, after := linkOf(host, old, linked), linkOf(host, wanted, linked)
		// This stack may remove a link that it declared with its key. A masked key comes from a refresh.
		declared := before != "" && !strings.HasSuffix(before, maskedKey)
		if after == "" && (t.Shared || !declared) {
			lost = append(lost, host)
		}
		// A service that declares its links always has some. A new input that is already linked comes from an
		// interrupted update.
		if !t.Shared && after != "" && (len(old) == 0 || strings.HasSuffix(before, maskedKey)) {
			separate = append(separate, host)
		}
	}
	for host, text := range wanted {
		isHost := func(name string) bool { return domain.SameHost(name, host) }
		if t.Shared && !strings.HasSuffix(text, maskedKey) {
			inline = append(inline, host)
		} else if t.Shared && !slices.ContainsFunc(linked, isHost) {
			gone = append(gone, host)
		}
	}
	slices.Sort(lost)
	slices.Sort(separate)
	slices.Sort(gone)
	slices.Sort(inline)
	switch {
	case len(inline) > 0:
		return fmt.Errorf("the provisioning service still declares the links of %s, from before it was shared, but a "+
			"shared service has its links as "+
			"separate resources: set dropLinks to true for one `pulumi up`, which makes each link a resource "+
			"(devices cannot register during it)", strings.Join(inline, ", "))
	case len(lost) > 0 && t.Shared:
		return fmt.Errorf("the update would drop the links of %s, which were added since the last refresh of the "+
			"provisioning service: "+
			"run `pulumi up --refresh` to keep them, or set dropLinks to true to drop them", strings.Join(lost, ", "))
	case len(lost) > 0:
		return fmt.Errorf("the update would drop the links of %s, which this stack does not declare: "+
			"set shared to true to allow others to link their hubs, or set dropLinks to true to drop the links",
			strings.Join(lost, ", "))
	case len(separate) > 0:
		return fmt.Errorf("%s is linked by a separate resource, from when the provisioning service was shared, but "+
			"the service now declares its links: "+
			"set shared back to true; or set dropLinks to true for one `pulumi up`, which removes those links, and "+
			"then run `pulumi up --refresh` "+
			"without it, which declares them (devices cannot register in between)", strings.Join(separate, ", "))
	case len(gone) > 0:
		return fmt.Errorf("the links of %s were removed since the last refresh of the provisioning service: run "+
			"`pulumi up --refresh`", strings.Join(gone, ", "))
	}
	return nil
}

// linkOf returns the connection string that the inputs have for a linked host: under that name, or else under another
// name of the hub. A service can link one hub under two names, and an input then means the one with its exact name.
func linkOf(host string, links map[string]string, linked []string) string {
	if text := links[host]; text != "" {
		return text
	}
	for other, text := range links {
		if domain.SameHost(other, host) && !slices.Contains(linked, other) {
			return text
		}
	}
	return ""
}

// linksOf returns the connection strings of the links in the inputs of a service, by the hubs' host names in lower
// case. It leaves out links that a preview does not know, whose hubs do not exist yet.
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

// open returns the value inside a secret or an output.
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
