package iothub

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// The service accepts a number or a boolean in quotes, as Json.NET does everywhere: the Azure CLI sends
// "responseTimeoutInSeconds":"30" (azext_iot/operations/hub.py). Fidelity: that this holds for every member is
// unsure.

type looseInt int

// UnmarshalJSON reads a number, or a string that contains one. null is zero.
func (n *looseInt) UnmarshalJSON(data []byte) error { return unquoted(data, (*int)(n)) }

type looseBool bool

// UnmarshalJSON reads true or false, or a string that contains either in any letter case. null is false.
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
