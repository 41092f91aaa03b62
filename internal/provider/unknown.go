package provider

import (
	"evenkeel/internal/provider/entry"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// unknownWhenEmpty are the outputs that a preview leaves empty when it cannot know them. (infer's own rule marks every
// output of a creation as unknown, and no output of an update whose new inputs were absent before.)
var unknownWhenEmpty = []string{
	"serviceHost", "etag", "createdDateTimeUtc", "lastUpdatedDateTimeUtc", "primaryCertificate", "secondaryCertificate",
	"primaryKey", "secondaryKey", "activeKey", "nextKey", "digestKey", "devices", "instance",
}

// markUnknown marks the outputs that a preview does not know.
func markUnknown(properties property.Map) property.Map {
	for _, name := range unknownWhenEmpty {
		if value, exists := properties.GetOk(name); exists && isEmptyOutput(value) {
			properties = properties.Set(name, property.WithGoValue(value, property.Computed))
		}
	}
	return properties
}

// isEmptyOutput reports whether an output is an empty text, an empty map, or a certificate without properties.
func isEmptyOutput(value property.Value) bool {
	if value.IsString() {
		return value.AsString() == ""
	}
	return value.IsMap() && (value.AsMap().Len() == 0 || value.AsMap().Get("sha256Thumbprint").Equals(property.New("")))
}

// restoreUnknown restores the unknown values of from that to lost: infer drops unknown lists and maps when it decodes
// them, and makes a text deep in a map empty.
func restoreUnknown(to, from property.Map) property.Map {
	for name, value := range from.All {
		if !value.HasComputed() {
			continue
		}
		if present, exists := to.GetOk(name); !exists || present.IsNull() {
			to = to.Set(name, value)
		} else {
			to = to.Set(name, unknownLike(present, value))
		}
	}
	return to
}

// unknownLike returns the present value, marked as unknown wherever the other value is unknown.
func unknownLike(present, value property.Value) property.Value {
	switch {
	case value.IsComputed():
		return property.WithGoValue(present, property.Computed).WithSecret(present.Secret() || value.Secret())
	case present.IsMap() && value.IsMap():
		return property.WithGoValue(present, restoreUnknown(present.AsMap(), value.AsMap()))
	case present.IsArray() && value.IsArray() && present.AsArray().Len() == value.AsArray().Len():
		list := present.AsArray().AsSlice()
		for i, part := range value.AsArray().All {
			if part.HasComputed() {
				list[i] = unknownLike(list[i], part)
			}
		}
		return property.WithGoValue(present, property.NewArray(list))
	case value.IsArray():
		return value
	}
	return present
}

// identities are the properties whose change means another object.
var identities = map[string]bool{"registrationId": true, "enrollmentGroupId": true, "provisioningServiceId": true,
	"hubHostName": true}

// addUnknown makes every property that holds an unknown value part of a diff: typed values do not distinguish unknown
// from empty. An attestation that is wholly unknown does not replace the resource because its kind seems absent.
func addUnknown(req p.DiffRequest, response *p.DiffResponse) {
	if req.Inputs.Get(entry.AttestationPath).IsComputed() {
		delete(response.DetailedDiff, entry.AttestationPath)
		response.DeleteBeforeReplace = false
	}
	for name, value := range req.Inputs.All {
		if !value.HasComputed() || touches(response.DetailedDiff, name) {
			continue
		}
		if response.DetailedDiff == nil {
			response.DetailedDiff = map[string]p.PropertyDiff{}
		}
		kind := p.Update
		if identities[name] {
			kind = p.UpdateReplace
		}
		response.DetailedDiff[name] = p.PropertyDiff{Kind: kind, InputDiff: true}
		response.HasChanges = true
	}
}

func touches(diff map[string]p.PropertyDiff, name string) bool {
	for path := range diff {
		if entry.IsWithin(path, name) {
			return true
		}
	}
	return false
}
