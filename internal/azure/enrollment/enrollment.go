// Package enrollment holds the rules of DPS enrollments: ids, keys, certificates, allocation policies and webhooks, as
// pure functions that return every fault they find. The provider's Check and the program's topology both call it, so
// that both report the same errors.
//
// It knows no Pulumi, no HTTP and no clock: the caller passes the time. It does not compare or send entries.
//
// Sources: "DPS concepts" and "symmetric key attestation" of the Azure documentation; service API 2021-10-01.
package enrollment

import (
	"encoding/base64"
	"fmt"
	"strings"

	"evenkeel/internal/azure/sas"
)

// MaxIDLength is the longest registration id or enrollment group id, in characters.
const MaxIDLength = 128

// Fault is one error of the input: its place, as the caller names it, and what to do about it. A message never contains
// a key.
type Fault struct {
	Path    string
	Message string
}

// Error returns the place and the message in one line.
func (f Fault) Error() string { return f.Path + ": " + f.Message }

func fault(path, format string, values ...any) []Fault {
	return []Fault{{Path: path, Message: fmt.Sprintf(format, values...)}}
}

// CheckRegistrationID checks the id of an individual enrollment or of a device of a group.
func CheckRegistrationID(path, id string) []Fault { return checkID(path, "registration id", id) }

// CheckGroupID checks the id of an enrollment group. The rules are those of registration ids.
func CheckGroupID(path, id string) []Fault { return checkID(path, "enrollment group id", id) }

// idMarks are the characters that ids of enrollments may contain besides letters and digits, and toldIDMarks is their
// form in messages.
const idMarks, toldIDMarks = "-._:", "- . _ :"

// hubIDMarks are the characters that the id of a device at a hub may contain besides letters and digits ("Identity
// registry" of the IoT Hub documentation).
const hubIDMarks = "-:.+%_#*?!(),=@$'"

// CheckDeviceID checks the id of a device at its hub, which is case-sensitive.
func CheckDeviceID(path, id string) []Fault {
	if id == "" {
		return fault(path, "it is empty: leave it out to use the registration id")
	}
	return append(checkLength(path, "device id", id), checkCharacters(path, "device id", id, hubIDMarks, hubIDMarks)...)
}

// CheckIDPrefix checks a prefix of ids: an id of at least one character must fit after it.
func CheckIDPrefix(path, prefix string) []Fault {
	faults := checkCharacters(path, "prefix", prefix, idMarks, toldIDMarks)
	if length := len([]rune(prefix)); length >= MaxIDLength {
		faults = append(faults, fault(
			path, "the prefix has %d characters, which leaves no room for an id of at most %d", length, MaxIDLength)...)
	}
	return faults
}

// checkCharacters allows letters, digits and marks; shown is how an error names the marks.
func checkCharacters(path, what, text, marks, shown string) []Fault {
	for _, r := range text {
		if !isAlphanumeric(r) && !strings.ContainsRune(marks, r) {
			return fault(path, "the %s %s contains %q: use letters, digits and %s only", what, Quote(text), r, shown)
		}
	}
	return nil
}

func checkLength(path, what, id string) []Fault {
	if length := len([]rune(id)); length > MaxIDLength {
		return fault(path, "the %s has %d characters, at most %d are allowed", what, length, MaxIDLength)
	}
	return nil
}

func checkID(path, what, id string) []Fault {
	switch {
	case id == "":
		return fault(path, "the %s is empty", what)
	case strings.EqualFold(id, "query"):
		// POST /enrollments/query is another call, so the service could not distinguish the entry from it.
		return fault(path, "%q is reserved by the service: choose another %s", id, what)
	}
	faults := append(checkLength(path, what, id), checkCharacters(path, what, id, idMarks, toldIDMarks)...)
	if last := rune(id[len(id)-1]); strings.ContainsRune("._:", last) {
		faults = append(faults, fault(path, "the %s %s ends in %q: end it in a letter, a digit or -", what, Quote(id),
			last)...)
	}
	return faults
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// CheckKey checks a symmetric key: base64 of 16 to 64 bytes.
func CheckKey(path, key string) []Fault {
	if _, err := sas.DecodeKey(key); err != nil {
		return fault(path, "%v", err)
	}
	return nil
}

// CheckTPMKey checks a public key of a Trusted Platform Module: base64 of its TPM2B_PUBLIC form, which begins with its
// own length in two bytes.
func CheckTPMKey(path, key string) []Fault {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return fault(path, "the TPM key is not valid base64")
	}
	if len(raw) < 3 || int(raw[0])<<8|int(raw[1]) != len(raw)-2 {
		return fault(path, "the TPM key is not a TPM2B_PUBLIC: its first two bytes do not give its length")
	}
	return nil
}
