// Package azurenative implements the part of the Pulumi plugin azure-native that local environments need: resource
// groups, the devices module and the client configuration. It sends the same ARM requests as the real plugin, but only
// to one given endpoint.
//
// It has no other module, API version or cloud, and stores nothing of a stack. An engine attaches to its port
// (PULUMI_DEBUG_PROVIDERS); it is never installed. One generated table maps types to requests; there is no code per
// type. It implements Pulumi's provider protocol directly and not with pulumi-go-provider, which passes on neither the
// random seed nor the auto-naming options of Check, adds its own key to the provider's inputs, and accepts secrets,
// which the real plugin leaves to the engine.
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

// Version is the version of azure-native that this package imitates; table.json has the same.
const Version = "2.92.3"

// Options are the endpoint and credential of requests.
type Options struct {
	// Endpoint is the ARM base URL, https only. It is also the audience of Credential's tokens.
	Endpoint   string
	Credential azcore.TokenCredential
	// Transport sends the requests; nil means azcore's own client, which trusts only the system's authorities.
	Transport policy.Transporter
	// SubscriptionID is the only subscription that the plugin serves. It rejects an engine whose provider configuration
	// does not have it, because the stack is not a local one.
	SubscriptionID string
	// Secret must be the clientSecret of an engine's provider: the secret of Credential, so that a client can do no
	// more through the plugin than without it.
	Secret string
	// Logger logs connections, and never a property value or a token; nil means no log.
	Logger *slog.Logger
}

// azureNative serves one engine. The engine calls it concurrently once it is configured.
type azureNative struct {
	pulumirpc.UnimplementedResourceProviderServer

	table  *table
	client *arm.Client
	// credential is the source of tokens for getClientConfig; the client uses it too.
	credential azcore.TokenCredential
	endpoint   string
	secret     string

	// proven says that the engine has shown the secret on this connection, configured that it may call everything.
	proven, configured atomic.Bool

	// stopping is the context of all operations, which stop cancels. It lasts as long as the connection.
	stopping context.Context
	stop     context.CancelFunc

	// mu guards what follows.
	mu             sync.Mutex
	config         map[string]string
	subscriptionID string
	locations      map[string]string // location by resource group name, for inputs without one
	host           *provider.HostClient
}

// New returns a provider for one engine. Engines must not share one, because Configure and Cancel affect the provider.
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
		// Shorter waits than the real plugin's 20 s to 120 s: the emulator is on the same machine.
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

// close cancels all operations and closes the connection to the engine.
func (a *azureNative) close() {
	a.stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.host != nil {
		// The engine may have ended, so an error cannot be reported.
		_ = a.host.Close()
		a.host = nil
	}
}

// Attach implements the protocol: an engine that attaches to a running plugin sends the address for log lines.
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

// GetPluginInfo returns the version of the real plugin.
func (a *azureNative) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: Version}, nil
}

// CheckConfig accepts every configuration, as the real plugin does. It remembers a correct secret: if nothing but the
// secret is new, the engine then configures with the old inputs from the state, which may have none.
func (a *azureNative) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	a.prove(req.GetNews().GetFields()[secretInput].GetStringValue())
	return &pulumirpc.CheckResponse{Inputs: req.GetNews()}, nil
}

// DiffConfig leaves the comparison of configurations to the engine, as the real plugin does: a changed configuration
// replaces no resources. The secret alone is no difference: states of earlier versions have none, and their next update
// adds it without counting as one.
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

// errNotLocal rejects stacks that were created for Azure. Without it, a destroy or refresh of such a stack, which run
// no program that could check, would find no resources here and drop resources that exist and cost money from the
// state.
var errNotLocal = errors.New("this is evenkeel's local azure-native plugin, and the stack is not a local one: its " +
	"azure-native provider does not " +
	"name the emulator's subscription; nothing was changed. To reach Azure, run `eval \"$(keel env --unset)\"` first")

// Configure uses location, and requires the subscriptionId and clientSecret of Options. It ignores other credentials,
// clouds and tenants in the configuration: requests go to the endpoint of Options with the credential of Options.
func (a *azureNative) Configure(_ context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse,
	error) {
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
	// The plugin does not accept secrets: the engine then removes the marks from values that it sends, and restores
	// them, path by path, on values that it receives.
	return &pulumirpc.ConfigureResponse{SupportsPreview: true, SupportsAutonamingConfiguration: true}, nil
}

// Cancel cancels all operations and returns at once.
func (a *azureNative) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	a.stop()
	return &emptypb.Empty{}, nil
}

// operation returns the context of one call, which ends with the call, with Cancel, or after timeout seconds unless 0.
func (a *azureNative) operation(ctx context.Context, timeout float64) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout(timeout))
	unlink := context.AfterFunc(a.stopping, cancel)
	return ctx, func() {
		unlink()
		cancel()
	}
}

// resourceType returns the table's entry for the type of a URN.
func (a *azureNative) resourceType(urn string) (*resourceType, error) {
	token := string(resource.URN(urn).Type())
	res, ok := a.table.Resources[token]
	if !ok {
		return nil, fmt.Errorf(
			"the local azure-native plugin does not serve %s; it serves resource groups and the devices module", token)
	}
	return res, nil
}

// subscription is the subscription that requests are about.
func (a *azureNative) subscription() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.subscriptionID
}

// warn sends a warning to the engine, which prints it.
func (a *azureNative) warn(ctx context.Context, urn, message string) {
	a.mu.Lock()
	host := a.host
	a.mu.Unlock()
	if host != nil {
		// An error of sending a warning does not fail the operation.
		_ = host.Log(ctx, diag.Warning, resource.URN(urn), message)
	}
}

// unmarshal decodes property values of the engine, which are not marked as secret.
func unmarshal(s *structpb.Struct) (resource.PropertyMap, error) {
	values, err := plugin.UnmarshalProperties(s, plugin.MarshalOptions{KeepUnknowns: true, SkipNulls: true})
	if err != nil {
		return nil, fmt.Errorf("read properties: %w", err)
	}
	return values, nil
}

// marshal encodes property values for the engine.
func marshal(values resource.PropertyMap) (*structpb.Struct, error) {
	s, err := plugin.MarshalProperties(values, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true,
		SkipNulls: true})
	if err != nil {
		return nil, fmt.Errorf("write properties: %w", err)
	}
	return s, nil
}
