package registration

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

// maxChains bounds how many verified ways from a leaf to a root are remembered. A registration asks for the same one when it connects,
// registers and polls.
const maxChains = 4096

// chains remembers verified ways, since verifying one costs more than all else that the service does for a registration. Its methods may
// be called concurrently.
type chains struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]verified
}

// verified are the ways from one leaf, by the same intermediates and roots, while no certificate among them begins or ends to be valid.
type verified struct {
	chains      [][]*x509.Certificate
	since, till time.Time
}

// verify returns the ways from the leaf to a root at a time; none when the leaf is not trusted.
func (c *chains) verify(leaf *x509.Certificate, intermediates, roots []*x509.Certificate, now time.Time) [][]*x509.Certificate {
	key := fingerprint(leaf, intermediates, roots)
	c.mu.Lock()
	known, ok := c.known[key]
	c.mu.Unlock()
	if ok && now.After(known.since) && now.Before(known.till) {
		return known.chains
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	found := verified{till: now.Add(time.Hour), since: now.Add(-time.Hour)}
	found.narrow(leaf, now)
	for _, root := range roots {
		options.Roots.AddCert(root)
		found.narrow(root, now)
	}
	for _, intermediate := range intermediates {
		options.Intermediates.AddCert(intermediate)
		found.narrow(intermediate, now)
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return nil // not remembered: strangers must not push out those who are known
	}
	found.chains = chains
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxChains || c.known == nil {
		c.known = map[[sha256.Size]byte]verified{}
	}
	c.known[key] = found
	return chains
}

// narrow keeps the time in which the certificate stays as valid, or as invalid, as it is now.
func (v *verified) narrow(certificate *x509.Certificate, now time.Time) {
	for _, edge := range []time.Time{certificate.NotBefore, certificate.NotAfter} {
		switch {
		case edge.Before(now) && edge.After(v.since):
			v.since = edge
		case !edge.Before(now) && edge.Before(v.till):
			v.till = edge
		}
	}
}

// fingerprint names a leaf with what could lead from it to a root.
func fingerprint(leaf *x509.Certificate, intermediates, roots []*x509.Certificate) (sum [sha256.Size]byte) {
	hash := sha256.New()
	for _, list := range [][]*x509.Certificate{{leaf}, intermediates, roots} {
		for _, certificate := range list {
			one := sha256.Sum256(certificate.Raw)
			hash.Write(one[:])
		}
		hash.Write([]byte{0}) // where a list ends
	}
	return [sha256.Size]byte(hash.Sum(sum[:0]))
}
