package adopt_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/azure/hublink"
	"evenkeel/internal/keel/adopt"
)

// login returns the variables with which azure-native logs in to the emulator.
func (s *service) login() func(string) string {
	ends := s.Endpoints()
	variables := map[string]string{"ARM_METADATA_HOSTNAME": strings.TrimPrefix(ends.ARM, "https://"),
		"ARM_TENANT_ID": ends.TenantID, "ARM_CLIENT_ID": ends.ClientID, "ARM_CLIENT_SECRET": ends.ClientSecret}
	return func(name string) string { return variables[name] }
}

func (s *service) id() string {
	return "/subscriptions/" + s.Endpoints().SubscriptionID +
		"/resourceGroups/test/providers/Microsoft.Devices/provisioningServices/plant"
}

func TestLinksAndEnrollmentsAreReadWithMicrosoftEntraID(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.put(t, "/enrollments/device-1", `{"registrationId":"device-1",`+keyed+`}`)
	o := s.options(t)
	account, err := adopt.Login(s.login(), o.Roots)
	must(t, err)
	o.ConnectionString, o.Host, o.Credential = "", s.host, account
	o.ServiceID = s.id()
	o.Links, err = adopt.ReadLinks(t.Context(), account, o.ServiceID, s.host)
	must(t, err)
	result, err := adopt.Run(t.Context(), o)
	must(t, err)
	if result.LinkedHubs != 2 || result.Enrollments != 1 || result.NeedsAccess {
		t.Errorf("got %+v, want two links, an enrollment, and access by Microsoft Entra ID", result)
	}
	p := readProgram(t, o.Folder)
	want := []string{
		"azure-dps:IndividualEnrollment " + s.host + "/enrollments/device-1",
		"azure-dps:LinkedHub " + s.id() + "/linkedHubs/hub-1.azure-devices.net",
		"azure-dps:LinkedHub " + s.id() + "/linkedHubs/hub-2.azure-devices.net",
	}
	if got := p.imports(); !slices.Equal(got, want) {
		t.Errorf("resources: got %q, want %q", got, want)
	}
	link := p.Resources["link-hub-1"].Properties
	if link["policyName"] != "iothubowner" || link["location"] == "" || link["key"] != nil {
		t.Errorf("got the link %v, want its policy and location, and no key", link)
	}
	settings, err := os.ReadFile(o.Folder + "/Pulumi.main.yaml")
	must(t, err)
	if !strings.Contains(string(settings), "azure-dps:host: "+s.host) {
		t.Errorf("got the settings %s, want the host", settings)
	}
}

func TestLinksOfAnotherServiceAreRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	account, err := adopt.Login(s.login(), s.options(t).Roots)
	must(t, err)
	for name, tc := range map[string]struct{ id, want string }{
		"a service with another host":   {s.id(), "is the service " + s.host},
		"a service that does not exist": {s.id() + "-2", "read the linked hubs"},
		"no resource id":                {"plant", "--service-id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := adopt.ReadLinks(t.Context(), account, tc.id, "other.azure-devices-provisioning.net")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestALinkOfAnUnknownKindIsNamed, and one by a managed identity is declared.
func TestALinkOfAnUnknownKindIsNamed(t *testing.T) {
	t.Parallel()
	s := newService(t)
	o := s.options(t)
	o.ServiceID, o.Links = s.id(), []hublink.Link{
		{Host: "hub-1.azure-devices.net", Location: "westeurope", Identity: "SystemAssigned"},
		{Host: "hub-2.azure-devices.net", Location: "westeurope", Identity: "Later"},
	}
	incomplete := (*adopt.IncompleteError)(nil)
	if _, err := adopt.Run(t.Context(), o); !errors.As(err, &incomplete) || incomplete.Entries[0].Kind != "link" {
		t.Errorf("got %v, want the link", err)
	}
	o.LeaveOut = true
	result, err := adopt.Run(t.Context(), o)
	must(t, err)
	if result.LinkedHubs != 1 || len(result.LeftOut) != 1 {
		t.Errorf("got %+v, want one link, and the unknown one left out", result)
	}
	link := readProgram(t, o.Folder).Resources["link-hub-1"].Properties
	if link["authenticationType"] != "SystemAssigned" || link["policyName"] != nil {
		t.Errorf("got %v, want a link by the identity, without a policy", link)
	}
}
