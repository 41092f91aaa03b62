// Package target keeps a stack and the cloud it is meant for together: a local stack deploys to the emulator and nowhere else, and an
// Azure stack never to the emulator. A mix-up stops the program before the first resource, so that nobody pays for a forgotten variable. It also
// stands before an update of the provisioning service that would drop links which others made, and before one of a hub to another tier.
//
// It decides nothing about what is deployed.
package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	azurenative "github.com/pulumi/pulumi-azure-native-sdk/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/topology"
)

// Subscription is the subscription of every local stack: one that Azure does not have. The local plugin takes no other.
const Subscription = "00000000-0000-0000-0000-000000000000"

// DebugProviders is the environment variable by which Pulumi attaches to a running plugin.
const DebugProviders = "PULUMI_DEBUG_PROVIDERS"

// answerWithin is how long the emulator may take to complete a TLS handshake.
const answerWithin = 5 * time.Second

// Cloud is where the program's resources of azure-native are.
type Cloud struct {
	// Resources is for each of them.
	Resources pulumi.ResourceOption
	// Links is for the provisioning service: it stops an update that would drop links of others.
	Links pulumi.ResourceOption
	// Tiers is for hubs: it stops an update that Azure would refuse in its middle.
	Tiers pulumi.ResourceOption
	// Questions is for functions that ask for an existing provisioning service.
	Questions pulumi.InvokeOption
}

// Guard wraps the program: it reads the stack's configuration, checks that the target and the plugin in use belong together, and only
// then lets declare register resources.
func Guard(getenv func(string) string, declare func(*pulumi.Context, *topology.Topology, Cloud) error) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		t, err := topology.Load(ctx, os.ReadFile)
		if err != nil {
			return err
		}
		if err := Check(ctx.Context(), t, getenv(DebugProviders)); err != nil {
			return err
		}
		cloud, err := find(ctx, t)
		if err != nil {
			return err
		}
		if cloud.Links, err = keepLinks(ctx, t, cloud.Questions); err != nil {
			return err
		}
		if cloud.Tiers, err = keepTiers(ctx); err != nil {
			return err
		}
		return declare(ctx, t, cloud)
	}
}

// find makes the azure-native provider that the stack needs beside the default one: the emulator's, or that of the subscription in which
// an existing provisioning service lies.
func find(ctx *pulumi.Context, t *topology.Topology) (Cloud, error) {
	switch {
	case t.Target == topology.Local:
		secret, err := t.EmulatorSecret(os.ReadFile)
		if err != nil {
			return Cloud{}, err
		}
		emulator, err := azurenative.NewProvider(ctx, "emulator", &azurenative.ProviderArgs{
			SubscriptionId: pulumi.String(Subscription),
			// The local plugin serves nobody who does not hold it.
			ClientSecret: pulumi.ToSecret(pulumi.String(secret)).(pulumi.StringOutput),
		})
		if err != nil {
			return Cloud{}, err
		}
		return Cloud{Resources: pulumi.Provider(emulator), Questions: pulumi.Provider(emulator)}, nil
	case t.Existing != nil:
		owner, err := azurenative.NewProvider(ctx, "service-owner", &azurenative.ProviderArgs{SubscriptionId: pulumi.String(t.Existing.Subscription)})
		if err != nil {
			return Cloud{}, err
		}
		return Cloud{Resources: pulumi.Composite(), Questions: pulumi.Provider(owner)}, nil
	}
	return Cloud{Resources: pulumi.Composite(), Questions: pulumi.CompositeInvoke()}, nil
}

// Check reports a stack whose target is not what the attached plugin serves, and an emulator that does not answer.
func Check(ctx context.Context, t *topology.Topology, debugProviders string) error {
	attached := attaches(debugProviders)
	switch {
	case t.Target == topology.Azure && attached:
		return fmt.Errorf("stack %q has target azure, but the local azure-native plugin is attached (%s is set): nothing would reach Azure; "+
			"run `eval \"$(keel env --unset)\"` first, or set the target to local", t.Stack, DebugProviders)
	case t.Target == topology.Local && !attached:
		return fmt.Errorf("stack %q has target local, but Pulumi would use the real azure-native plugin; "+
			"run `keel exec -- pulumi ...`, or `eval \"$(keel env)\"` first", t.Stack)
	case t.Target == topology.Local:
		if err := answers(ctx, t.Endpoint, t.CAFile); err != nil {
			return fmt.Errorf("the emulator of stack %q does not answer at %s: %w; start it with `keel emulator start`", t.Stack, t.Endpoint, err)
		}
	}
	return nil
}

// attaches reports whether the variable (name:port, separated by commas) names azure-native.
func attaches(debugProviders string) bool {
	for entry := range strings.SplitSeq(debugProviders, ",") {
		if name, _, ok := strings.Cut(strings.TrimSpace(entry), ":"); ok && name == "azure-native" {
			return true
		}
	}
	return false
}

// answers completes a TLS handshake with the emulator, whose certificate its own CA must have signed.
func answers(ctx context.Context, endpoint, caFile string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return errors.New("it is not an https address")
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("read its CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", caFile)
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}
