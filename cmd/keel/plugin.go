package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"evenkeel/internal/keel/azurenative"
	"evenkeel/internal/keel/environment"
)

// servePlugin serves the local azure-native plugin to the engines that attach to it, until ctx is done.
func servePlugin(ctx context.Context, listener net.Listener, e environment.Endpoints, logger *slog.Logger) error {
	credential, client, err := environment.Client(e)
	if err != nil {
		return err
	}
	err = azurenative.Serve(ctx, listener, azurenative.Options{
		Endpoint: e.ARM, Credential: credential, Transport: client.Transport, SubscriptionID: e.SubscriptionID, Logger: logger,
	})
	if err != nil {
		return fmt.Errorf("serve the local azure-native plugin: %w", err)
	}
	return nil
}
