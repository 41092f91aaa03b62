package arm

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/traffic"
)

// wireError is an error response, in one of ARM's two formats.
type wireError struct {
	status  int
	code    string // of ARM's own errors
	number  int    // of the resource provider's errors; 0 for ARM's own
	message string
}

func (e *wireError) Error() string {
	if e.number != 0 {
		return fmt.Sprintf("%d: %s", e.number, e.message)
	}
	return e.code + ": " + e.message
}

// armError is an error of Azure Resource Manager itself: {"error":{"code","message"}}.
func armError(status int, code, format string, args ...any) error {
	return &wireError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// Numbers of the resource provider's errors. Those without a source are in the right hundred, but otherwise ours
// (unsure).
const (
	numberInvalid       = 400004 // unsure: which rule has which number is not public
	numberDuplicateHubs = 400303 // Azure/azure-cli#10628
	numberHubNotFound   = 404002 // hashicorp/terraform-provider-azurerm#18153
	numberKeyNotFound   = 404000 // unsure
	numberNameTaken     = 409001 // unsure
	numberNotActive     = 409002 // microsoft/vscode#68251, Azure/azure-powershell#16842
	numberChildNotFound = 404003 // unsure
	numberQuota         = 400019 // MicrosoftLearning/DP-900T00A-Azure-Data-Fundamentals#6
	numberPrecondition  = 412001 // crossplane-contrib/provider-upjet-azure#299
)

// providerError is an error of the resource provider Microsoft.Devices: a flat object whose code is a number.
func providerError(number int, format string, args ...any) error {
	return &wireError{status: number / 1000, number: number, message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error { return providerError(numberInvalid, format, args...) }

// providerBody is the flat format (recorded in Azure/azure-cli, test_dps_lifecycle).
type providerBody struct {
	Code           int    `json:"code"`
	HTTPStatusCode string `json:"httpStatusCode"`
	Message        string `json:"message"`
}

type armBody struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// statusNames are .NET's names, which the provider's errors contain.
var statusNames = map[int]string{
	http.StatusBadRequest: "BadRequest", http.StatusNotFound: "NotFound", http.StatusConflict: "Conflict",
	http.StatusPreconditionFailed: "PreconditionFailed",
}

func (s *surface) writeError(w http.ResponseWriter, r *http.Request, err error) {
	var e *wireError
	if !errors.As(err, &e) {
		e = &wireError{status: http.StatusInternalServerError, code: "InternalServerError",
			message: "The server encountered an internal error. " + err.Error()}
	}
	if e.number == 0 {
		w.Header().Set("x-ms-failure-cause", "gateway")
		var body armBody
		body.Error.Code, body.Error.Message = e.code, e.message
		writeJSON(w, e.status, body)
		return
	}
	writeJSON(w, e.status, providerBody{
		Code: e.number, HTTPStatusCode: statusNames[e.status],
		Message: fmt.Sprintf("%s If you contact a support representative please include this correlation identifier: "+
			"%s, timestamp: %s, errorcode: IH%d.",
			e.message, uuid.NewString(), s.State.Now().UTC().Format("2006-01-02 15:04:05Z"), e.number),
	})
}

// unauthorized responds to a call without a valid token.
func (s *surface) unauthorized(w http.ResponseWriter, r *http.Request, reason error) error {
	code, message, hint := "InvalidAuthenticationToken", "The access token is invalid.", "invalid_token"
	switch {
	case errors.Is(reason, entra.ErrNoToken):
		code, message = "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
	case errors.Is(reason, entra.ErrExpired):
		code, message = "ExpiredAuthenticationToken",
			"The access token expiry has passed. Get a new token and try again."
	case errors.Is(reason, entra.ErrAudience):
		code, message = "InvalidAuthenticationTokenAudience",
			"The access token has been obtained for the wrong audience or resource."
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(
		`Bearer authorization_uri="https://%s/%s", error="%s", error_description="%s"`,
		r.Host, entra.TenantID, hint, message))
	return armError(http.StatusUnauthorized, code, "%s", message)
}

func notRouted(r *http.Request) error {
	return armError(http.StatusNotFound, "InvalidResourceType",
		"The emulator does not serve %s %s: see docs/reference/fidelity.md.", r.Method, r.URL.Path)
}

func groupNotFound(name string) error {
	return armError(http.StatusNotFound, "ResourceGroupNotFound", "Resource group '%s' could not be found.", name)
}

func resourceNotFound(kind string, id state.ResourceID) error {
	return armError(http.StatusNotFound, "ResourceNotFound",
		"The Resource 'Microsoft.Devices/%s/%s' under resource group '%s' was not found. For more details please go "+
			"to https://aka.ms/ARMResourceNotFoundFix",
		kind, id.Name, id.Group)
}

// putRefusal is refusal for a PUT: an etag never matches an object that does not exist.
func (c *call) putRefusal(kind string, err error) error {
	if isKind(err, state.NotFound) {
		return etagRefused(kind)
	}
	return c.refusal(kind, err)
}

func etagRefused(kind string) error {
	return providerError(numberPrecondition, "Either bad ETag was supplied or %s description was changed.", noun(kind))
}

// refusal translates a refusal of the state to the response for a resource of that kind.
func (c *call) refusal(kind string, err error) error {
	id := c.resource()
	var e *state.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case state.NotFound:
		return resourceNotFound(kind, id)
	case state.ParentNotFound:
		return groupNotFound(id.Group)
	case state.Exists:
		return providerError(numberNameTaken, "%s name '%s' is not available.", noun(kind), id.Name)
	case state.Precondition:
		return etagRefused(kind)
	case state.Busy:
		return notActive(kind, id.Name)
	}
	return invalid("%s.", e.Reason)
}

func notActive(kind, name string) error {
	return providerError(numberNotActive,
		"%s '%s' is not in Active state. Try the request again after it is in Active state.", noun(kind), name)
}

// noun is the name of the kind in error texts.
func noun(kind string) string {
	if kind == hubKind {
		return "IotHub"
	}
	return "Provisioning Service"
}

// isKind reports whether err is a refusal of the state of that kind.
func isKind(err error, kind state.Kind) bool {
	var e *state.Error
	return errors.As(err, &e) && e.Kind == kind
}

// stamp formats a time as in ARM's systemData.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Refuse implements traffic.Refuser.
func (s *surface) Refuse(w http.ResponseWriter, r *traffic.Refusal) {
	var body armBody
	body.Error.Code, body.Error.Message = r.Name, r.Message
	writeJSON(w, r.Status, body)
}
