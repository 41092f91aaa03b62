package azurenative

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"evenkeel/internal/azure/arm"
)

const (
	// createBeforeDelete is an input of this plugin: it generated the name, so a replacement can be created first.
	createBeforeDelete = "__createBeforeDelete"
	// groupLocationAPIVersion is the api-version with which the real plugin looks up a resource group's location.
	groupLocationAPIVersion = "2020-10-01"
	locationInput           = "location"
	groupInput              = "resourceGroupName"
)

// Check fills in the name and the location if the program omits them, and reports inputs whose form ARM would reject.
func (a *azureNative) Check(ctx context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	res, err := a.resourceType(req.GetUrn())
	if err != nil {
		return nil, err
	}
	olds, err := unmarshal(req.GetOlds())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	ctx, done := a.operation(ctx, 0)
	defer done()

	if err := fillName(req, res, olds, news); err != nil {
		return nil, err
	}
	if res.Inputs[locationInput] != nil && !news.HasValue(locationInput) {
		if location, ok := a.defaultLocation(ctx, olds, news); ok {
			news[locationInput] = location
		}
	}
	var failures []*pulumirpc.CheckFailure
	for _, reason := range res.validate(news) {
		failures = append(failures, &pulumirpc.CheckFailure{Reason: reason})
	}
	inputs, err := marshal(news)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CheckResponse{Inputs: inputs, Failures: failures}, nil
}

// fillName sets the name of a resource that the program does not name: its last name, the name that the engine's
// auto-naming configuration proposes, or one after its logical name.
func fillName(req *pulumirpc.CheckRequest, res *resourceType, olds, news resource.PropertyMap) error {
	key := resource.PropertyKey(res.AutoNameInput)
	if news.HasValue(key) {
		return nil
	}
	if old, ok := olds[key]; ok {
		news[key] = old
		if flag, ok := olds[createBeforeDelete]; ok && flag.IsBool() && flag.BoolValue() {
			news[createBeforeDelete] = flag
		}
		return nil
	}
	if res.AutoNameKind == "uuid" {
		const digits = 32
		hex, err := resource.NewUniqueName(req.GetRandomSeed(), "", digits, 0, nil)
		if err != nil {
			return fmt.Errorf("name %q: %w", resource.URN(req.GetUrn()).Name(), err)
		}
		news[key] = resource.NewStringProperty(strings.Join([]string{hex[:8], hex[8:12], hex[12:16], hex[16:20],
			hex[20:]}, "-"))
		news[createBeforeDelete] = resource.NewBoolProperty(true)
		return nil
	}
	if naming := req.GetAutonaming(); naming != nil {
		if naming.GetMode() != pulumirpc.CheckRequest_AutonamingOptions_DISABLE {
			news[key] = resource.NewStringProperty(naming.GetProposedName())
			news[createBeforeDelete] = resource.NewBoolProperty(true)
		}
		return nil
	}
	name := resource.URN(req.GetUrn()).Name()
	if res.AutoNameKind == "random" {
		const digits = 8
		unique, err := resource.NewUniqueName(req.GetRandomSeed(), name, digits, 0, nil)
		if err != nil {
			return fmt.Errorf("name %q: %w", name, err)
		}
		name = unique
		news[createBeforeDelete] = resource.NewBoolProperty(true)
	}
	news[key] = resource.NewStringProperty(name)
	return nil
}

// defaultLocation returns the location of a resource that sets none: its last one, the configured one, or its group's.
// It is unknown while the group is unknown, and absent without a group.
func (a *azureNative) defaultLocation(ctx context.Context, olds, news resource.PropertyMap) (resource.PropertyValue,
	bool) {
	if old, ok := olds[locationInput]; ok {
		return old, true
	}
	group, named := news[groupInput]
	a.mu.Lock()
	configured := a.config[locationInput]
	var cached string
	if named && group.IsString() {
		cached = a.locations[group.StringValue()]
	}
	subscriptionID := a.subscriptionID
	a.mu.Unlock()
	switch {
	case configured != "":
		return resource.NewStringProperty(configured), true
	case !named:
		return resource.PropertyValue{}, false
	case group.ContainsUnknowns():
		return unknown(), true
	case cached != "":
		return resource.NewStringProperty(cached), true
	case !group.IsString():
		return resource.PropertyValue{}, false
	}
	id, err := pathTemplate("/subscriptions/{subscriptionId}/resourceGroups/{name}").
		fill(subscriptionID, map[string]any{"name": group.StringValue()})
	if err != nil {
		return resource.PropertyValue{}, false
	}
	found, err := a.get(ctx, arm.Target{ID: id, APIVersion: groupLocationAPIVersion})
	if err != nil {
		// Check then reports a missing location, which the user can correct.
		return resource.PropertyValue{}, false
	}
	location, ok := found[locationInput].(string)
	if !ok {
		return resource.PropertyValue{}, false
	}
	a.mu.Lock()
	a.locations[group.StringValue()] = location
	a.mu.Unlock()
	return resource.NewStringProperty(location), true
}

// validate returns the errors in the form of inputs, in the order of the properties' names.
func (r *resourceType) validate(inputs resource.PropertyMap) []string {
	faults := r.Inputs.validate("", inputs)
	if key := r.AutoNameInput; !inputs.HasValue(resource.PropertyKey(key)) {
		faults = append(faults, fmt.Sprintf("missing required property '%s'", key))
	}
	return faults
}

func (props properties) validate(prefix string, values resource.PropertyMap) []string {
	var faults []string
	names := make([]string, 0, len(props))
	for name := range props {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p, path := props[name], prefix+name
		value, ok := values[resource.PropertyKey(name)]
		switch {
		case ok && !value.IsNull():
			faults = append(faults, p.validate(path, value)...)
		case p.Filled:
			faults = append(faults, fmt.Sprintf("missing required property '%s'. "+
				"Set it in the program or with 'pulumi config set azure-native:location <value>'.", path))
		case p.Required:
			faults = append(faults, fmt.Sprintf("missing required property '%s'", path))
		}
	}
	return faults
}

// validate checks one value. Unknown values are checked once they are known.
func (p *property) validate(path string, v resource.PropertyValue) []string {
	if v.IsComputed() || v.IsOutput() {
		return nil
	}
	faults := p.shape.validate(path, v)
	if len(faults) > 0 {
		return faults
	}
	switch {
	case v.IsString() && p.pattern != nil && !p.pattern.MatchString(v.StringValue()):
		return []string{fmt.Sprintf("'%s' does not match expression '%s'", path, p.Pattern)}
	case v.IsNumber() && p.Minimum != nil && v.NumberValue() < *p.Minimum:
		return []string{fmt.Sprintf("'%s' is too low (%v < %v)", path, v.NumberValue(), *p.Minimum)}
	case v.IsNumber() && p.Maximum != nil && v.NumberValue() > *p.Maximum:
		return []string{fmt.Sprintf("'%s' is too high (%v > %v)", path, v.NumberValue(), *p.Maximum)}
	}
	return nil
}

func (s *shape) validate(path string, v resource.PropertyValue) []string {
	switch {
	case v.IsComputed() || v.IsOutput() || s.kind == "any":
		return nil
	case s.kind == "object" && v.IsObject():
		return s.object.validate(path+".", v.ObjectValue())
	case s.kind == "map" && v.IsObject():
		var faults []string
		for _, key := range v.ObjectValue().StableKeys() {
			faults = append(faults, s.element.validate(path+"."+string(key), v.ObjectValue()[key])...)
		}
		return faults
	case s.kind == "list" && v.IsArray():
		var faults []string
		for i, item := range v.ArrayValue() {
			faults = append(faults, s.element.validate(fmt.Sprintf("%s[%d]", path, i), item)...)
		}
		return faults
	case s.kind == "integer" && v.IsNumber():
		if v.NumberValue() != math.Trunc(v.NumberValue()) {
			return []string{fmt.Sprintf("'%s' must be an integer but got %v", path, v.NumberValue())}
		}
		return nil
	case s.kind == "number" && v.IsNumber(), s.kind == "string" && v.IsString(), s.kind == "boolean" && v.IsBool():
		return nil
	}
	return []string{fmt.Sprintf("'%s' should be of type '%s' but got '%s'", path, s.kind, v.TypeString())}
}
