package environment_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// live returns a scene whose state has the resource group "mine".
func live(t *testing.T) scene {
	t.Helper()
	s := newScene(t)
	write(t, filepath.Join(s.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"), fmt.Sprintf(
		`{"checkpoint":{"latest":{"resources":[{"urn":"urn:g","id":"%smine","custom":true,"type":"azure-native:resources:ResourceGroup"}]}}}`, subscription))
	return s
}

func TestAStateWithoutItsResourceGroupIsExplained(t *testing.T) {
	t.Parallel()
	s := live(t)
	if err := s.Confirm(t.Context(), s.cloud); err != nil || ran(t, s.Environment) != nil {
		t.Errorf("with its group: got %v, want no change", err)
	}
	delete(s.cloud.groups, subscription+"mine")
	err := s.Confirm(t.Context(), s.cloud)
	if !errors.Is(err, environment.ErrGroupNotFound) || !strings.Contains(err.Error(), "no resource group mine") ||
		!strings.Contains(hint.Of(err), "keel down local") {
		t.Errorf("got %v, hint %q, want it explained", err, hint.Of(err))
	}
	if err := s.Abandon(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := ran(t, s.Environment), []string{
		"stack rm local --yes --force --preserve-config"}; !slices.Equal(got, want) {
		t.Errorf("got %q run, want %q", got, want)
	}
}

func TestTheTagKeepIsCopiedToTheConfigurationOnce(t *testing.T) {
	t.Parallel()
	s := live(t)
	s.cloud.groups[subscription+"mine"]["keep"] = "true"
	if err := s.Confirm(t.Context(), s.cloud); err != nil {
		t.Fatal(err)
	}
	if got, want := ran(t, s.Environment), []string{"config set-all --plaintext keep=true"}; !slices.Equal(got, want) {
		t.Errorf("got %q run, want %q", got, want)
	}
	write(t, filepath.Join(s.Folder.Root, "stacks", "Pulumi.local.yaml"), "config:\n  myproject:keep: \"true\"\n")
	if err := s.Confirm(t.Context(), s.cloud); err != nil || ran(t, s.Environment) != nil {
		t.Errorf("configured: got %v, want no change", err)
	}
}
