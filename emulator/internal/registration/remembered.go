package registration

import (
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"sync"
	"time"

	"evenkeel/emulator/internal/state"
)

// maxProofs limits the number of cached decisions. A registration needs the same one when it connects, registers and
// polls.
const maxProofs = 4096

// groupPage is how many groups are read at a time. Azure permits 100 of each kind.
const groupPage = 100

// remembered caches data and decisions for one revision of the state. A new revision clears it. Its methods may be
// called concurrently.
type remembered struct {
	mu          sync.Mutex
	revision    uint64
	credentials map[string]*serviceCredentials // by lower-case ID scope
	proofs      map[proof]match
}

// serviceCredentials is the data by which the callers of one service are authenticated. It is immutable.
type serviceCredentials struct {
	// groups are sorted by id.
	groups []state.EnrollmentGroup
	// verified are the certificates uploaded to the service, in DER by lower-case name. roots are the same
	// certificates, parsed.
	verified map[string][]byte
	roots    []*x509.Certificate
}

// proof identifies the credentials of a caller.
type proof struct {
	scope, id, token string
	certificates     [sha256.Size]byte
}

// span is the time span in which a decision is valid: after since, which may be zero, and before till.
type span struct{ since, till time.Time }

func (s span) holds(now time.Time) bool { return now.After(s.since) && now.Before(s.till) }

// narrow limits the span to the time in which the validity of the certificate does not change.
func (s *span) narrow(certificate *x509.Certificate, now time.Time) {
	for _, edge := range []time.Time{certificate.NotBefore, certificate.NotAfter} {
		switch {
		case edge.Before(now) && edge.After(s.since):
			s.since = edge
		case !edge.Before(now) && edge.Before(s.till):
			s.till = edge
		}
	}
}

// at sets the revision of r. The caller holds mu. It returns false if r is of a newer revision, so that nothing older
// is cached.
func (r *remembered) at(revision uint64) bool {
	if r.proofs == nil || revision > r.revision {
		r.revision, r.credentials, r.proofs = revision, map[string]*serviceCredentials{}, map[proof]match{}
	}
	return revision == r.revision
}

// believed returns the cached match of a caller with this proof.
func (r *remembered) believed(revision uint64, p proof, now time.Time) (match, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at(revision) {
		return match{}, false
	}
	m, ok := r.proofs[p]
	return m, ok && m.valid.holds(now)
}

func (r *remembered) remember(revision uint64, p proof, m match) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at(revision) {
		return
	}
	if len(r.proofs) >= maxProofs {
		clear(r.proofs)
	}
	r.proofs[p] = m
}

// credentialsOf returns a service's credentials, from the cache if it is of the same revision.
func (a *API) credentialsOf(revision uint64, service state.Service) (*serviceCredentials, error) {
	r, scope := &a.remembered, strings.ToLower(service.IDScope)
	r.mu.Lock()
	current := r.at(revision)
	known := r.credentials[scope]
	r.mu.Unlock()
	if current && known != nil {
		return known, nil
	}
	read, err := a.readCredentials(service)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at(revision) {
		r.credentials[scope] = read
	}
	return read, nil
}

func (a *API) readCredentials(service state.Service) (*serviceCredentials, error) {
	read := &serviceCredentials{verified: map[string][]byte{}}
	for after, more := "", true; more; more = after != "" {
		groups, next, err := a.st.EnrollmentGroups(service.IDScope, after, groupPage)
		if err != nil {
			return nil, err
		}
		read.groups, after = append(read.groups, groups...), next
	}
	uploaded, err := a.st.VerifiedCertificates(service.Host())
	if err != nil {
		return nil, err
	}
	for _, u := range uploaded {
		read.verified[strings.ToLower(u.Name)] = u.DER
		if root, err := x509.ParseCertificate(u.DER); err == nil { // every uploaded certificate was parsed before
			read.roots = append(read.roots, root)
		}
	}
	return read, nil
}

// proof returns the cache key of the caller.
func (c caller) proof() proof {
	p := proof{scope: c.scope, id: c.id, token: c.token}
	if c.token == "" && len(c.certificates) > 0 {
		hash := sha256.New()
		for _, certificate := range c.certificates {
			hash.Write(certificate.Raw) // DER is self-delimiting
		}
		hash.Sum(p.certificates[:0])
	}
	return p
}
