// Package azurenative is the Pulumi plugin azure-native as far as local environments need it: resource groups, everything
// in the devices module and the client configuration, served by sending the ARM requests that the real plugin sends,
// to one given endpoint and nothing else.
//
// It is not a second azure-native: it knows no other module, no other API version and no cloud, keeps nothing of a
// stack, and is attached by an engine to its port (PULUMI_DEBUG_PROVIDERS), never installed. One generated table says
// which requests belong to which type; there is no code per type. It speaks Pulumi's provider protocol directly and
// not through pulumi-go-provider, which passes on neither the random seed nor the auto-naming options of Check, adds a
// key of its own to the provider's inputs, and takes secrets where the real plugin leaves them to the engine.
//
// The state is the real plugin's, of version 2.92.3: outputs as ARM answers them, "azureApiVersion", and the inputs as
// one secret under "__inputs".
package azurenative

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"evenkeel/internal/azure/arm"
)

// Version is the version of azure-native whose requests and state these are. table.json carries the same.
const Version = "2.92.3"

// Options say where requests go and as whom.
type Options struct {
	// Endpoint is the ARM base URL, https only. It is also the audience of the tokens asked of Credential.
	Endpoint   string
	Credential azcore.TokenCredential
	// Transport sends the requests; nil means azcore's own client, which trusts the system's authorities only.
	Transport policy.Transporter
	// SubscriptionID is the only subscription that the plugin serves. An engine whose provider configuration does not name it is
	// turned away: its stack is not a local one.
	SubscriptionID string
	// Secret is what an engine's provider must have as its clientSecret: that of Credential, so that nobody can do more
	// through the plugin than without it.
	Secret string
	// Logger hears of connections; nil means silence. It never gets a property value or a token.
	Logger *slog.Logger
}

// azureNative serves one engine. The engine calls it concurrently once it is configured.
type azureNative struct {
	pulumirpc.UnimplementedResourceProviderServer

	table  *table
	client *arm.Client
	// credential is asked for a token only by getClientConfig; the client has its own use of it.
	credential azcore.TokenCredential
	endpoint   string
	secret     string

	// proven says that the engine has shown the secret on this connection, configured that it may call everything.
	proven, configured atomic.Bool

	// stopping ends every operation under way; stop makes it so. They outlive single calls and end with the connection.
	stopping context.Context
	stop     context.CancelFunc

	// mu guards what follows.
	mu             sync.Mutex
	config         map[string]string
	subscriptionID string
	locations      map[string]string // location by resource group name, for inputs without one
	host           *provider.HostClient
}

// New makes the provider for one engine: Configure and Cancel of one must not touch another, so it is not for sharing.
func New(o Options) (pulumirpc.ResourceProviderServer, error) {
	return newProvider(o)
}

func newProvider(o Options) (*azureNative, error) {
	t, err := loadTable()
	if err != nil {
		return nil, err
	}
	if o.Credential == nil {
		return nil, errors.New("local azure-native plugin: no credential given")
	}
	if o.SubscriptionID == "" {
		return nil, errors.New("local azure-native plugin: no subscription id given")
	}
	if o.Secret == "" {
		return nil, errors.New("local azure-native plugin: no client secret given")
	}
	if o.Endpoint, err = arm.CanonicalEndpoint(o.Endpoint); err != nil {
		return nil, err
	}
	c, err := arm.New(arm.Options{
		Endpoint: o.Endpoint, Credential: o.Credential, Transport: o.Transport,
		// Shorter waits than the real plugin's 20 s to 120 s: the far side is on the same machine.
		Retry: policy.RetryOptions{RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 5 * time.Second},
		Name:  "azurenative", Version: Version,
	})
	if err != nil {
		return nil, err
	}
	stopping, stop := context.WithCancel(context.Background())
	return &azureNative{
		table:          t,
		client:         c,
		credential:     o.Credential,
		endpoint:       o.Endpoint,
		secret:         o.Secret,
		stopping:       stopping,
		stop:           stop,
		config:         map[string]string{},
		subscriptionID: o.SubscriptionID,
		locations:      map[string]string{},
	}, nil
}

// close ends what is under way and lets go of the engine.
func (a *azureNative) close() {
	a.stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.host != nil {
		// The engine may be gone already; there is nobody left to tell.
		_ = a.host.Close()
		a.host = nil
	}
}

// Attach tells the plugin, which the engine found running, where the engine listens for log lines.
func (a *azureNative) Attach(_ context.Context, req *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	if err := requireEngineAddress(req.GetAddress()); err != nil {
		return nil, err
	}
	host, err := provider.NewHostClient(req.GetAddress())
	if err != nil {
		return nil, fmt.Errorf("attach to engine: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.host != nil {
		_ = a.host.Close()
	}
	a.host = host
	return &emptypb.Empty{}, nil
}

// GetPluginInfo answers with the version of the real plugin.
func (a *azureNative) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: Version}, nil
}

// CheckConfig takes every configuration, as the real plugin does. It notes a right secret: when nothing but the secret
// is new, the engine then configures with what the state holds, which may have none.
func (a *azureNative) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	a.prove(req.GetNews().GetFields()[secretInput].GetStringValue())
	return &pulumirpc.CheckResponse{Inputs: req.GetNews()}, nil
}

// DiffConfig leaves it to the engine to compare configurations, as the real plugin does: none of them replaces
// resources. A secret alone is no difference: stacks of earlier versions have none, and their next update writes it into
// the state without being one.
func (a *azureNative) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds, err := unmarshal(req.GetOlds())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	delete(olds, secretInput)
	delete(news, secretInput)
	if a.proven.Load() && olds.DeepEquals(news) {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
	}
	return &pulumirpc.DiffResponse{}, nil
}

// errNotLocal turns away stacks that were made for Azure. Without it, a destroy or refresh of one, which run no program that could
// look, would find nothing here and forget resources that exist and cost money.
var errNotLocal = errors.New("this is evenkeel's local azure-native plugin, and the stack is not a local one: its azure-native provider does not " +
	"name the emulator's subscription; nothing was changed. To reach Azure, run `eval \"$(keel env --unset)\"` first")

// Configure takes location, subscriptionId, which must be the one of Options, and clientSecret, likewise. Other credentials, clouds and tenants in the
// configuration are for the real plugin and change nothing here: requests go to the endpoint of Options as the credential of Options.
func (a *azureNative) Configure(_ context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	//lint:ignore SA1019 every engine still sends the flat form, and both settings are plain texts
	for key, value := range req.GetVariables() {
		if key = strings.TrimPrefix(key, "azure-native:config:"); key == secretInput {
			a.prove(value)
			continue
		}
		a.config[key] = value
	}
	if !strings.EqualFold(a.config["subscriptionId"], a.subscriptionID) {
		return nil, errNotLocal
	}
	if !a.proven.Load() {
		return nil, errNoSecret
	}
	a.configured.Store(true)
	// Secrets are not accepted: the engine then takes them off values that it sends and puts them back, path by path,
	// on those that it gets.
	return &pulumirpc.ConfigureResponse{SupportsPreview: true, SupportsAutonamingConfiguration: true}, nil
}

// Cancel ends every operation under way and answers at once.
func (a *azureNative) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	a.stop()
	return &emptypb.Empty{}, nil
}

// operation is the context of one call: it ends with the call, with Cancel, and after timeout seconds if there are any.
func (a *azureNative) operation(ctx context.Context, timeout float64) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout(timeout))
	unlink := context.AfterFunc(a.stopping, cancel)
	return ctx, func() {
		unlink()
		cancel()
	}
}

// resourceType finds the table's entry for a URN.
func (a *azureNative) resourceType(urn string) (*resourceType, error) {
	token := string(resource.URN(urn).Type())
	res, ok := a.table.Resources[token]
	if !ok {
		return nil, fmt.Errorf("the local azure-native plugin does not serve %s; it serves resource groups and the devices module", token)
	}
	return res, nil
}

// subscription is the subscription that requests are about.
func (a *azureNative) subscription() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.subscriptionID
}

// warn shows a line to the person who runs the engine, when the engine listens.
func (a *azureNative) warn(ctx context.Context, urn, message string) {
	a.mu.Lock()
	host := a.host
	a.mu.Unlock()
	if host != nil {
		// A line that cannot be delivered is not worth failing an operation for.
		_ = host.Log(ctx, diag.Warning, resource.URN(urn), message)
	}
}

// unmarshal reads property values from the engine, which keeps to itself which of them are secret.
func unmarshal(s *structpb.Struct) (resource.PropertyMap, error) {
	values, err := plugin.UnmarshalProperties(s, plugin.MarshalOptions{KeepUnknowns: true, SkipNulls: true})
	if err != nil {
		return nil, fmt.Errorf("read properties: %w", err)
	}
	return values, nil
}

// marshal writes property values for the engine.
func marshal(values resource.PropertyMap) (*structpb.Struct, error) {
	s, err := plugin.MarshalProperties(values, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: true})
	if err != nil {
		return nil, fmt.Errorf("write properties: %w", err)
	}
	return s, nil
}
