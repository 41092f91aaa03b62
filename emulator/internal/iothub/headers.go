package iothub

import "net/http"

// Headers of answers, spelled as Azure spells them over HTTP/1.1.
const (
	headerETag         = "ETag"
	headerRequestID    = "x-ms-request-id"
	headerErrorCode    = "iothub-errorcode"
	headerItemType     = "x-ms-item-type"
	headerContinuation = "x-ms-continuation"
)

// spell sets a header under its name as it is given. Header.Set would send ETag as Etag and iothub-app-myProp as
// Iothub-App-Myprop over HTTP/1.1. The SDK for C compares names with regard to letter case (iothubtransporthttp.c) and
// would receive no message, and names of application properties would lose theirs. Over HTTP/2, all names are in lower
// case.
func spell(header http.Header, name, value string) { header[name] = []string{value} }
