package environment_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// registrar knows which names are taken.
type registrar struct {
	taken map[string]string
	err   error
	asked []string
}

func (r *registrar) HubName(_ context.Context, name string) (string, error) {
	r.asked = append(r.asked, name)
	return r.taken[strings.ToLower(name)], r.err
}

const namedHub = `{"checkpoint":{"latest":{"resources":[{"urn":"1","custom":true,"type":"azure-native:devices:IotHubResource",
 "id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/iotHubs/press-x1"}]}}}`

// A name that is taken is reported before anything is created (Azure-Samples/iot-devkit-web-simulator issue 17).
func TestATakenNameIsReportedBeforeAnythingIsCreated(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config, state string
		asked         []string
		want          string
	}{
		"none named": {"hubs: 2", "", nil, ""},
		"free":       {"hubSettings: {hub-1: {name: free}}", "", []string{"free"}, ""},
		"taken": {"hubSettings: {hub-2: {name: Press-X1}}", "", []string{"Press-X1"},
			"Press-X1 (IotHub name 'press-x1' is not available)"},
		"one's own": {"hubSettings: {hub-1: {name: Press-X1}}", namedHub, nil, ""},
		"removed":   {"hubSettings: {hub-1: {name: press-x1, remove: true}}", "", nil, ""},
		"beside others": {"hubSettings: {hub-1: {name: free}, hub-2: {name: press-x1}}", "",
			[]string{"free", "press-x1"}, "press-x1 ("},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t)
			write(t, filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml"), "config:\n  myproject:"+tc.config+
				"\n")
			if tc.state != "" {
				write(t, filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"), tc.state)
			}
			r := &registrar{taken: map[string]string{"press-x1": "IotHub name 'press-x1' is not available"}}
			err := e.CheckNames(t.Context(), r)
			if !slices.Equal(r.asked, tc.asked) || (err == nil) != (tc.want == "") {
				t.Errorf("%s: got %v after asking for %q", name, err, r.asked)
			}
			if err != nil &&
				(!strings.Contains(err.Error(), tc.want) ||
					!strings.Contains(hint.Of(err), "pulumi config set --path hubSettings.hub-2.name NAME")) {
				t.Errorf("%s: got %v, hint %q", name, err, hint.Of(err))
			}
		})
	}
	e := newEnvironment(t)
	write(
		t,
		filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml"),
		"config:\n  myproject:hubSettings: {hub-1: {name: x}}\n",
	)
	var notices []string
	e.Notice = func(text string) { notices = append(notices, text) }
	if err := e.CheckNames(t.Context(), &registrar{err: errors.New("403")}); err != nil || len(notices) != 1 {
		t.Errorf("without the permission to ask: got %v, notices %q", err, notices)
	}
	var _ environment.Registrar = &environment.ResourceManager{}
}
