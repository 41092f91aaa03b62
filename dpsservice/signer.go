package dpsservice

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"evenkeel/internal/azure/domain"
	"evenkeel/internal/azure/sas"
)

// Tokens are valid for tokenLife and renewed when less than tokenMargin is left, so that a difference of clocks does
// not matter.
const (
	tokenLife   = time.Hour
	tokenMargin = 15 * time.Minute
)

// entraScope is the scope of tokens for the service API of a host ("Control access to DPS by using Microsoft Entra
// ID"). That the other clouds use their own domains is inferred.
func entraScope(host string) string {
	return "https://" + domain.OfService(host) + "/.default"
}

// newAuthorization returns the policy that authorizes requests with a token of Microsoft Entra ID, or else with a
// signature.
func newAuthorization(o Options) (policy.Policy, error) {
	if o.Credential != nil {
		return runtime.NewBearerTokenPolicy(o.Credential, []string{entraScope(o.Host)}, nil), nil
	}
	return newSigner(o.Host, o.PolicyName, o.Key, o.Now)
}

// signer adds a shared access signature to each request.
type signer struct {
	host, policyName, key string
	now                   func() time.Time

	mu      sync.Mutex // guards the two below
	token   string
	expires time.Time
}

func newSigner(host, policyName, key string, now func() time.Time) (*signer, error) {
	if policyName == "" {
		return nil, errors.New("the name of the shared access policy is missing")
	}
	s := &signer{host: strings.ToLower(host), policyName: policyName, key: key, now: now}
	_, err := s.current()
	return s, err
}

func (s *signer) current() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.expires.Sub(now) < tokenMargin {
		expires := now.Add(tokenLife)
		token, err := sas.New(s.host, s.policyName, s.key, expires)
		if err != nil {
			return "", err
		}
		s.token, s.expires = token, expires
	}
	return s.token, nil
}

// Do signs the request and passes it on.
func (s *signer) Do(request *policy.Request) (*http.Response, error) {
	token, err := s.current()
	if err != nil {
		return nil, err
	}
	request.Raw().Header.Set("Authorization", token)
	return request.Next()
}

// Access is the content of a connection string of a provisioning service.
type Access struct {
	Host, PolicyName, Key string
}

// ParseConnectionString reads a connection string: HostName=…;SharedAccessKeyName=…;SharedAccessKey=…, in any order.
// Its errors never contain the key.
func ParseConnectionString(text string) (Access, error) {
	var access Access
	fields := map[string]*string{
		"hostname": &access.Host, "sharedaccesskeyname": &access.PolicyName, "sharedaccesskey": &access.Key,
	}
	for part := range strings.SplitSeq(strings.Trim(strings.TrimSpace(text), ";"), ";") {
		name, value, _ := strings.Cut(part, "=")
		field, known := fields[strings.ToLower(strings.TrimSpace(name))]
		if !known {
			return Access{},
				errors.New("the connection string has an unknown part: it consists of HostName, SharedAccessKeyName " +
					"and SharedAccessKey")
		}
		*field = strings.TrimSpace(value)
	}
	for name, value := range map[string]string{"HostName": access.Host, "SharedAccessKeyName": access.PolicyName,
		"SharedAccessKey": access.Key} {
		if value == "" {
			return Access{}, fmt.Errorf("the connection string has no %s", name)
		}
	}
	return access, nil
}
