package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"evenkeel/internal/armplugin"
	"evenkeel/internal/environment"
)

// servePlugin serves the local azure-native plugin to the engines that attach to it, until ctx ends.
func servePlugin(ctx context.Context, listener net.Listener, e environment.Endpoints, logger *slog.Logger) error {
	credential, client, err := environment.Client(e)
	if err != nil {
		return err
	}
	err = armplugin.Serve(ctx, listener, armplugin.Options{
		Endpoint: e.ARM, Credential: credential, Transport: client.Transport, SubscriptionID: e.SubscriptionID, Logger: logger,
	})
	if err != nil {
		return fmt.Errorf("serve the local azure-native plugin: %w", err)
	}
	return nil
}
