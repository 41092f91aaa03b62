package arm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Error is a refusal by ARM or by a resource provider behind it, or the failed end of a long-running operation.
type Error struct {
	// Status is the HTTP status; Code and Message are the answer's, a numeric code in digits.
	Status  int
	Code    string
	Message string

	method string
	target Target
}

// Error returns the method, the resource and the cause, without bodies or headers of the request.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s (api-version %s): %d %s", e.method, e.target.ID, e.target.APIVersion, e.Status,
		http.StatusText(e.Status))
	if e.Code != "" {
		text += ": " + e.Code
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// UnansweredError is the error of a request that got no answer: it is unknown whether it changed something.
type UnansweredError struct {
	method string
	target Target
	cause  error
}

func (e *UnansweredError) Error() string {
	if errors.Is(e.cause, context.Canceled) {
		return fmt.Sprintf("%s %s (api-version %s): cancelled before an answer came", e.method, e.target.ID,
			e.target.APIVersion)
	}
	return fmt.Sprintf("%s %s (api-version %s): no answer: %v", e.method, e.target.ID, e.target.APIVersion, e.cause)
}

func (e *UnansweredError) Unwrap() error { return e.cause }

// HasStatus reports whether err is a refusal with one of the HTTP statuses.
func HasStatus(err error, statuses ...int) bool {
	var refused *Error
	return errors.As(err, &refused) && slices.Contains(statuses, refused.Status)
}

// supported finds the list in the text of a refused api-version.
var supported = regexp.MustCompile(`(?i)supported api-versions are '([^']*)'`)

// IsUnserved reports whether err means that ARM does not serve the api-version of the request for that type of
// resource, and returns the versions that the answer lists instead, in lower case.
func IsUnserved(err error) (served []string, unserved bool) {
	var refused *Error
	if !errors.As(err, &refused) {
		return nil, false
	}
	switch {
	case refused.Status == http.StatusNotFound && refused.Code == "InvalidResourceType":
	case refused.Status == http.StatusBadRequest && refused.Code == "NoRegisteredProviderFound":
	case refused.Status == http.StatusBadRequest && refused.Code == "InvalidApiVersionParameter":
	default:
		return nil, false
	}
	if found := supported.FindStringSubmatch(refused.Message); found != nil {
		for version := range strings.SplitSeq(found[1], ",") {
			served = append(served, strings.ToLower(strings.TrimSpace(version)))
		}
	}
	return served, true
}

// newError reads a refusal.
func newError(method string, of Target, response *http.Response) error {
	refused := &Error{Status: response.StatusCode, method: method, target: of}
	if raw, err := runtime.Payload(response); err == nil {
		refused.Code, refused.Message = parseRefusal(raw)
	}
	return refused
}

// asError converts azcore's error, which ends polling, to ours, and returns others unchanged.
func asError(method string, of Target, err error) error {
	var failed *azcore.ResponseError
	if errors.As(err, &failed) && failed.RawResponse != nil {
		return newError(method, of, failed.RawResponse)
	}
	return fmt.Errorf("%s %s (api-version %s): %w", method, of.ID, of.APIVersion, err)
}

// parseRefusal reads Azure's formats of an error: ARM's {"error":{code,message,details}}, also within the last poll of
// an operation, and the flat {code,message} of Microsoft.Devices, whose code is a number.
func parseRefusal(raw []byte) (code, message string) {
	type shape struct {
		Code    any    `json:"code"`
		Message string `json:"message"`
		Details []struct {
			Code    any    `json:"code"`
			Message string `json:"message"`
		} `json:"details"`
	}
	var body struct {
		shape
		Error *shape `json:"error"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		const most = 300
		text := strings.Join(strings.Fields(string(raw)), " ")
		if len(text) > most {
			text = strings.ToValidUTF8(text[:most], "") + "…"
		}
		return "", text
	}
	found := body.shape
	if body.Error != nil {
		found = *body.Error
	}
	message = found.Message
	for _, detail := range found.Details {
		message += fmt.Sprintf(" (%s: %s)", codeText(detail.Code), detail.Message)
	}
	return codeText(found.Code), message
}

func codeText(code any) string {
	switch code := code.(type) {
	case string:
		return code
	case float64:
		return fmt.Sprintf("%.0f", code)
	}
	return ""
}
