package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/domain"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/sas"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// outputs are the stack outputs that the verbs read. Keys among them are printed only if a flag asks for them.
type outputs struct {
	IDScope            string  `json:"idScope"`
	ServiceHost        string  `json:"serviceHost"`
	DeviceHost         string  `json:"deviceHost"`
	AllocationPolicy   string  `json:"allocationPolicy"`
	Hubs               hubsOut `json:"hubs"`
	EnrollmentGroup    string  `json:"enrollmentGroup"`
	EnrollmentGroupKey string  `json:"enrollmentGroupKey"`
	// DeviceAuthority is the SHA-256 thumbprint of the authority of the devices' certificates. If it is set, the group
	// has no key.
	DeviceAuthority string `json:"deviceAuthority"`
	// ServiceConnectionString is that of the provisioning service, HubConnectionStrings those of the hubs by their
	// names in the stack. What has none is reached by credential.
	ServiceConnectionString string            `json:"serviceConnectionString"`
	HubConnectionStrings    map[string]string `json:"hubConnectionStrings"`

	// credential logs in with Microsoft Entra ID. It is nil if everything has a connection string, and if there is no
	// login: noCredential then says why.
	credential   azcore.TokenCredential
	noCredential error
	// rateLimit is the maximum number of requests a minute to each service; 0 for no limit.
	rateLimit int
}

type hubOut struct {
	Name     string `json:"name"`
	HostName string `json:"hostName"`
	Weight   int    `json:"weight"`
	Drain    bool   `json:"drain"`
}

// hubsOut are the hubs of a stack, in the order of their names: hub-2 before hub-10.
type hubsOut []hubOut

// UnmarshalJSON reads the output hubs: an object by the names of the hubs or, as stacks of older programs have it, a
// list.
func (h *hubsOut) UnmarshalJSON(raw []byte) error {
	var list []hubOut
	if json.Unmarshal(raw, &list) == nil {
		*h = list
		return nil
	}
	var byName map[string]hubOut
	if err := json.Unmarshal(raw, &byName); err != nil {
		return err
	}
	for name, hub := range byName {
		hub.Name = name
		list = append(list, hub)
	}
	slices.SortFunc(list, func(a, b hubOut) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	*h = list
	return nil
}

// hostKey returns a hub's host name for use as a key: names may have capitals, and a hub has three names, of which
// devices get the linked one.
func hostKey(host string) string { return domain.ClassicHost(host) }

// outputs opens the environment and reads its stack outputs, secrets included.
func (a *app) outputs(ctx context.Context) (outputs, *environment.Environment, error) {
	e, err := a.open(ctx)
	if err != nil {
		return outputs{}, nil, err
	}
	there, err := e.Exists(ctx)
	if err != nil {
		return outputs{}, nil, err
	}
	if !there {
		return outputs{}, nil, a.absent()
	}
	if err := a.warn(e); err != nil {
		return outputs{}, nil, err
	}
	out, err := outputsOf(ctx, e)
	if err != nil {
		return outputs{}, nil, err
	}
	if out.IDScope == "" || out.EnrollmentGroupKey == "" && out.DeviceAuthority == "" {
		return outputs{}, nil, a.absent()
	}
	return out, e, nil
}

// outputsOf reads the outputs of an environment, secrets included, and logs in for what has no key.
func outputsOf(ctx context.Context, e *environment.Environment) (outputs, error) {
	raw, err := e.Outputs(ctx, true)
	if err != nil {
		return outputs{}, err
	}
	out, err := readOutputs(raw)
	if err == nil && out.IDScope != "" && out.needsCredential() {
		out.credential, out.noCredential = e.Credential(ctx)
	}
	return out, err
}

// needsCredential reports whether the stack has no key of its provisioning service or of one of its hubs.
func (o outputs) needsCredential() bool {
	return o.ServiceConnectionString == "" ||
		slices.ContainsFunc(o.Hubs, func(h hubOut) bool { return o.HubConnectionStrings[h.Name] == "" })
}

// login returns the credential for what has no key.
func (o outputs) login(to string) (azcore.TokenCredential, error) {
	if o.credential == nil {
		return nil, fmt.Errorf("log in to %s, of which the stack has no key, with Microsoft Entra ID: %w", to,
			o.noCredential)
	}
	return o.credential, nil
}

func readOutputs(raw map[string]json.RawMessage) (outputs, error) {
	var out outputs
	text, err := json.Marshal(raw)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return outputs{}, fmt.Errorf("read the stack outputs: %w", err)
	}
	return out, nil
}

// deviceKey derives the key of a device of the enrollment group.
func (o outputs) deviceKey(id string) (string, error) {
	if faults := enrollment.CheckRegistrationID("device", id); len(faults) > 0 {
		return "", errors.New(faults[0].Message)
	}
	if o.EnrollmentGroupKey == "" {
		err := fmt.Errorf("device %q %w: the devices of group %s authenticate with certificates", id, errNoKey,
			o.EnrollmentGroup)
		return "", hint.To(err, "create a certificate: keel devices cert %s", id)
	}
	key, err := sas.DeriveDeviceKey(o.EnrollmentGroupKey, id)
	if err != nil {
		return "", fmt.Errorf("derive the key of %q: %w", id, err)
	}
	return key, nil
}

// service returns a client of the stack's provisioning service. It signs with the stack's key or, if the stack has
// none, logs in with Microsoft Entra ID.
func (o outputs) service(e environment.Endpoints) (*dpsservice.Client, error) {
	options, err := o.serviceOptions(e)
	if err != nil {
		return nil, err
	}
	return dpsservice.New(options)
}

// serviceOptions returns how the stack's provisioning service is reached: by its key, or by the login.
func (o outputs) serviceOptions(e environment.Endpoints) (dpsservice.Options, error) {
	roots, err := e.Roots()
	if err != nil {
		return dpsservice.Options{}, err
	}
	if o.ServiceConnectionString == "" {
		credential, err := o.login(o.ServiceHost)
		return dpsservice.Options{Host: o.ServiceHost, Credential: credential, Endpoint: e.Data, Roots: roots,
			RateLimit: o.rateLimit}, err
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(o.ServiceConnectionString, ";") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	return dpsservice.Options{
		Host: fields["HostName"], PolicyName: fields["SharedAccessKeyName"], Key: fields["SharedAccessKey"],
		Endpoint: e.Data, Roots: roots, RateLimit: o.rateLimit,
	}, nil
}

// endpoint returns the host with which devices register. The global host has no address, so it is that of the service,
// which serves devices too.
func (o outputs) endpoint(dial func(string) string) string {
	if own := dial(o.ServiceHost); own != o.ServiceHost {
		return own
	}
	return o.DeviceHost
}

// registrations returns the assigned hub of every device of a group that has registered before, by ids in lower case.
func (o outputs) registrations(ctx context.Context, e environment.Endpoints, group string) (map[string]string, error) {
	client, err := o.service(e)
	if err != nil && o.ServiceConnectionString == "" {
		return nil, nil // without a login, devices are registered without a look at what they were before
	}
	if err != nil {
		return nil, fmt.Errorf("list registrations: %w", err)
	}
	defer client.Close()
	hubs := map[string]string{}
	for registration, err := range client.Registrations(ctx, group, 0) {
		if o.ServiceConnectionString == "" && errors.Is(err, dpsservice.ErrUnauthorized) {
			return nil, nil // the account has no role for the data of the service
		}
		if err != nil {
			return nil, fmt.Errorf("list registrations of group %q: %w", group, err)
		}
		hubs[strings.ToLower(registration.RegistrationID)] = registration.AssignedHub
	}
	return hubs, nil
}

// errNoKey is the cause if a device does not authenticate with a symmetric key.
var errNoKey = errors.New("has no symmetric key")

// assignment returns the registration of a device; its hub is empty if the device has not registered.
func (o outputs) assignment(ctx context.Context, e environment.Endpoints, id string) (dpsservice.Registration, error) {
	client, err := o.service(e)
	if err != nil {
		return dpsservice.Registration{}, fmt.Errorf("look for the registration of %q: %w", id, err)
	}
	defer client.Close()
	registration, err := client.Registration(ctx, id)
	if err != nil && !errors.Is(err, dpsservice.ErrNotFound) {
		return dpsservice.Registration{}, fmt.Errorf("look for the registration of %q: %w", id, err)
	}
	return registration, nil
}

// keyOf returns a device's key: that of its individual enrollment if it has one, else the key derived from the group's.
func (o outputs) keyOf(ctx context.Context, e environment.Endpoints, id string) (string, error) {
	if faults := enrollment.CheckRegistrationID("device", id); len(faults) > 0 {
		return "", errors.New(faults[0].Message)
	}
	client, err := o.service(e)
	if err != nil {
		return "", fmt.Errorf("look for the enrollment of %q: %w", id, err)
	}
	defer client.Close()
	attestation, err := client.Individuals().AttestationMechanism(ctx, id)
	switch {
	case errors.Is(err, dpsservice.ErrNotFound):
		return o.deviceKey(id)
	case err != nil:
		return "", fmt.Errorf("look for the enrollment of %q: %w", id, err)
	case attestation.SymmetricKey == nil:
		return "", fmt.Errorf("device %q %w: its individual enrollment has attestation %s", id, errNoKey,
			attestation.Type)
	}
	return attestation.SymmetricKey.PrimaryKey, nil
}
