package provider

import "github.com/pulumi/pulumi/sdk/v3/go/property"

// secretNames are the properties that are secret in every place. The tests of drift compare them with the schema.
var secretNames = map[string]bool{
	"primaryKey": true, "secondaryKey": true, "activeKey": true, "nextKey": true, "webhookUrl": true,
	"deviceKey": true, "digestKey": true, "manifestText": true,
}

// secretSettings are the secret properties of the configuration.
var secretSettings = map[string]bool{
	"connectionString": true, "key": true, "clientSecret": true, "clientCertificatePassword": true, "oidcToken": true,
	"oidcRequestToken": true,
}

// markSecrets marks the secret properties of a resource: secretNames at any depth, and the key of a link, whose name is
// too common to search for in tags.
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
