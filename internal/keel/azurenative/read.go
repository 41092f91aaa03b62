package azurenative

import (
	"context"
	"fmt"
	"net/http"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"evenkeel/internal/azure/arm"
)

// Read reads the resource for a refresh or an import. Only a 404 means that it does not exist.
//
// A refresh sees only outputs, not inputs. It computes the difference between the last outputs and the current ones,
// limited to properties that inputs have, and applies it to the inputs. Properties that ARM never returns, such as the
// authorization policies, or masks, such as the keys of linked hubs, are equal in both, so the declared inputs stay.
func (a *azureNative) Read(ctx context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	res, err := a.resourceType(req.GetUrn())
	if err != nil {
		return nil, err
	}
	state, err := unmarshal(req.GetProperties())
	if err != nil {
		return nil, err
	}
	inputs, err := lastInputs(req.GetInputs(), state)
	if err != nil {
		return nil, err
	}
	importing := len(inputs) == 0
	if importing {
		if inputs, err = res.inputsOfID(req.GetId()); err != nil {
			return nil, err
		}
	}
	ctx, done := a.operation(ctx, 0)
	defer done()

	answer, err := a.get(ctx, arm.Target{ID: req.GetId(), APIVersion: res.APIVersion})
	if arm.HasStatus(err, http.StatusNotFound) {
		return &pulumirpc.ReadResponse{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if importing {
		res.addImported(inputs, answer)
	} else {
		inputs = res.refreshedInputs(inputs, state, answer)
	}
	properties, err := res.checkpoint(inputs, res.outputs(answer))
	if err != nil {
		return nil, err
	}
	newInputs, err := marshal(inputs)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.ReadResponse{Id: req.GetId(), Properties: properties, Inputs: newInputs}, nil
}

// inputsOfID returns the inputs that are part of the id: all that an import knows before it reads the resource.
func (r *resourceType) inputsOfID(id string) (resource.PropertyMap, error) {
	values, err := r.path.parse(id)
	if err != nil {
		return nil, err
	}
	return resource.NewPropertyMapFromMap(values), nil
}

// addImported adds the properties of a response that inputs can have, without empty collections. A program with these
// inputs would create the same resource.
func (r *resourceType) addImported(inputs resource.PropertyMap, answer map[string]any) {
	for name, value := range r.body().fromBody(r.flat(answer)) {
		if value = withoutEmpty(value); value != nil {
			inputs[resource.PropertyKey(name)] = resource.NewPropertyValue(value)
		}
	}
}

// refreshedInputs applies the changes in Azure since the last operation to the inputs.
func (r *resourceType) refreshedInputs(inputs, state resource.PropertyMap, answer map[string]any) resource.PropertyMap {
	body := r.body()
	before := resource.NewPropertyMapFromMap(body.fromBody(state.Mappable()))
	after := resource.NewPropertyMapFromMap(body.fromBody(r.Outputs.fromBody(r.flat(answer))))
	return apply(inputs, before.Diff(after))
}

// apply applies a difference between other values to values, and changes nothing else.
func apply(values resource.PropertyMap, diff *resource.ObjectDiff) resource.PropertyMap {
	if diff == nil {
		return values
	}
	out := resource.PropertyMap{}
	for key, value := range values {
		if !diff.Deleted(key) {
			out[key] = value
		}
	}
	for key, value := range diff.Adds {
		out[key] = value
	}
	for key, update := range diff.Updates {
		if value, ok := values[key]; ok {
			out[key] = applyValue(value, update.Old, update.New)
		} else {
			out[key] = update.New
		}
	}
	return out
}

// applyValue applies the change from before to after to value, property by property and element by element.
func applyValue(value, before, after resource.PropertyValue) resource.PropertyValue {
	switch {
	case value.IsObject() && before.IsObject() && after.IsObject():
		return resource.NewObjectProperty(apply(value.ObjectValue(), before.ObjectValue().Diff(after.ObjectValue())))
	case value.IsArray() && before.IsArray() && after.IsArray():
		values, befores, afters := value.ArrayValue(), before.ArrayValue(), after.ArrayValue()
		out := make([]resource.PropertyValue, len(afters))
		for i := range afters {
			if i < len(values) && i < len(befores) {
				out[i] = applyValue(values[i], befores[i], afters[i])
			} else {
				out[i] = afters[i]
			}
		}
		return resource.NewArrayProperty(out)
	}
	return after
}

// withoutEmpty removes empty objects and lists, which ARM adds for properties that were never set.
func withoutEmpty(value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, item := range value {
			if item = withoutEmpty(item); item != nil {
				out[key] = item
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		var out []any
		for _, item := range value {
			if item = withoutEmpty(item); item != nil {
				out = append(out, item)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return value
}
