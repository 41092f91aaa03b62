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

// caller is a device as it introduces itself, not yet believed.
type caller struct {
	scope, id  string
	apiVersion string
	// token is a shared access signature, or empty.
	token string
	// certificates are what the device presented in TLS, leaf first.
	certificates []*x509.Certificate
	// https tells the front; operation is the one that is asked for, over HTTPS.
	https     bool
	operation string
}

// match is what let a device in: an individual enrollment or a group, and the credential that its hub identity gets.
type match struct {
	enrollment *state.Enrollment
	group      *state.EnrollmentGroup
	// keys of symmetric-key attestation: the enrollment's, or those derived from the group's; with TPM attestation, new ones.
	keys state.SymmetricKey
	// challenge is what the device signed with, with TPM attestation.
	challenge *challenge
	// leaf is the device's certificate, with X.509 attestation; thumbprint its SHA-256 in upper-case hex.
	leaf       *x509.Certificate
	thumbprint string
	// valid is as long as nothing but the state can change the decision.
	valid span
}

// attest decides which enrollment lets the caller in. An individual enrollment of the id decides alone, whatever the groups say. A
// decision is remembered until the state or the time could make another of it; a challenge holds for its own time.
//
// Fidelity: an unknown ID scope answers as bad credentials do; on Azure 401 or 404, unsure.
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
	known, err := a.roster(revision, service)
	if err != nil {
		return match{}, err
	}
	m, err := a.examine(c, known)
	if err == nil && m.challenge == nil {
		a.remembered.believe(revision, given, m)
	}
	return m, err
}

// examine is attest for a caller that is not remembered.
func (a *API) examine(c caller, known *roster) (match, error) {
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

// token reads the signature and checks what it is for. Whose it is shows only when it is verified. The key may be unnamed: the
// SDK for Python signs without skn, while the documentation and the other SDKs name it "registration".
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

// groupKey finds the symmetric-key group whose derived key made the signature.
//
// Fidelity: the groups are tried in the order of their ids; two groups with the same key are ambiguous on Azure too.
func (a *API) groupKey(c caller, known *roster, token sas.Token) (match, error) {
	now := a.st.Now()
	for i := range known.groups {
		g := &known.groups[i]
		if keys, ok := signedBy(c, g, token, now); ok {
			return match{group: g, keys: keys, valid: span{till: token.Expiry}}, nil
		}
	}
	return match{}, dpswire.ErrBadKey
}

// signedBy reports whether a key derived from the group's made the signature, and returns the derived ones.
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
