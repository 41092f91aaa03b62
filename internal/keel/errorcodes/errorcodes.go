// Package errorcodes explains the error codes of the Device Provisioning Service and of IoT Hub: where a code comes
// from, what causes it and what to do.
//
// No client and no emulator takes its codes from here. Codes are Azure's, from its documents, SDKs and issue threads;
// those that only the emulator uses, because Azure's are not public, are marked.
package errorcodes

import (
	"slices"
	"strconv"
	"strings"
)

// Entry explains one code.
type Entry struct {
	// Code is the six-digit number, whose first three digits are the HTTP status; or a status alone.
	Code int `json:"code"`
	// Name is what the service calls it, often empty; Azure Resource Manager has names and no numbers.
	Name string `json:"name,omitempty"`
	// Source is the service that returns it.
	Source Source `json:"source"`
	// Cause describes what has happened, Remedy what to do.
	Cause  string `json:"cause"`
	Remedy string `json:"remedy"`
	// EmulatorOnly is true for a number that only the emulator uses, because Azure's is not public.
	EmulatorOnly bool `json:"emulatorOnly"`
}

// Source is a service that returns a code.
type Source string

// The sources of codes.
const (
	Service    Source = "Device Provisioning Service"
	Hub        Source = "IoT Hub"
	Both       Source = "Device Provisioning Service and IoT Hub"
	Management Source = "management of hubs and provisioning services"
)

// All returns every entry in the order of codes.
func All() []Entry {
	all := slices.Concat(serviceCodes, hubCodes, managementCodes, resourceManagerCodes, httpStatuses)
	slices.SortStableFunc(all, func(x, y Entry) int { return x.Code - y.Code })
	return all
}

// Find returns the entries for a number (401002, IH400309 or 401) or a name (DeviceNotFound); none for an unknown one.
// One number may have different meanings at different services.
func Find(text string) []Entry {
	text = strings.TrimSpace(text)
	if len(text) > 2 && strings.EqualFold(text[:2], "IH") { // how messages of the management API write their code
		text = text[2:]
	}
	number, err := strconv.Atoi(text)
	return slices.DeleteFunc(All(), func(e Entry) bool {
		if err == nil {
			return e.Code != number
		}
		return e.Name == "" || !strings.EqualFold(e.Name, text)
	})
}
