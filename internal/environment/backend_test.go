package environment_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/environment"
	"evenkeel/internal/hint"
)

// remote returns an environment whose backend is no folder, and where the paper pulumi reads what it answers.
func remote(t *testing.T) (*environment.Environment, string) {
	t.Helper()
	e := newEnvironment(t)
	e.Backend = "azblob://states?storage_account=mine"
	return e, filepath.Dir(e.Pulumi)
}

// named are calls of pulumi without the names of files, which are random.
func named(calls []string) []string {
	for i, call := range calls {
		if strings.HasPrefix(call, "stack import --file ") {
			calls[i] = "stack import --file"
		}
	}
	return calls
}

func TestOnlyAFolderIsReadWithoutPulumi(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	e.Inherited = []string{"HOME=/home/me"}
	for _, tc := range []struct {
		target, backend string
		files, own      bool
	}{
		{"", "", true, true}, {"local", "", true, true}, {"", "file:///srv/states", true, false}, {"azure", "file://~/states?metadata=skip", true, false},
		{"azure", "", false, false}, {"azure", "https://api.pulumi.com", false, false}, {"", "azblob://states", false, false}, {"", "s3://bucket", false, false},
	} {
		e.Target, e.Backend = tc.target, tc.backend
		if e.InFiles() != tc.files || e.OwnsBackend() != tc.own {
			t.Errorf("%s %q: got files %v, own %v, want %v, %v", tc.target, tc.backend, e.InFiles(), e.OwnsBackend(), tc.files, tc.own)
		}
	}
}

func TestABackendThatIsNoFolderIsAskedThroughPulumi(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	write(t, filepath.Join(folder, "stackls"), `[{"name":"zwei"},{"name":"local","current":true}]`)
	if names, err := e.Names(t.Context()); err != nil || !slices.Equal(names, []string{"local", "zwei"}) {
		t.Errorf("got %v, %v, want both in order", names, err)
	}
	if there, err := e.Exists(t.Context()); err != nil || !there {
		t.Errorf("got %v, %v, want it there", there, err)
	}
	ran(t, e)
	if err := e.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := ran(t, e), []string{"stack ls --json"}; !slices.Equal(got, want) {
		t.Errorf("got %q run, want %q: the stack is there", got, want)
	}
	write(t, filepath.Join(folder, "export"), `{"version":3,"deployment":{"resources":[]}}`)
	c := &cloud{}
	for result, want := range map[string][]string{
		"succeeded": {"stack export --stack local", "stack history --stack local --json --page-size 1"},
		"failed":    {"stack export --stack local", "stack history --stack local --json --page-size 1", "stack export --stack local", "stack import --file"},
	} {
		write(t, filepath.Join(folder, "stackhistory"), `[{"kind":"update","result":"`+result+`"}]`)
		if err := e.Recover(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		got := named(ran(t, e))
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q run, want %q", result, got, want)
		}
	}
}

func TestAStateThatIsNotInFilesIsSummedUpByPulumi(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	write(t, filepath.Join(folder, "export"), `{"version":3,"deployment":{"resources":[{"urn":"a","type":"pulumi:pulumi:Stack"},
 {"urn":"d","type":"azure-native:devices:IotHubResource","custom":true,"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/hub-1"}]}}`)
	got, err := e.Summary(t.Context())
	if err != nil || got.Name != "local" || got.Resources != 1 || !slices.Equal(got.Hubs, []string{"hub-1"}) {
		t.Errorf("got %+v, %v, want the one hub", got, err)
	}
	if got, want := ran(t, e), []string{"stack export --stack local"}; !slices.Equal(got, want) {
		t.Errorf("got %q run, want %q", got, want)
	}
}

func TestWithoutAnEmulatorTheSystemsRootsAreTrusted(t *testing.T) {
	t.Parallel()
	if roots, err := (environment.Endpoints{}).Roots(); err != nil || roots != nil {
		t.Errorf("got %v, %v, want none of its own", roots, err)
	}
	if _, err := (environment.Endpoints{CAFile: filepath.Join(t.TempDir(), "absent")}).Roots(); err == nil {
		t.Error("got no error for a certificate that is not there")
	}
}

func TestOriginsOfBackendsGoByWhatTheyAreAndNotByWhoOpensThem(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	write(t, filepath.Join(folder, "orgget-default"), "acme\n")
	origins := map[string]string{}
	for _, tc := range []struct{ backend, same string }{
		{"azblob://states?storage_account=mine", "a"}, {"azblob://states?storage_account=mine&protocol=https", "a"}, {"azblob://states?storage_account=theirs", "b"},
		{"azblob://other?storage_account=mine", "c"}, {"https://api.pulumi.com", "d"}, {"https://token@API.pulumi.com/", "d"}, {"s3://states?region=x", "e"},
	} {
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
	}
	e.Backend = "no backend"
	if _, err := e.Origin(t.Context()); err == nil {
		t.Error("got no error for what is no URL")
	}
}

func TestALockInABackendThatIsNoFolderIsBrokenOnlyWhenItsHolderIsDeadHere(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		host   string
		broken bool
	}{"dead, here": {host, true}, "elsewhere": {"elsewhere", false}} {
		e, folder := remote(t)
		dead := exec.Command(e.Pulumi, "version")
		if err := dead.Run(); err != nil {
			t.Fatal(err)
		}
		ran(t, e)
		write(t, filepath.Join(folder, "complaint"), fmt.Sprintf("error: the stack is currently locked by 1 lock(s).\n"+
			"  azblob://states/.pulumi/locks/x.json: created by me@%s (pid %d) at 2026-01-02T03:04:05Z\n", tc.host, dead.Process.Pid))
		write(t, filepath.Join(folder, "export"), `{"version":3,"deployment":{"resources":[]}}`)
		var notices []string
		e.Notice = func(text string) { notices = append(notices, text) }
		err := e.Operate(t.Context(), &cloud{}, "up", "--yes")
		calls := ran(t, e)
		if !tc.broken {
			if err == nil || !strings.Contains(hint.Of(err), "pulumi cancel") || len(calls) != 1 {
				t.Errorf("%s: got %v, hint %q, %q run, want it refused", name, err, hint.Of(err), calls)
			}
			continue
		}
		if want := []string{"up --yes", "cancel --yes --stack local", "stack export --stack local", "stack export --stack local", "stack import --file", "up --yes"}; err != nil ||
			!slices.Equal(named(calls), want) || len(notices) != 1 {
			t.Errorf("%s: got %v, %q run, notices %q, want %q", name, err, calls, notices, want)
		}
	}
}

func TestAnEnvironmentOnAzureUsesWhatIsTheUsers(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	e.Target, e.Backend = environment.Azure, ""
	e.Inherited = []string{"PATH=/bin", "PULUMI_ACCESS_TOKEN=t", "ARM_CLIENT_ID=c", "PULUMI_DEBUG_PROVIDERS=azure-native:1", "PULUMI_STACK=theirs", "PULUMI_HOME=/h"}
	write(t, filepath.Join(folder, "whoami--json"), `{"user":"me","url":"azblob://states"}`)
	if err := e.Login(t.Context()); err != nil || e.Backend != "azblob://states" {
		t.Fatalf("got backend %q, %v, want that of the login", e.Backend, err)
	}
	env := e.Environ()
	for _, want := range []string{"PULUMI_ACCESS_TOKEN=t", "ARM_CLIENT_ID=c", "PULUMI_HOME=/h", "PULUMI_STACK=local", "PULUMI_BACKEND_URL=azblob://states"} {
		if !slices.Contains(env, want) {
			t.Errorf("got no %s in %q", want, env)
		}
	}
	if slices.ContainsFunc(env, func(pair string) bool {
		return strings.HasPrefix(pair, "PULUMI_DEBUG_PROVIDERS") || strings.HasPrefix(pair, "PULUMI_CONFIG_PASSPHRASE_FILE") || pair == "PULUMI_STACK=theirs"
	}) || e.Dropped() != nil {
		t.Errorf("got %q, dropped %v, want nothing of local runs", env, e.Dropped())
	}
	write(t, filepath.Join(folder, "stackls"), `[]`)
	ran(t, e)
	if err := e.Ensure(t.Context(), environment.Setting{Key: "target", Value: "azure"}); err != nil {
		t.Fatal(err)
	}
	if got, want := ran(t, e), []string{"stack ls --json", "stack init local"}; !slices.Equal(got, want) {
		t.Errorf("got %q run, want %q", got, want)
	}
	if _, err := os.Stat(e.Folder.Passphrase()); err == nil {
		t.Error("got a passphrase file, want the user's own")
	}
	write(t, filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml"), "config:\n  myproject:target: local\n")
	if err := e.Ensure(t.Context()); err == nil || hint.Of(err) == "" {
		t.Errorf("a local stack's configuration: got %v, want it refused", err)
	}
}

func TestNothingIsDeletedWhileSomebodyElsewhereMayBeMakingIt(t *testing.T) {
	t.Parallel()
	e, folder := remote(t)
	write(t, filepath.Join(folder, "export"), `{"version":3,"deployment":{"pending_operations":[{"resource":{"urn":"urn:n"},"type":"creating"}]}}`)
	write(t, filepath.Join(folder, "complaint"), "error: the stack is currently locked by 1 lock(s).\n  x: created by me@elsewhere (pid 1) at 2026-01-02T03:04:05Z\n")
	tags, err := e.Tags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{groups: map[string]map[string]string{subscription + "new": tags}}
	if err := e.Recover(t.Context(), c); err == nil || !strings.Contains(hint.Of(err), "another Pulumi works on stack local") || c.deleted != nil {
		t.Errorf("got %v, hint %q, %v deleted, want it refused and nothing touched", err, hint.Of(err), c.deleted)
	}
}
