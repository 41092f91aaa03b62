package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"evenkeel/dpsservice"
	"evenkeel/emulator"
	"evenkeel/internal/keel/environment"
)

// clientConfig is the configuration of a client: variables, and remarks that a shell reads as comments.
type clientConfig struct {
	variables []environment.Variable
	remarks   []string
}

func (h *clientConfig) set(name, value string) {
	h.variables = append(h.variables, environment.Variable{Name: name, Value: value})
}

func (h *clientConfig) comment(format string, args ...any) {
	h.remarks = append(h.remarks, fmt.Sprintf(format, args...))
}

// print prints the variables as JSON, or as exports and then the remarks as comments.
func (a *app) print(h clientConfig) error {
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

// dial returns a function from a host to the name that a client dials: the host's address if the emulator gives it one,
// otherwise the host name itself.
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

// replaceHost replaces the host of a connection string.
func replaceHost(connection string, dial func(string) string) string {
	access, err := dpsservice.ParseConnectionString(connection)
	if err != nil {
		return connection
	}
	return strings.Replace(connection, access.Host, dial(access.Host), 1)
}

// trust adds the variables with which clients trust the emulator, and remarks on what else they need to find it.
func (h *clientConfig) trust(e environment.Endpoints) {
	h.set("NODE_EXTRA_CA_CERTS", e.CAFile)
	h.set("EVENKEEL_CA_FILE", e.CAFile)
	h.comment("Go, OpenSSL, Python: export SSL_CERT_FILE=%s, in place of the system's authorities.", quote(e.CAFile))
	switch emulator.Names(e.Names) {
	case emulator.NamesLoopback:
	case emulator.NamesAzure:
		h.comment("The host names must resolve to this machine, by the hosts file or DNS.")
	default:
		h.comment("Unmodified SDKs cannot dial these names. For them: keel emulator stop, then keel emulator start " +
			"--names loopback")
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
	var h clientConfig
	h.set("IOTHUB_DEVICE_SECURITY_TYPE", "DPS")
	endpoint := stack.endpoint(dial)
	h.set("IOTHUB_DEVICE_DPS_ID_SCOPE", stack.IDScope)
	h.set("IOTHUB_DEVICE_DPS_ENDPOINT", endpoint)
	h.set("IOTHUB_DEVICE_DPS_DEVICE_ID", id)
	// The samples of the SDK for Python read these.
	h.set("PROVISIONING_IDSCOPE", stack.IDScope)
	h.set("PROVISIONING_HOST", endpoint)
	if key != "" {
		h.set("IOTHUB_DEVICE_DPS_DEVICE_KEY", key)
		h.set("PROVISIONING_REGISTRATION_ID", id)
		h.set("PROVISIONING_SYMMETRIC_KEY", key)
	} else if err := a.certificate(ctx, &h, stack, e, id); err != nil {
		return err
	}
	if registration.AssignedHub == "" {
		h.comment("The device is not assigned to a hub yet: register it with the provisioning service.")
	} else {
		host := dial(registration.AssignedHub)
		h.set("IOTHUB_HOSTNAME", host)
		h.set("IOTHUB_DEVICE_ID", registration.DeviceID)
		if key != "" {
			h.set("IOTHUB_DEVICE_CONNECTION_STRING", fmt.Sprintf("HostName=%s;DeviceId=%s;SharedAccessKey=%s", host,
				registration.DeviceID, key))
		}
	}
	h.issued(e, id)
	h.set("EVENKEEL_DATA_ENDPOINT", e.Endpoints.Data)
	h.set("EVENKEEL_MQTT_ENDPOINT", e.Endpoints.MQTT)
	h.trust(e.Endpoints)
	return a.print(h)
}

// certificate adds the files of a device's certificate. For a device of the enrollment group, it creates a certificate
// if keel has the key of the group's authority and the device has no certificate of that authority.
func (a *app) certificate(ctx context.Context, h *clientConfig, stack outputs, e *environment.Environment,
	id string) error {
	enrolled, authority, err := stack.attestationOf(ctx, e, id)
	if err != nil {
		return err
	}
	if enrolled != nil && enrolled.Type != dpsservice.X509CertAttestation {
		h.comment("This device authenticates by %s: it has neither a symmetric key nor a certificate.", enrolled.Type)
		return nil
	}
	h.set("DPS_X509_REGISTRATION_ID", id)
	files := certificateFiles(e.Folder.Certificates(e.Stack), id)
	if authority != nil {
		if files, err = keepOrIssue(e.Folder.DeviceAuthority(e.Stack), files, !files.isSignedBy(authority),
			time.Now()); err != nil {
			return err
		}
	} else if !files.isNamedBy(enrolled) {
		h.comment("keel does not have this device's certificate: set X509_CERT_FILE and X509_KEY_FILE to the names " +
			"of your files.")
		return nil
	}
	h.set("X509_CERT_FILE", files.CertFile)
	h.set("X509_KEY_FILE", files.KeyFile)
	return nil
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
	var h clientConfig
	set := func(name, of, connection string) {
		if connection == "" {
			h.comment("The stack has no key of %s: log in to it with Microsoft Entra ID.", of)
			return
		}
		h.set(name, replaceHost(connection, dial))
	}
	set("IOTHUB_DPS_CONNECTION_STRING", "the provisioning service", stack.ServiceConnectionString)
	for _, hub := range stack.Hubs {
		set("IOTHUB_CONNECTION_STRING_"+strings.ToUpper(strings.ReplaceAll(hub.Name, "-", "_")), hub.Name,
			stack.HubConnectionStrings[hub.Name])
	}
	h.set("EVENKEEL_DATA_ENDPOINT", e.Endpoints.Data)
	h.trust(e.Endpoints)
	return a.print(h)
}
