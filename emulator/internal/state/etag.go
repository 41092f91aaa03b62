package state

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
)

// Special etags that a caller passes to a change.
const (
	// Unconditional: create or replace.
	Unconditional = ""
	// MustExist: the object must exist, in any version.
	MustExist = "*"
	// MustNotExist: the object must not exist (otherwise Exists). The value is not a possible etag of Azure.
	MustNotExist = "-"
)

// versionETag is the form of hubs, provisioning services and twins: base64 of 8 bytes, for example "AAAAAA3ez90=".
func versionETag(version uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], version)
	return base64.StdEncoding.EncodeToString(b[:])
}

// numberETag is the form of hub devices: base64 of a decimal number that each change increments (recorded:
// DevicesClient_IdentityLifecycle, 2020-03-13).
func numberETag(n uint64) string {
	return base64.StdEncoding.EncodeToString(strconv.AppendUint(nil, n, 10))
}

// numberOf returns the number in such an etag.
func numberOf(etag string) (n uint64, ok bool) {
	text, err := base64.StdEncoding.DecodeString(etag)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseUint(string(text), 10, 63)
	return n, err == nil
}

// ETag is the resource's etag as ARM returns it, unquoted.
func (r Resource) ETag() string { return versionETag(r.Version) }

// check compares the caller's etag with the current one.
func check(object, given, present string, exists bool) error {
	switch {
	case given == Unconditional:
		return nil
	case given == MustNotExist:
		if exists {
			return &Error{Kind: Exists, Object: object, Reason: "already exists"}
		}
		return nil
	case !exists:
		return &Error{Kind: NotFound, Object: object, Reason: "does not exist"}
	case given == MustExist, given == present:
		return nil
	}
	return &Error{Kind: Precondition, Object: object, Reason: "has changed: the etag does not match the current one"}
}
