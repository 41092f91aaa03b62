package azurenative

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// Diff compares the inputs of the last operation with the new ones, and ignores outputs: a refresh detects changes in
// Azure and applies them to the inputs.
func (a *azureNative) Diff(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	res, err := a.resourceType(req.GetUrn())
	if err != nil {
		return nil, err
	}
	state, err := unmarshal(req.GetOlds())
	if err != nil {
		return nil, err
	}
	oldInputs, err := lastInputs(req.GetOldInputs(), state)
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	c := comparison{res: res, found: map[string]*pulumirpc.PropertyDiff{}}
	c.objects(nil, res.Inputs, oldInputs, news)
	c.ignoreAdoptedInputs(oldInputs, news, state)
	return c.response(oldInputs), nil
}

// comparison collects differences by property path.
type comparison struct {
	res   *resourceType
	found map[string]*pulumirpc.PropertyDiff
}

// objects compares two objects; props describes them if the table does.
func (c *comparison) objects(at resource.PropertyPath, props properties, olds, news resource.PropertyMap) {
	for key, old := range olds {
		if strings.HasPrefix(string(key), "__") || !old.HasValue() {
			continue
		}
		path := appendPath(at, string(key))
		if value, ok := news[key]; !ok || !value.HasValue() {
			c.note(path, pulumirpc.PropertyDiff_DELETE)
		} else {
			c.values(path, props[string(key)], old, value)
		}
	}
	for key, value := range news {
		if strings.HasPrefix(string(key), "__") || !value.HasValue() {
			continue
		}
		if old, ok := olds[key]; !ok || !old.HasValue() {
			c.note(appendPath(at, string(key)), pulumirpc.PropertyDiff_ADD)
		}
	}
}

// values compares two values of the property p, which is nil if the table does not have it.
func (c *comparison) values(at resource.PropertyPath, p *property, old, value resource.PropertyValue) {
	var s *shape
	var identifiers []string
	if p != nil {
		s, identifiers = p.shape, p.Identifiers
	}
	if isSame(at, old, value) {
		return
	}
	if old.IsArray() && value.IsArray() && len(identifiers) > 0 {
		c.sets(at, s, identifiers, old.ArrayValue(), value.ArrayValue())
		return
	}
	c.shapes(at, s, old, value)
}

func (c *comparison) shapes(at resource.PropertyPath, s *shape, old, value resource.PropertyValue) {
	switch {
	case old.IsObject() && value.IsObject():
		var props properties
		if s != nil {
			props = s.object
		}
		if s != nil && s.kind == "map" {
			props = properties{}
			for key := range value.ObjectValue() {
				props[string(key)] = &property{shape: s.element}
			}
		}
		c.objects(at, props, old.ObjectValue(), value.ObjectValue())
	case old.IsArray() && value.IsArray():
		olds, news := old.ArrayValue(), value.ArrayValue()
		for i := range max(len(olds), len(news)) {
			switch path := appendPath(at, i); {
			case i >= len(olds):
				c.note(path, pulumirpc.PropertyDiff_ADD)
			case i >= len(news):
				c.note(path, pulumirpc.PropertyDiff_DELETE)
			default:
				c.shapes(path, elementOf(s), olds[i], news[i])
			}
		}
	case !old.DeepEquals(value):
		c.note(at, pulumirpc.PropertyDiff_UPDATE)
	}
}

// sets compares lists whose elements are identified by some of their properties and whose order has no meaning.
func (c *comparison) sets(at resource.PropertyPath, s *shape, identifiers []string, olds,
	news []resource.PropertyValue) {
	identity := func(v resource.PropertyValue) string {
		if !v.IsObject() {
			return ""
		}
		var parts []string
		for _, name := range identifiers {
			parts = append(parts, fmt.Sprintf("%v", v.ObjectValue()[resource.PropertyKey(name)].V))
		}
		return strings.Join(parts, "\x00")
	}
	before := map[string]resource.PropertyValue{}
	for _, old := range olds {
		before[identity(old)] = old
	}
	after := map[string]bool{}
	for i, value := range news {
		id := identity(value)
		after[id] = true
		if old, ok := before[id]; ok {
			c.shapes(appendPath(at, i), elementOf(s), old, value)
		} else {
			c.note(appendPath(at, i), pulumirpc.PropertyDiff_ADD)
		}
	}
	for i, old := range olds {
		if !after[identity(old)] {
			c.note(appendPath(at, i), pulumirpc.PropertyDiff_DELETE)
		}
	}
}

// note records a difference. Only a change of a whole top-level input, or of a value within one, can replace.
func (c *comparison) note(at resource.PropertyPath, kind pulumirpc.PropertyDiff_Kind) {
	top, ok := at[0].(string)
	if ok && c.res.isInID(top) {
		switch {
		case kind == pulumirpc.PropertyDiff_UPDATE:
			kind = pulumirpc.PropertyDiff_UPDATE_REPLACE
		case kind == pulumirpc.PropertyDiff_ADD && len(at) == 1:
			kind = pulumirpc.PropertyDiff_ADD_REPLACE
		case kind == pulumirpc.PropertyDiff_DELETE && len(at) == 1:
			kind = pulumirpc.PropertyDiff_DELETE_REPLACE
		}
	}
	c.found[at.String()] = &pulumirpc.PropertyDiff{Kind: kind, InputDiff: true}
}

// ignoreAdoptedInputs ignores inputs that the program now sets to the value that the state already has.
func (c *comparison) ignoreAdoptedInputs(olds, news, state resource.PropertyMap) {
	for path, found := range c.found {
		key := resource.PropertyKey(path)
		output, ok := state[key]
		if found.GetKind() == pulumirpc.PropertyDiff_ADD_REPLACE && !olds.HasValue(key) && ok &&
			output.DeepEquals(news[key]) {
			found.Kind = pulumirpc.PropertyDiff_ADD
		}
	}
}

func (c *comparison) response(oldInputs resource.PropertyMap) *pulumirpc.DiffResponse {
	if len(c.found) == 0 {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}
	}
	response := &pulumirpc.DiffResponse{
		Changes:         pulumirpc.DiffResponse_DIFF_SOME,
		DetailedDiff:    c.found,
		HasDetailedDiff: true,
	}
	changed := map[string]bool{}
	for text, found := range c.found {
		switch found.GetKind() {
		case pulumirpc.PropertyDiff_ADD_REPLACE, pulumirpc.PropertyDiff_DELETE_REPLACE,
			pulumirpc.PropertyDiff_UPDATE_REPLACE:
			response.Replaces = append(response.Replaces, text)
		}
		path, err := resource.ParsePropertyPath(text)
		if err != nil || len(path) == 0 {
			continue
		}
		if top, ok := path[0].(string); ok && !changed[top] {
			changed[top] = true
			response.Diffs = append(response.Diffs, top)
		}
	}
	slices.Sort(response.Replaces)
	slices.Sort(response.Diffs)
	response.DeleteBeforeReplace = len(response.Replaces) > 0
	if flag, ok := oldInputs[createBeforeDelete]; ok && flag.IsBool() {
		response.DeleteBeforeReplace = !flag.BoolValue()
	}
	return response
}

// isSame compares the two top-level inputs that Azure does not compare byte by byte.
func isSame(at resource.PropertyPath, old, value resource.PropertyValue) bool {
	if len(at) != 1 || !old.IsString() || !value.IsString() {
		return false
	}
	switch at[0] {
	case groupInput:
		return strings.EqualFold(old.StringValue(), value.StringValue())
	case locationInput:
		return normalLocation(old.StringValue()) == normalLocation(value.StringValue())
	}
	return false
}

// normalLocation returns a location in a form in which "West US 2" and "westus2" are equal.
func normalLocation(location string) string {
	return strings.ToLower(strings.ReplaceAll(location, " ", ""))
}

func elementOf(s *shape) *shape {
	if s == nil {
		return nil
	}
	return s.element
}

// appendPath is a copy of a path with one more step, so that paths never share their memory.
func appendPath(at resource.PropertyPath, step any) resource.PropertyPath {
	return append(slices.Clone(at), step)
}
