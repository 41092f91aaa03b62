package environment_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/environment"
	"evenkeel/internal/hint"
)

const subscription = "/subscriptions/0/resourceGroups/"

// cloud is an Azure of maps.
type cloud struct {
	groups  map[string]map[string]string    // tags by group id
	holds   map[string][]environment.Tagged // resources by group id
	deleted []string
}

func (c *cloud) Groups(_ context.Context, tags map[string]string) ([]environment.Tagged, error) {
	var groups []environment.Tagged
	for _, id := range slices.Sorted(maps.Keys(c.groups)) {
		ok := true
		for name, value := range tags {
			ok = ok && c.groups[id][name] == value
		}
		if ok {
			groups = append(groups, environment.Tagged{ID: id, Tags: c.groups[id]})
		}
	}
	return groups, nil
}

func (c *cloud) Group(_ context.Context, id string) (environment.Tagged, bool, error) {
	tags, ok := c.groups[id]
	return environment.Tagged{ID: id, Tags: tags}, ok, nil
}

func (c *cloud) Resources(_ context.Context, group string) ([]environment.Tagged, error) {
	return c.holds[group], nil
}

func (c *cloud) Delete(_ context.Context, id string) error {
	c.deleted = append(c.deleted, id)
	return nil
}

// scene is a stack in a certain state, and a cloud with more in it than the state knows.
type scene struct {
	*environment.Environment
	cloud *cloud
}

const state = `{"resources":[{"urn":"urn:g","id":"/subscriptions/0/resourceGroups/mine","custom":true,"type":"t"},
 {"urn":"urn:h","id":"/subscriptions/0/resourcegroups/mine/providers/Microsoft.Devices/IotHubs/known","custom":true},
 {"urn":"urn:s","custom":false}],"big":12345678901234567890%s}`

func newScene(t *testing.T, pending string) scene {
	t.Helper()
	e := newEnvironment(t)
	if err := e.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	ran(t, e)
	body := fmt.Sprintf(state, pending)
	write(t, filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"), `{"checkpoint":{"latest":`+body+`}}`)
	write(t, filepath.Join(filepath.Dir(e.Pulumi), "export"), `{"version":3,"deployment":`+body+`}`)
	mine, err := e.Tags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	theirs, elsewhere := maps.Clone(mine), maps.Clone(mine)
	theirs["stack"], elsewhere["origin"] = "other", "myproject@0123456789abcdef"
	return scene{e, &cloud{
		groups: map[string]map[string]string{
			subscription + "mine": mine, subscription + "mine-too": mine, subscription + "theirs": theirs, subscription + "untagged": nil,
			subscription + "elsewhere": elsewhere,
		},
		holds: map[string][]environment.Tagged{
			subscription + "mine": {
				{ID: subscription + "mine/providers/Microsoft.Devices/IotHubs/Known"},
				{ID: subscription + "mine/providers/Microsoft.Devices/IotHubs/orphan", Tags: mine},
			},
			subscription + "theirs": {{ID: subscription + "theirs/providers/Microsoft.Devices/IotHubs/x", Tags: mine}},
		},
	}}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

var orphans = []string{subscription + "mine/providers/Microsoft.Devices/IotHubs/orphan", subscription + "mine-too"}

func TestAStackThatEndedWellIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t, "")
	history := filepath.Join(s.Folder.Backend(), ".pulumi", "history", "myproject", "local")
	write(t, filepath.Join(history, "local-100.history.json"), `{"result":"failed"}`)
	write(t, filepath.Join(history, "local-200.history.json"), `{"result":"succeeded"}`)
	if err := s.Recover(t.Context(), s.cloud); err != nil {
		t.Fatal(err)
	}
	if s.cloud.deleted != nil || ran(t, s.Environment) != nil {
		t.Errorf("got %v deleted, want nothing touched", s.cloud.deleted)
	}
}

func TestAfterAFailureOnlyOrphansOfTheOwnGroupsAreDeleted(t *testing.T) {
	t.Parallel()
	s := newScene(t, "")
	write(t, filepath.Join(s.Folder.Backend(), ".pulumi", "history", "myproject", "local", "local-100.history.json"), `{"result":"failed"}`)
	if err := s.Recover(t.Context(), s.cloud); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.cloud.deleted, orphans) {
		t.Errorf("got %v deleted, want %v", s.cloud.deleted, orphans)
	}
	if got := ran(t, s.Environment); got != nil {
		t.Errorf("got %q run, want nothing: no create was pending", got)
	}
}

func TestPendingCreatesAreDeletedInTheCloudThenClearedInTheState(t *testing.T) {
	t.Parallel()
	s := newScene(t, `,"pending_operations":[{"resource":{"urn":"urn:n"},"type":"creating"},{"resource":{"urn":"urn:u"},"type":"updating"}]`)
	var notices []string
	s.Notice = func(text string) { notices = append(notices, text) }
	if err := s.Recover(t.Context(), s.cloud); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.cloud.deleted, orphans) {
		t.Errorf("got %v deleted, want %v", s.cloud.deleted, orphans)
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(s.Pulumi), "imported"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); strings.Contains(got, "urn:n") || !strings.Contains(got, "urn:u") || !strings.Contains(got, "12345678901234567890") {
		t.Errorf("got %s imported, want the update still pending and numbers as they were", got)
	}
	if len(notices) != 3 {
		t.Errorf("got notices %q, want one for each orphan and one for the state", notices)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Folder.PulumiHome(), "state-*")); left != nil {
		t.Errorf("got %v left over", left)
	}
}

// lock writes a lock as the file backend does.
func lock(t *testing.T, e *environment.Environment, pid int, host string) string {
	t.Helper()
	file := filepath.Join(e.Folder.Backend(), ".pulumi", "locks", "organization", "myproject", "local", "x.json")
	text, err := json.Marshal(map[string]any{"pid": pid, "username": "me", "hostname": host, "timestamp": time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(text))
	return file
}

func TestTheLockOfADeadPulumiIsRemovedAndOrphansAreSought(t *testing.T) {
	t.Parallel()
	s := newScene(t, "")
	host, _ := os.Hostname()
	dead := exec.Command(s.Pulumi, "version")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	file := lock(t, s.Environment, dead.Process.Pid, host)
	half := file + ".18ea88a018ad429e.tmp" // as the backend names what it has not written whole
	write(t, half, `{"pi`)
	if err := s.Recover(t.Context(), s.cloud); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want the lock gone", err)
	}
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want the half-written lock gone", err)
	}
	if !slices.Equal(s.cloud.deleted, orphans) {
		t.Errorf("got %v deleted, want %v", s.cloud.deleted, orphans)
	}
}

func TestALockThatMayBeAliveIsRespected(t *testing.T) {
	t.Parallel()
	s := newScene(t, "")
	host, _ := os.Hostname()
	living := exec.Command(s.Pulumi, "wait")
	stdin, err := living.StdinPipe()
	if err == nil {
		err = living.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(stdin.Close(), living.Wait()) }()
	for name, tc := range map[string]struct {
		pid  int
		host string
		free bool
	}{
		"a living Pulumi":                     {living.Process.Pid, host, false},
		"another machine":                     {1 << 22, "elsewhere", false},
		"its number is another program's now": {os.Getpid(), host, true},
	} {
		file := lock(t, s.Environment, tc.pid, tc.host)
		err := s.Recover(t.Context(), s.cloud)
		_, left := os.Stat(file)
		if tc.free && (err != nil || left == nil) {
			t.Errorf("%s: got %v, lock %v, want it removed", name, err, left)
		}
		if !tc.free && (err == nil || !strings.Contains(err.Error(), tc.host) || hint.Of(err) == "" || left != nil) {
			t.Errorf("%s: got %v, lock %v, want an error that names %s", name, err, left, tc.host)
		}
	}
}

// stranger is what somebody has put into a group of the environment by hand.
func stranger(group string) environment.Tagged {
	return environment.Tagged{ID: subscription + group + "/providers/Microsoft.Storage/storageAccounts/" + group, Tags: map[string]string{"purpose": "mine"}}
}

func TestWhatSomebodyElseHasMadeIsDeletedOnlyByConsent(t *testing.T) {
	t.Parallel()
	inMine, inRest := stranger("mine"), stranger("mine-too")
	for name, tc := range map[string]struct {
		consent func(ids []string) (bool, error)
		want    []string
	}{
		"nobody to ask": {nil, []string{orphans[0]}},
		"no":            {func([]string) (bool, error) { return false, nil }, []string{orphans[0]}},
		"yes":           {func([]string) (bool, error) { return true, nil }, []string{orphans[0], inMine.ID, orphans[1]}},
	} {
		s := newScene(t, "")
		write(t, filepath.Join(s.Folder.Backend(), ".pulumi", "history", "myproject", "local", "local-100.history.json"), `{"result":"failed"}`)
		for _, x := range []environment.Tagged{inMine, inRest} {
			group := x.ID[:strings.Index(x.ID, "/providers/")]
			s.cloud.holds[group] = append(s.cloud.holds[group], x)
		}
		var notices []string
		s.Notice = func(text string) { notices = append(notices, text) }
		s.Consent = tc.consent
		if err := s.Recover(t.Context(), s.cloud); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.cloud.deleted, tc.want) {
			t.Errorf("%s: got %v deleted, want %v", name, s.cloud.deleted, tc.want)
		}
		told := strings.Join(notices, "\n")
		if left := strings.Contains(told, "left alone in resource group mine-too"); left == (name == "yes") {
			t.Errorf("%s: got notices %q", name, told)
		}
		err := s.RefuseStrangers(t.Context(), s.cloud)
		if refused := err != nil && strings.Contains(err.Error(), "mine, mine-too") && hint.Of(err) != ""; refused == (name == "yes") {
			t.Errorf("%s: got %v, want the end of the environment refused unless agreed", name, err)
		}
	}
}

func TestAnAnswerThatCannotBeReadStopsTheRecovery(t *testing.T) {
	t.Parallel()
	s := newScene(t, `,"pending_operations":[{"resource":{"urn":"urn:n"},"type":"creating"}]`)
	s.cloud.holds[subscription+"mine"] = append(s.cloud.holds[subscription+"mine"], stranger("mine"))
	broken := errors.New("no terminal")
	s.Consent = func([]string) (bool, error) { return false, broken }
	if err := s.Recover(t.Context(), s.cloud); !errors.Is(err, broken) || s.cloud.deleted != nil || ran(t, s.Environment) != nil {
		t.Errorf("got %v, %v deleted, want nothing touched", err, s.cloud.deleted)
	}
}
