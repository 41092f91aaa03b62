package state

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
)

// Etags that a caller gives to a change.
const (
	// Unconditional: make or replace, whatever is there.
	Unconditional = ""
	// MustExist: the object has to be there, in whatever version.
	MustExist = "*"
	// MustNotExist: the object must not be there yet (Exists otherwise). It cannot be an etag of Azure's.
	MustNotExist = "-"
)

// versionETag is the form of hubs, provisioning services and twins: base64 of 8 bytes, as "AAAAAA3ez90=".
func versionETag(version uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], version)
	return base64.StdEncoding.EncodeToString(b[:])
}

// numberETag is the form of hub devices: base64 of a decimal number, which each change raises by one (recorded:
// DevicesClient_IdentityLifecycle, 2020-03-13).
func numberETag(n uint64) string {
	return base64.StdEncoding.EncodeToString(strconv.AppendUint(nil, n, 10))
}

// numberOf is the number of such an etag.
func numberOf(etag string) (n uint64, ok bool) {
	text, err := base64.StdEncoding.DecodeString(etag)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseUint(string(text), 10, 63)
	return n, err == nil
}

// ETag is the resource's etag as ARM shows it, unquoted.
func (r Resource) ETag() string { return versionETag(r.Version) }

// check compares the etag that a caller gave with what is there.
func check(object, given, present string, exists bool) error {
	switch {
	case given == Unconditional:
		return nil
	case given == MustNotExist:
		if exists {
			return &Error{Kind: Exists, Object: object, Reason: "is there already"}
		}
		return nil
	case !exists:
		return &Error{Kind: NotFound, Object: object, Reason: "does not exist"}
	case given == MustExist, given == present:
		return nil
	}
	return &Error{Kind: Precondition, Object: object, Reason: "has changed: the etag given is not its present one"}
}
