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

// whoami is what Pulumi tells of its login. The URL is that of the backend; of Pulumi Cloud it is the page of the user, which is for
// browsers only.
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

// cloudHost returns the host of the Pulumi Cloud, hosted by Pulumi or by somebody else, that an URL of its service or of its pages leads
// to. Both have one; "" when the URL is that of another kind of backend.
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

// cloudOwner returns the organization or the user of Pulumi Cloud that the stack belongs to. Pulumi takes a name without an owner for one
// of the default organization or, where there is none, of the user.
func (e *Environment) cloudOwner(ctx context.Context) (string, error) {
	if e.owner != "" {
		return e.owner, nil
	}
	text, err := e.output(ctx, "org", "get-default", "--non-interactive")
	if err != nil {
		return "", fmt.Errorf("find the organization: %w", err)
	}
	owner := strings.TrimSpace(string(text))
	if owner == "" || strings.ContainsAny(owner, " \n") { // a sentence that says there is none
		login, err := e.whoami(ctx)
		if err != nil {
			return "", err
		}
		owner = login.User
	}
	if owner == "" {
		return "", errors.New("find the organization: pulumi whoami names no user")
	}
	e.owner = strings.ToLower(owner)
	return e.owner, nil
}

// BackendName is the URL of the backend for people to read, without what lets somebody in; of Pulumi's own login to Pulumi Cloud, the
// user's page.
func (e *Environment) BackendName() string { return Redacted(cmp.Or(e.Backend, e.page)) }
