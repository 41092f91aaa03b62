package dpsdevice_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/emulator"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

// field is an emulated cloud with one hub linked to one provisioning service.
type field struct {
	t       *testing.T
	ends    emulator.Endpoints
	roots   *x509.CertPool
	scope   string
	hub     string
	hubKey  string // of the policy iothubowner
	service *dpsservice.Client
}

// must returns value unless err tells otherwise.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func newField(t *testing.T) *field {
	t.Helper()
	f := &field{t: t, ends: emulator.RunT(t).Endpoints(), roots: x509.NewCertPool(), hub: "field-hub.azure-devices.net"}
	f.roots.AppendCertsFromPEM(f.ends.CAPEM)
	client := policy.ClientOptions{
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: f.ends.ARM,
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Audience: f.ends.ARM, Endpoint: f.ends.ARM},
			}},
		Transport: &http.Client{Transport: &http.Transport{TLSClientConfig: f.tls()}, Timeout: await.Limit},
	}
	credential := must(azidentity.NewClientSecretCredential(f.ends.TenantID, f.ends.ClientID, f.ends.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: client, DisableInstanceDiscovery: true}))(t)
	f.deploy(&arm.ClientOptions{ClientOptions: client, DisableRPRegistration: true}, credential)
	return f
}

func (f *field) tls() *tls.Config { return &tls.Config{RootCAs: f.roots, MinVersion: tls.VersionTLS12} }

func (f *field) deploy(options *arm.ClientOptions, credential *azidentity.ClientSecretCredential) {
	t, ctx, id := f.t, f.t.Context(), f.ends.SubscriptionID
	t.Helper()
	groups := must(armresources.NewResourceGroupsClient(id, credential, options))(t)
	must(groups.CreateOrUpdate(ctx, "field", armresources.ResourceGroup{Location: to.Ptr("westeurope")}, nil))(t)
	hubs := must(armiothub.NewResourceClient(id, credential, options))(t)
	hub := must(hubs.BeginCreateOrUpdate(ctx, "field", "field-hub", armiothub.Description{
		Location: to.Ptr("westeurope"), SKU: &armiothub.SKUInfo{Name: to.Ptr(armiothub.IotHubSKUS1),
			Capacity: to.Ptr[int64](1)},
	}, nil))(t)
	must(hub.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: time.Second}))(t)
	owner := must(hubs.GetKeysForKeyName(ctx, "field", "field-hub", "iothubowner", nil))(t)
	f.hubKey = *owner.PrimaryKey
	services := must(armdeviceprovisioningservices.NewIotDpsResourceClient(id, credential, options))(t)
	service := must(services.BeginCreateOrUpdate(ctx, "field", "field-dps",
		armdeviceprovisioningservices.ProvisioningServiceDescription{
			Location: to.Ptr("westeurope"),
			SKU: &armdeviceprovisioningservices.IotDpsSKUInfo{Name: to.Ptr(armdeviceprovisioningservices.IotDpsSKUS1),
				Capacity: to.Ptr[int64](1)},
			Properties: &armdeviceprovisioningservices.IotDpsPropertiesDescription{
				IotHubs: []*armdeviceprovisioningservices.IotHubDefinitionDescription{{
					ConnectionString: to.Ptr(
						fmt.Sprintf("HostName=%s;SharedAccessKeyName=iothubowner;SharedAccessKey=%s",
							f.hub, *owner.PrimaryKey)),
					Location: to.Ptr("westeurope"),
				}}},
		}, nil))(t)
	made := must(service.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: time.Second}))(t)
	f.scope = *made.Properties.IDScope
	keys := must(services.ListKeysForKeyName(ctx, "field-dps", "provisioningserviceowner", "field", nil))(t)
	f.service = must(dpsservice.New(dpsservice.Options{
		Host: *made.Properties.ServiceOperationsHostName, PolicyName: *keys.KeyName, Key: *keys.PrimaryKey,
		Endpoint: f.ends.Data, Roots: f.roots,
	}))(t)
	t.Cleanup(f.service.Close)
}

func (f *field) network() dpsdevice.Network {
	data := must(url.Parse(f.ends.Data))(f.t)
	return dpsdevice.Network{Address: dpsdevice.Loopback(data.Host, f.ends.MQTT), TLS: f.tls()}
}

func (f *field) options(id string, c dpsdevice.Credential, by dpsdevice.Transport) dpsdevice.Options {
	return dpsdevice.Options{IDScope: f.scope, RegistrationID: id, Credential: c, Transport: by, Network: f.network()}
}

// enroll makes an individual enrollment.
func (f *field) enroll(id string, a *dpsservice.Attestation) {
	f.t.Helper()
	must(f.service.Individuals().Put(f.t.Context(), id, dpsservice.Enrollment{ID: id, Attestation: a}, ""))(f.t)
}

func TestADeviceRegistersConnectsReportsAndSends(t *testing.T) {
	t.Parallel()
	f := newField(t)
	self := certificate(t, "by-certificate")
	pemText := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: self.Certificate[0]}))
	f.enroll("by-key", &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation,
		SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: key, SecondaryKey: key}})
	f.enroll("by-certificate", &dpsservice.Attestation{Type: dpsservice.X509CertAttestation,
		X509: &dpsservice.X509Attestation{
			ClientCertificates: &dpsservice.X509Certificates{
				Primary: &dpsservice.X509Certificate{Certificate: pemText}},
		}})
	must(f.service.Groups().Put(t.Context(), "group",
		dpsservice.Enrollment{ID: "group", Attestation: &dpsservice.Attestation{
			Type: dpsservice.SymmetricKeyAttestation, SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: key,
				SecondaryKey: key},
		}}, ""))(t)
	derived := must(sas.DeriveDeviceKey(key, "of-group"))(t)
	for id, credential := range map[string]dpsdevice.Credential{
		"by-key": dpsdevice.SymmetricKey(key), "by-certificate": dpsdevice.X509(self),
		"of-group": dpsdevice.SymmetricKey(derived),
	} {
		t.Run(id, func(t *testing.T) {
			for name, transport := range map[string]dpsdevice.Transport{"HTTPS": dpsdevice.HTTPS,
				"MQTT": dpsdevice.MQTT} {
				t.Run(name, func(t *testing.T) {
					registration, err := dpsdevice.Register(t.Context(), f.options(id, credential, transport))
					if err != nil {
						t.Errorf("%s over %s: %v", id, name, err)
						return
					}
					if registration.Hub != f.hub || registration.DeviceID != id || registration.Created.IsZero() {
						t.Errorf("%s over %s: got %+v, want it assigned to %s", id, name, registration, f.hub)
					}
					f.useHub(t, registration, credential)
				})
			}
		})
	}
}

// useHub does what a device does at its hub.
func (f *field) useHub(t *testing.T, r dpsdevice.Registration, c dpsdevice.Credential) {
	t.Helper()
	hub := must(dpsdevice.Connect(t.Context(), dpsdevice.HubOptions{Host: r.Hub, DeviceID: r.DeviceID, Credential: c,
		Network: f.network()}))(t)
	defer hub.Close()
	before := must(hub.Twin(t.Context()))(t)
	version := must(hub.Report(t.Context(), map[string]any{"firmware": "1.2"}))(t)
	after := must(hub.Twin(t.Context()))(t)
	if after.Reported["firmware"] != "1.2" || after.Reported["$version"] != float64(version) ||
		before.Reported["$version"] == after.Reported["$version"] {
		t.Errorf("%s: got reported %v after version %d, want the report and a new version", r.DeviceID, after.Reported,
			version)
	}
	if err := hub.Send(t.Context(), []byte(`{"temperature":21}`), map[string]string{"a key": "a/b c",
		"$.ct": "application/json"}); err != nil {
		t.Errorf("%s: %v", r.DeviceID, err)
	}
}

func TestUntrustedServersAreRefused(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.enroll("known", &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation,
		SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: key, SecondaryKey: key}})
	digest := sha256.Sum256([]byte("another key"))
	other := must(sas.DeriveDeviceKey(key, string(digest[:])))(t)
	for name, transport := range map[string]dpsdevice.Transport{"HTTPS": dpsdevice.HTTPS, "MQTT": dpsdevice.MQTT} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), await.Limit)
			defer cancel()
			_, err := dpsdevice.Register(ctx, f.options("known", dpsdevice.SymmetricKey(other), transport))
			var refused *dpsdevice.Error
			if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
				t.Errorf("wrong key over %s: got %v, want status 401", name, err)
			}
		})
	}
	registration := must(dpsdevice.Register(t.Context(), f.options("known", dpsdevice.SymmetricKey(key),
		dpsdevice.MQTT)))(t)
	_, err := dpsdevice.Connect(t.Context(), dpsdevice.HubOptions{
		Host: registration.Hub, DeviceID: "known", Credential: dpsdevice.SymmetricKey(other), Network: f.network(),
	})
	var refused *dpsdevice.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		t.Errorf("wrong key at the hub: got %v, want status 401", err)
	}
}

func TestALostConnectionIsSeen(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.enroll("once", &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation,
		SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: key, SecondaryKey: key}})
	registration := must(dpsdevice.Register(t.Context(), f.options("once", dpsdevice.SymmetricKey(key),
		dpsdevice.MQTT)))(t)
	options := dpsdevice.HubOptions{Host: registration.Hub, DeviceID: "once", Credential: dpsdevice.SymmetricKey(key),
		Network: f.network()}
	first := must(dpsdevice.Connect(t.Context(), options))(t)
	defer first.Close()
	second := must(dpsdevice.Connect(t.Context(), options))(t) // one connection for each device: the first is dropped
	defer second.Close()
	select {
	case <-first.Lost():
	case <-time.After(time.Minute):
		t.Fatal("the first connection still lives")
	}
	if err := first.Send(t.Context(), []byte("x"), nil); !errors.Is(err, dpsdevice.ErrLost) {
		t.Errorf("send on a lost connection: got %v, want %v", err, dpsdevice.ErrLost)
	}
}

// TestConnectionsThatTakeEachOtherOverAreLost: a client that connects as a device while another does gets ErrLost, at
// whatever step that happens.
func TestConnectionsThatTakeEachOtherOverAreLost(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.enroll("many", &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation,
		SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: key, SecondaryKey: key}})
	registration := must(dpsdevice.Register(t.Context(), f.options("many", dpsdevice.SymmetricKey(key),
		dpsdevice.MQTT)))(t)
	options := dpsdevice.HubOptions{Host: registration.Hub, DeviceID: "many", Credential: dpsdevice.SymmetricKey(key),
		Network: f.network()}
	results := make(chan error, 40)
	for range cap(results) {
		go func() {
			hub, err := dpsdevice.Connect(await.Context(t), options)
			if err == nil {
				hub.Close()
			}
			results <- err
		}()
	}
	for range cap(results) {
		if err := await.Next(t, results, "the end of a connection"); err != nil && !errors.Is(err, dpsdevice.ErrLost) {
			t.Errorf("got %v, want %v", err, dpsdevice.ErrLost)
		}
	}
}
