package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/azure/sas"
	"evenkeel/internal/hint"
)

// maxLifetime bounds the lifetime of a token, so that a typing error does not create one that is valid for decades.
const maxLifetime = 365 * 24 * time.Hour

// The api-versions in the user names that come with a token.
const (
	registrationAPIVersion = "2021-06-01"
	deviceAPIVersion       = "2021-04-12"
)

func newDeviceToken(a *app) *cobra.Command {
	var registering bool
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use:   "token DEVICE",
		Short: "Print a shared access signature of one device, for curl and plain MQTT clients",
		Long: "Print a shared access signature (SAS token) that is signed with the device's key: the password of an " +
			"MQTT client, or the\n" +
			"header Authorization of an HTTPS request. It is for the hub that the device is assigned to or, with " +
			"--dps, for\n" +
			"registering with the provisioning service. With --json, print also the host to connect to and the MQTT " +
			"user name.\n" +
			"The token authenticates as the device until it expires. Devices with certificates need no token: keel " +
			"env --device.",
		Example: "  keel devices token device-1 --dps\n  keel devices token device-1\n  keel devices token device-1 " +
			"--lifetime 10m --json",
		Args: oneArg("a device"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lifetime < time.Second || lifetime > maxLifetime {
				return usageError{fmt.Errorf("--lifetime %[2]s: must be 1s to %[1]s", maxLifetime, lifetime)}
			}
			return a.deviceToken(cmd.Context(), args[0], registering, time.Now().Add(lifetime))
		},
	}
	cmd.Flags().BoolVar(&registering, "dps", false, "for registering with the provisioning service, not for the hub")
	cmd.Flags().DurationVar(&lifetime, "lifetime", time.Hour, "how long it is valid, as 10m or 24h")
	a.addJSON(cmd)
	return cmd
}

// deviceToken is what `devices token` prints as JSON.
type deviceToken struct {
	Device string `json:"device"`
	// Host is the one to connect to, Username the MQTT user name there; the client id is Device.
	Host     string    `json:"host"`
	Username string    `json:"username"`
	Token    string    `json:"token"`
	Expires  time.Time `json:"expiresAt"`
}

func (a *app) deviceToken(ctx context.Context, id string, registering bool, expires time.Time) error {
	stack, e, err := a.outputs(ctx)
	if err != nil {
		return err
	}
	dial, err := dial(ctx, e.Endpoints)
	if err != nil {
		return err
	}
	key, err := stack.keyOf(ctx, e.Endpoints, id)
	if errors.Is(err, errNoKey) {
		return hint.To(err, "connect with the certificate instead of a token: keel env --device %s", id)
	}
	if err != nil {
		return err
	}
	made := deviceToken{Device: id, Expires: expires.UTC().Truncate(time.Second)}
	resource, name := "", ""
	if registering {
		resource, name = stack.IDScope+"/registrations/"+id, sas.Policy
		made.Host, made.Username = stack.endpoint(dial), resource+"/api-version="+registrationAPIVersion
	} else {
		registration, err := stack.assignment(ctx, e.Endpoints, id)
		if err != nil {
			return err
		}
		if registration.AssignedHub == "" {
			return hint.To(fmt.Errorf("device %q has no hub yet: it has not registered", id),
				"register it with the token of: keel devices token %s --dps", id)
		}
		made.Device, made.Host = registration.DeviceID, dial(registration.AssignedHub)
		resource = made.Host + "/devices/" + made.Device
		made.Username = made.Host + "/" + made.Device + "/?api-version=" + deviceAPIVersion
	}
	if made.Token, err = sas.New(resource, name, key, expires); err != nil {
		return fmt.Errorf("sign a token of %q: %w", id, err)
	}
	if a.json {
		return a.printJSON(made)
	}
	fmt.Fprintln(a.stdout, made.Token)
	return nil
}
