package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"evenkeel/dpsservice"
	"evenkeel/emulator"
	"evenkeel/internal/keel/environment"
)

// handout is what a client is given: variables, and remarks that a shell passes over.
type handout struct {
	variables []environment.Variable
	remarks   []string
}

func (h *handout) set(name, value string) {
	h.variables = append(h.variables, environment.Variable{Name: name, Value: value})
}

func (h *handout) remark(format string, args ...any) {
	h.remarks = append(h.remarks, fmt.Sprintf(format, args...))
}

// print prints the variables as JSON, or as exports and then the remarks as comments.
func (a *app) print(h handout) error {
	if !a.json {
		a.export(h.variables...)
		for _, line := range h.remarks {
			fmt.Fprintf(a.stdout, "# %s\n", line)
		}
		return nil
	}
	values := map[string]string{}
	for _, v := range h.variables {
		values[v.Name] = v.Value
	}
	return a.printJSON(values)
}

// dial returns the name under which a client reaches a host: its address, where the emulator gives it one, or else the name itself.
func dial(ctx context.Context, e environment.Endpoints) (func(host string) string, error) {
	var addresses map[string]string
	if e.Names == string(emulator.NamesLoopback) {
		var err error
		if addresses, err = controlOf(e).Addresses(ctx); err != nil {
			return nil, err
		}
	}
	return func(host string) string {
		if address := addresses[strings.ToLower(host)]; address != "" {
			return address
		}
		return host
	}, nil
}

// at replaces the host of a connection string.
func at(connection string, dial func(string) string) string {
	access, err := dpsservice.ParseConnectionString(connection)
	if err != nil {
		return connection
	}
	return strings.Replace(connection, access.Host, dial(access.Host), 1)
}

// trust adds what makes clients trust the emulator, and says what else they need to find it.
func (h *handout) trust(e environment.Endpoints) {
	h.set("NODE_EXTRA_CA_CERTS", e.CAFile)
	h.set("EVENKEEL_CA_FILE", e.CAFile)
	h.remark("Go, OpenSSL, Python: export SSL_CERT_FILE=%s, in place of the system's authorities.", quote(e.CAFile))
	switch emulator.Names(e.Names) {
	case emulator.NamesLoopback:
	case emulator.NamesAzure:
		h.remark("The host names must lead to this machine: in the hosts file, or in DNS.")
	default:
		h.remark("Unmodified SDKs cannot dial these names. For them: keel emulator stop, then keel emulator start --names loopback")
	}
}

func (a *app) envDevice(ctx context.Context, id string) error {
	stack, e, err := a.outputs(ctx)
	if err != nil {
		return err
	}
	dial, err := dial(ctx, e.Endpoints)
	if err != nil {
		return err
	}
	key, err := stack.keyOf(ctx, e.Endpoints, id)
	if err != nil && !errors.Is(err, errNoKey) {
		return err
	}
	registration, err := stack.assignment(ctx, e.Endpoints, id)
	if err != nil {
		return err
	}
	var h handout
	h.set("IOTHUB_DEVICE_SECURITY_TYPE", "DPS")
	h.set("IOTHUB_DEVICE_DPS_ID_SCOPE", stack.IDScope)
	endpoint := stack.DeviceHost
	if own := dial(stack.ServiceHost); own != stack.ServiceHost { // the global host has no address; the service's own serves devices too
		endpoint = own
	}
	h.set("IOTHUB_DEVICE_DPS_ENDPOINT", endpoint)
	h.set("IOTHUB_DEVICE_DPS_DEVICE_ID", id)
	if key != "" {
		h.set("IOTHUB_DEVICE_DPS_DEVICE_KEY", key)
	} else {
		h.remark("This device has no symmetric key; a certificate for it: keel devices cert %s", id)
	}
	switch {
	case registration.AssignedHub == "":
		h.remark("It has no hub yet: registering with the provisioning service gives it one.")
	case key != "":
		h.set("IOTHUB_DEVICE_CONNECTION_STRING",
			fmt.Sprintf("HostName=%s;DeviceId=%s;SharedAccessKey=%s", dial(registration.AssignedHub), registration.DeviceID, key))
	}
	h.set("EVENKEEL_DATA_ENDPOINT", e.Endpoints.Data)
	h.set("EVENKEEL_MQTT_ENDPOINT", e.Endpoints.MQTT)
	h.trust(e.Endpoints)
	return a.print(h)
}

func (a *app) envAdmin(ctx context.Context) error {
	stack, e, err := a.outputs(ctx)
	if err != nil {
		return err
	}
	dial, err := dial(ctx, e.Endpoints)
	if err != nil {
		return err
	}
	var h handout
	h.set("IOTHUB_DPS_CONNECTION_STRING", at(stack.ServiceConnectionString, dial))
	for _, hub := range stack.Hubs {
		h.set("IOTHUB_CONNECTION_STRING_"+strings.ToUpper(strings.ReplaceAll(hub.Name, "-", "_")), at(stack.HubConnectionStrings[hub.Name], dial))
	}
	h.set("EVENKEEL_DATA_ENDPOINT", e.Endpoints.Data)
	h.trust(e.Endpoints)
	return a.print(h)
}
