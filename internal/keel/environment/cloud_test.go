package environment_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// noOrganization is Pulumi's message if no default organization is set (pkg/v3/cmd/pulumi/org/org.go of v3.250.0).
const noOrganization = "No Default Org Specified\n"

func TestOnPulumiCloudEachOrganizationIsASeparateOrigin(t *testing.T) {
	t.Parallel()
	origin := func(backend, organization, user string) string {
		t.Helper()
		e, folder := remote(t)
		e.Target, e.Backend = environment.Azure, backend
		write(t, filepath.Join(folder, "orgget-default"), organization)
		write(t, filepath.Join(folder, "whoami--json"), `{"user":"`+user+`","url":"https://app.pulumi.com/`+user+`"}`)
		if err := e.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := e.Origin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ran(t, e)
		if again, err := e.Origin(t.Context()); err != nil || again != got || len(ran(t, e)) != 0 {
			t.Errorf("got %q, %v, want %q without another Pulumi", again, err, got)
		}
		return got
	}
	acme := origin("", "acme\n", "me")
	for name, tc := range map[string]struct {
		backend, organization, user string
		same                        bool
	}{
		"a colleague":               {"", "acme\n", "you", true},
		"recognized by its address": {"https://api.pulumi.com", "Acme\n", "me", true},
		"another organization":      {"", "other\n", "me", false},
		"the user's own":            {"", noOrganization, "me", false},
		"a user of that name":       {"", noOrganization, "acme", true},
		"another cloud":             {"https://api.acme.example", "acme\n", "me", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := origin(tc.backend, tc.organization, tc.user); (got == acme) != tc.same {
				t.Errorf("%s: got %s beside %s, want them the same: %v", name, got, acme, tc.same)
			}
		})
	}
	if origin("", noOrganization, "me") == origin("", noOrganization, "you") {
		t.Error("two users without an organization have one origin")
	}
}

func TestPulumisLoginToPulumiCloudIsLeftToPulumi(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	e.Target, e.Backend = environment.Azure, ""
	write(t, filepath.Join(folder, "whoami--json"), `{"user":"me","url":"https://app.pulumi.com/me"}`)
	if err := e.Login(t.Context()); err != nil || e.Backend != "" || e.HasFileBackend() || e.HasOwnBackend() {
		t.Fatalf("got backend %q, in files: %v, own: %v, %v, want none named", e.Backend, e.HasFileBackend(),
			e.HasOwnBackend(), err)
	}
	if slices.ContainsFunc(e.Environ(), func(pair string) bool {
		return strings.HasPrefix(pair, "PULUMI_BACKEND_URL=")
	}) {
		t.Errorf("got %q, want no backend: the page of a user is not a backend", e.Environ())
	}
	if got := e.BackendName(); got != "https://app.pulumi.com/me" {
		t.Errorf("got the name %q, want the user's page", got)
	}
}

func TestALoginWithoutAKnownBackendIsAnError(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	e.Target, e.Backend = environment.Azure, ""
	write(t, filepath.Join(folder, "whoami--json"), `{"user":"me","url":""}`)
	if err := e.Login(t.Context()); err == nil || !strings.Contains(hint.Of(err), "PULUMI_BACKEND_URL") {
		t.Errorf("got %v, hint %q, want the way to name it", err, hint.Of(err))
	}
	e.Backend = "https://pulumi.acme.example"
	if got, err := e.Origin(t.Context()); err == nil {
		t.Errorf("got %s, want no origin without an owner", got)
	}
	write(t, filepath.Join(folder, "orgget-default"), noOrganization)
	write(t, filepath.Join(folder, "whoami--json"), `{}`)
	if got, err := e.Origin(t.Context()); err == nil {
		t.Errorf("got %s, want no origin without an owner", got)
	}
}
