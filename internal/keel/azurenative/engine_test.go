package azurenative_test

import (
	"context"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/golang-jwt/jwt/v5"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"evenkeel/internal/await"
	"evenkeel/internal/keel/azurenative"
)

const (
	groupType   = "azure-native:resources:ResourceGroup"
	hubType     = "azure-native:devices:IotHubResource"
	serviceType = "azure-native:devices:IotDpsResource"
	consumers   = "azure-native:devices:IotHubResourceEventHubConsumerGroup"

	subscription = "00000000-0000-0000-0000-000000000000"
	clientSecret = "the-client-secret"
	groupID      = "/subscriptions/" + subscription + "/resourcegroups/env"
	hubID        = "/subscriptions/" + subscription + "/resourceGroups/env/providers/Microsoft.Devices/IotHubs/hub-1"
	serviceID    = "/subscriptions/" + subscription +
		"/resourceGroups/env/providers/Microsoft.Devices/provisioningServices/dps"

	hubVersion     = "2022-04-30-preview"
	serviceVersion = "2022-12-12"
	groupVersion   = "2022-09-01"
)

// credential returns one unsigned token.
type credential struct{}

func (credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	claims := jwt.MapClaims{"appid": "the-client", "oid": "the-object", "tid": "the-tenant"}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("test"))
	return azcore.AccessToken{Token: text, ExpiresOn: time.Now().Add(time.Hour)}, err
}

// servePlugin starts the plugin with this ARM and returns the plugin's address.
func servePlugin(t *testing.T, endpoint string, transport *http.Client) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- azurenative.Serve(ctx, listener, azurenative.Options{
			Endpoint: endpoint, Credential: credential{}, Transport: transport, SubscriptionID: subscription,
			Secret: clientSecret,
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := await.Next(t, ended, "the end of Serve"); err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return listener.Addr().String()
}

// engine is Pulumi's own client of a plugin, which removes and restores secrets as in a real run.
type engine struct {
	plugin.Provider
	t *testing.T
}

// attach connects an engine that is configured.
func attach(t *testing.T, address string, config resource.PropertyMap) *engine {
	t.Helper()
	complete := resource.PropertyMap{
		"subscriptionId": resource.NewStringProperty(subscription),
		"clientSecret":   resource.MakeSecret(resource.NewStringProperty(clientSecret)),
	}
	maps.Copy(complete, config)
	p := plugin.NewProviderWithClient(nil, dial(t, address), false)
	request := plugin.ConfigureRequest{Inputs: complete}
	request.URN, request.Name, request.Type, request.ID = ptr(urn("pulumi:providers:azure-native", "default")),
		ptr("default"),
		ptr(tokens.Type("pulumi:providers:azure-native")), ptr(resource.ID("default"))
	if _, err := p.Configure(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	return &engine{Provider: p, t: t}
}

// dial connects to the plugin and does not configure it.
func dial(t *testing.T, address string) pulumirpc.ResourceProviderClient {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return pulumirpc.NewResourceProviderClient(conn)
}

func TestAStackThatIsNotLocalIsRejected(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config map[string]string
		local  bool
	}{
		"no subscription": {nil, false},
		"only a location": {map[string]string{"azure-native:config:location": "westeurope"}, false},
		"another one": {map[string]string{
			"azure-native:config:subscriptionId": "11111111-1111-1111-1111-111111111111",
			"azure-native:config:clientSecret":   clientSecret}, false},
		"the emulator's": {map[string]string{"azure-native:config:subscriptionId": subscription,
			"azure-native:config:clientSecret": clientSecret}, true},
	} {
		t.Run(name, func(t *testing.T) {
			arm := newFakeARM(t)
			plugin := dial(t, servePlugin(t, arm.URL, arm.Client()))
			//lint:ignore SA1019 engines still send the flat form, which the plugin reads
			_, err := plugin.Configure(context.Background(), &pulumirpc.ConfigureRequest{Variables: tc.config})
			if tc.local != (err == nil) || err != nil && !strings.Contains(err.Error(), "keel env --unset") {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// start returns an engine and a new fake ARM.
func start(t *testing.T) (*engine, *fakeARM) {
	t.Helper()
	arm := newFakeARM(t)
	return attach(t, servePlugin(t, arm.URL, arm.Client()), nil), arm
}

func urn(typ, name string) resource.URN {
	return resource.NewURN("local", "evenkeel", "", tokens.Type(typ), name)
}

// thing is a resource as a checkpoint stores it.
type thing struct {
	urn             resource.URN
	id              resource.ID
	inputs, outputs resource.PropertyMap
}

func props(m map[string]any) resource.PropertyMap { return resource.NewPropertyMapFromMap(m) }

func (e *engine) check(typ, name string, olds, news resource.PropertyMap) (resource.PropertyMap, []string) {
	e.t.Helper()
	got, err := e.Check(context.Background(), plugin.CheckRequest{
		URN: urn(typ, name), Olds: olds, News: news, AllowUnknowns: true,
		RandomSeed: []byte("0123456789abcdef0123456789abcdef"),
	})
	if err != nil {
		e.t.Fatalf("Check %s: %v", name, err)
	}
	var reasons []string
	for _, failure := range got.Failures {
		reasons = append(reasons, failure.Reason)
	}
	return got.Properties, reasons
}

// up checks and creates.
func (e *engine) up(typ, name string, news resource.PropertyMap) thing {
	e.t.Helper()
	inputs, failures := e.check(typ, name, nil, news)
	if len(failures) > 0 {
		e.t.Fatalf("Check %s: %q", name, failures)
	}
	got, err := e.Create(context.Background(), plugin.CreateRequest{URN: urn(typ, name), Properties: inputs})
	if err != nil {
		e.t.Fatalf("Create %s: %v", name, err)
	}
	return thing{urn: urn(typ, name), id: got.ID, inputs: inputs, outputs: got.Properties}
}

func (e *engine) diff(old thing, news resource.PropertyMap) plugin.DiffResult {
	e.t.Helper()
	got, err := e.Diff(context.Background(), plugin.DiffRequest{
		URN: old.urn, ID: old.id, OldInputs: old.inputs, OldOutputs: old.outputs, NewInputs: news, AllowUnknowns: true,
	})
	if err != nil {
		e.t.Fatalf("Diff: %v", err)
	}
	return got
}

func (e *engine) refresh(old thing) thing {
	e.t.Helper()
	got, err := e.Read(context.Background(), plugin.ReadRequest{URN: old.urn, ID: old.id, Inputs: old.inputs,
		State: old.outputs})
	if err != nil {
		e.t.Fatalf("Read: %v", err)
	}
	return thing{urn: old.urn, id: got.ID, inputs: got.Inputs, outputs: got.Outputs}
}

func (e *engine) update(old thing, news resource.PropertyMap) thing {
	e.t.Helper()
	got, err := e.Update(context.Background(), plugin.UpdateRequest{
		URN: old.urn, ID: old.id, OldInputs: old.inputs, OldOutputs: old.outputs, NewInputs: news,
	})
	if err != nil {
		e.t.Fatalf("Update: %v", err)
	}
	return thing{urn: old.urn, id: old.id, inputs: news, outputs: got.Properties}
}
