package azurenative_test

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"evenkeel/internal/await"
	"evenkeel/internal/keel/azurenative"
)

// TestCallsWithoutTheSecretAreRejected makes every call of Pulumi's protocol without the secret.
func TestCallsWithoutTheSecretAreRejected(t *testing.T) {
	t.Parallel()
	arm := newFakeARM(t)
	address := servePlugin(t, arm.URL, arm.Client())
	answered := map[string]bool{"CheckConfig": true, "DiffConfig": true, "GetPluginInfo": true}
	absent := map[string]bool{"Handshake": true, "GetSchema": true, "Cancel": true} // rejected for another reason
	client := reflect.TypeFor[pulumirpc.ResourceProviderClient]()
	for i := range client.NumMethod() {
		name := client.Method(i).Name
		if name == "Configure" || name == "Attach" {
			continue // other tests call these
		}
		method := reflect.ValueOf(dial(t, address)).MethodByName(name)
		request := reflect.New(method.Type().In(1).Elem())
		out := method.Call([]reflect.Value{reflect.ValueOf(await.Context(t)), request})
		err, _ := out[1].Interface().(error)
		if stream, ok := out[0].Interface().(interface{ RecvMsg(any) error }); ok && err == nil {
			err = stream.RecvMsg(&emptypb.Empty{})
		}
		switch code := status.Code(err); {
		case answered[name]:
			if err != nil {
				t.Errorf("%s: got %v, want an answer: engines call it before Configure", name, err)
			}
		case absent[name]:
			if code != codes.Unimplemented {
				t.Errorf("%s: got %v, want Unimplemented", name, err)
			}
		case code != codes.FailedPrecondition:
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	if calls := arm.requests(); len(calls) > 0 {
		t.Errorf("got the requests %v of clients without the secret, want none", calls)
	}
}

// TestConfigureRequiresTheSecret: the plugin accepts only the emulator's client secret, and a rejected connection stays
// closed.
func TestConfigureRequiresTheSecret(t *testing.T) {
	t.Parallel()
	arm := newFakeARM(t)
	address := servePlugin(t, arm.URL, arm.Client())
	for name, secret := range map[string]string{
		"none": "", "another": "another", "a part": clientSecret[:5], "the subscription": subscription,
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, address)
			variables := map[string]string{"azure-native:config:subscriptionId": subscription}
			if secret != "" {
				variables["azure-native:config:clientSecret"] = secret
			}
			//lint:ignore SA1019 engines still send the flat form, which the plugin reads
			_, err := p.Configure(await.Context(t), &pulumirpc.ConfigureRequest{Variables: variables})
			if err == nil || !strings.Contains(err.Error(), azurenative.RefusesSecret) || secret != "" &&
				strings.Contains(err.Error(), secret) {
				t.Errorf("%s: got %v, want a refusal that does not quote it", name, err)
			}
			if _, err := p.Invoke(
				await.Context(t), &pulumirpc.InvokeRequest{}); status.Code(err) != codes.FailedPrecondition {
				t.Errorf("%s: Invoke after it: got %v, want a refusal", name, err)
			}
		})
	}
}

// TestAStateWithoutTheSecretIsUpdated plays an engine on a stack of an earlier version: the program's provider has the
// secret, and the state's has none. The engine sees no difference, and configures the plugin from the state.
func TestAStateWithoutTheSecretIsUpdated(t *testing.T) {
	t.Parallel()
	arm := newFakeARM(t)
	address := servePlugin(t, arm.URL, arm.Client())
	provider := urn("pulumi:providers:azure-native", "emulator")
	plain := resource.PropertyMap{"subscriptionId": resource.NewStringProperty(subscription),
		"version": resource.NewStringProperty("2.92.3")}
	with := func(secret string) resource.PropertyMap {
		inputs := plain.Copy()
		inputs["clientSecret"] = resource.MakeSecret(resource.NewStringProperty(secret))
		return inputs
	}
	for name, tc := range map[string]struct {
		state, program resource.PropertyMap
		changes        plugin.DiffChanges
		isServed       bool
	}{
		"of an earlier version":      {plain, with(clientSecret), plugin.DiffNone, true},
		"of an earlier secret":       {with("earlier"), with(clientSecret), plugin.DiffNone, true},
		"with the secret":            {with(clientSecret), with(clientSecret), plugin.DiffNone, true},
		"a program of earlier":       {plain, plain, plugin.DiffUnknown, false},
		"a program with a wrong one": {plain, with("wrong"), plugin.DiffUnknown, false},
		"an unknown one": {plain, resource.PropertyMap{
			"clientSecret": resource.MakeComputed(resource.NewStringProperty(""))}, plugin.DiffUnknown, false},
		"another version of azure-dps": {resource.PropertyMap{"subscriptionId": plain["subscriptionId"],
			"version": resource.NewStringProperty("2.91.0")}, with(clientSecret), plugin.DiffUnknown, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := plugin.NewProviderWithClient(nil, dial(t, address), false)
			checked, err := p.CheckConfig(context.Background(), plugin.CheckConfigRequest{URN: provider, Olds: tc.state,
				News: tc.program, AllowUnknowns: true})
			if err != nil {
				t.Fatalf("%s: check: %v", name, err)
			}
			if given, ok := checked.Properties["clientSecret"]; ok && !given.IsComputed() && !given.IsSecret() {
				t.Errorf("%s: got a secret in plain text for the state, want a secret", name)
			}
			diff, err := p.DiffConfig(context.Background(), plugin.DiffConfigRequest{
				URN: provider, OldInputs: tc.state, OldOutputs: tc.state, NewInputs: checked.Properties,
				AllowUnknowns: true,
			})
			if err != nil || diff.Changes != tc.changes || len(diff.ReplaceKeys) > 0 {
				t.Errorf("%s: got %v, %v, want %v and no replacement", name, diff, err, tc.changes)
			}
			request := plugin.ConfigureRequest{Inputs: tc.state}
			request.URN, request.Name, request.Type, request.ID = ptr(provider), ptr("emulator"), ptr(provider.Type()),
				ptr(resource.ID("id"))
			_, err = p.Configure(context.Background(), request)
			if err == nil { // Pulumi's client waits for Configure only here
				_, err = p.Invoke(context.Background(),
					plugin.InvokeRequest{Tok: "azure-native:authorization:getClientConfig"})
			}
			if tc.isServed != (err == nil) {
				t.Errorf("%s: configure and invoke: got %v, want it served: %v", name, err, tc.isServed)
			}
		})
	}
}

// TestAttachDialsLoopbackAddressesOnly: an engine listens on a loopback address. The plugin connects to no other
// address, whatever its format.
func TestAttachDialsLoopbackAddressesOnly(t *testing.T) {
	t.Parallel()
	arm := newFakeARM(t)
	p := dial(t, servePlugin(t, arm.URL, arm.Client()))
	for address, want := range map[string]bool{
		"127.0.0.1:4711": true, "127.8.9.10:4711": true, "[::1]:4711": true, "[::ffff:127.0.0.1]:4711": true,
		"192.0.2.1:4711": false, "[2001:db8::1]:4711": false, "0.0.0.0:4711": false, "[::]:4711": false,
		"example.com:4711":           false,
		"127.0.0.1.example.com:4711": false, "localhost.example.com:1": false, "dns:///192.0.2.1:4711": false,
		"dns://192.0.2.1/127.0.0.1:1":   false,
		"passthrough:///192.0.2.1:4711": false, "unix:///tmp/socket": false, "127.0.0.1": false, "": false,
		":4711": false,
	} {
		t.Run(fmt.Sprintf("%q", address), func(t *testing.T) {
			if _, err := p.Attach(await.Context(t), &pulumirpc.PluginAttach{Address: address}); want != (err == nil) {
				t.Errorf("%q: got %v, want it taken: %v", address, err, want)
			}
		})
	}
}

// TestResourceLimitsOfThePlugin: before Configure the plugin reads little, after it no message that is larger than
// ARM accepts, and the number of connections is limited.
func TestResourceLimitsOfThePlugin(t *testing.T) {
	t.Parallel()
	arm := newFakeARM(t)
	address := servePlugin(t, arm.URL, arm.Client())
	large := func(bytes int) *structpb.Struct {
		return &structpb.Struct{Fields: map[string]*structpb.Value{"x": structpb.NewStringValue(strings.Repeat("x",
			bytes))}}
	}
	if _, err := dial(t, address).CheckConfig(await.Context(t),
		&pulumirpc.CheckRequest{News: large(2 << 20)}); err == nil {
		t.Error("2 MiB before Configure: got an answer, want the end of the connection")
	}
	served := attach(t, address, nil)
	// Pulumi's client returns from Configure before the plugin has answered; Invoke waits for the answer.
	if _, err := served.Invoke(context.Background(),
		plugin.InvokeRequest{Tok: "azure-native:authorization:getClientConfig"}); err != nil {
		t.Fatal(err)
	}
	if _, err := served.CheckConfig(context.Background(), plugin.CheckConfigRequest{
		URN:  urn("pulumi:providers:azure-native", "emulator"),
		News: resource.PropertyMap{"x": resource.NewStringProperty(strings.Repeat("x", 3<<20))},
	}); err != nil {
		t.Errorf("3 MiB after it: got %v, want an answer", err)
	}
	if _, err := served.CheckConfig(context.Background(), plugin.CheckConfigRequest{
		URN:  urn("pulumi:providers:azure-native", "emulator"),
		News: resource.PropertyMap{"x": resource.NewStringProperty(strings.Repeat("x", 40<<20))},
	}); status.Code(err) != codes.ResourceExhausted && !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("40 MiB after it: got %v, want a refusal", err)
	}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	const many = 300
	ended := make(chan struct{}, many)
	for range many {
		c, err := (&net.Dialer{}).DialContext(await.Context(t), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		go func() { // gRPC answers the clients that it serves and closes the other connections
			var greeting [9]byte
			if _, err := c.Read(greeting[:]); err != nil {
				ended <- struct{}{}
			}
		}()
	}
	for range many - 256 {
		await.Next(t, ended, "the end of a connection beyond the bound")
	}
	if _, err := served.GetPluginInfo(context.Background()); err != nil {
		t.Errorf("an engine from before: got %v, want that it is served", err)
	}
}
