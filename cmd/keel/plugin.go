package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"evenkeel/internal/keel/azurenative"
	"evenkeel/internal/keel/environment"
)

// servePlugin serves the local azure-native plugin to the engines that attach to it, until ctx ends.
func servePlugin(ctx context.Context, listener net.Listener, e environment.Endpoints, logger *slog.Logger) error {
	credential, client, err := environment.Client(e)
	if err != nil {
		return err
	}
	secret, err := os.ReadFile(e.SecretFile)
	if err != nil {
		return fmt.Errorf("read the client secret: %w", err)
	}
	err = azurenative.Serve(ctx, listener, azurenative.Options{
		Endpoint: e.ARM, Credential: credential, Transport: client.Transport, SubscriptionID: e.SubscriptionID,
		Secret: strings.TrimSpace(string(secret)), Logger: logger,
	})
	if err != nil {
		return fmt.Errorf("serve the local azure-native plugin: %w", err)
	}
	return nil
}
