// Package localca is the certificate authority of the emulator: it creates a root at the first start and server
// certificates on demand, one per name that a client requests.
//
// The root and the server certificates have RSA keys, like Azure's, so that devices whose TLS supports only RSA are
// served. A client that offers ECDSA and no RSA gets a certificate with an ECDSA key. A root that an earlier version
// created keeps its ECDSA key, since clients trust it. Source: "TLS support in IoT Hub".
//
// It never changes a trust store. The root is constrained to localhost, loopback addresses and the emulated Azure
// domains, so that a user who trusts it trusts it for nothing else.
package localca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"evenkeel/emulator/internal/domain"
	"evenkeel/internal/authority"
	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// File names in the data folder.
const (
	CertFile = authority.CertFile
	KeyFile  = authority.KeyFile
)

// domains for which server certificates are issued, in addition to localhost and loopback addresses.
var domains = []string{domain.Hub, domain.Service}

// Lifetimes. Leaf certificates stay under the 825 days that strict clients permit, and are replaced in the last third
// of their life.
const (
	rootLife = 10 * 365 * 24 * time.Hour
	leafLife = 180 * 24 * time.Hour
	// maxLeaves limits the cache, since clients may request any number of names.
	maxLeaves = 1024
)

// Authority signs server certificates. Its methods may be called concurrently.
type Authority struct {
	root authority.Pair
	now  func() time.Time

	mu     sync.Mutex
	leaves map[leafKey]*tls.Certificate
}

// leafKey identifies a server certificate.
type leafKey struct {
	// name is the server name in lower case, or "" for clients that send none.
	name string
	// ecdsa is for clients that do not support RSA.
	ecdsa bool
}

// rsaBits is the length of RSA keys, the same as Azure's.
const rsaBits = 2048

// Keys that a process generates once, because generating an RSA key takes a considerable part of a second: memoryKey
// signs for authorities in memory, which end with the process, and serverKey is the key of all server certificates.
var memoryKey, serverKey = sync.OnceValues(newRSAKey), sync.OnceValues(newRSAKey)

func newRSAKey() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }

// New returns an authority in memory.
func New(now func() time.Time) (*Authority, error) { return newAuthority(memoryKey, now) }

func newAuthority(newKey func() (*rsa.PrivateKey, error), now func() time.Time) (*Authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("generate the key of the CA: %w", err)
	}
	serial := authority.NewSerial()
	name := "evenkeel local emulator " + serial.Text(16)[:8]
	root, err := authority.SelfSign(x509.Certificate{
		SerialNumber:                serial,
		Subject:                     pkix.Name{CommonName: name, Organization: []string{"evenkeel"}},
		NotBefore:                   now().Add(-authority.Backdate),
		NotAfter:                    now().Add(rootLife),
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         append([]string{"localhost"}, domains...),
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}, key)
	if err != nil {
		return nil, fmt.Errorf("create the CA: %w", err)
	}
	return of(root, now), nil
}

func of(root authority.Pair, now func() time.Time) *Authority {
	return &Authority{root: root, now: now, leaves: map[leafKey]*tls.Certificate{}}
}

// Load reads the authority from dir, or creates it at the first start, with a key that only its owner can read. If a
// power failure left the files empty, the authority is created again, with a warning. If they are damaged otherwise
// they are not changed, because clients trust the authority.
func Load(disk durable.Disk, dir string, now func() time.Time, logger *slog.Logger) (*Authority, error) {
	certPEM, certErr := disk.ReadFile(filepath.Join(dir, CertFile))
	keyPEM, keyErr := disk.ReadFile(filepath.Join(dir, KeyFile))
	for _, err := range []error{certErr, keyErr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the CA: %w", err)
		}
	}
	if certErr != nil || durable.IsBlank(certPEM) && durable.IsBlank(keyPEM) {
		if certErr == nil || keyErr == nil {
			logger.Warn("the CA is recreated because its files are empty or missing: clients must trust the new one",
				"file", filepath.Join(dir, CertFile))
		}
		return create(disk, dir, now)
	}
	a, err := read(certPEM, keyPEM, now)
	if err != nil {
		return nil, hint.To(fmt.Errorf("read the CA, %s and %s in %s: %w", CertFile, KeyFile, dir, err),
			"restore both files from a backup, or remove both to get a new CA, which clients must then trust")
	}
	return a, nil
}

func read(certPEM, keyPEM []byte, now func() time.Time) (*Authority, error) {
	root, err := authority.Parse(certPEM, keyPEM)
	if err == nil {
		err = root.CheckNotExpired(now())
	}
	if err != nil {
		return nil, err
	}
	return of(root, now), nil
}

// create creates an authority and writes it. The certificate is written last, because Load checks for it.
func create(disk durable.Disk, dir string, now func() time.Time) (*Authority, error) {
	a, err := newAuthority(newRSAKey, now)
	if err != nil {
		return nil, err
	}
	if err := a.root.Write(disk, dir); err != nil {
		return nil, fmt.Errorf("create the CA: %w", err)
	}
	return a, nil
}

// PEM returns the root certificate for clients to trust.
func (a *Authority) PEM() []byte { return a.root.PEM() }

// Certificate is the GetCertificate of a tls.Config. A name outside the constraints is refused, because the client
// would refuse the certificate.
func (a *Authority) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	address := dialed(name, hello.Conn)
	switch {
	case address != nil:
		name = address.String()
	case name == "localhost" || net.ParseIP(name) != nil:
		name = "" // the certificate for clients without a name covers these
	}
	if name != "" && address == nil && !allowed(name) {
		return nil, fmt.Errorf("no certificate for server name %q: the emulator serves localhost and names under %s",
			name, strings.Join(domains, " and "))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	leaf, err := a.leaf(leafKey{name: name})
	if err != nil || hello.SupportsCertificate(leaf) == nil {
		return leaf, err
	}
	other, err := a.leaf(leafKey{name: name, ecdsa: true})
	if err != nil || hello.SupportsCertificate(other) == nil {
		return other, err
	}
	return leaf, nil // the TLS handshake reports best what client and server do not have in common
}

// leaf returns a server certificate that is valid for at least a third of its lifetime. The caller holds mu.
func (a *Authority) leaf(key leafKey) (*tls.Certificate, error) {
	if leaf := a.leaves[key]; leaf != nil && a.now().Before(leaf.Leaf.NotAfter.Add(-leafLife/3)) {
		return leaf, nil
	}
	leaf, err := a.issue(key)
	if err != nil {
		return nil, err
	}
	if len(a.leaves) >= maxLeaves {
		clear(a.leaves)
	}
	a.leaves[key] = leaf
	return leaf, nil
}

// dialed returns the loopback address that a client connected to, unless it is the usual one. Clients that connect to
// an address mostly send no name, and some send the address as the name.
func dialed(name string, conn net.Conn) net.IP {
	ip := net.ParseIP(name)
	if name == "" && conn != nil {
		if local, ok := conn.LocalAddr().(*net.TCPAddr); ok {
			ip = local.IP
		}
	}
	if ip = ip.To4(); ip == nil || !ip.IsLoopback() || ip.Equal(net.IPv4(127, 0, 0, 1)) {
		return nil
	}
	return ip
}

func allowed(name string) bool {
	for _, parent := range domains {
		if label, ok := strings.CutSuffix(name, "."+parent); ok {
			return label != "" && len(name) <= 253 && !strings.ContainsAny(label, "*/ ")
		}
	}
	return false
}

// keyOf returns the key of a new server certificate.
func keyOf(leaf leafKey) (crypto.Signer, error) {
	if leaf.ecdsa {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return serverKey()
}

func (a *Authority) issue(of leafKey) (*tls.Certificate, error) {
	name := of.name
	key, err := keyOf(of)
	if err != nil {
		return nil, fmt.Errorf("generate a server key: %w", err)
	}
	now := a.now()
	template := x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"evenkeel local emulator"}},
		NotBefore:   now.Add(-authority.Backdate),
		NotAfter:    now.Add(leafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else if name == "" {
		template.DNSNames = []string{"localhost"}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	} else {
		template.DNSNames = []string{name}
	}
	leaf, err := a.root.Sign(template, key)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %q: %w", name, err)
	}
	return &tls.Certificate{
		Certificate: [][]byte{leaf.Certificate.Raw, a.root.Certificate.Raw}, PrivateKey: leaf.Key,
		Leaf: leaf.Certificate,
	}, nil
}
