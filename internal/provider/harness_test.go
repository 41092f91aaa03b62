package provider_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/blang/semver"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/internal/provider"
)

// object makes a property map of Go values: strings, booleans, numbers, lists and objects.
type object map[string]any

func (o object) properties() property.Map {
	values := map[string]property.Value{}
	for name, value := range o {
		values[name] = propertyOf(value)
	}
	return property.NewMap(values)
}

func propertyOf(value any) property.Value {
	switch v := value.(type) {
	case object:
		return property.New(v.properties())
	case []string:
		var list []property.Value
		for _, s := range v {
			list = append(list, property.New(s))
		}
		return property.New(property.NewArray(list))
	case int:
		return property.New(float64(v))
	case bool:
		return property.New(v)
	case property.Value:
		return v
	default:
		return property.New(v.(string))
	}
}

var unknown = property.New(property.Computed)

// startProvider serves the provider with a configuration that its check has returned, as the engine does.
func startProvider(t *testing.T, config object) integration.Server {
	t.Helper()
	return startProviderWith(t, config, nil)
}

// process is a process of the provider, as the engine starts one for each run.
type process struct {
	integration.Server
	config    object
	variables func(string) string
}

// nextRun starts the provider as the engine does in its next run.
func nextRun(t *testing.T, server integration.Server) integration.Server {
	t.Helper()
	p := server.(process)
	return startProviderWith(t, p.config, p.variables)
}

// startProviderWith also sets environment variables.
func startProviderWith(t *testing.T, config object, variables func(string) string) integration.Server {
	t.Helper()
	served, err := provider.New(variables)
	if err != nil {
		t.Fatal(err)
	}
	server, err := integration.NewServer(context.Background(), provider.Name, semver.MustParse(provider.Version),
		integration.WithProvider(served))
	if err != nil {
		t.Fatal(err)
	}
	checked, err := server.CheckConfig(p.CheckRequest{
		Urn: "urn:pulumi:test::test::pulumi:providers:azure-dps::enrollments", Inputs: config.properties()})
	if err != nil || len(checked.Failures) > 0 {
		t.Fatalf("check configuration: %v %v", err, checked.Failures)
	}
	if err := server.Configure(p.ConfigureRequest{Args: checked.Inputs}); err != nil {
		t.Fatal(err)
	}
	return process{server, config, variables}
}

func (f *fakeService) config() object {
	return object{"host": fakeHost, "policyName": policyName, "key": f.Key, "endpoint": f.URL, "caFile": f.CAFile,
		"rateLimit": 0}
}

// managed is a resource of a stack, managed by the calls that the engine makes.
type managed struct {
	t      *testing.T
	server integration.Server
	urn    resource.URN
	id     string
	inputs property.Map
	state  property.Map
}

func manage(t *testing.T, server integration.Server, kind, name string) *managed {
	t.Helper()
	return &managed{t: t, server: server, urn: resource.URN("urn:pulumi:test::test::azure-dps:index:" + kind + "::" +
		name)}
}

// check returns the checked inputs and fails the test on check failures.
func (m *managed) check(inputs object) property.Map {
	m.t.Helper()
	checked, err := m.server.Check(p.CheckRequest{Urn: m.urn, State: m.inputs, Inputs: inputs.properties()})
	if err != nil || len(checked.Failures) > 0 {
		m.t.Fatalf("check %s: %v %v", m.urn.Name(), err, checked.Failures)
	}
	return checked.Inputs
}

// diff returns the paths at which the state differs from the inputs.
func (m *managed) diff(inputs property.Map) ([]string, p.DiffResponse) {
	m.t.Helper()
	response, err := m.server.Diff(p.DiffRequest{ID: m.id, Urn: m.urn, State: m.state, Inputs: inputs,
		OldInputs: m.inputs})
	if err != nil {
		m.t.Fatalf("diff %s: %v", m.urn.Name(), err)
	}
	return slices.Sorted(maps.Keys(response.DetailedDiff)), response
}

// tryUp creates or updates the resource and returns the changed paths; nil for none.
func (m *managed) tryUp(inputs object) ([]string, error) {
	m.t.Helper()
	checked := m.check(inputs)
	if m.id == "" {
		created, err := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: checked})
		if err != nil {
			return nil, err
		}
		m.id, m.inputs, m.state = created.ID, checked, created.Properties
		return []string{"create"}, nil
	}
	paths, response := m.diff(checked)
	if !response.HasChanges {
		m.inputs = checked
		return nil, nil
	}
	updated, err := m.server.Update(p.UpdateRequest{ID: m.id, Urn: m.urn, State: m.state, Inputs: checked,
		OldInputs: m.inputs})
	if err != nil && updated.PartialState != nil { // what was done is kept
		m.inputs, m.state = checked, updated.Properties
		return paths, fmt.Errorf("%w: %s", err, strings.Join(updated.PartialState.Reasons, "; "))
	}
	if err != nil {
		return paths, err
	}
	m.inputs, m.state = checked, updated.Properties
	return paths, nil
}

func (m *managed) up(inputs object) []string {
	m.t.Helper()
	paths, err := m.tryUp(inputs)
	if err != nil {
		m.t.Fatalf("up %s: %v", m.urn.Name(), err)
	}
	return paths
}

// refresh reads the resource and returns the paths at which it differs from the inputs.
func (m *managed) refresh() []string {
	m.t.Helper()
	before := m.inputs
	read, err := m.server.Read(readOf(m))
	if err != nil {
		m.t.Fatalf("refresh %s: %v", m.urn.Name(), err)
	}
	m.id, m.state, m.inputs = read.ID, read.Properties, read.Inputs
	if m.id == "" {
		return []string{"gone"}
	}
	if before.Len() == 0 { // an import: there is nothing to compare with
		m.server = nextRun(m.t, m.server)
		return nil
	}
	paths, _ := m.diff(before)
	return paths
}

func readOf(m *managed) p.ReadRequest {
	return p.ReadRequest{ID: m.id, Urn: m.urn, Properties: m.state, Inputs: m.inputs}
}

func deleteOf(m *managed) p.DeleteRequest {
	return p.DeleteRequest{ID: m.id, Urn: m.urn, Properties: m.state, OldInputs: m.inputs}
}

func (m *managed) delete() {
	m.t.Helper()
	if err := m.server.Delete(deleteOf(m)); err != nil {
		m.t.Fatalf("delete %s: %v", m.urn.Name(), err)
	}
}

// secret returns a secret string output, and fails the test if it is not marked secret.
func (m *managed) secret(name string) string {
	m.t.Helper()
	value := m.state.Get(name)
	if !value.Secret() || !value.IsString() {
		m.t.Fatalf("output %s: got secret %t, string %t, want a secret string", name, value.Secret(), value.IsString())
	}
	return value.AsString()
}
