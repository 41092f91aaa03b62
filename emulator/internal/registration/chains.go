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

// verify returns the ways from the leaf, over certificates presented with it, to a root at a time; none when the leaf is not trusted.
// Roots are in DER: they are parsed only when the way is not known.
func (c *chains) verify(leaf *x509.Certificate, presented []*x509.Certificate, roots [][]byte, now time.Time) [][]*x509.Certificate {
	key := fingerprint(leaf, presented, roots)
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
	for _, der := range roots {
		root, err := x509.ParseCertificate(der)
		if err != nil {
			continue // nothing is uploaded that does not parse
		}
		options.Roots.AddCert(root)
		// A verified intermediate is also a step on the way to a verified root.
		options.Intermediates.AddCert(root)
		found.narrow(root, now)
	}
	for _, certificate := range presented {
		options.Intermediates.AddCert(certificate)
		found.narrow(certificate, now)
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
func fingerprint(leaf *x509.Certificate, presented []*x509.Certificate, roots [][]byte) (sum [sha256.Size]byte) {
	hash := sha256.New()
	add := func(der []byte) {
		one := sha256.Sum256(der)
		hash.Write(one[:])
	}
	add(leaf.Raw)
	for _, certificate := range presented {
		add(certificate.Raw)
	}
	hash.Write([]byte{0}) // where the presented ones end
	for _, der := range roots {
		add(der)
	}
	return [sha256.Size]byte(hash.Sum(sum[:0]))
}
