package registration

import (
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

// caller is a device's claimed identity and its credentials, before it is authenticated.
type caller struct {
	scope, id  string
	apiVersion string
	// token is a shared access signature, or empty.
	token string
	// certificates are what the device presented in TLS, leaf first.
	certificates []*x509.Certificate
	// https is set for requests over HTTPS; operation is the operation id in their path.
	https     bool
	operation string
}

// match is the enrollment or group that authenticated a device, and the credential that the device gets at its hub.
type match struct {
	enrollment *state.Enrollment
	group      *state.EnrollmentGroup
	// keys of symmetric-key attestation: the enrollment's, or those derived from the group's. TPM attestation
	// generates new ones.
	keys state.SymmetricKey
	// challenge is the challenge whose key the device signed with, with TPM attestation.
	challenge *challenge
	// leaf is the device's certificate, with X.509 attestation; thumbprint its SHA-256 in upper-case hex.
	leaf       *x509.Certificate
	thumbprint string
	// valid is the time span in which only a change of the state can change the decision.
	valid span
}

// attest finds the enrollment that authenticates the caller. If the id has an individual enrollment, the groups are
// not considered. A decision is cached until a change of the state or the time can change it; a TPM challenge has its
// own lifetime.
//
// Fidelity: an unknown ID scope gets the same response as bad credentials; on Azure 401 or 404, unsure.
func (a *API) attest(c caller) (match, error) {
	revision, err := a.st.Revision()
	if err != nil {
		return match{}, err
	}
	given := c.proof()
	if m, ok := a.remembered.believed(revision, given, a.st.Now()); ok {
		return m, nil
	}
	service, err := a.st.ServiceByScope(c.scope)
	if isNotFound(err) {
		return match{}, dpswire.ErrUnauthorized
	}
	if err != nil {
		return match{}, err
	}
	known, err := a.credentialsOf(revision, service)
	if err != nil {
		return match{}, err
	}
	m, err := a.examine(c, known)
	if err == nil && m.challenge == nil {
		a.remembered.remember(revision, given, m)
	}
	return m, err
}

// examine is attest without the cache.
func (a *API) examine(c caller, known *serviceCredentials) (match, error) {
	enrollment, err := a.st.Enrollment(c.scope, c.id)
	if err != nil && !isNotFound(err) {
		return match{}, err
	}
	individual := err == nil
	switch {
	case c.token != "":
		token, err := a.token(c)
		if err != nil {
			return match{}, err
		}
		switch {
		case individual && enrollment.Attestation.TPM != nil:
			return a.individualTPM(c, enrollment, token)
		case individual:
			return a.individualKey(enrollment, token)
		}
		return a.groupKey(c, known, token)
	case len(c.certificates) > 0:
		presented, err := present(c, known, a.st.Now())
		if err != nil {
			return match{}, err
		}
		if individual {
			return presented.individual(enrollment)
		}
		return presented.group()
	}
	return match{}, dpswire.ErrUnauthorized
}

// token parses the token and checks its resource. The signature is verified later, with the keys of the enrollment.
// The key may be unnamed: the SDK for Python signs without skn, while the documentation and the other SDKs name it
// "registration".
//
// Fidelity: that any other name is refused is unsure.
func (a *API) token(c caller) (sas.Token, error) {
	token, err := sas.Parse(c.token)
	if err != nil || token.KeyName != "" && !strings.EqualFold(token.KeyName, sas.Policy) {
		return sas.Token{}, dpswire.ErrBadKey
	}
	resource := c.scope + "/registrations/" + c.id
	if !strings.EqualFold(strings.Trim(token.Resource, "/"), resource) {
		return sas.Token{}, dpswire.ErrBadKey
	}
	return token, nil
}

func (a *API) individualKey(e state.Enrollment, token sas.Token) (match, error) {
	key := e.Attestation.SymmetricKey
	if key == nil || token.Verify(a.st.Now(), key.Primary, key.Secondary) != nil {
		return match{}, dpswire.ErrBadKey
	}
	return match{enrollment: &e, keys: *key, valid: span{till: token.Expiry}}, nil
}

// groupKey finds the symmetric-key group whose derived key signed the token.
//
// Fidelity: the groups are tried in the order of their ids. Two groups with the same key are ambiguous on Azure too.
func (a *API) groupKey(c caller, known *serviceCredentials, token sas.Token) (match, error) {
	now := a.st.Now()
	for i := range known.groups {
		g := &known.groups[i]
		if keys, ok := signedBy(c, g, token, now); ok {
			return match{group: g, keys: keys, valid: span{till: token.Expiry}}, nil
		}
	}
	return match{}, dpswire.ErrBadKey
}

// signedBy reports whether a key derived from the group's keys signed the token, and returns the derived keys.
func signedBy(c caller, g *state.EnrollmentGroup, token sas.Token, now time.Time) (state.SymmetricKey, bool) {
	key := g.Attestation.SymmetricKey
	if key == nil {
		return state.SymmetricKey{}, false
	}
	primary, err := sas.DeriveDeviceKey(key.Primary, c.id)
	if err != nil {
		return state.SymmetricKey{}, false
	}
	secondary, err := sas.DeriveDeviceKey(key.Secondary, c.id)
	if err != nil || token.Verify(now, primary, secondary) != nil {
		return state.SymmetricKey{}, false
	}
	return state.SymmetricKey{Primary: primary, Secondary: secondary}, true
}

func isNotFound(err error) bool {
	var refused *state.Error
	return errors.As(err, &refused) && (refused.Kind == state.NotFound || refused.Kind == state.ParentNotFound)
}
