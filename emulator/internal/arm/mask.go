package arm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Secrets in connection strings are masked: responses contain "****" instead, and a request that sends that back
// means the stored secret (recorded in Azure/azure-cli, test_dps_linked_hub_lifecycle).

const masked = "****"

// secretPart matches the secret in a connection string.
var secretPart = regexp.MustCompile(`(?i)\b(SharedAccessKey|AccountKey)=([^;]*)`)

// busAddress matches the address of an Event Hubs or Service Bus namespace without a port.
var busAddress = regexp.MustCompile(`(?i)(\bEndpoint=sb://[^:/;]+)(/|;|$)`)

// withPort adds the AMQP port to the address of a namespace, as Azure does (hashicorp/terraform-provider-azurerm,
// IothubConnectionStringSuppress: "will include the port number in the GET response").
func withPort(connection string) string {
	return busAddress.ReplaceAllString(connection, "${1}:5671${2}")
}

func maskText(connection string) string {
	return secretPart.ReplaceAllString(withPort(connection), "${1}="+masked)
}

func isMasked(connection string) bool {
	found := secretPart.FindStringSubmatch(connection)
	return found != nil && found[2] == masked
}

// mask masks every connectionString in a document.
func mask(raw json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(bytes.ToLower(raw), []byte("connectionstring")) {
		return raw, nil
	}
	return rewrite(raw, nil, func(now, _ string) (string, error) { return maskText(now), nil })
}

// unmask replaces masked connection strings with those at the same place in the old document.
func unmask(raw, old json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(raw, []byte(masked)) {
		return raw, nil
	}
	return rewrite(raw, old, func(now, before string) (string, error) {
		if !isMasked(now) {
			return now, nil
		}
		if maskText(before) != maskText(now) {
			return "", fmt.Errorf("the connection string is masked, and differs from the one that is stored")
		}
		return before, nil
	})
}

func rewrite(raw, old json.RawMessage, change func(now, before string) (string, error)) (json.RawMessage, error) {
	var document, before any
	if err := json.Unmarshal(raw, &document); err != nil {
		return nil, err
	}
	if len(old) > 0 {
		if err := json.Unmarshal(old, &before); err != nil {
			return nil, err
		}
	}
	if err := walk(document, before, change); err != nil {
		return nil, err
	}
	return json.Marshal(document)
}

// walk visits every member named connectionString in document, with the one at the same place in before. Items of a
// list correspond if their names are equal.
func walk(document, before any, change func(now, before string) (string, error)) error {
	switch node := document.(type) {
	case map[string]any:
		other, _ := before.(map[string]any)
		for name, child := range node {
			value, isText := child.(string)
			if !isText || !strings.EqualFold(name, "connectionString") {
				if err := walk(child, other[name], change); err != nil {
					return err
				}
				continue
			}
			was, _ := other[name].(string)
			changed, err := change(value, was)
			if err != nil {
				return err
			}
			node[name] = changed
		}
	case []any:
		others, _ := before.([]any)
		for _, item := range node {
			if err := walk(item, sameName(item, others), change); err != nil {
				return err
			}
		}
	}
	return nil
}

func sameName(item any, others []any) any {
	object, _ := item.(map[string]any)
	name, ok := object["name"].(string)
	if !ok {
		return nil
	}
	for _, other := range others {
		candidate, _ := other.(map[string]any)
		if called, _ := candidate["name"].(string); strings.EqualFold(called, name) {
			return other
		}
	}
	return nil
}
