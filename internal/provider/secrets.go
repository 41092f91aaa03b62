package provider

import "github.com/pulumi/pulumi/sdk/v3/go/property"

// secretNames are the properties that are secret wherever they stand. A test compares them with the schema.
var secretNames = map[string]bool{
	"primaryKey": true, "secondaryKey": true, "activeKey": true, "nextKey": true, "webhookUrl": true,
}

// markSecrets marks the secret properties of a resource, at any depth.
func markSecrets(properties property.Map) property.Map {
	for name, value := range properties.All {
		if value.IsMap() {
			value = property.WithGoValue(value, markSecrets(value.AsMap()))
		}
		if secretNames[name] && !value.IsNull() {
			value = value.WithSecret(true)
		}
		properties = properties.Set(name, value)
	}
	return properties
}
