// Package target makes sure that a stack is deployed to its own target: a local stack only to the emulator, and an
// Azure stack never to the emulator. It stops the program before the first resource, so that a forgotten
// variable costs nothing. It also checks updates that would drop links of others or change the tier of a hub.
//
// It does not decide what is deployed.
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

// Subscription is the subscription id of every local stack. It does not exist on Azure, and the local plugin accepts no
// other.
const Subscription = "00000000-0000-0000-0000-000000000000"

// DebugProviders is the environment variable that attaches Pulumi to a running plugin.
const DebugProviders = "PULUMI_DEBUG_PROVIDERS"

// answerWithin is how long the emulator may take to complete a TLS handshake.
const answerWithin = 5 * time.Second

// Cloud holds the options of the program's azure-native resources.
type Cloud struct {
	// Resources are the options of every resource.
	Resources pulumi.ResourceOption
	// Hub are the options of an IoT hub. They replace a hub whose location changes, and fail a change of tier that
	// Azure would reject in the middle of an update.
	Hub pulumi.ResourceOption
	// Service are the options of the provisioning service. They replace a service whose location changes, and fail an
	// update that would drop links that other stacks or people made.
	Service pulumi.ResourceOption
	// Lookup is the option of functions that read an existing provisioning service.
	Lookup pulumi.InvokeOption
}

// Guard returns the program: it reads the stack's configuration, checks that the attached plugin fits the target, and
// then calls declare to register resources.
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
		tier, err := keepTier(ctx)
		if err != nil {
			return err
		}
		links, err := keepLinks(ctx, t, cloud.Lookup)
		if err != nil {
			return err
		}
		cloud.Hub = pulumi.Composite(cloud.Resources, topology.FixedLocation, tier)
		cloud.Service = pulumi.Composite(cloud.Resources, topology.FixedLocation, links)
		return declare(ctx, t, cloud)
	}
}

// find declares the explicit azure-native provider of the stack, if it needs one: for the emulator, or for the
// subscription of an existing provisioning service.
func find(ctx *pulumi.Context, t *topology.Topology) (Cloud, error) {
	switch {
	case t.Target == topology.Local:
		secret, err := t.EmulatorSecret(os.ReadFile)
		if err != nil {
			return Cloud{}, err
		}
		emulator, err := azurenative.NewProvider(ctx, "emulator", &azurenative.ProviderArgs{
			SubscriptionId: pulumi.String(Subscription),
			// The local plugin rejects clients without it.
			ClientSecret: pulumi.ToSecret(pulumi.String(secret)).(pulumi.StringOutput),
		})
		if err != nil {
			return Cloud{}, err
		}
		return Cloud{Resources: pulumi.Provider(emulator), Lookup: pulumi.Provider(emulator)}, nil
	case t.Existing != nil:
		owner, err := azurenative.NewProvider(ctx, "service-owner",
			&azurenative.ProviderArgs{SubscriptionId: pulumi.String(t.Existing.Subscription)})
		if err != nil {
			return Cloud{}, err
		}
		return Cloud{Resources: pulumi.Composite(), Lookup: pulumi.Provider(owner)}, nil
	}
	return Cloud{Resources: pulumi.Composite(), Lookup: pulumi.CompositeInvoke()}, nil
}

// Check returns an error if the attached plugin does not fit the stack's target, or if the emulator does not answer.
func Check(ctx context.Context, t *topology.Topology, debugProviders string) error {
	attached := attaches(debugProviders)
	switch {
	case t.Target == topology.Azure && attached:
		return fmt.Errorf("stack %q has target azure, but the local azure-native plugin is attached (%s is set): "+
			"nothing would reach Azure; "+
			"run `eval \"$(keel env --unset)\"` first, or set the target to local", t.Stack, DebugProviders)
	case t.Target == topology.Local && !attached:
		return fmt.Errorf("stack %q has target local, but Pulumi would use the real azure-native plugin; "+
			"run `keel exec -- pulumi ...`, or `eval \"$(keel env)\"` first", t.Stack)
	case t.Target == topology.Local:
		if err := answers(ctx, t.Endpoint, t.CAFile); err != nil {
			return fmt.Errorf("the emulator of stack %q does not answer at %s: %w; start it with `keel emulator start`",
				t.Stack, t.Endpoint, err)
		}
	}
	return nil
}

// attaches reports whether the variable, a comma-separated list of name:port, contains azure-native.
func attaches(debugProviders string) bool {
	for entry := range strings.SplitSeq(debugProviders, ",") {
		if name, _, ok := strings.Cut(strings.TrimSpace(entry), ":"); ok && name == "azure-native" {
			return true
		}
	}
	return false
}

// answers completes a TLS handshake with the emulator, whose certificate must be signed by its CA.
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
		return fmt.Errorf("%s contains no certificate", caFile)
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
