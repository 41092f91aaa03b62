package azurenative_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"

	"evenkeel/emulator"
	"evenkeel/internal/await"
	"evenkeel/internal/keel/azurenative"
)

// serveEmulated starts the plugin with an emulator as its ARM and returns the plugin's address.
func serveEmulated(t *testing.T) string {
	t.Helper()
	at := emulator.RunT(t).Endpoints()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(at.CAPEM) {
		t.Fatal("the emulator's CA is no certificate")
	}
	client := &http.Client{Timeout: await.Limit, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots,
		MinVersion: tls.VersionTLS12}}}
	credential, err := azidentity.NewClientSecretCredential(at.TenantID, at.ClientID, at.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{
			ClientOptions: policy.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: at.ARM},
				Transport: client},
			DisableInstanceDiscovery: true,
		})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- azurenative.Serve(ctx, listener, azurenative.Options{
			Endpoint: at.ARM, Credential: credential, Transport: client, SubscriptionID: at.SubscriptionID,
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

func TestAnEnvironmentOnTheEmulator(t *testing.T) {
	t.Parallel()
	e := attach(t, serveEmulated(t), nil)
	group := e.up(groupType, "environment", groupInputs())
	hub := e.up(hubType, "hub-1", hubInputs())
	service := e.up(serviceType, "dps", serviceInputs())

	for _, made := range []thing{group, hub, service} {
		after := e.refresh(made)
		if !after.inputs.DeepEquals(made.inputs) {
			t.Errorf("%s after refresh: inputs %v, want %v", made.urn.Name(), after.inputs, made.inputs)
		}
		if !after.outputs.DeepEquals(made.outputs) {
			t.Errorf("%s after refresh: outputs %v, want %v", made.urn.Name(), after.outputs, made.outputs)
		}
		noPlainKey(t, made.urn.Name()+" inputs", after.inputs)
		noPlainKey(t, made.urn.Name()+" outputs", after.outputs)
	}

	news := hub.inputs.Copy()
	news["tags"] = resource.NewObjectProperty(props(map[string]any{"owner": "bob"}))
	changed := e.update(hub, news)
	if got := changed.outputs["tags"].ObjectValue()["owner"].StringValue(); got != "bob" {
		t.Errorf("owner after update: got %s, want bob", got)
	}
	unlinked := service.inputs.Copy()
	unlinked["properties"] = resource.NewObjectProperty(props(map[string]any{"iotHubs": []any{}}))
	service = e.update(service, unlinked)

	keys, err := e.Invoke(context.Background(), plugin.InvokeRequest{Tok: "azure-native:devices:listIotHubResourceKeys",
		Args: props(map[string]any{"resourceGroupName": "env", "resourceName": "hub-1"})})
	if err != nil || len(keys.Properties["value"].ArrayValue()) == 0 {
		t.Errorf("list keys: got %v, %v", keys.Properties, err)
	}

	for _, made := range []thing{service, changed, group} {
		if _, err := e.Delete(context.Background(), plugin.DeleteRequest{URN: made.urn, ID: made.id,
			Inputs: made.inputs, Outputs: made.outputs}); err != nil {
			t.Errorf("delete %s: %v", made.urn.Name(), err)
		}
		if gone := e.refresh(made); gone.id != "" {
			t.Errorf("%s is still there after its deletion", made.urn.Name())
		}
	}
}
