package armplugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// armError is a refusal by ARM or by a resource provider behind it, or the failed end of a long-running operation.
type armError struct {
	method  string
	target  target
	status  int
	code    string
	message string
}

// Error says what was asked, of what, and why it was refused. Bodies and headers of the request are never part of it.
func (e *armError) Error() string {
	text := fmt.Sprintf("%s %s (api-version %s): %d %s", e.method, e.target.id, e.target.apiVersion, e.status, http.StatusText(e.status))
	if e.code != "" {
		text += ": " + e.code
	}
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

// unansweredError is a request that got no answer: for one that changes something, nobody knows whether it did.
type unansweredError struct {
	method string
	target target
	cause  error
}

func (e *unansweredError) Error() string {
	if errors.Is(e.cause, context.Canceled) {
		return fmt.Sprintf("%s %s (api-version %s): cancelled before an answer came", e.method, e.target.id, e.target.apiVersion)
	}
	return fmt.Sprintf("%s %s (api-version %s): no answer: %v", e.method, e.target.id, e.target.apiVersion, e.cause)
}

func (e *unansweredError) Unwrap() error { return e.cause }

// isNotFound says whether err is a definite 404.
func isNotFound(err error) bool {
	var refused *armError
	return errors.As(err, &refused) && refused.status == http.StatusNotFound
}

// newARMError reads a refusal.
func newARMError(method string, of target, response *http.Response) error {
	refused := &armError{method: method, target: of, status: response.StatusCode}
	if raw, err := runtime.Payload(response); err == nil {
		refused.code, refused.message = parseRefusal(raw)
	}
	return refused
}

// asARMError turns azcore's own error, which polling ends with, into ours and leaves others as they are.
func asARMError(method string, of target, err error) error {
	var failed *azcore.ResponseError
	if errors.As(err, &failed) && failed.RawResponse != nil {
		return newARMError(method, of, failed.RawResponse)
	}
	return fmt.Errorf("%s %s (api-version %s): %w", method, of.id, of.apiVersion, err)
}

// parseRefusal reads the shapes in which Azure words an error: ARM's {"error":{code,message,details}}, also within the
// last poll of an operation, and the flat {code,message} of Microsoft.Devices, whose code is a number.
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
