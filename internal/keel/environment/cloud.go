package environment

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// whoami is Pulumi's description of its login. The URL is that of the backend; for Pulumi Cloud it is the user's web
// page.
type whoami struct {
	User string `json:"user"`
	URL  string `json:"url"`
}

func (e *Environment) whoami(ctx context.Context) (whoami, error) {
	var answer whoami
	text, err := e.output(ctx, "whoami", "--json", "--non-interactive")
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		return whoami{}, fmt.Errorf("find the backend: %w", err)
	}
	return answer, nil
}

// cloudHost returns the host of a Pulumi Cloud, self-hosted or not, from the URL of its service or of its web pages; ""
// for another kind of backend.
func cloudHost(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	host := strings.ToLower(u.Host)
	for _, prefix := range []string{"api.", "app."} {
		if rest, ok := strings.CutPrefix(host, prefix); ok {
			return rest
		}
	}
	return host
}

// cloudOwner returns the organization or the user of Pulumi Cloud that the stack belongs to. A stack name without an
// owner belongs to the default organization or, without one, to the user.
func (e *Environment) cloudOwner(ctx context.Context) (string, error) {
	if e.owner != "" {
		return e.owner, nil
	}
	text, err := e.output(ctx, "org", "get-default", "--non-interactive")
	if err != nil {
		return "", fmt.Errorf("find the organization: %w", err)
	}
	owner := strings.TrimSpace(string(text))
	if owner == "" || strings.ContainsAny(owner, " \n") { // a message that no organization is set
		login, err := e.whoami(ctx)
		if err != nil {
			return "", err
		}
		owner = login.User
	}
	if owner == "" {
		return "", errors.New("find the organization: pulumi whoami prints no user")
	}
	e.owner = strings.ToLower(owner)
	return e.owner, nil
}

// BackendName returns the URL of the backend for printing, without credentials; for Pulumi's own login to Pulumi Cloud,
// the user's web page.
func (e *Environment) BackendName() string { return Redacted(cmp.Or(e.Backend, e.page)) }
