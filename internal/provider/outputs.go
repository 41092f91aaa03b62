package provider

import "github.com/pulumi/pulumi/sdk/v3/go/property"

// secretNames are the properties that are secret wherever they stand. The tests of drift compare them with the schema.
var secretNames = map[string]bool{
	"primaryKey": true, "secondaryKey": true, "activeKey": true, "nextKey": true, "webhookUrl": true,
	"deviceKey": true, "digestKey": true, "manifestText": true,
}

// secretSettings are the secret properties of the configuration.
var secretSettings = map[string]bool{
	"connectionString": true, "key": true, "clientSecret": true, "clientCertificatePassword": true, "oidcToken": true, "oidcRequestToken": true,
}

// markSecrets marks the secret properties of a resource: secretNames at any depth, and the key of a link, whose name is too plain to be
// looked for in tags.
func markSecrets(properties property.Map) property.Map {
	properties = markNested(properties)
	if key := properties.Get("key"); key.IsString() {
		properties = properties.Set("key", key.WithSecret(true))
	}
	return properties
}

func markNested(properties property.Map) property.Map {
	marked := make(map[string]property.Value, properties.Len()) // Map.Set copies the map, which may be long
	for name, value := range properties.All {
		switch {
		case value.IsMap():
			value = property.WithGoValue(value, markNested(value.AsMap()))
		case value.IsArray():
			value = property.WithGoValue(value, markSecretsOf(value.AsArray()))
		}
		if secretNames[name] && !value.IsNull() {
			value = value.WithSecret(true)
		}
		marked[name] = value
	}
	return property.NewMap(marked)
}

func markSecretsOf(list property.Array) property.Array {
	marked := make([]property.Value, 0, list.Len())
	for _, value := range list.All {
		if value.IsMap() {
			value = property.WithGoValue(value, markNested(value.AsMap()))
		}
		marked = append(marked, value)
	}
	return property.NewArray(marked)
}

// unknownWhenEmpty are the outputs that a preview leaves empty when it cannot know them. (infer's own rule calls every output of
// a creation unknown, and none of an update whose new inputs were absent before.)
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

// isEmptyOutput reports whether an output is an empty text, an empty map, or a certificate of which nothing is told.
func isEmptyOutput(value property.Value) bool {
	if value.IsString() {
		return value.AsString() == ""
	}
	return value.IsMap() && (value.AsMap().Len() == 0 || value.AsMap().Get("sha256Thumbprint").Equals(property.New("")))
}

// restoreUnknown puts the unknown values of from back where to lost them: on their way through Go infer drops unknown lists and maps, and
// makes a text deep in a map empty.
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

// unknownLike returns what is present, unknown wherever the other value is.
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
