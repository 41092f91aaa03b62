package entry

import (
	"context"
	"time"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/enrollment"
)

// Kind holds the differences between individual enrollments and enrollment groups. Everything else is the same for
// both; see base.
type Kind struct {
	// collection is the path of the kind's entries at the service, and the middle part of the resources' ids.
	collection string
	// idName is the property that holds the entry's id.
	idName  string
	checkID func(path, id string) []enrollment.Fault
	isGroup bool
}

// The two kinds.
var (
	Individual = Kind{IndividualsName, "registrationId", enrollment.CheckRegistrationID, false}
	Group      = Kind{groupsName, "enrollmentGroupId", enrollment.CheckGroupID, true}
)

// inputs are the properties of a resource of one kind. A is the type itself.
type inputs[A any] interface {
	kind() Kind
	declared() Declared
	of(Declared) A
}

// outputs are the state of a resource of one kind. S is the type itself.
type outputs[S any] interface {
	held() Held
	of(Held) S
}

// base implements the operations of a resource that is one entry of the provisioning service, for both kinds.
type base[A inputs[A], S outputs[S]] struct{}

func (base[A, S]) kind() Kind {
	var args A
	return args.kind()
}

func (base[A, S]) state(h Held) S {
	var state S
	return state.of(h)
}

func (base[A, S]) args(d Declared) A {
	var args A
	return args.of(d)
}

// Check reports every error of the inputs at once.
func (b base[A, S]) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[A], error) {
	args, failures, err := infer.DefaultCheck[A](ctx, req.NewInputs)
	if err != nil {
		return infer.CheckResponse[A]{}, err
	}
	k, want := b.kind(), args.declared()
	want.cleanKeys()
	faults := k.checkID(k.idName, want.ID)
	if want.DeviceID != nil {
		faults = append(faults, enrollment.CheckDeviceID("deviceId", *want.DeviceID)...)
	}
	faults = append(faults, DeclareOne(ctx, k.idName, k.collection, want.ID)...)
	faults = append(faults, CheckSettings(want.ID, want.Settings, k.isGroup, time.Now())...)
	return infer.CheckResponse[A]{Inputs: args.of(want), Failures: WithFaults(failures, req.NewInputs, faults)}, nil
}

// Diff compares the inputs with what the service holds, as the state knows it.
func (b base[A, S]) Diff(ctx context.Context, req infer.DiffRequest[A, S]) (infer.DiffResponse, error) {
	return diff(ctx, b.kind(), req.Inputs.declared(), req.State.held()), nil
}

// Create creates the entry, or takes over an entry that this resource created before.
func (b base[A, S]) Create(ctx context.Context, req infer.CreateRequest[A]) (infer.CreateResponse[S], error) {
	var response infer.CreateResponse[S]
	want := req.Inputs.declared()
	if req.DryRun {
		response.Output = b.state(preview(ctx, want, Held{}))
		return response, nil
	}
	l, err := Begin(ctx, b.kind())
	if err != nil {
		return response, err
	}
	made, err := l.For(want.Settings).create(ctx, want)
	if made.ID != "" { // it may not exist, as err then says
		response.ID, response.Output = l.ResourceID(made.ID), b.state(made)
	}
	return response, err
}

// WireDependencies marks outputs as known in previews, which leave unknown ones empty.
func (base[A, S]) WireDependencies(f infer.FieldSelector, _ *A, state *S) {
	if s, is := any(state).(interface {
		record() *Record
		life() *Life
	}); is {
		wire(f, s.record(), s.life())
	}
}

// Update sends the whole entry, on condition that it has not changed since the state was written.
func (b base[A, S]) Update(ctx context.Context, req infer.UpdateRequest[A, S]) (infer.UpdateResponse[S], error) {
	var response infer.UpdateResponse[S]
	want, known := req.Inputs.declared(), req.State.held()
	if req.DryRun {
		response.Output = b.state(preview(ctx, want, known))
		return response, nil
	}
	l, err := Begin(ctx, b.kind())
	if err != nil {
		return response, err
	}
	if _, err := l.own(req.ID); err != nil {
		return response, err
	}
	updated, err := l.For(want.Settings, known.Settings).update(ctx, want, known)
	response.Output = b.state(updated)
	return response, err
}

// Read refreshes the entry, or reads it for an import. It returns no id only when the service answers that the entry
// does not exist.
func (b base[A, S]) Read(ctx context.Context, req infer.ReadRequest[A, S]) (infer.ReadResponse[A, S], error) {
	var response infer.ReadResponse[A, S]
	l, err := Begin(ctx, b.kind())
	if err != nil {
		return response, err
	}
	id, err := l.own(req.ID)
	if err != nil {
		return response, err
	}
	known, want := req.State.held(), req.Inputs.declared()
	found, exists, err := l.For(want.Settings, known.Settings).read(ctx, id, want, known)
	if err != nil || !exists {
		return response, err
	}
	if response.ID = req.ID; known.Etag == "" { // an import: keep the service's spelling of the id
		response.ID = l.ResourceID(found.ID)
	}
	response.Inputs, response.State = b.args(found.Declared), b.state(found)
	return response, nil
}

// Delete deletes the entry, unless another resource owns it by now. An entry that does not exist is not an error. The
// registration records of its devices stay, unless the inputs have deleteRegistrations.
func (b base[A, S]) Delete(ctx context.Context, req infer.DeleteRequest[S]) (infer.DeleteResponse, error) {
	known := req.State.held()
	return infer.DeleteResponse{}, deleteEntry(ctx, b.kind(), req.ID, known, known.ForgetsRegistrations(ctx))
}
