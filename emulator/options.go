package emulator

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"evenkeel/emulator/internal/state"
	"evenkeel/internal/durable"
)

// SubscriptionID is the only subscription of the emulated cloud.
const SubscriptionID = "00000000-0000-0000-0000-000000000000"

// DefaultHost is where the emulator listens unless told otherwise.
const DefaultHost = "127.0.0.1"

// Options say where an emulator lives and how it behaves. The zero value is an emulator in memory, on free loopback ports.
type Options struct {
	// Dir is the data folder, made when absent: the store, the local CA, the client secret, the ports. Empty: everything is in
	// memory and ends with Close.
	Dir string
	// Seed is a file with a snapshot (see WriteSnapshot) that an emulator begins with whose state holds nothing.
	Seed string
	// Host is the address to listen on; DefaultHost when empty.
	Host string
	// AllowRemote lets Host be other than a loopback address. The emulator was not made to be reached from a network: its control
	// port has no authentication, and its certificates name the Azure hosts and loopback only.
	AllowRemote bool
	// Ports to listen on. A zero one is the port remembered in Dir, or else a free one.
	Ports Ports
	// Names says under which names clients reach the hubs; NamesMap when empty.
	Names Names
	// AzurePorts are those on which Names other than NamesMap serve; zero ones are Azure's, 443, 8883 and 5671. Few clients can be told others.
	AzurePorts AzurePorts
	// LRODelay is how long creating, changing or deleting a hub, a provisioning service or a group takes. Zero: done when answered,
	// though still answered as a long-running operation.
	LRODelay time.Duration
	// IgnoreServiceETags lets every PUT of a provisioning service replace the one that is there, whatever etag it carries. Whether Azure
	// enforces those etags is not known.
	IgnoreServiceETags bool
	// KeepNewerMembers lets a PUT of a hub or a provisioning service keep the members that its api-version does not have, such as
	// disableLocalAuth. Otherwise the PUT resets them. Which of the two Azure does is not known.
	KeepNewerMembers bool
	// RequireIfMatch refuses with 409201 to replace an enrollment or an enrollment group by a PUT without If-Match, as Azure was seen to do.
	// Azure's documents let it replace, and so does the zero value.
	RequireIfMatch bool
	// Quotas are how many resources the subscription may have.
	Quotas Quotas
	// Unregistered begins with a subscription that has not registered Microsoft.Devices: creations get MissingSubscriptionRegistration
	// until a client registers it. A restart begins so again.
	Unregistered bool
	// AzureLimits refuses what goes beyond Azure's documented limits of operations, with 429 and Retry-After.
	AzureLimits bool
	// Latencies say how far each Azure location is from the devices, which geoLatency allocation goes by. Keys are location names in
	// any spelling ("West Europe", "westeurope"). A location that is not listed counts as farther than every listed one; with none
	// listed, geoLatency hashes as the policy Hashed does.
	Latencies map[string]time.Duration
	// WebhookTimeout bounds a call to the webhook of a custom allocation; 5 s when zero.
	WebhookTimeout time.Duration
	// Now is the clock of the emulated cloud; time.Now when nil. TLS certificates follow the real clock, as clients do.
	Now func() time.Time
	// Random is where keys, scopes and etags come from; crypto/rand when nil. TLS and token keys always come from crypto/rand.
	Random io.Reader
	// Logger takes what goes wrong inside, and each request at debug level; nothing is logged when nil.
	Logger *slog.Logger
	// ClientCertificates let the one client in by what they sign, beside its own certificate in Dir.
	ClientCertificates []*x509.Certificate
	// Federations are other issuers whose tokens let the client in, beside the emulator's own issuer.
	Federations []Federation
	// Bounds are of what clients can make the emulator hold.
	Bounds Bounds
	// X25519Only turns the post-quantum key exchange off, which makes new TLS connections about a quarter cheaper.
	X25519Only bool

	// disk and storeDisk replace the operating system's files under Dir: tests have files that forget what was not
	// synced.
	disk      durable.Disk
	storeDisk state.FS
}

// Federation is trust in another issuer: a token with this subject, for the audience api://AzureADTokenExchange, is exchanged for one of
// the client.
type Federation struct {
	Issuer, Subject string
	// Keys are the issuer's public keys by their ids, *rsa.PublicKey or *ecdsa.PublicKey.
	Keys map[string]crypto.PublicKey
}

// Quotas are how many resources a subscription may have: a zero one is Azure's, a negative one none. Azure's are 50 hubs of paid tiers,
// one free hub, and 10 provisioning services.
type Quotas struct{ Hubs, FreeHubs, Services int }

// Ports are the TCP ports of an emulator.
type Ports struct {
	ARM     int `json:"arm"`
	Data    int `json:"data"`
	MQTT    int `json:"mqtt"`
	Control int `json:"control"`
}

// AzurePorts are the TCP ports of Azure's hosts.
type AzurePorts struct{ HTTPS, MQTT, AMQP int }

func (o *Options) complete() error {
	switch o.Names {
	case "":
		o.Names = NamesMap
	case NamesMap, NamesLoopback, NamesAzure:
	default:
		return fmt.Errorf("names %q: use %s, %s or %s", o.Names, NamesMap, NamesLoopback, NamesAzure)
	}
	o.AzurePorts = AzurePorts{
		HTTPS: cmp.Or(o.AzurePorts.HTTPS, httpsPort), MQTT: cmp.Or(o.AzurePorts.MQTT, mqttPort), AMQP: cmp.Or(o.AzurePorts.AMQP, amqpPort),
	}
	if o.Host == "" {
		o.Host = DefaultHost
	}
	if ip := net.ParseIP(o.Host); ip == nil {
		return fmt.Errorf("listen on %q: not an IP address", o.Host)
	} else if !ip.IsLoopback() && !o.AllowRemote {
		return fmt.Errorf("listen on %s: not a loopback address; the emulator is for this machine only unless remote access is allowed", o.Host)
	}
	if o.LRODelay < 0 {
		return fmt.Errorf("delay of long-running operations: %s is negative", o.LRODelay)
	}
	if o.WebhookTimeout < 0 {
		return fmt.Errorf("time-out of webhooks: %s is negative", o.WebhookTimeout)
	}
	for location, latency := range o.Latencies {
		if latency < 0 {
			return fmt.Errorf("latency of %s: %s is negative", location, latency)
		}
	}
	o.Bounds = o.Bounds.complete()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
