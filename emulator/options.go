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

	"evenkeel/emulator/internal/issuer"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/durable"
)

// SubscriptionID is the only subscription of the emulated cloud.
const SubscriptionID = "00000000-0000-0000-0000-000000000000"

// DefaultHost is the address that the emulator listens on by default.
const DefaultHost = "127.0.0.1"

// Options configure an emulator. The zero value is an emulator in memory, on free loopback ports.
type Options struct {
	// Dir is the data folder, created if it does not exist. It holds the store, the local CA, the client secret and
	// the ports. If empty, everything is in memory and is lost on Close.
	Dir string
	// Seed is a file with a snapshot (see WriteSnapshot). It is loaded if the state is empty.
	Seed string
	// Host is the address to listen on. Empty means DefaultHost.
	Host string
	// AllowRemote permits a Host that is not a loopback address. The emulator is not designed for networks: its
	// control port is plain HTTP, and its certificates name only the Azure hosts and loopback.
	AllowRemote bool
	// ControlHosts are the names by which clients on other machines reach the control port, with AllowRemote. The
	// port always accepts localhost and IP addresses and refuses all other names, because a web page can resolve its
	// own name to this machine.
	ControlHosts []string
	// Ports to listen on. Zero means the port stored in Dir, or else a free one.
	Ports Ports
	// Names selects the names by which clients reach the hubs. Empty means NamesMap.
	Names Names
	// AzurePorts are the ports for Names other than NamesMap. Zero means Azure's: 443, 8883 and 5671. Few clients can
	// use other ports.
	AzurePorts AzurePorts
	// LRODelay is how long it takes to create, change or delete a hub, a provisioning service or a group. Zero means
	// that the operation is complete when it is answered, although the answer is still that of a long-running
	// operation.
	LRODelay time.Duration
	// IgnoreServiceETags makes every PUT of a provisioning service replace the existing one, regardless of its etag.
	// Whether Azure enforces these etags is unknown.
	IgnoreServiceETags bool
	// KeepNewerMembers lets a PUT of a hub, a provisioning service, an enrollment or an enrollment group keep the
	// members that its api-version does not have, such as disableLocalAuth or certificatePolicyName. Otherwise the PUT
	// resets them. Which of the two Azure does is not known.
	KeepNewerMembers bool
	// RequireIfMatch refuses with 409201 to replace an enrollment or an enrollment group by a PUT without If-Match, as
	// Azure was seen to do. Azure's documents let it replace, and so does the zero value.
	RequireIfMatch bool
	// RequireRoles makes registrations fail where a provisioning service uses a hub by its managed identity and the
	// identity does not have the role IoT Hub Data Contributor on the hub, its resource group or the subscription.
	// Otherwise the identity is enough.
	RequireRoles bool
	// Quotas are the resource limits of the subscription.
	Quotas Quotas
	// Unregistered starts with a subscription in which Microsoft.Devices is not registered: creating resources fails
	// with MissingSubscriptionRegistration until a client registers it. Each restart starts like that.
	Unregistered bool
	// AzureLimits enforces Azure's documented rate limits: 429 with Retry-After.
	AzureLimits bool
	// Latencies are the latencies from the devices to Azure locations, for geoLatency allocation. Keys are location
	// names in any spelling ("West Europe", "westeurope"). A location that is not listed counts as farther than every
	// listed one. If none is listed, geoLatency allocates like Hashed.
	Latencies map[string]time.Duration
	// IssuedCertificates configures the certificates of devices that register with a certificate signing request.
	IssuedCertificates IssuedCertificates
	// WebhookTimeout limits a call to the webhook of a custom allocation. Zero means 5 s.
	WebhookTimeout time.Duration
	// Now is the clock of the emulated cloud. Nil means time.Now. TLS certificates follow the real clock, as clients
	// do.
	Now func() time.Time
	// Random is the source of keys, scopes and etags. Nil means crypto/rand. TLS and token keys always come from
	// crypto/rand.
	Random io.Reader
	// Logger receives internal errors, and each request at debug level. If nil, nothing is logged.
	Logger *slog.Logger
	// ClientCertificates authenticate the client by assertions that they sign, in addition to its certificate in Dir.
	ClientCertificates []*x509.Certificate
	// Federations are issuers whose tokens authenticate the client, in addition to the emulator's own issuer.
	Federations []Federation
	// Bounds limit what clients can make the emulator hold.
	Bounds Bounds
	// X25519Only turns off the post-quantum key exchange. New TLS connections then cost about a quarter less.
	X25519Only bool

	// disk and storeDisk replace the operating system's files under Dir. Tests use files that lose what was not
	// synced.
	disk      durable.Disk
	storeDisk state.FS
}

// IssuedCertificates are the certificates that the provisioning service issues. Azure's depend on the certificate
// policy of Azure Device Registry that an enrollment names; here all are alike.
type IssuedCertificates struct {
	// Lifetime is how long they are valid on the emulator's clock. Zero means 30 days; Azure's policies allow 7 to 90.
	Lifetime time.Duration
	// AcceptRSA accepts requests with RSA keys, which Azure's documentation says are not supported.
	AcceptRSA bool
}

// Federation is trust in an external issuer: a token with this subject and the audience api://AzureADTokenExchange is
// exchanged for an access token of the client.
type Federation struct {
	Issuer, Subject string
	// Keys are the issuer's public keys by key id, *rsa.PublicKey or *ecdsa.PublicKey.
	Keys map[string]crypto.PublicKey
}

// Quotas are the numbers of resources that a subscription may have. Zero means Azure's quota, a negative value means
// no resource. Azure's quotas are 50 hubs of paid tiers, one free hub, and 10 provisioning services.
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
		HTTPS: cmp.Or(o.AzurePorts.HTTPS, httpsPort), MQTT: cmp.Or(o.AzurePorts.MQTT, mqttPort),
		AMQP: cmp.Or(o.AzurePorts.AMQP, amqpPort),
	}
	if o.Host == "" {
		o.Host = DefaultHost
	}
	if ip := net.ParseIP(o.Host); ip == nil {
		return fmt.Errorf("listen on %q: not an IP address", o.Host)
	} else if !ip.IsLoopback() && !o.AllowRemote {
		return fmt.Errorf("listen on %s: not a loopback address; the emulator is for this machine only unless remote "+
			"access is allowed", o.Host)
	}
	if len(o.ControlHosts) > 0 && !o.AllowRemote {
		return fmt.Errorf("names of the control port %q: remote access is not allowed", o.ControlHosts)
	}
	if o.LRODelay < 0 {
		return fmt.Errorf("delay of long-running operations: %s is negative", o.LRODelay)
	}
	if o.IssuedCertificates.Lifetime < 0 {
		return fmt.Errorf("lifetime of issued certificates: %s is negative", o.IssuedCertificates.Lifetime)
	}
	o.IssuedCertificates.Lifetime = cmp.Or(o.IssuedCertificates.Lifetime, issuer.DefaultLifetime)
	if o.WebhookTimeout < 0 {
		return fmt.Errorf("timeout of webhooks: %s is negative", o.WebhookTimeout)
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
