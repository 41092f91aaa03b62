package environment_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// remote returns an environment whose backend is not a folder, and the folder of the fake pulumi's answers.
func remote(t *testing.T) (*environment.Environment, string) {
	t.Helper()
	e := newEnvironment(t)
	e.Backend = "azblob://states?storage_account=mine"
	return e, filepath.Dir(e.Pulumi)
}

func TestOnlyFileBackendsAreReadWithoutPulumi(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	e.Inherited = []string{"HOME=/home/me"}
	for _, tc := range []struct {
		target, backend string
		files, own      bool
	}{
		{"", "", true, true}, {"local", "", true, true}, {"", "file:///srv/states", true, false},
		{"azure", "file://~/states?metadata=skip", true, false},
		{"azure", "", false, false}, {"azure", "https://api.pulumi.com", false, false},
		{"", "azblob://states", false, false}, {"", "s3://bucket", false, false},
	} {
		t.Run(tc.target+" "+tc.backend, func(t *testing.T) {
			e.Target, e.Backend = tc.target, tc.backend
			if e.HasFileBackend() != tc.files || e.HasOwnBackend() != tc.own {
				t.Errorf(
					"%s %q: got files %v, own %v, want %v, %v",
					tc.target,
					tc.backend,
					e.HasFileBackend(),
					e.HasOwnBackend(),
					tc.files,
					tc.own,
				)
			}
		})
	}
}

func TestOtherBackendsAreReadThroughPulumi(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	write(t, filepath.Join(folder, "stackls"), `[{"name":"zwei"},{"name":"local","current":true}]`)
	if names, err := e.Names(t.Context()); err != nil || !slices.Equal(names, []string{"local", "zwei"}) {
		t.Errorf("got %v, %v, want both in order", names, err)
	}
	if there, err := e.Exists(t.Context()); err != nil || !there {
		t.Errorf("got %v, %v, want it there", there, err)
	}
	if err := e.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ran(t, e); slices.ContainsFunc(got, isInit) {
		t.Errorf("got %q run, want no new stack, since it exists", got)
	}
}

// isInit reports whether a call of Pulumi creates a stack.
func isInit(call string) bool { return strings.HasPrefix(call, "stack init") }

func TestRecoveryChangesNoStackWithoutPendingOperations(t *testing.T) {
	t.Parallel()
	for _, result := range []string{"succeeded", "failed"} {
		t.Run(result, func(t *testing.T) {
			e, folder := remote(t)
			const state = `{"version":3,"deployment":{"resources":[]}}`
			write(t, filepath.Join(folder, "export"), state)
			write(t, filepath.Join(folder, "stackhistory"), `[{"kind":"update","result":"`+result+`"}]`)
			if err := e.Recover(t.Context(), &cloud{}); err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(filepath.Join(folder, "export")); err != nil || string(text) != state {
				t.Errorf("%s: got the state %s, %v, want it untouched", result, text, err)
			}
			if slices.ContainsFunc(ran(t, e), func(call string) bool {
				return !strings.HasPrefix(call, "stack export") && !strings.HasPrefix(call, "stack history")
			}) {
				t.Errorf("%s: got more than looks", result)
			}
		})
	}
}

// TestOnlyPulumisOwnMessageMeansThatTheStackDoesNotExist: after any other error it is unknown what exists.
func TestOnlyPulumisOwnMessageMeansThatTheStackDoesNotExist(t *testing.T) {
	t.Parallel()
	for complaint, absent := range map[string]bool{
		"error: no stack named 'local' found\n":                           true,
		"warning: x\nerror: no stack named 'acme/p/local' found\n":        true,
		"error: could not list bucket: blob (code=NotFound): not found\n": false,
		"error: read \".pulumi/meta.yaml\": container states not found\n": false,
		"error: login: host api.example.com not found\n":                  false,
		"error: the plugin for no stack named 'x' found it odd\n":         false,
	} {
		t.Run(complaint, func(t *testing.T) {
			e, folder := remote(t)
			write(t, filepath.Join(folder, "unreadable"), complaint)
			for name, err := range map[string]error{
				"recover": e.Recover(t.Context(), &cloud{}), "confirm": e.Confirm(t.Context(), &cloud{}),
				"resources": e.ConfirmUnknownResources(t.Context(), &cloud{}),
			} {
				t.Run(name, func(t *testing.T) {
					if (err == nil) != absent {
						t.Errorf("got %v, want an error: %v", err, !absent)
					}
				})
			}
		})
	}
}

func TestAStateThatIsNotInFilesIsReadThroughPulumi(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	write(
		t,
		filepath.Join(folder, "export"),
		`{"version":3,"deployment":{"resources":[{"urn":"a","type":"pulumi:pulumi:Stack"},
 {"urn":"d","type":"azure-native:devices:IotHubResource","custom":true,"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/hub-1"}]}}`,
	)
	got, err := e.Summary(t.Context())
	if err != nil || got.Name != "local" || got.Resources != 1 || !slices.Equal(got.Hubs, []string{"hub-1"}) {
		t.Errorf("got %+v, %v, want the one hub", got, err)
	}
}

func TestWithoutAnEmulatorTheSystemsRootsAreTrusted(t *testing.T) {
	t.Parallel()
	if roots, err := (environment.Endpoints{}).Roots(); err != nil || roots != nil {
		t.Errorf("got %v, %v, want no additional roots", roots, err)
	}
	if _, err := (environment.Endpoints{CAFile: filepath.Join(t.TempDir(), "absent")}).Roots(); err == nil {
		t.Error("got no error for a certificate that is not there")
	}
}

func TestOriginsDependOnTheBackendAndNotOnCredentials(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	write(t, filepath.Join(folder, "orgget-default"), "acme\n")
	origins := map[string]string{}
	for _, tc := range []struct{ backend, same string }{
		{"azblob://states?storage_account=mine", "a"}, {"azblob://states?storage_account=mine&protocol=https", "a"},
		{"azblob://states?storage_account=theirs", "b"},
		{"azblob://other?storage_account=mine", "c"}, {"https://api.pulumi.com", "d"},
		{"https://token@API.pulumi.com/", "d"}, {"s3://states?region=x", "e"},
	} {
		t.Run(tc.backend, func(t *testing.T) {
			e.Backend = tc.backend
			got, err := e.Origin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if first, known := origins[tc.same]; known && first != got {
				t.Errorf("%s: got %s, want %s", tc.backend, got, first)
			}
			for same, origin := range origins {
				if same != tc.same && origin == got {
					t.Errorf("%s has the origin of another backend", tc.backend)
				}
			}
			origins[tc.same] = got
		})
	}
	e.Backend = "no backend"
	if _, err := e.Origin(t.Context()); err == nil {
		t.Error("got no error for an invalid URL")
	}
}

func TestOnlyLocksOfDeadLocalProcessesAreRemoved(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		host   string
		broken bool
	}{"dead, here": {host, true}, "elsewhere": {"elsewhere", false}} {
		t.Run(name, func(t *testing.T) {
			e, folder := remote(t)
			dead := exec.Command(e.Pulumi, "version")
			if err := dead.Run(); err != nil {
				t.Fatal(err)
			}
			ran(t, e)
			write(t, filepath.Join(folder, "complaint"),
				fmt.Sprintf("error: the stack is currently locked by 1 lock(s).\n"+
					"  azblob://states/.pulumi/locks/x.json: created by me@%s (pid %d) at 2026-01-02T03:04:05Z\n",
					tc.host,
					dead.Process.Pid))
			write(t, filepath.Join(folder, "export"), `{"version":3,"deployment":{"resources":[]}}`)
			var notices []string
			e.Notice = func(text string) { notices = append(notices, text) }
			err := e.Operate(t.Context(), &cloud{}, "up", "--yes")
			_, locked := os.Stat(filepath.Join(folder, "complaint"))
			if !tc.broken {
				if err == nil || !strings.Contains(hint.Of(err), "pulumi cancel") || locked != nil {
					t.Errorf(
						"%s: got %v, hint %q, lock %v, want it refused and the lock there",
						name,
						err,
						hint.Of(err),
						locked,
					)
				}
				return
			}
			calls := ran(t, e)
			if err != nil || locked == nil || len(notices) != 1 || calls[len(calls)-1] != "up --yes" {
				t.Errorf(
					"%s: got %v, lock %v, %q run, notices %q, want no lock and the operation done",
					name,
					err,
					locked,
					calls,
					notices,
				)
			}
		})
	}
}

func TestAnEnvironmentOnAzureUsesTheUsersOwnPulumi(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	e.Target, e.Backend = environment.Azure, ""
	e.Inherited = []string{
		"PATH=/bin",
		"PULUMI_ACCESS_TOKEN=t",
		"ARM_CLIENT_ID=c",
		"PULUMI_DEBUG_PROVIDERS=azure-native:1",
		"PULUMI_STACK=theirs",
		"PULUMI_HOME=/h",
	}
	write(t, filepath.Join(folder, "whoami--json"), `{"user":"me","url":"azblob://states"}`)
	if err := e.Login(t.Context()); err != nil || e.Backend != "azblob://states" {
		t.Fatalf("got backend %q, %v, want that of the login", e.Backend, err)
	}
	env := e.Environ()
	for _, want := range []string{"PULUMI_ACCESS_TOKEN=t", "ARM_CLIENT_ID=c", "PULUMI_HOME=/h", "PULUMI_STACK=local",
		"PULUMI_BACKEND_URL=azblob://states"} {
		t.Run(want, func(t *testing.T) {
			if !slices.Contains(env, want) {
				t.Errorf("got no %s in %q", want, env)
			}
		})
	}
	if slices.ContainsFunc(env, func(pair string) bool {
		return strings.HasPrefix(pair, "PULUMI_DEBUG_PROVIDERS") ||
			strings.HasPrefix(pair, "PULUMI_CONFIG_PASSPHRASE_FILE") ||
			pair == "PULUMI_STACK=theirs"
	}) || e.Dropped() != nil {
		t.Errorf("got %q, dropped %v, want no variables of local runs", env, e.Dropped())
	}
	write(t, filepath.Join(folder, "stackls"), `[]`)
	ran(t, e)
	if err := e.Ensure(t.Context(), environment.Setting{Key: "target", Value: "azure"}); err != nil {
		t.Fatal(err)
	}
	if got := ran(t, e); !slices.Contains(got, "stack init local") {
		t.Errorf("got %q run, want a new stack with the secrets provider of the backend", got)
	}
	if _, err := os.Stat(e.Folder.Passphrase()); err == nil {
		t.Error("got a passphrase file, want the user's own")
	}
	write(t, filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml"), "config:\n  myproject:target: local\n")
	if err := e.Ensure(t.Context()); err == nil || hint.Of(err) == "" {
		t.Errorf("a local stack's configuration: got %v, want it refused", err)
	}
}

func TestNothingIsDeletedUnderALockOfAnotherMachine(t *testing.T) {
	t.Parallel()
	s := remoteScene(t, creating(hubType, "orphan"))
	write(
		t,
		filepath.Join(filepath.Dir(s.Pulumi), "complaint"),
		"error: the stack is currently locked by 1 lock(s).\n  x: created by me@elsewhere (pid 1) at "+
			"2026-01-02T03:04:05Z\n",
	)
	if err := s.Recover(
		t.Context(),
		s.cloud,
	); err == nil || !strings.Contains(hint.Of(err), "wait for the Pulumi that holds the lock of stack local") ||
		s.cloud.deleted != nil {
		t.Errorf("got %v, hint %q, %v deleted, want it refused without changes", err, hint.Of(err), s.cloud.deleted)
	}
	if got := s.pending(t); !slices.Equal(got, []string{"creating"}) {
		t.Errorf("got %v pending, want the create still there", got)
	}
}

// TestRecoveryRemovesAStaleLock: the first operation that finds the lock deletes it.
func TestRecoveryRemovesAStaleLock(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	s := remoteScene(t, creating(hubType, "orphan"))
	dead := exec.Command(s.Pulumi, "version")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(filepath.Dir(s.Pulumi), "complaint"), fmt.Sprintf(
		"error: the stack is currently locked by 1 lock(s).\n  x: created by me@%s (pid %d) at 2026-01-02T03:04:05Z\n",
		host,
		dead.Process.Pid,
	))
	if err := s.Recover(t.Context(), s.cloud); err != nil {
		t.Fatal(err)
	}
	if want := []string{orphan}; !slices.Equal(s.cloud.deleted, want) || s.pending(t) != nil {
		t.Errorf("got %v deleted and %v pending, want %v and nothing", s.cloud.deleted, s.pending(t), want)
	}
}
