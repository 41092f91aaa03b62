package arm_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// schema is the part of OpenAPI 2 that the descriptions in testdata use.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Properties map[string]*schema `json:"properties"`
	Additional *schema            `json:"additionalProperties"`
	Required   []string           `json:"required"`
	AllOf      []*schema          `json:"allOf"`
	Items      *schema            `json:"items"`
	Enum       []string           `json:"enum"`
	Open       struct {
		ModelAsString bool `json:"modelAsString"`
	} `json:"x-ms-enum"`
}

type description map[string]*schema

func readDescription(t *testing.T, kind, version string) description {
	t.Helper()
	raw, err := os.ReadFile("testdata/descriptions/" + kind + "." + version + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Definitions description `json:"definitions"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return file.Definitions
}

// validate returns how a value differs from a definition. It is stricter than the descriptions: an object must not have
// other members.
func (d description) validate(path string, value any, as *schema) []string {
	if as.Ref != "" {
		found := d[strings.TrimPrefix(as.Ref, "#/definitions/")]
		if found == nil {
			return []string{path + ": no definition " + as.Ref}
		}
		return d.validate(path, value, found)
	}
	switch value := value.(type) {
	case map[string]any:
		return d.validateObject(path, value, as)
	case []any:
		if as.Type != "array" {
			return []string{path + ": a list"}
		}
		var wrong []string
		for i, item := range value {
			wrong = append(wrong, d.validate(fmt.Sprintf("%s[%d]", path, i), item, as.Items)...)
		}
		return wrong
	case string:
		if as.Type != "string" || len(as.Enum) > 0 && !as.Open.ModelAsString && !slices.Contains(as.Enum, value) {
			return []string{fmt.Sprintf("%s: the text %q", path, value)}
		}
	case bool:
		if as.Type != "boolean" {
			return []string{path + ": a boolean"}
		}
	case float64:
		if as.Type != "number" && (as.Type != "integer" || value != math.Trunc(value)) {
			return []string{path + ": a number"}
		}
	default:
		return []string{path + ": null"}
	}
	return nil
}

func (d description) validateObject(path string, value map[string]any, as *schema) []string {
	properties, required, additional := map[string]*schema{}, slices.Clone(as.Required), as.Additional
	maps.Copy(properties, as.Properties)
	for _, base := range as.AllOf {
		if base.Ref != "" {
			base = d[strings.TrimPrefix(base.Ref, "#/definitions/")]
		}
		maps.Copy(properties, base.Properties)
		required = append(required, base.Required...)
	}
	var wrong []string
	for name, member := range value {
		switch of := properties[name]; {
		case of != nil:
			wrong = append(wrong, d.validate(path+"."+name, member, of)...)
		case additional != nil:
			wrong = append(wrong, d.validate(path+"."+name, member, additional)...)
		default:
			wrong = append(wrong, path+"."+name+": no such member")
		}
	}
	for _, name := range required {
		if _, ok := value[name]; !ok {
			wrong = append(wrong, path+"."+name+": missing")
		}
	}
	return wrong
}

// TestAnswersAreAsDescribed validates real answers of each described version: of a service with everything that a
// version can show.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	const list, resident = "/providers/Microsoft.Devices/provisioningServices?api-version=",
		"/providers/Microsoft.Devices/provisioningServices/resident?api-version="
	for _, version := range []string{"2021-10-15", "2022-02-05", "2022-12-12", "2023-03-01-preview", "2026-08-31",
		"2026-11-01"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s, described := newSurface(t), readDescription(t, "provisioningServices", version)
			s.inventory()
			const full = `{"location":"southeastasia","tags":{"a":"b"},"sku":{"name":"S1","capacity":1},"properties":{"disableLocalAuth":true,"enableDataResidency":true,
				"portalOperationsHostName":"p.example","publicNetworkAccess":"Enabled","ipFilterRules":[{"filterName":"a","action":"Accept","ipMask":"10.0.0.0/8","target":"all"}],
				"iotHubs":[{"location":"westeurope","allocationWeight":2,"applyAllocationPolicy":true,"connectionString":"HostName=hub-1.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=a2V5"},
				{"location":"westeurope","hostName":"hub-1.device.azure-devices.net","authenticationType":"UserAssigned",
				"selectedUserAssignedIdentityResourceId":"/subscriptions/x/u"}]},
				"identity":{"type":"SystemAssigned, UserAssigned","userAssignedIdentities":{"/subscriptions/x/u":{}}}}`
			if status, body := s.call("PUT", resident+"2026-11-01", full); status != 201 {
				t.Fatalf("got %d %s", status, body)
			}
			_, one := s.call("GET", resident+version, "")
			_, keys := s.call("POST", strings.Replace(resident, "?", "/listkeys?", 1)+version, "")
			_, all := s.call("GET", list+version, "")
			_, patched := s.call("PATCH", resident+version, `{"tags":{"c":"d"}}`)
			_, put := s.call(
				"PUT",
				resident+version,
				`{"location":"southeastasia","sku":{"name":"S1","capacity":1},"properties":{}}`,
			)
			for name, test := range map[string]struct{ body, as string }{
				"get": {one, "ProvisioningServiceDescription"}, "patch": {patched, "ProvisioningServiceDescription"},
				"put":  {put, "ProvisioningServiceDescription"},
				"list": {all, "ProvisioningServiceDescriptionListResult"},
				"keys": {keys, "SharedAccessSignatureAuthorizationRuleListResult"},
			} {
				t.Run(name, func(t *testing.T) {
					var value any
					if err := json.Unmarshal([]byte(test.body), &value); err != nil {
						t.Fatal(err)
					}
					wrong := described.validate(name, value, &schema{Ref: "#/definitions/" + test.as})
					// Recorded traffic of the Azure CLI contains these, unlike the description.
					wrong = slices.DeleteFunc(wrong, func(w string) bool {
						return strings.Contains(w, ".resourcegroup: no such") ||
							strings.Contains(w, ".subscriptionid: no such") ||
							w == "put.properties.idScope: null"
					})
					slices.Sort(wrong)
					for _, w := range wrong {
						t.Error(w)
					}
				})
			}
		})
	}
}
