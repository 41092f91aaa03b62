package dpsservice

import (
	"net/http"
	"slices"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

// right is a single right of a shared access policy.
type right string

// The rights that the service API requires, in ARM's spelling.
const (
	enrollmentRead    right = "EnrollmentRead"
	enrollmentWrite   right = "EnrollmentWrite"
	registrationRead  right = "RegistrationStatusRead"
	registrationWrite right = "RegistrationStatusWrite"
	serviceConfig     right = "ServiceConfig"
)

// rights are the rights of a caller. A Microsoft Entra token has all.
type rights struct {
	all     bool
	granted []string
}

// need refuses a caller without the right. Write implies read: the owner policy has no EnrollmentRead and reads on
// Azure.
//
// Fidelity: that the owner policy, whose rights are "ServiceConfig, DeviceConnect, EnrollmentWrite", may read and
// delete registration records is inferred from the portal and the command line, which use it; so ServiceConfig grants
// both here. That a missing right returns 401 and not 403 is unsure.
func (r rights) need(wanted right) error {
	if r.all || r.has(wanted) {
		return nil
	}
	switch wanted {
	case enrollmentRead:
		if r.has(enrollmentWrite) {
			return nil
		}
	case registrationRead:
		if r.has(registrationWrite) || r.has(serviceConfig) {
			return nil
		}
	case registrationWrite:
		if r.has(serviceConfig) {
			return nil
		}
	}
	return dpswire.ErrUnauthorized
}

func (r rights) has(wanted right) bool {
	return slices.ContainsFunc(r.granted, func(have string) bool { return strings.EqualFold(have, string(wanted)) })
}

// authenticate checks the Authorization header against the service's policies: the signature, the expiry, and that
// the token's resource is the service, under the requested name, or an ancestor of the path.
func (s *surface) authenticate(r *http.Request, service state.Service) (rights, error) {
	header := r.Header.Get("Authorization")
	if scheme, token, found := strings.Cut(header, " "); found && strings.EqualFold(scheme, "Bearer") {
		if s.opts.Bearer == nil || s.opts.Bearer(r.Context(), token) != nil {
			return rights{}, dpswire.ErrUnauthorized
		}
		return rights{all: true}, nil
	}
	token, err := sas.Parse(header)
	if err != nil {
		return rights{}, dpswire.ErrUnauthorized
	}
	if service.Settings.DisableLocalAuth {
		// The code is that of the live tests of azure-iot-cli-extension (pull request 893).
		return rights{}, dpswire.ErrUnauthorized
	}
	for _, policy := range service.Policies {
		if !strings.EqualFold(policy.Name, token.KeyName) {
			continue
		}
		if token.Verify(s.st.Now(), policy.PrimaryKey, policy.SecondaryKey) != nil || !s.covers(token, service, r) {
			return rights{}, dpswire.ErrUnauthorized
		}
		return rights{granted: policy.Rights}, nil
	}
	return rights{}, dpswire.ErrUnauthorized
}

// covers reports whether a token is for that path of the service, under any of the service's names.
func (s *surface) covers(token sas.Token, service state.Service, r *http.Request) bool {
	names := []string{service.Host(), hostName(r.Host)}
	if s.opts.Other != nil {
		names = append(names, s.opts.Other(service.Host()))
	}
	return slices.ContainsFunc(names, func(name string) bool { return name != "" && token.Covers(name+r.URL.Path) })
}
