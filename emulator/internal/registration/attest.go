package registration

import (
	"crypto/x509"
	"errors"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/sas"
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
	// group is the enrollment group that let the caller in before on the same connection, asked first; empty when none is known.
	group string
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
}

// attest decides which enrollment lets the caller in. An individual enrollment of the id decides alone, whatever the groups say.
//
// Fidelity: an unknown ID scope answers as bad credentials do; on Azure 401 or 404, unsure.
func (a *API) attest(c caller) (match, error) {
	service, err := a.st.ServiceByScope(c.scope)
	if err != nil {
		if isNotFound(err) {
			return match{}, dpswire.ErrUnauthorized
		}
		return match{}, err
	}
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
		return a.groupKey(c, token)
	case len(c.certificates) > 0:
		presented, err := a.present(c, service.Host())
		if err != nil {
			return match{}, err
		}
		if individual {
			return presented.individual(enrollment)
		}
		return a.groupCertificate(c, presented)
	}
	return match{}, dpswire.ErrUnauthorized
}

// token reads the signature and checks what it is for. Whose it is shows only when it is verified.
func (a *API) token(c caller) (sas.Token, error) {
	token, err := sas.Parse(c.token)
	if err != nil || !strings.EqualFold(token.KeyName, sas.Policy) {
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
	return match{enrollment: &e, keys: *key}, nil
}

// groupKey finds the symmetric-key group whose derived key made the signature.
//
// Fidelity: the groups are tried in the order of their ids; two groups with the same key are ambiguous on Azure too.
func (a *API) groupKey(c caller, token sas.Token) (match, error) {
	if c.group != "" {
		g, err := a.st.EnrollmentGroup(c.scope, c.group)
		if err != nil && !isNotFound(err) {
			return match{}, err
		}
		if m, ok := a.signedBy(c, g, token); err == nil && ok {
			return m, nil
		}
	}
	found, in := match{}, false
	err := a.eachGroup(c.scope, func(g state.EnrollmentGroup) bool {
		found, in = a.signedBy(c, g, token)
		return !in
	})
	if err != nil {
		return match{}, err
	}
	if !in {
		return match{}, dpswire.ErrBadKey
	}
	return found, nil
}

// signedBy reports whether a key derived from the group's made the signature.
func (a *API) signedBy(c caller, g state.EnrollmentGroup, token sas.Token) (match, bool) {
	key := g.Attestation.SymmetricKey
	if key == nil {
		return match{}, false
	}
	primary, err := sas.DeriveDeviceKey(key.Primary, c.id)
	if err != nil {
		return match{}, false
	}
	secondary, err := sas.DeriveDeviceKey(key.Secondary, c.id)
	if err != nil || token.Verify(a.st.Now(), primary, secondary) != nil {
		return match{}, false
	}
	return match{group: &g, keys: state.SymmetricKey{Primary: primary, Secondary: secondary}}, true
}

// groupPage is how many groups are read at a time; Azure allows 100 of each kind.
const groupPage = 100

// eachGroup calls visit with the service's groups until it returns false.
func (a *API) eachGroup(scope string, visit func(state.EnrollmentGroup) bool) error {
	after := ""
	for {
		groups, next, err := a.st.EnrollmentGroups(scope, after, groupPage)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if !visit(g) {
				return nil
			}
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

func isNotFound(err error) bool {
	var refused *state.Error
	return errors.As(err, &refused) && (refused.Kind == state.NotFound || refused.Kind == state.ParentNotFound)
}
