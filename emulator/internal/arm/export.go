package arm

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"evenkeel/emulator/internal/domain"
	"evenkeel/emulator/internal/state"
)

// exportTemplate is ResourceGroups_ExportTemplate: the resources of a group as a template. The Azure CLI's `az group
// export` calls it, and so does `az iot hub state export`.
//
// Fidelity: Azure responds with a long-running operation, and turns names into parameters unless the request disables
// that; here the template is returned at once, with every value in it. It never contains keys, on Azure as here.

func (s *surface) routeExport() { s.route("POST "+groupItem+"/exporttemplate", (*call).exportTemplate) }

// templateResource is a resource in a template.
type templateResource struct {
	Type       string            `json:"type"`
	APIVersion string            `json:"apiVersion"`
	Name       string            `json:"name"`
	Location   string            `json:"location,omitempty"`
	DependsOn  []string          `json:"dependsOn,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	SKU        *skuBody          `json:"sku,omitempty"`
	Identity   json.RawMessage   `json:"identity,omitempty"`
	Properties any               `json:"properties"`
}

func (c *call) exportTemplate() error {
	var body struct {
		Resources []string `json:"resources"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	if _, err := c.group(); err != nil {
		return err
	}
	resources, err := c.templateResources(body.Resources)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, map[string]any{"template": map[string]any{
		"$schema": domain.TemplateSchema, "contentVersion": "1.0.0.0", "parameters": map[string]any{},
		"variables": map[string]any{},
		"resources": resources,
	}})
}

// templateResources returns the group's resources with the requested ids, or all for no ids and for "*": hubs,
// provisioning services, and then the certificates of hubs.
func (c *call) templateResources(wanted []string) ([]templateResource, error) {
	found := map[string]bool{}
	chosen := func(id string) bool {
		all := len(wanted) == 0 || slices.Contains(wanted, "*")
		matches := func(w string) bool { return strings.EqualFold(strings.TrimRight(w, "/"), id) }
		found[strings.ToLower(id)] = true
		return all || slices.ContainsFunc(wanted, matches)
	}
	hubs, err := c.State.Hubs(c.Subscription, c.values["group"])
	if err != nil {
		return nil, err
	}
	services, err := c.State.Services(c.Subscription, c.values["group"])
	if err != nil {
		return nil, err
	}
	resources, certificates := []templateResource{}, []templateResource{}
	for _, hub := range hubs {
		if !chosen(resourcePath(hubKind, hub.ID)) {
			continue
		}
		shown, below, err := c.hubTemplate(hub)
		if err != nil {
			return nil, err
		}
		resources, certificates = append(resources, shown), append(certificates, below...)
	}
	for _, service := range services {
		if !chosen(resourcePath(serviceKind, service.ID)) {
			continue
		}
		shown, err := c.serviceTemplate(service)
		if err != nil {
			return nil, err
		}
		resources = append(resources, shown)
	}
	for _, id := range wanted {
		if id != "*" && !found[strings.ToLower(strings.TrimRight(id, "/"))] {
			return nil, armError(http.StatusNotFound, "ResourceNotFound",
				"The resource '%s' was not found in the resource group '%s'.", id, c.values["group"])
		}
	}
	return append(resources, certificates...), nil
}

func newest(versions []string) string { return versions[len(versions)-1] }

func (c *call) hubTemplate(hub state.Hub) (templateResource, []templateResource, error) {
	shown, err := showHub(hub)
	if err != nil {
		return templateResource{}, nil, err
	}
	if err := shapeHub(shown.Properties, newest(hubVersions)); err != nil {
		return templateResource{}, nil, err
	}
	for name := range shown.Properties {
		if !slices.Contains(hubSettings, name) {
			delete(shown.Properties, name)
		}
	}
	resource := templateResource{
		Type: shown.Type, APIVersion: newest(hubVersions), Name: shown.Name, Location: shown.Location, Tags: shown.Tags,
		SKU:      shown.SKU,
		Identity: shown.Identity, Properties: shown.Properties,
	}
	children, err := c.State.Children(hub.Host(), state.CertificateKind)
	if err != nil {
		return resource, nil, err
	}
	certificates := make([]templateResource, len(children))
	for i, child := range children {
		record, err := child.Certificate()
		if err != nil {
			return resource, nil, err
		}
		body, err := showCertificate(parentHub(hub), child, record)
		if err != nil {
			return resource, nil, err
		}
		certificates[i] = templateResource{
			Type: shown.Type + "/certificates", APIVersion: newest(hubVersions), Name: shown.Name + "/" + child.Name,
			DependsOn:  []string{"[resourceId('" + shown.Type + "', '" + shown.Name + "')]"},
			Properties: map[string]any{"certificate": body.Properties.Certificate, "isVerified": record.Verified},
		}
	}
	return resource, certificates, nil
}

func (c *call) serviceTemplate(service state.Service) (templateResource, error) {
	shown, err := showService(service)
	if err != nil {
		return templateResource{}, err
	}
	p := shown.Properties
	return templateResource{
		Type: shown.Type, APIVersion: newest(serviceVersions), Name: shown.Name, Location: shown.Location,
		Tags: shown.Tags, SKU: shown.SKU,
		Identity: shown.Identity,
		Properties: struct {
			IotHubs          []linkBody `json:"iotHubs"`
			AllocationPolicy string     `json:"allocationPolicy"`
			serviceSettings
		}{p.IotHubs, p.AllocationPolicy, p.serviceSettings},
	}, nil
}
