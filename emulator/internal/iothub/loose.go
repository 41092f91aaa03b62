package iothub

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// The service takes a number or a truth value in quotes for what it is, as Json.NET does everywhere: the Azure CLI sends
// "responseTimeoutInSeconds":"30" (azext_iot/operations/hub.py). Fidelity: that it is so for every member is unsure.

type looseInt int

// UnmarshalJSON reads a number, or a text that is one; null is zero.
func (n *looseInt) UnmarshalJSON(data []byte) error { return unquoted(data, (*int)(n)) }

type looseBool bool

// UnmarshalJSON reads true or false, or a text that is one in any letter case; null is false.
func (b *looseBool) UnmarshalJSON(data []byte) error {
	return unquoted(bytes.ToLower(data), (*bool)(b))
}

func unquoted[T any](data []byte, into *T) error {
	var text string
	if json.Unmarshal(data, &text) != nil || string(data) == "null" {
		return json.Unmarshal(data, into)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil || text == "null" {
		return &json.UnmarshalTypeError{Value: "string", Type: reflect.TypeFor[T]()}
	}
	return nil
}
