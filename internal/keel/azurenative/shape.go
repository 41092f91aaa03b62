package azurenative

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// shape is a parsed type notation. Exactly one of element and object is set for a list or map and for an object;
// neither is set for a plain value.
type shape struct {
	// kind is string, integer, number, boolean, any, list, map or object.
	kind    string
	element *shape
	object  properties
	// keys marks a list of strings that ARM encodes as the keys of an object.
	keys bool
}

// parseShape parses a notation. Object types are shared and may still be unresolved when it returns.
func (t *table) parseShape(notation string) (*shape, error) {
	if element, ok := strings.CutPrefix(notation, "[]"); ok {
		s, err := t.parseShape(element)
		return &shape{kind: "list", element: s}, err
	}
	if element, ok := strings.CutPrefix(notation, "map<"); ok {
		s, err := t.parseShape(strings.TrimSuffix(element, ">"))
		return &shape{kind: "map", element: s}, err
	}
	if name, ok := strings.CutPrefix(notation, "#"); ok {
		object, ok := t.Types[name]
		if !ok {
			return nil, fmt.Errorf("unknown type %q", name)
		}
		return &shape{kind: "object", object: object}, nil
	}
	switch notation {
	case "string", "integer", "number", "boolean", "any":
		return &shape{kind: notation}, nil
	}
	return nil, fmt.Errorf("unknown notation %q", notation)
}

// inProperties is the Wire of a property that is in the member "properties" on the wire.
const inProperties = "properties"

// nest returns a body with the properties moved to where they are on the wire.
func (r *resourceType) nest(body map[string]any) map[string]any {
	out, inner := map[string]any{}, map[string]any{}
	for name, value := range body {
		if p := r.Inputs[name]; p != nil && p.Wire == inProperties {
			inner[name] = value
		} else {
			out[name] = value
		}
	}
	if len(inner) > 0 {
		out[inProperties] = inner
	}
	return out
}

// flat does the reverse for an answer.
func (r *resourceType) flat(answer map[string]any) map[string]any {
	inner, _ := answer[inProperties].(map[string]any)
	out := maps.Clone(answer)
	for _, props := range []properties{r.Inputs, r.Outputs} {
		for name, p := range props {
			if value, ok := inner[name]; ok && p.Wire == inProperties {
				out[name] = value
			}
		}
	}
	return out
}

// toBody returns the values of props in the form of a request body.
func (props properties) toBody(values map[string]any) map[string]any {
	return props.selectValues(values, func(v any) any {
		list, ok := v.([]any)
		if !ok {
			return v
		}
		set := map[string]any{}
		for _, item := range list {
			if key, ok := item.(string); ok {
				set[key] = map[string]any{}
			}
		}
		return set
	})
}

// fromBody returns the values of props in the form of a Pulumi program. It converts responses, and projects outputs on
// inputs: properties that props do not have, such as read-only ones, are left out.
func (props properties) fromBody(values map[string]any) map[string]any {
	return props.selectValues(values, func(v any) any {
		set, ok := v.(map[string]any)
		if !ok {
			return v
		}
		list := make([]any, 0, len(set))
		for key := range set {
			list = append(list, key)
		}
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		return list
	})
}

// selectValues returns the values of props; turn converts a list that ARM encodes as keys. It drops null and other
// values.
func (props properties) selectValues(values map[string]any, turn func(any) any) map[string]any {
	out := map[string]any{}
	for name, p := range props {
		if v, ok := values[name]; ok && v != nil {
			out[name] = p.shape.keep(v, turn)
		}
	}
	return out
}

func (s *shape) keep(v any, turn func(any) any) any {
	if s.keys {
		return turn(v)
	}
	switch v := v.(type) {
	case map[string]any:
		if s.kind == "object" {
			return s.object.selectValues(v, turn)
		}
		if s.kind == "map" {
			out := map[string]any{}
			for key, item := range v {
				out[key] = s.element.keep(item, turn)
			}
			return out
		}
	case []any:
		if s.kind == "list" {
			out := make([]any, len(v))
			for i, item := range v {
				out[i] = s.element.keep(item, turn)
			}
			return out
		}
	}
	return v
}

// preview returns the outputs that are known before the request: an output of the same name and kind as an input is
// that input, every other one is unknown.
func (props properties) preview(inputs resource.PropertyMap) resource.PropertyMap {
	out := resource.PropertyMap{}
	for name, p := range props {
		key := resource.PropertyKey(name)
		if v, ok := inputs[key]; ok {
			out[key] = p.shape.preview(v)
		} else {
			out[key] = unknown()
		}
	}
	return out
}

func (s *shape) preview(v resource.PropertyValue) resource.PropertyValue {
	switch {
	case s.kind == "any",
		s.kind == "string" && v.IsString(),
		s.kind == "boolean" && v.IsBool(),
		(s.kind == "integer" || s.kind == "number") && v.IsNumber():
		return v
	case s.kind == "list" && v.IsArray():
		items := make([]resource.PropertyValue, len(v.ArrayValue()))
		for i, item := range v.ArrayValue() {
			items[i] = s.element.preview(item)
		}
		return resource.NewArrayProperty(items)
	case s.kind == "map" && v.IsObject():
		out := resource.PropertyMap{}
		for key, item := range v.ObjectValue() {
			out[key] = s.element.preview(item)
		}
		return resource.NewObjectProperty(out)
	case s.kind == "object" && v.IsObject():
		return resource.NewObjectProperty(s.object.preview(v.ObjectValue()))
	}
	return unknown()
}

func unknown() resource.PropertyValue {
	return resource.MakeComputed(resource.NewStringProperty(""))
}
