package iothub

import "net/http"

// Response headers, spelled as Azure spells them over HTTP/1.1.
const (
	headerETag         = "ETag"
	headerRequestID    = "x-ms-request-id"
	headerErrorCode    = "iothub-errorcode"
	headerItemType     = "x-ms-item-type"
	headerContinuation = "x-ms-continuation"
)

// spell sets a header without changing the case of its name. Over HTTP/1.1, Header.Set would send ETag as Etag and
// iothub-app-myProp as Iothub-App-Myprop. The SDK for C compares names case-sensitively (iothubtransporthttp.c) and
// would receive no message, and names of application properties would lose their case. Over HTTP/2, all names are in
// lower case.
func spell(header http.Header, name, value string) { header[name] = []string{value} }
