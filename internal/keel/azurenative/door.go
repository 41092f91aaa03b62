package azurenative

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// secretInput is the setting of the engine's provider with which it proves that it may act as the plugin's credential:
// the real plugin takes a client secret there too, and the engine keeps it as a secret in the state.
const secretInput = "clientSecret"

// RefusesSecret is part of the error that an engine gets whose provider lacks the emulator's client secret.
const RefusesSecret = "the stack's azure-native provider does not hold the emulator's client secret"

var errNoSecret = errors.New(RefusesSecret +
	": its state is older than this keel, or the secret is new since; nothing was changed. " +
	"`keel up` puts it into the state")

// beforeConfigure are the calls that need no secret. Their answers contain nothing that the caller does not send
// itself. The engine compares configurations (DiffConfig) before it configures.
var beforeConfigure = []string{
	"Handshake", "Attach", "GetPluginInfo", "GetSchema", "CheckConfig", "DiffConfig", "Configure",
}

// requireSecret refuses every other call until Configure has seen the secret.
func (a *azureNative) requireSecret(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	if err := a.admit(info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

func (a *azureNative) streamDoor(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo,
	handler grpc.StreamHandler) error {
	if err := a.admit(info.FullMethod); err != nil {
		return err
	}
	return handler(server, stream)
}

func (a *azureNative) admit(method string) error {
	name := path.Base(method)
	switch {
	case a.configured.Load(), slices.Contains(beforeConfigure, name):
		return nil
	case name == "Cancel": // an engine that is interrupted takes this for a plugin with nothing to cancel
		return status.Error(codes.Unimplemented, "nothing to cancel before Configure")
	}
	return status.Errorf(codes.FailedPrecondition,
		"%s before Configure: the local azure-native plugin answers engines only "+
			"that hold the emulator's client secret", name)
}

// prove notes that the engine on this connection has shown the secret.
func (a *azureNative) prove(secret string) {
	if a.secret != "" && subtle.ConstantTimeCompare([]byte(secret), []byte(a.secret)) == 1 {
		a.proven.Store(true)
	}
}

// requireEngineAddress refuses to dial anything but the loopback address that an engine on this machine listens on.
func requireEngineAddress(address string) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("attach to engine: %q is not a loopback address with a port", address)
	}
	return nil
}
