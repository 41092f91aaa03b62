package arm

import (
	"maps"
	"net/http"
	"strings"
)

// The tags of groups and resources as a resource: Tags_*AtScope of Microsoft.Resources, 2025-04-01. Fidelity: the
// subscription has no tags, and a change takes effect at once.

// tagged is an object with tags.
type tagged struct {
	id   string
	tags map[string]string
	set  func(map[string]string) error
}

// tagsResource is TagsResource.
type tagsResource struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Properties struct {
		Tags map[string]string `json:"tags"`
	} `json:"properties"`
}

// tagsOf matches the end of the paths of tags, case-insensitively.
const tagsOf = "/providers/microsoft.resources/tags/default"

func (s *surface) routeTags() {
	for item, find := range map[string]func(*call) (tagged, error){
		hubItem: hubs.tagged, serviceItem: services.tagged, groupItem: (*call).taggedGroup} {
		with := func(h func(*call, tagged) error) handler {
			return func(c *call) error {
				of, err := find(c)
				if err != nil {
					return err
				}
				return h(c, of)
			}
		}
		s.route("GET "+item+tagsOf, with((*call).showTags))
		s.change("PUT "+item+tagsOf, with((*call).putTags))
		s.change("PATCH "+item+tagsOf, with((*call).patchTags))
		s.change("DELETE "+item+tagsOf, with((*call).deleteTags))
	}
}

// tagged returns the resource in the path.
func (f family[T]) tagged(c *call) (tagged, error) {
	thing, err := f.read(c)
	if err != nil {
		return tagged{}, err
	}
	resource := f.common(thing)
	return tagged{resourcePath(f.kind, resource.ID), resource.Tags, func(tags map[string]string) error {
		if _, err := f.setTags(c.State, resource.ID, tags, 0); err != nil {
			return c.refusal(f.kind, err)
		}
		return nil
	}}, nil
}

// taggedGroup returns the group in the path.
func (c *call) taggedGroup() (tagged, error) {
	g, err := c.group()
	if err != nil {
		return tagged{}, err
	}
	return tagged{groupID(g), g.Tags, func(tags map[string]string) error {
		if _, err := c.State.SetGroupTags(g.Subscription, g.Name, tags); err != nil {
			return c.groupRefusal(err)
		}
		return nil
	}}, nil
}

func (c *call) showTags(of tagged) error {
	answer := tagsResource{ID: of.id + "/providers/Microsoft.Resources/tags/default", Name: "default",
		Type: "Microsoft.Resources/tags"}
	answer.Properties.Tags = tagsOrEmpty(of.tags)
	return c.json(http.StatusOK, answer)
}

// putTags replaces all tags.
func (c *call) putTags(of tagged) error {
	var body tagsResource
	if err := c.body(&body); err != nil {
		return err
	}
	return c.keepTags(of, tagsOrEmpty(body.Properties.Tags))
}

// patchTags merges tags into the present ones, replaces them, or deletes those with the given names and values.
func (c *call) patchTags(of tagged) error {
	var body struct {
		Operation string `json:"operation"`
		tagsResource
	}
	if err := c.body(&body); err != nil {
		return err
	}
	given, kept := body.Properties.Tags, map[string]string{}
	maps.Copy(kept, of.tags)
	switch strings.ToLower(body.Operation) {
	case "replace":
		kept = tagsOrEmpty(given)
	case "merge":
		for name, value := range given {
			deleteTag(kept, name, func(string) bool { return true })
			kept[name] = value
		}
	case "delete":
		for name, value := range given {
			deleteTag(kept, name, func(present string) bool { return present == value })
		}
	default:
		return armError(http.StatusBadRequest, "InvalidTagsOperation",
			"The operation '%s' is unknown; use Merge, Replace or Delete.", body.Operation)
	}
	return c.keepTags(of, kept)
}

// deleteTag deletes the tag of that name (case-insensitive) if its value is one of the given ones.
func deleteTag(tags map[string]string, name string, wanted func(value string) bool) {
	maps.DeleteFunc(tags, func(present, value string) bool { return strings.EqualFold(present, name) && wanted(value) })
}

func (c *call) deleteTags(of tagged) error {
	if err := of.set(map[string]string{}); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) keepTags(of tagged, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	if err := of.set(tags); err != nil {
		return err
	}
	of.tags = tags
	return c.showTags(of)
}
