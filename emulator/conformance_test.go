package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/conformance"
)

// TestConformance runs the suite that also runs on a real subscription.
func TestConformance(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	ends := e.Endpoints()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ends.CAPEM)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.Contains(address, ".azure-devices") {
				address = strings.TrimPrefix(ends.Data, "https://")
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	tokens := map[string]string{}
	for _, audience := range []string{"https://management.azure.com", "https://azure-devices-provisioning.net"} {
		tokens[audience] = tokenFor(t, e, audience+"/.default")
	}
	conformance.Run(t, conformance.Target{
		ARM: ends.ARM, Subscription: emulator.SubscriptionID, Location: "westeurope", Name: "emulator",
		Token:  func(_ context.Context, audience string) (string, error) { return tokens[audience], nil },
		Client: &http.Client{Transport: transport, Timeout: time.Minute}, Poll: time.Millisecond, Patience: time.Minute,
	})
}
