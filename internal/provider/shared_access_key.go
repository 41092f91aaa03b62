package provider

import (
	"context"
	"errors"
	"fmt"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/sas"
)

var (
	_ infer.CustomResource[SharedAccessKeyArgs, SharedAccessKeyState]       = SharedAccessKey{}
	_ infer.CustomCheck[SharedAccessKeyArgs]                                = SharedAccessKey{}
	_ infer.CustomDiff[SharedAccessKeyArgs, SharedAccessKeyState]           = SharedAccessKey{}
	_ infer.CustomRead[SharedAccessKeyArgs, SharedAccessKeyState]           = SharedAccessKey{}
	_ infer.CustomUpdate[SharedAccessKeyArgs, SharedAccessKeyState]         = SharedAccessKey{}
	_ infer.ExplicitDependencies[SharedAccessKeyArgs, SharedAccessKeyState] = SharedAccessKey{}
)

// SharedAccessKey is a pair of keys for a shared access policy of a hub or a provisioning service. It exists in the
// stack's state only.
//
// Rotation n activates key n; even keys are primary, odd ones secondary, so both 0 and 1 exist from the start. Raising
// the rotation to n (from 2 on) replaces key n-2, which no client should use since the previous raise, by key n. So the
// policy has a key before clients use it, and a raise leaves the key valid that they used until then.
type SharedAccessKey struct{}

// SharedAccessKeyArgs are the inputs of a SharedAccessKey.
type SharedAccessKeyArgs struct {
	Rotation *int `pulumi:"rotation,optional"`
}

// SharedAccessKeyState is the state of a SharedAccessKey.
type SharedAccessKeyState struct {
	SharedAccessKeyArgs
	PrimaryKey   string `pulumi:"primaryKey" provider:"secret"`
	SecondaryKey string `pulumi:"secondaryKey" provider:"secret"`
	ActiveKey    string `pulumi:"activeKey" provider:"secret"`
	NextKey      string `pulumi:"nextKey" provider:"secret"`
}

// Annotate describes the resource in the schema.
func (k *SharedAccessKey) Annotate(an infer.Annotator) {
	an.SetToken("index", "SharedAccessKey")
	an.Describe(k, "A pair of keys of 64 random bytes for a shared access policy. It sends no request: the keys "+
		"exist in the stack's state, "+
		"as secrets, and stay the same until `rotation` is raised. Declare both on the policy, and let clients use "+
		"`activeKey`.")
}

// Annotate describes the properties in the schema.
func (a *SharedAccessKeyArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.Rotation,
		"Number of rotations, initially 0. Raise it by one to move `activeKey` to the other key: one raise leaves "+
			"the old key valid, "+
			"a second one replaces it. To revoke a key that leaked, raise it twice, with an update after each.")
}

// Annotate describes the properties in the schema.
func (s *SharedAccessKeyState) Annotate(an infer.Annotator) {
	an.Describe(&s.PrimaryKey, "The policy's primary key, base64.")
	an.Describe(&s.SecondaryKey, "The policy's secondary key, base64.")
	an.Describe(&s.ActiveKey, "The key of the two that clients should use now.")
	an.Describe(&s.NextKey,
		"The key that the next rotation introduces, generated in advance so that all values are known in the preview "+
			"of a rotation. Do not use it.")
}

func (a SharedAccessKeyArgs) rotation() int {
	if a.Rotation == nil {
		return 0
	}
	return *a.Rotation
}

// Create generates the keys.
func (SharedAccessKey) Create(_ context.Context, req infer.CreateRequest[SharedAccessKeyArgs]) (
	infer.CreateResponse[SharedAccessKeyState], error) {
	response := infer.CreateResponse[SharedAccessKeyState]{ID: req.Name,
		Output: SharedAccessKeyState{SharedAccessKeyArgs: req.Inputs}}
	if req.DryRun {
		return response, nil
	}
	s := &response.Output
	for _, key := range []*string{&s.PrimaryKey, &s.SecondaryKey, &s.NextKey} {
		var err error
		if *key, err = sas.NewKey(nil); err != nil {
			return response, err
		}
	}
	s.activate()
	return response, nil
}

// activate sets the active key by the parity of the rotation.
func (s *SharedAccessKeyState) activate() {
	s.ActiveKey = s.PrimaryKey
	if s.rotation()%2 == 1 {
		s.ActiveKey = s.SecondaryKey
	}
}

// WireDependencies marks outputs as known in previews, which leave unknown ones empty.
func (SharedAccessKey) WireDependencies(f infer.FieldSelector, _ *SharedAccessKeyArgs, state *SharedAccessKeyState) {
	for _, key := range []*string{&state.PrimaryKey, &state.SecondaryKey, &state.ActiveKey, &state.NextKey} {
		f.OutputField(key).AlwaysKnown()
	}
}

// Update activates the other key, after replacing it by the next key if it was active before.
func (SharedAccessKey) Update(_ context.Context, req infer.UpdateRequest[SharedAccessKeyArgs,
	SharedAccessKeyState]) (infer.UpdateResponse[SharedAccessKeyState], error) {
	state := req.State
	from, to := state.rotation(), req.Inputs.rotation()
	state.SharedAccessKeyArgs = req.Inputs
	if from == to {
		return infer.UpdateResponse[SharedAccessKeyState]{Output: state}, nil
	}
	if to != from+1 {
		return infer.UpdateResponse[SharedAccessKeyState]{},
			fmt.Errorf("rotate shared access key: rotation changes from %d to %d; raise it by one, "+
				"so that the key in use stays valid until all clients have the new one", from, to)
	}
	if to >= 2 {
		if to%2 == 0 {
			state.PrimaryKey = state.NextKey
		} else {
			state.SecondaryKey = state.NextKey
		}
		state.NextKey = ""
	}
	state.activate()
	if state.NextKey == "" && !req.DryRun {
		var err error
		if state.NextKey, err = sas.NewKey(nil); err != nil {
			return infer.UpdateResponse[SharedAccessKeyState]{}, err
		}
	}
	return infer.UpdateResponse[SharedAccessKeyState]{Output: state}, nil
}

// Read returns the state unchanged. Only the state contains the keys, so an import is not possible.
func (SharedAccessKey) Read(_ context.Context, req infer.ReadRequest[SharedAccessKeyArgs,
	SharedAccessKeyState]) (infer.ReadResponse[SharedAccessKeyArgs, SharedAccessKeyState], error) {
	if req.State.PrimaryKey == "" {
		return infer.ReadResponse[SharedAccessKeyArgs, SharedAccessKeyState]{},
			errors.New("a shared access key cannot be imported: it exists in its stack's state only")
	}
	return infer.ReadResponse[SharedAccessKeyArgs, SharedAccessKeyState](req), nil
}

// Check refuses a negative rotation.
func (SharedAccessKey) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[SharedAccessKeyArgs],
	error) {
	args, failures, err := infer.DefaultCheck[SharedAccessKeyArgs](ctx, req.NewInputs)
	if args.rotation() < 0 {
		failures = append(failures, p.CheckFailure{Property: "rotation",
			Reason: "it is negative: it counts rotations from 0"})
	}
	return infer.CheckResponse[SharedAccessKeyArgs]{Inputs: args, Failures: failures}, err
}

// Diff compares the counts of rotations; an absent one is 0.
func (SharedAccessKey) Diff(_ context.Context, req infer.DiffRequest[SharedAccessKeyArgs,
	SharedAccessKeyState]) (infer.DiffResponse, error) {
	if req.Inputs.rotation() == req.State.rotation() {
		return infer.DiffResponse{}, nil
	}
	return infer.DiffResponse{HasChanges: true, DetailedDiff: map[string]p.PropertyDiff{"rotation": {Kind: p.Update,
		InputDiff: true}}}, nil
}
