package environment

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

// Tagger sets one tag of a resource group, by its ARM id, and leaves the others.
type Tagger interface {
	Tag(ctx context.Context, group, name, value string) error
}

// Extend sets the time at which the environment expires: in the stack's configuration, in the tag of its resource
// group, and in the state. It does so while Pulumi holds the stack's lock, in a refresh of only the resource group that
// runs no program, so that other pending edits are not applied.
func (e *Environment) Extend(ctx context.Context, azure Tagger, until time.Time) error {
	if _, err := e.unlock(); err != nil {
		return err
	}
	state, err := e.load(ctx)
	if err != nil {
		return fmt.Errorf("extend stack %q: %w", e.Stack, err)
	}
	value := Stamp(until)
	var targets []string
	for _, r := range state.Resources {
		if r.Type == groupType && r.Custom {
			targets = append(targets, "--target", r.URN)
		}
	}
	if targets == nil {
		err = e.configureEnd(ctx, value)
	} else {
		err = e.refresh(
			ctx,
			"keel: extend until "+value,
			func(ctx context.Context, request *pulumirpc.RunRequest) error {
				return e.extend(ctx, azure, value, request)
			},
			targets...)
	}
	if err != nil {
		return fmt.Errorf("extend stack %q: %w", e.Stack, err)
	}
	return nil
}

// extend is the work of Extend that runs instead of the program, under the lock.
func (e *Environment) extend(ctx context.Context, azure Tagger, value string, request *pulumirpc.RunRequest) error {
	state, err := e.load(ctx)
	if err != nil {
		return err
	}
	for _, id := range state.groups() {
		if err := azure.Tag(ctx, id, ExpiresKey, value); err != nil {
			return fmt.Errorf("tag %s: %w", id, err)
		}
	}
	if err := e.configureEnd(ctx, value); err != nil {
		return err
	}
	outputs, err := e.plainOutputs(ctx)
	if err != nil {
		return err
	}
	if outputs[ExpiresKey] != nil {
		outputs[ExpiresKey] = value
	}
	return registerOutputs(ctx, request, outputs)
}

func (e *Environment) configureEnd(ctx context.Context, value string) error {
	_, err := e.output(ctx, "config", "set-all", "--plaintext", ExpiresKey+"="+value)
	return err
}

const (
	groupType = "azure-native:resources:ResourceGroup"
	stackType = "pulumi:pulumi:Stack"

	// secretSignature marks an object of Pulumi's wire and state formats as a secret (sdk/go/common/resource/sig of
	// v3.250.0).
	signatureKey    = "4dabf18193072939515e22adb298388d"
	secretSignature = "1b47061264138c4ac30d75fd1eb44270"
)

// plainOutputs returns the outputs of the stack in Pulumi's wire format, with secrets marked as such.
func (e *Environment) plainOutputs(ctx context.Context) (map[string]any, error) {
	text, err := e.output(ctx, "stack", "export", "--show-secrets", "--stack", e.Stack)
	if err != nil {
		return nil, fmt.Errorf("read the outputs: %w", err)
	}
	var exported struct {
		Deployment deployment `json:"deployment"`
	}
	if err := json.Unmarshal(text, &exported); err != nil {
		return nil, fmt.Errorf("read the outputs: %w", err)
	}
	outputs := map[string]any{}
	for _, r := range exported.Deployment.Resources {
		if r.Type == stackType && len(r.Outputs) > 0 {
			if err := json.Unmarshal(r.Outputs, &outputs); err != nil {
				return nil, fmt.Errorf("read the outputs: %w", err)
			}
		}
	}
	for name, value := range outputs {
		if outputs[name], err = toWire(value); err != nil {
			return nil, fmt.Errorf("read the output %s: %w", name, err)
		}
	}
	return outputs, nil
}

// toWire converts a value of the state to Pulumi's wire format. The two differ in secrets, which the state stores as
// JSON texts.
func toWire(value any) (any, error) {
	var err error
	switch v := value.(type) {
	case []any:
		for i := range v {
			if v[i], err = toWire(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if text, ok := v["plaintext"].(string); ok && v[signatureKey] == secretSignature {
			var plain any
			if err := json.Unmarshal([]byte(text), &plain); err != nil {
				return nil, err
			}
			plain, err = toWire(plain)
			return map[string]any{signatureKey: secretSignature, "value": plain}, err
		}
		for name := range v {
			if v[name], err = toWire(v[name]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

// registerOutputs gives the stack its outputs, as a program does at its end.
func registerOutputs(ctx context.Context, request *pulumirpc.RunRequest, outputs map[string]any) error {
	values, err := structpb.NewStruct(outputs)
	if err != nil {
		return fmt.Errorf("register the outputs: %w", err)
	}
	connection, err := grpc.NewClient(
		request.GetMonitorAddress(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wireLimit), grpc.MaxCallSendMsgSize(wireLimit)),
	)
	if err != nil {
		return fmt.Errorf("connect to Pulumi: %w", err)
	}
	defer func() { _ = connection.Close() }()
	monitor := pulumirpc.NewResourceMonitorClient(connection)
	stack, err := monitor.RegisterResource(ctx, &pulumirpc.RegisterResourceRequest{
		Type:            stackType,
		Name:            request.GetProject() + "-" + request.GetStack(),
		AcceptSecrets:   true,
		AcceptResources: true,
	})
	if err != nil {
		return fmt.Errorf("register the stack: %w", err)
	}
	if _, err := monitor.RegisterResourceOutputs(
		ctx,
		&pulumirpc.RegisterResourceOutputsRequest{Urn: stack.GetUrn(), Outputs: values},
	); err != nil {
		return fmt.Errorf("register the outputs: %w", err)
	}
	return nil
}

// wireLimit bounds messages to Pulumi, as Pulumi's own SDKs do.
const wireLimit = 400 << 20
