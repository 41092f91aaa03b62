package azurenative

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"evenkeel/internal/azure/arm"
)

const (
	inputsKey     = "__inputs"
	apiVersionKey = "azureApiVersion"
	// lastLook bounds the one read of the resource after an interrupted operation.
	lastLook = 5 * time.Second
)

// operationTimeout is the time one operation may take, given the engine's custom timeout in seconds, 0 for none.
func operationTimeout(seconds float64) time.Duration {
	if seconds > 0 {
		return time.Duration(seconds * float64(time.Second))
	}
	return 2 * time.Hour
}

// Create returns an error if the resource exists. Otherwise it sends the PUT, waits for its end and reads the result.
func (a *azureNative) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	res, err := a.resourceType(req.GetUrn())
	if err != nil {
		return nil, err
	}
	inputs, err := unmarshal(req.GetProperties())
	if err != nil {
		return nil, err
	}
	if req.GetPreview() {
		outputs, err := marshal(res.Outputs.preview(inputs))
		if err != nil {
			return nil, err
		}
		return &pulumirpc.CreateResponse{Properties: outputs}, nil
	}
	values := inputs.Mappable()
	id, err := res.path.fill(a.subscription(), values)
	if err != nil {
		return nil, err
	}
	ctx, done := a.operation(ctx, req.GetTimeout())
	defer done()

	to := arm.Target{ID: id, APIVersion: res.APIVersion}
	exists, err := a.client.Exists(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	if exists {
		return nil, fmt.Errorf(
			"cannot create already existing resource '%s': import it with 'pulumi import %s %s %s', "+
				"or delete it first", id, resource.URN(req.GetUrn()).Type(), resource.URN(req.GetUrn()).Name(), id)
	}
	w := write{res: res, urn: req.GetUrn(), to: to, inputs: inputs, raw: req.GetProperties()}
	id, state, err := a.write(ctx, w)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CreateResponse{Id: id, Properties: state}, nil
}

// Update sends the PUT with the new inputs, waits for its end and reads the result.
func (a *azureNative) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	res, err := a.resourceType(req.GetUrn())
	if err != nil {
		return nil, err
	}
	inputs, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	olds, err := unmarshal(req.GetOlds())
	if err != nil {
		return nil, err
	}
	if req.GetPreview() {
		outputs := res.Outputs.preview(inputs)
		// The two outputs that no update in place can change.
		for _, key := range []resource.PropertyKey{"name", locationInput} {
			if value, ok := olds[key]; ok {
				outputs[key] = value
			}
		}
		state, err := marshal(outputs)
		if err != nil {
			return nil, err
		}
		return &pulumirpc.UpdateResponse{Properties: state}, nil
	}
	id, err := res.path.fill(a.subscription(), inputs.Mappable())
	if err != nil {
		return nil, err
	}
	ctx, done := a.operation(ctx, req.GetTimeout())
	defer done()
	w := write{res: res, urn: req.GetUrn(), to: arm.Target{ID: id, APIVersion: res.APIVersion}, inputs: inputs,
		raw: req.GetNews(), olds: olds}
	_, state, err := a.write(ctx, w)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.UpdateResponse{Properties: state}, nil
}

// Delete deletes the resource and waits until it is done; a missing one is a success.
func (a *azureNative) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	res, err := a.resourceType(req.GetUrn())
	if err != nil {
		return nil, err
	}
	ctx, done := a.operation(ctx, req.GetTimeout())
	defer done()
	at := arm.Target{ID: req.GetId(), APIVersion: res.APIVersion}
	if err := a.client.Delete(ctx, at, res.DeleteLongRunning); err != nil {
		return nil, fmt.Errorf("delete: %w", err)
	}
	return &emptypb.Empty{}, nil
}

// write is one PUT: its resource and its inputs.
type write struct {
	res    *resourceType
	urn    string
	to     arm.Target
	inputs resource.PropertyMap
	raw    *structpb.Struct     // inputs as the engine sent them
	olds   resource.PropertyMap // the state before an update; nil for a create
}

// write sends the PUT and returns the new state, and the id as the response spells it.
func (a *azureNative) write(ctx context.Context, w write) (string, *structpb.Struct, error) {
	body := w.res.nest(w.res.body().toBody(w.inputs.Mappable()))
	answer, accepted, err := a.client.Put(ctx, w.to, body, w.res.PutLongRunning)
	if err != nil {
		return "", nil, a.failedWrite(ctx, w, accepted, err)
	}
	id := w.to.ID
	if canonical, ok := answer["id"].(string); ok && canonical != "" {
		id = canonical
	}
	// A refresh compares with the response to a GET, which differs from that to a PUT, so the state comes from a GET.
	if read, err := a.get(ctx, arm.Target{ID: id, APIVersion: w.res.APIVersion}); err == nil {
		answer = read
	} else {
		a.warn(ctx, w.urn, fmt.Sprintf("The resource was written but could not be read back: %v. Run pulumi refresh.",
			err))
	}
	state, err := w.res.checkpoint(w.inputs, w.res.outputs(answer))
	if err != nil {
		return "", nil, err
	}
	return id, state, nil
}

// failedWrite returns the engine's error for a failed PUT. If the resource may exist now, the error has a state, so
// that the engine records the resource and the next operation updates, reads or deletes it.
//
// Fidelity: the real plugin records only resources that ARM had accepted, and reports a PUT that was interrupted before
// its response as not created. This plugin records that too, so that an interrupted run leaves no duplicates or
// orphans.
func (a *azureNative) failedWrite(ctx context.Context, w write, accepted bool, cause error) error {
	var unanswered *arm.UnansweredError
	if !accepted && !errors.As(cause, &unanswered) {
		return cause
	}
	found := w.olds
	look, done := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer done()
	// Without a response to the PUT, a second wait would delay a cancelled engine.
	if accepted {
		read, err := a.get(look, w.to)
		if err == nil {
			found = w.res.outputs(read)
		} else {
			cause = fmt.Errorf("%w (and what it left could not be read: %w)", cause, err)
		}
	}
	state, err := w.res.checkpoint(w.inputs, found)
	if err != nil {
		return errors.Join(cause, err)
	}
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, cause.Error()), &pulumirpc.ErrorResourceInitFailed{
		Id:         w.to.ID,
		Properties: state,
		Inputs:     w.raw,
		Reasons:    []string{cause.Error()},
	})
}

// outputs returns the outputs in a response of ARM.
func (r *resourceType) outputs(answer map[string]any) resource.PropertyMap {
	return resource.NewPropertyMapFromMap(r.Outputs.fromBody(r.flat(answer)))
}

// checkpoint is the state of a resource: its outputs, the api-version, and the inputs as a secret.
func (r *resourceType) checkpoint(inputs, outputs resource.PropertyMap) (*structpb.Struct, error) {
	state := resource.PropertyMap{}
	maps.Copy(state, outputs)
	state[apiVersionKey] = resource.NewStringProperty(r.APIVersion)
	state[inputsKey] = resource.MakeSecret(resource.NewObjectProperty(inputs))
	return marshal(state)
}

// lastInputs are the inputs of the last operation: the engine's own record, or "__inputs" of the state.
func lastInputs(sent *structpb.Struct, state resource.PropertyMap) (resource.PropertyMap, error) {
	if sent != nil {
		return unmarshal(sent)
	}
	if kept, ok := state[inputsKey]; ok && kept.IsObject() {
		return kept.ObjectValue(), nil
	}
	return nil, nil
}

// get reads a resource in ARM's form.
func (a *azureNative) get(ctx context.Context, from arm.Target) (map[string]any, error) {
	answer := map[string]any{}
	return answer, a.client.Get(ctx, from, &answer)
}
