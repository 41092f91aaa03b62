package emulator_test

import (
	"slices"
	"strings"
	"testing"

	"evenkeel/emulator"
)

func TestADeploymentIsThereOnceDeployReturns(t *testing.T) {
	e := emulator.RunT(t)
	deployed, err := e.Deploy(t.Context(), emulator.Deployment{})
	if err != nil {
		t.Fatal(err)
	}
	services, err := e.Services()
	if err != nil || len(services) != 1 {
		t.Fatalf("got services %v, %v, want one", services, err)
	}
	service := services[0]
	if service.IDScope != deployed.IDScope || service.Name != "dps" || service.Allocation != "hashed" {
		t.Errorf("got service %+v, want the even distribution and scope %s", service, deployed.IDScope)
	}
	var linked []string
	for _, link := range service.Links {
		linked = append(linked, link.HubHost)
		if !strings.HasPrefix(deployed.Hubs[link.HubHost], "HostName="+link.HubHost+
			";SharedAccessKeyName=iothubowner;") {
			t.Errorf("got no connection string of the owner's policy for %s", link.HubHost)
		}
	}
	if want := []string{"hub-1.azure-devices.net", "hub-2.azure-devices.net"}; !slices.Equal(linked, want) {
		t.Errorf("got links %v, want %v", linked, want)
	}

	again, err := e.Deploy(t.Context(), emulator.Deployment{Hubs: []string{"hub-2"}, AllocationPolicy: "Static"})
	if err != nil || again.IDScope != deployed.IDScope {
		t.Errorf("got scope %s, %v from a second Deploy, want the same service", again.IDScope, err)
	}
	if services, err = e.Services(); err != nil || len(services) != 1 || len(services[0].Links) != 1 ||
		services[0].Allocation != "static" {
		t.Errorf("got %+v, %v after the second Deploy, want one link and the policy static", services, err)
	}
}

func TestADeploymentThatIsRefusedSaysWhy(t *testing.T) {
	e := emulator.RunT(t)
	_, err := e.Deploy(t.Context(), emulator.Deployment{Hubs: []string{"hub 1"}})
	if err == nil || !strings.Contains(err.Error(), "hub 1") {
		t.Errorf("got %v, want an error with the hub's name", err)
	}
	if _, err := e.Deploy(t.Context(), emulator.Deployment{AllocationPolicy: "Random"}); err == nil ||
		!strings.Contains(err.Error(), "400") {
		t.Errorf("got %v, want the policy refused", err)
	}
}

func TestNothingIsDeployedBeforeTheStart(t *testing.T) {
	e, err := emulator.New(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Deploy(t.Context(), emulator.Deployment{}); err == nil ||
		!strings.Contains(err.Error(), "not started") {
		t.Errorf("got %v, want an error", err)
	}
}
