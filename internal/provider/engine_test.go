package provider_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/blang/semver"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/pkg/v3/engine"
	framework "github.com/pulumi/pulumi/pkg/v3/engine/lifecycletest/framework"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy"
	"github.com/pulumi/pulumi/pkg/v3/resource/deploy/deploytest"
	"github.com/pulumi/pulumi/pkg/v3/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	hostclient "github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"evenkeel/internal/provider"
)

// The following tests run the provider in Pulumi's own engine, with its own test framework, against the emulator. They
// check the service, never the state.

// resourceIn is a resource in a program.
type resourceIn struct {
	kind, name string
	inputs     object
	options    deploytest.ResourceOptions
	// in is the component that contains the resource; empty for the stack.
	in string
	// aliases are the former names of the resource, and moves its former components.
	aliases []resource.URN
}

// stack is a stack of the engine: its program, and its state between operations.
type stack struct {
	t       *testing.T
	config  object
	name    string
	program []resourceIn
	// provider is the name of the explicit provider that the program uses.
	provider string
	state    *deploy.Snapshot
	// kill, if set, ends the provider during an operation.
	kill *kill
	// messages are those of the last operation.
	messages *strings.Builder
}

// kill ends the provider at its nth call that changes something: before or after the call takes effect.
type kill struct {
	nth   int
	after bool

	mu    sync.Mutex
	calls int
}

var errKilled = errors.New("the process was killed")

// call counts a call and returns whether it takes effect, and whether its answer arrives.
func (k *kill) call() (effect, answer bool) {
	if k == nil {
		return true, true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	return k.calls < k.nth || k.calls == k.nth && k.after, k.calls < k.nth
}

// mortal is a provider that can be killed.
type mortal struct {
	plugin.Provider
	kill *kill
}

func (m mortal) Create(ctx context.Context, req plugin.CreateRequest) (plugin.CreateResponse, error) {
	if req.Preview {
		return m.Provider.Create(ctx, req)
	}
	return killable(m.kill, func() (plugin.CreateResponse, error) { return m.Provider.Create(ctx, req) })
}

func (m mortal) Update(ctx context.Context, req plugin.UpdateRequest) (plugin.UpdateResponse, error) {
	if req.Preview {
		return m.Provider.Update(ctx, req)
	}
	return killable(m.kill, func() (plugin.UpdateResponse, error) { return m.Provider.Update(ctx, req) })
}

func (m mortal) Delete(ctx context.Context, req plugin.DeleteRequest) (plugin.DeleteResponse, error) {
	return killable(m.kill, func() (plugin.DeleteResponse, error) { return m.Provider.Delete(ctx, req) })
}

func killable[T any](k *kill, do func() (T, error)) (response T, err error) {
	effect, answer := k.call()
	if effect {
		response, err = do()
	}
	if !answer {
		var none T
		return none, errKilled
	}
	return response, err
}

func newStack(t *testing.T, name string, config object) *stack {
	t.Helper()
	return &stack{t: t, config: config, name: name, provider: "enrollments", messages: &strings.Builder{}}
}

// load starts a process of the provider for the engine.
func (s *stack) load(host plugin.Host) (plugin.Provider, error) {
	served, err := provider.New(nil)
	if err != nil {
		return nil, err
	}
	client, err := hostclient.NewHostClient(host.ServerAddr())
	if err != nil {
		return nil, err
	}
	server, err := p.RawServer(provider.Name, provider.Version, served)(client)
	if err != nil {
		return nil, err
	}
	stop := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{Cancel: stop, Init: func(srv *grpc.Server) error {
		pulumirpc.RegisterResourceProviderServer(srv, server)
		return nil
	}})
	if err != nil {
		return nil, err
	}
	connection, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", handle.Port),
		grpc.WithTransportCredentials(insecure.NewCredentials()), rpcutil.GrpcChannelOptions())
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() {
		_ = connection.Close()
		close(stop)
		_ = client.Close()
	})
	return mortal{plugin.NewProviderWithClient(nil, pulumirpc.NewResourceProviderClient(connection), false), s.kill},
		nil
}

// urn returns the URN of a resource in the stack's program.
func (s *stack) urn(kind, name string) resource.URN { return s.urnIn(kind, name, "") }

func (s *stack) urnIn(kind, name, component string) resource.URN {
	plan := &framework.TestPlan{Project: "test", Stack: s.name}
	if component == "" {
		return plan.NewURN(tokens.Type("azure-dps:index:"+kind), name, "")
	}
	return plan.NewURN(tokens.Type("azure-dps:index:"+kind), name, plan.NewURN("test:index:Component", component, ""))
}

// run runs the program as a language host does.
func (s *stack) run(_ plugin.RunInfo, monitor *deploytest.ResourceMonitor) error {
	made, err := monitor.RegisterResource(resource.RootStackType, "test-"+s.name, false)
	if err != nil {
		return err
	}
	access, err := monitor.RegisterResource("pulumi:providers:azure-dps", s.provider, true, deploytest.ResourceOptions{
		Inputs: resource.ToResourcePropertyMap(s.config.properties()), Version: provider.Version,
	})
	if err != nil {
		return err
	}
	components := map[string]resource.URN{}
	var single []resource.URN
	for _, r := range s.program {
		options := r.options
		options.Inputs, options.AliasURNs = resource.ToResourcePropertyMap(r.inputs.properties()), r.aliases
		options.Provider = string(access.URN) + "::" + string(access.ID)
		options.Parent = made.URN
		if r.kind == "EnrollmentSet" {
			options.Dependencies = single
		}
		if r.in != "" {
			if components[r.in] == "" {
				component, err := monitor.RegisterResource("test:index:Component", r.in, false)
				if err != nil {
					return err
				}
				components[r.in] = component.URN
			}
			options.Parent = components[r.in]
		}
		registered, err := monitor.RegisterResource(tokens.Type("azure-dps:index:"+r.kind), r.name, true, options)
		if err != nil {
			return err
		}
		if r.kind == "IndividualEnrollment" {
			single = append(single, registered.URN)
		}
	}
	return nil
}

// operate runs an operation of the engine and keeps the state after it, even if it fails. Settings change its options.
func (s *stack) operate(op framework.TestOp, settings ...func(*engine.UpdateOptions)) error {
	s.t.Helper()
	state, err := s.perform(op, false, settings...)
	s.state = state
	return err
}

// preview computes what an update would change, and changes nothing.
func (s *stack) preview(settings ...func(*engine.UpdateOptions)) error {
	s.t.Helper()
	_, err := s.perform(engine.Update, true, settings...)
	return err
}

func (s *stack) perform(op framework.TestOp, isPreview bool, settings ...func(*engine.UpdateOptions)) (*deploy.Snapshot,
	error) {
	s.t.Helper()
	loader := deploytest.NewProviderLoaderWithHost(provider.Name, semver.MustParse(provider.Version), s.load)
	sink := diag.DefaultSink(io.Discard, io.Discard, diag.FormatOptions{Color: colors.Never})
	options := framework.TestUpdateOptions{
		T: quiet{s.t}, SkipDisplayTests: true,
		HostF: deploytest.NewPluginHostF(sink, sink, deploytest.NewLanguageRuntimeF(s.run), nil, nil, loader),
	}
	for _, set := range settings {
		set(&options.UpdateOptions)
	}
	plan := &framework.TestPlan{Project: "test", Stack: s.name}
	s.messages.Reset()
	var failure error
	state, err := op.Run(plan.GetProject(), plan.GetTarget(quiet{s.t}, s.state), options, isPreview, nil,
		s.note(&failure))
	if err != nil {
		s.t.Fatalf("the engine's own checks failed: %v", err)
	}
	return state, failure
}

// note keeps an operation's messages, and hides its error from the framework, which returns no state with an error.
func (s *stack) note(failure *error) framework.ValidateFunc {
	return func(_ workspace.Project, _ deploy.Target, _ engine.JournalEntries, events []engine.Event, err error) error {
		for _, event := range events {
			if event.Type == engine.DiagEvent {
				fmt.Fprintln(s.messages, event.Payload().(engine.DiagEventPayload).Message)
			}
		}
		*failure = err
		return nil
	}
}

// up updates the stack; refresh, destroy and preview run the operations of these names.
func (s *stack) up(settings ...func(*engine.UpdateOptions)) error {
	s.t.Helper()
	return s.operate(engine.Update, settings...)
}

func (s *stack) refresh() error { s.t.Helper(); return s.operate(engine.Refresh) }

func (s *stack) destroy(settings ...func(*engine.UpdateOptions)) error {
	s.t.Helper()
	return s.operate(engine.Destroy, settings...)
}

// mustUp fails the test if the update fails.
func (s *stack) mustUp(settings ...func(*engine.UpdateOptions)) {
	s.t.Helper()
	if err := s.up(settings...); err != nil {
		s.t.Fatalf("up: %v\n%s", err, s.messages)
	}
}

// replacing, targeting and the following functions return options of operations.
func replacing(urns ...resource.URN) func(*engine.UpdateOptions) {
	return func(o *engine.UpdateOptions) { o.ReplaceTargets = deploy.NewUrnTargetsFromUrns(urns) }
}

func targeting(urns ...resource.URN) func(*engine.UpdateOptions) {
	return func(o *engine.UpdateOptions) { o.Targets = deploy.NewUrnTargetsFromUrns(urns) }
}

func refreshing(o *engine.UpdateOptions) { o.Refresh = true }

func continuing(o *engine.UpdateOptions) { o.ContinueOnError = true }

// taint marks a resource for replacement, like `pulumi state taint`.
func (s *stack) taint(urn resource.URN) {
	s.t.Helper()
	for _, r := range s.state.Resources {
		if r.URN == urn && !r.Delete {
			r.Taint = true
			return
		}
	}
	s.t.Fatalf("taint %s: the state has no such resource", urn)
}

// untaint removes all these marks, like `pulumi state untaint --all`.
func (s *stack) untaint() {
	for _, r := range s.state.Resources {
		r.Taint = false
	}
}

// output returns a string output of a resource in the state.
func (s *stack) output(urn resource.URN, name resource.PropertyKey) string {
	for _, r := range s.state.Resources {
		if r.URN == urn && !r.Delete {
			value := r.Outputs[name]
			for value.IsSecret() {
				value = value.SecretValue().Element
			}
			if value.IsString() {
				return value.StringValue()
			}
		}
	}
	return ""
}

// urns lists the resources of the provider in the state, those that wait for their deletion in brackets.
func (s *stack) urns() []string {
	var list []string
	for _, r := range s.state.Resources {
		if strings.HasPrefix(string(r.Type), "azure-dps:") {
			text := r.URN.Name()
			if r.Delete {
				text = "[" + text + "]"
			}
			list = append(list, text)
		}
	}
	slices.Sort(list)
	return list
}

// declare adds resources to the program, replacing those of the same kind and name.
func (s *stack) declare(resources ...resourceIn) {
	for _, r := range resources {
		s.drop(r.kind, r.name)
		s.program = append(s.program, r)
	}
}

func (s *stack) drop(kind, name string) {
	s.program = slices.DeleteFunc(s.program, func(r resourceIn) bool { return r.kind == kind && r.name == name })
}

// quiet discards the framework's logs.
type quiet struct{ *testing.T }

func (quiet) Log(...any)          {}
func (quiet) Logf(string, ...any) {}

// propertyText returns inputs as JSON, in which tests look for ids.
func propertyText(inputs object) string { return fmt.Sprint(inputs.properties()) }

func idNameOf(path string) string {
	if strings.HasPrefix(path, "/enrollmentGroups/") {
		return "enrollmentGroupId"
	}
	return "registrationId"
}

// keyed returns the inputs of an enrollment with both keys.
func keyed(idName, id, primary, secondary string) object {
	return object{idName: id, "attestation": object{"symmetricKey": object{
		"primaryKey": propertyOf(primary).WithSecret(true), "secondaryKey": propertyOf(secondary).WithSecret(true),
	}}}
}

// enrolledKeys lists every enrollment and group at the service, and returns their primary keys by collection and id;
// "-" for an entry without keys.
func (s serviceAPI) enrolledKeys(t *testing.T) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for collection, idName := range map[string]string{"enrollments": "registrationId",
		"enrollmentGroups": "enrollmentGroupId"} {
		for _, entry := range s.list(t, "/"+collection+"/query") {
			id := entry[idName].(string)
			attestation := s.call(t, "POST", "/"+collection+"/"+id+"/attestationmechanism", nil)
			keys[collection+"/"+strings.ToLower(id)] = "-"
			if symmetric, is := attestation["symmetricKey"].(map[string]any); is {
				keys[collection+"/"+strings.ToLower(id)] = symmetric["primaryKey"].(string)
			}
		}
	}
	return keys
}

// holds fails the test unless the service has exactly these entries with these primary keys: "*" stands for any key,
// "-" for none.
func (s serviceAPI) holds(t *testing.T, want map[string]string) {
	t.Helper()
	got := s.enrolledKeys(t)
	if names, wanted := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(names, wanted) {
		t.Errorf("entries at the service: got %v, want %v", names, wanted)
	}
	for name, key := range want {
		if found, is := got[name]; is && key != "*" && found != key {
			t.Errorf("%s: its primary key at the service is another one than it should have", name)
		}
	}
}
