package provider_test

import (
	"slices"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

func tryInvoke(t *testing.T, server integration.Server, function string, inputs object) (property.Map, error) {
	t.Helper()
	answer, err := server.Invoke(p.InvokeRequest{Token: tokens.Type("azure-dps:index:" + function),
		Args: inputs.properties()})
	if err == nil && len(answer.Failures) > 0 {
		t.Fatalf("%s: inputs refused: %v", function, answer.Failures)
	}
	return answer.Return, err
}

func invoke(t *testing.T, server integration.Server, function string, inputs object) property.Map {
	t.Helper()
	answer, err := tryInvoke(t, server, function, inputs)
	if err != nil {
		t.Fatalf("%s: %v", function, err)
	}
	return answer
}

// The worked example is from "Symmetric key attestation" in the Azure documentation.
func TestDeriveDeviceKeyIsThePublishedExample(t *testing.T) {
	t.Parallel()
	server := startProvider(t, object{}) // the function needs no configuration
	got := invoke(t, server, "deriveDeviceKey", object{
		"groupKey": property.New(
			"8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==").WithSecret(
			true),
		"registrationId": "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
	}).Get("deviceKey")
	const want = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
	if !got.Secret() || got.AsString() != want {
		t.Errorf("device key: got %v, secret %t, want %s as a secret", got, got.Secret(), want)
	}
	_, err := tryInvoke(t, server, "deriveDeviceKey", object{"groupKey": "not a key", "registrationId": "a b"})
	if err == nil || !strings.Contains(err.Error(), "groupKey") || !strings.Contains(err.Error(), "registrationId") ||
		strings.Contains(err.Error(), "not a key") {
		t.Errorf("two faults: got %v, want both named, and no key", err)
	}
}

func TestFunctionsReadEntriesOfTheService(t *testing.T) {
	t.Parallel()
	cloud := newAzure(t)
	config, scope := cloud.linked(t)
	server := startProvider(t, config)
	one, group := manage(t, server, "IndividualEnrollment", "one"), manage(t, server, "EnrollmentGroup", "devices")
	one.up(object{"registrationId": "device-1", "initialTwin": object{"tags": object{"a": "b"}}})
	group.up(object{"enrollmentGroupId": "devices", "allocationPolicy": "hashed"})

	got := invoke(t, server, "getIndividualEnrollment", object{"registrationId": "DEVICE-1"})
	for _, key := range []string{"primaryKey", "secondaryKey"} {
		t.Run(key, func(t *testing.T) {
			if value := got.Get(key); !value.Secret() || value.AsString() != one.secret(key) {
				t.Errorf("getIndividualEnrollment: %s: got secret %t and the enrollment's %t, want both", key,
					value.Secret(), value.WithSecret(false).Equals(one.state.Get(key).WithSecret(false)))
			}
		})
	}
	if tags := got.Get("initialTwin").AsMap().Get("tags").AsMap(); got.Get("registrationId").AsString() != "device-1" ||
		tags.Get("a").AsString() != "b" {
		t.Errorf("getIndividualEnrollment: got %v", got)
	}
	found := invoke(t, server, "getEnrollmentGroup", object{"enrollmentGroupId": "devices"})
	if found.Get("primaryKey").AsString() != group.secret("primaryKey") || !found.Get("primaryKey").Secret() ||
		found.Get("allocationPolicy").AsString() != "hashed" {
		t.Errorf("getEnrollmentGroup: got etag %v, policy %v", found.Get("etag"), found.Get("allocationPolicy"))
	}

	if record := invoke(t, server, "getRegistration",
		object{"registrationId": "sensor-1"}); record.Get("exists").AsBool() {
		t.Errorf("getRegistration before the first: got %v, want none", record)
	}
	for _, id := range []string{"sensor-1", "sensor-2"} {
		t.Run(id, func(t *testing.T) {
			key := invoke(t, server, "deriveDeviceKey", object{"groupKey": found.Get("primaryKey"),
				"registrationId": id}).Get("deviceKey").AsString()
			if hub, err := cloud.register(t.Context(), scope, id, key); err != nil || hub != emulatedHub {
				t.Fatalf("register %s: got %s, %v", id, hub, err)
			}
		})
	}
	record := invoke(t, server, "getRegistration", object{"registrationId": "sensor-1"})
	if state := record.Get("registration").AsMap(); !record.Get("exists").AsBool() ||
		state.Get("status").AsString() != "assigned" || state.Get("assignedHub").AsString() != emulatedHub {
		t.Errorf("getRegistration: got %v, want assigned to %s", record, emulatedHub)
	}
	var ids []string
	for _, state := range invoke(t, server, "listRegistrations",
		object{"enrollmentGroupId": "devices"}).Get("registrations").AsArray().All {
		ids = append(ids, state.AsMap().Get("registrationId").AsString())
	}
	if slices.Sort(ids); !slices.Equal(ids, []string{"sensor-1", "sensor-2"}) {
		t.Errorf("listRegistrations: got %v, want both", ids)
	}
	if none := invoke(t, server, "listRegistrations",
		object{"enrollmentGroupId": "nobody"}).Get("registrations"); none.AsArray().Len() != 0 {
		t.Errorf("listRegistrations of an unknown group: got %v, want none", none)
	}
}

func TestFunctionsFailWithTheReason(t *testing.T) {
	t.Parallel()
	service := runFake(t)
	configured, unconfigured := startProvider(t, service.config()), startProvider(t, object{})
	wrongKey := startProvider(t, service.config().edited(object{"key": newKey(t)}))
	for name, test := range map[string]struct {
		server   integration.Server
		function string
		inputs   object
		want     string
	}{
		"no such enrollment": {configured, "getIndividualEnrollment", object{"registrationId": "nobody"},
			"has no entry with this id"},
		"no such group": {configured, "getEnrollmentGroup", object{"enrollmentGroupId": "nobody"},
			"has no entry with this id"},
		"an invalid id": {configured, "getEnrollmentGroup", object{"enrollmentGroupId": "a/b"},
			"enrollmentGroupId"},
		"an empty id":      {configured, "getRegistration", object{"registrationId": ""}, "is empty"},
		"an invalid group": {configured, "listRegistrations", object{"enrollmentGroupId": "a."}, "end it in"},
		"another key": {wrongKey, "getEnrollmentGroup", object{"enrollmentGroupId": "a"},
			"policyName and key"},
		"another key, a device": {wrongKey, "getRegistration", object{"registrationId": "a"}, "policyName and key"},
		"another key, a list": {wrongKey, "listRegistrations", object{"enrollmentGroupId": "a"},
			"policyName and key"},
		"no configuration": {unconfigured, "listRegistrations", object{"enrollmentGroupId": "a"},
			"is not configured"},
		"no configuration yet": {unconfigured, "getIndividualEnrollment", object{"registrationId": "a"},
			"is not configured"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := tryInvoke(t, test.server, test.function, test.inputs); err == nil ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}
